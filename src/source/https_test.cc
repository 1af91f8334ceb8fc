#include "source/https.h"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "crypto/hash.h"
#include "net/testing/memory_transport.h"
#include "source/content_verifier.h"
#include "source/source_factory.h"
#include "source/testing/pattern_bytes.h"
#include "source/testing/source_conformance.h"

namespace bdn::source::testing {
namespace {

constexpr char kHttpsUrl[] = "https://files.test/dir/model%20v2.bin?sig=abc";
constexpr char kHttpsDate[] = "Mon, 23 Nov 2026 03:44:41 GMT";

// A web server with one file. Every member may be changed between requests.
struct WebServer {
  std::string content;
  std::string etag = "\"v1\"";
  std::string date = kHttpsDate;
  int head_status = 200;
  bool ranges = true;
  bool says_ranges = true;
  bool says_length = true;
  bool head_says_length = true;
  net::Headers more;
  std::function<std::optional<net::HttpResponse>(const net::HttpRequest&)> intercept;

  net::HttpResponse Answer(const net::HttpRequest& request) {
    if (intercept) {
      if (auto answer = intercept(request)) return *std::move(answer);
    }
    net::HttpResponse answer{.status = 200, .headers = more};
    if (!etag.empty()) answer.headers.Set("ETag", etag);
    if (!date.empty()) answer.headers.Set("Last-Modified", date);
    if (says_ranges && ranges) answer.headers.Set("Accept-Ranges", "bytes");
    const bool head = request.method == "HEAD";
    if (head && head_status != 200) return {.status = head_status};
    const std::string range(request.headers.Get("Range").value_or(""));
    std::string body = content;
    if (ranges && !range.empty() && !head) {
      const std::size_t begin = std::stoul(range.substr(6));
      const std::size_t end =
          std::min(std::stoul(range.substr(range.find('-') + 1)) + 1, content.size());
      if (begin >= content.size()) {
        answer.status = 416;
        answer.headers.Set("Content-Range", "bytes */" + std::to_string(content.size()));
        return answer;
      }
      answer.status = 206;
      answer.headers.Set("Content-Range", "bytes " + std::to_string(begin) + "-" +
                                              std::to_string(end - 1) + "/" +
                                              std::to_string(content.size()));
      body = content.substr(begin, end - begin);
    }
    if (head ? head_says_length : says_length || answer.status == 206) {
      answer.headers.Set("Content-Length", std::to_string(body.size()));
    }
    answer.body = body;
    return answer;
  }
};

class HttpsSourceTest : public ::testing::Test {
 protected:
  void Make(std::optional<std::string> secret = std::nullopt, const std::string& url = kHttpsUrl) {
    const auto uri = model::ParseSourceUri(url);
    ASSERT_TRUE(uri) << uri.error().message();
    auto made =
        MakeSource(*uri, {.secret = std::move(secret)},
                   {.transport = transport_, .limiters = limiters_, .random = [] { return 0.0; }});
    ASSERT_TRUE(made) << made.error().message();
    source_ = *std::move(made);
  }
  Result<RemoteFile> Look() {
    if (!source_) Make();
    BDN_ASSIGN(pin_, source_->Resolve(ctx_));
    BDN_ASSIGN(const auto files, source_->List(ctx_, pin_));
    EXPECT_EQ(files.size(), 1u);
    file_ = files.at(0);
    return file_;
  }
  Result<std::string> Read(net::ByteRange range) {
    return ReadRange(ctx_, *source_, pin_, file_, range);
  }
  std::string LookError(Code code) {
    const auto file = Look();
    if (file) return "no error";
    EXPECT_EQ(file.error().code(), code) << file.error().message();
    return file.error().message();
  }
  // Looks, then reads the whole file in two ranges.
  void ExpectReadable() {
    const auto file = Look();
    ASSERT_TRUE(file) << file.error().message();
    ASSERT_EQ(file->size, web_.content.size());
    const std::uint64_t half = file->size / 2;
    const auto first = Read({0, half});
    const auto second = Read({half, file->size});
    ASSERT_TRUE(first) << first.error().message();
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_EQ(*first + *second, web_.content);
  }
  std::vector<net::HttpRequest> requests() const { return transport_.requests(); }

  WebServer web_{.content = PatternBytes(100'003, 1)};
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  RateLimiters limiters_;
  net::testing::MemoryTransport transport_{
      [this](const net::HttpRequest& request) { return web_.Answer(request); }};
  std::unique_ptr<Source> source_;
  Pin pin_;
  RemoteFile file_;
};

TEST_F(HttpsSourceTest, IsOneFileNamedByTheLastSegmentPinnedByItsETag) {
  ExpectReadable();
  EXPECT_EQ(file_.path, "model v2.bin");
  EXPECT_EQ(file_.etag, "\"v1\"");
  EXPECT_EQ(pin_.fingerprint_type, "etag");
  EXPECT_TRUE(pin_.warnings.empty());
  ASSERT_EQ(requests().size(), 3u) << "one HEAD, two ranges";
  EXPECT_EQ(requests()[0].method, "HEAD");
  EXPECT_EQ(requests()[1].headers.Get("Accept-Encoding"), "identity");
  EXPECT_EQ(requests()[1].url.ToString(), kHttpsUrl);
}

TEST_F(HttpsSourceTest, TheIdentityTellsQueriesApartAndShowsNone) {
  ASSERT_TRUE(Look());
  const std::string first = pin_.identity;
  EXPECT_TRUE(first.starts_with("https://files.test/dir/model%20v2.bin?(sha256 ")) << first;
  EXPECT_EQ(first.find("abc"), std::string::npos);
  Make(std::nullopt, "https://files.test/dir/model%20v2.bin?sig=abd");
  ASSERT_TRUE(Look());
  EXPECT_NE(pin_.identity, first);
}

TEST_F(HttpsSourceTest, AnySpanOfTheFileIsRead) {
  ASSERT_TRUE(Look());
  for (const net::ByteRange range :
       std::vector<net::ByteRange>{{0, 1}, {100'002, 100'003}, {4095, 4097}, {0, 100'003}}) {
    const auto bytes = Read(range);
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_EQ(*bytes, web_.content.substr(range.begin, range.size()));
  }
  const auto before = transport_.calls();
  EXPECT_EQ(*Read({7, 7}), "");
  EXPECT_EQ(transport_.calls(), before);
  EXPECT_EQ(Read({0, 100'004}).error().code(), Code::kInvalidArgument);
}

TEST_F(HttpsSourceTest, HeadThatIsRefusedGivesWayToOneByteByGet) {
  for (const int status : {403, 404, 405, 400, 501}) {
    web_.head_status = status;
    source_.reset();
    ExpectReadable();
    EXPECT_EQ(pin_.fingerprint_type, "etag") << status;
  }
  EXPECT_EQ(requests()[1].headers.Get("Range"), "bytes=0-0");
}

TEST_F(HttpsSourceTest, AHeadWithoutALengthOrWithZeroIsNotBelieved) {
  web_.head_says_length = false;
  ExpectReadable();
  web_.head_says_length = true;
  web_.intercept = [](const net::HttpRequest& request) -> std::optional<net::HttpResponse> {
    if (request.method != "HEAD") return std::nullopt;
    return net::HttpResponse{200, {{"Content-Length", "0"}, {"ETag", "\"v1\""}}, ""};
  };
  ExpectReadable();
}

TEST_F(HttpsSourceTest, AnEmptyFileNeedsNoRange) {
  web_.content = "";
  for (const bool ranges : {true, false}) {
    web_.ranges = ranges;
    source_.reset();
    const auto file = Look();
    ASSERT_TRUE(file) << file.error().message();
    EXPECT_EQ(file->size, 0u);
    EXPECT_EQ(*Read({0, 0}), "");
  }
}

TEST_F(HttpsSourceTest, AWeakETagPinsAndNoConditionIsSentWithIt) {
  web_.etag = "W/\"v1\"";
  ExpectReadable();
  EXPECT_EQ(file_.etag, "W/\"v1\"");
  EXPECT_FALSE(requests().back().headers.Has("If-Range"));
  EXPECT_FALSE(requests().back().headers.Has("If-Match"));
  web_.etag = "W/\"v2\"";
  EXPECT_EQ(Read({10, 20}).error().code(), Code::kFailedPrecondition);
}

TEST_F(HttpsSourceTest, WithoutAnETagTheDateAndTheSizePin) {
  web_.etag = "";
  ExpectReadable();
  EXPECT_EQ(pin_.fingerprint_type, "last-modified");
  EXPECT_EQ(file_.etag, std::string("last-modified ") + kHttpsDate);
  web_.date = "Mon, 23 Nov 2026 03:44:42 GMT";
  const auto changed = Read({10, 20});
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code(), Code::kFailedPrecondition);
}

TEST_F(HttpsSourceTest, WithoutEitherTheFileIsReadOnceAndPinnedByItsHash) {
  web_.etag = web_.date = "";
  ExpectReadable();
  EXPECT_EQ(pin_.fingerprint_type, "sha256");
  EXPECT_EQ(file_.hash_kind, ContentHash::kSha256);
  EXPECT_EQ(file_.hash, crypto::Sha256Hex(web_.content));
  EXPECT_EQ(file_.etag, "sha256 " + file_.hash);
  ASSERT_EQ(pin_.warnings.size(), 1u);
  const std::string first = pin_.fingerprint;
  web_.content[5] ^= 1;
  // The server gives no sign; the mirror's verifier is what notices.
  const auto bytes = Read({0, file_.size});
  ASSERT_TRUE(bytes);
  ContentVerifier verifier(file_);
  verifier.Update(std::as_bytes(std::span(*bytes)));
  EXPECT_EQ(verifier.Finish().error().code(), Code::kCorrupt);
  ASSERT_TRUE(Look());
  EXPECT_NE(pin_.fingerprint, first);
}

TEST_F(HttpsSourceTest, AnUnknownSizeIsCountedByReadingOnce) {
  web_.says_length = web_.head_says_length = web_.ranges = false;
  ExpectReadable();
  EXPECT_EQ(pin_.fingerprint_type, "sha256");
  EXPECT_EQ(file_.etag, "\"v1\"");
  EXPECT_EQ(file_.hash, crypto::Sha256Hex(web_.content));
  web_.content += "more";
  const auto longer = Read({50, file_.size});
  ASSERT_FALSE(longer) << "nothing but the length of the body tells";
  EXPECT_EQ(longer.error().code(), Code::kFailedPrecondition);
  web_.content.resize(1000);
  EXPECT_EQ(Read({50, file_.size}).error().code(), Code::kUnavailable);
}

TEST_F(HttpsSourceTest, WithoutRangesTheWholeBodyIsCutToTheRange) {
  web_.ranges = false;
  ExpectReadable();
  const auto middle = Read({40'000, 60'000});
  ASSERT_TRUE(middle) << middle.error().message();
  EXPECT_EQ(*middle, web_.content.substr(40'000, 20'000));
  web_.content += "longer";
  EXPECT_EQ(Read({0, 10}).error().code(), Code::kFailedPrecondition);
}

TEST_F(HttpsSourceTest, RangesOfALargeFileWithoutRangesShareOneBody) {
  web_.ranges = false;
  web_.content = PatternBytes(kHttpsStreamBytesMin + 1'000'003, 7);
  ASSERT_TRUE(Look());
  constexpr std::uint64_t kPart = 4u << 20;
  const std::uint64_t parts = (file_.size + kPart - 1) / kPart;
  std::vector<std::string> got(parts);
  std::atomic<std::uint64_t> next = 0;
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < 3; ++i) {
      workers.emplace_back([&] {
        for (std::uint64_t part = next++; part < parts; part = next++) {
          const auto bytes = Read({part * kPart, std::min((part + 1) * kPart, file_.size)});
          EXPECT_TRUE(bytes) << bytes.error().message();
          if (bytes) got[part] = *bytes;
        }
      });
    }
  }
  std::string all;
  for (const auto& part : got) all += part;
  EXPECT_TRUE(all == web_.content);
  std::size_t whole = 0;
  for (const auto& request : requests()) {
    whole += request.method == "GET" && !request.headers.Has("Range") ? 1 : 0;
  }
  EXPECT_LE(whole, 2u) << "one, or two when a reader was late to come";
  web_.etag = "\"v2\"";
  source_.reset();
  Make();
  const auto changed = ReadRange(ctx_, *source_, pin_, file_, {kPart, 2 * kPart});
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code(), Code::kFailedPrecondition);
}

TEST_F(HttpsSourceTest, AnotherVersionIsAChangedSourceHoweverItShows) {
  ASSERT_TRUE(Look());
  const auto expect_changed = [&](const std::string& what) {
    std::string got;
    const auto bytes = ReadRange(ctx_, *source_, pin_, file_, {50, 100'003}, &got);
    ASSERT_FALSE(bytes) << what;
    EXPECT_EQ(bytes.error().code(), Code::kFailedPrecondition) << what;
    EXPECT_TRUE(bytes.error().message().starts_with("source changed")) << bytes.error().message();
    EXPECT_EQ(got, "") << what;
  };
  web_.etag = "\"v2\"";
  expect_changed("another ETag");
  web_.etag = "\"v1\"";
  web_.content += "!";
  expect_changed("another size in 206");
  web_.ranges = false;
  expect_changed("another size in 200");
  web_.ranges = true;
  web_.content = "short";
  expect_changed("416");
  for (const int status : {404, 410, 412}) {
    web_.intercept = [&](const net::HttpRequest&) { return net::HttpResponse{.status = status}; };
    expect_changed(std::to_string(status));
  }
}

TEST_F(HttpsSourceTest, AnAnswerThatIsNotTheRangeIsNeverTaken) {
  ASSERT_TRUE(Look());
  const std::string part = web_.content.substr(500, 500);
  const net::Headers tag{{"ETag", "\"v1\""}};
  const auto with = [&](std::string name, std::string value) {
    net::Headers headers = tag;
    headers.Set(name, std::move(value));
    return headers;
  };
  const std::vector<net::HttpResponse> answers = {
      {206, with("Content-Range", "bytes 0-499/100003"), part},
      {206, with("Content-Range", "bytes 500-998/100003"), part},
      {206, with("Content-Range", "bytes 500-999/*"), part},
      {206, tag, part},
      {204, tag, ""},
      {206, {{"Content-Range", "bytes 500-999/100003"}}, part},  // no sign which version
  };
  for (const auto& answer : answers) {
    int left = 1;
    web_.intercept = [&](const net::HttpRequest&) -> std::optional<net::HttpResponse> {
      if (left-- <= 0) return std::nullopt;
      return answer;
    };
    const auto bytes = Read({500, 1000});
    ASSERT_TRUE(bytes) << answer.status << bytes.error().message();
    EXPECT_EQ(*bytes, part);
  }
}

TEST_F(HttpsSourceTest, ABodyThatBreaksIsResumed) {
  ASSERT_TRUE(Look());
  int broken = 0;
  web_.intercept = [&](const net::HttpRequest& request) -> std::optional<net::HttpResponse> {
    if (broken++ >= 12) return std::nullopt;  // more often than tries without progress
    auto copy = web_;
    copy.intercept = nullptr;
    auto answer = copy.Answer(request);
    answer.body.resize(std::min<std::size_t>(answer.body.size(), 5000));
    return answer;
  };
  const auto bytes = Read({0, file_.size});
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, web_.content);
  EXPECT_EQ(requests().back().headers.Get("Range"), "bytes=60000-100002");
}

TEST_F(HttpsSourceTest, ThrottlingAndOutagesAreWaitedFor) {
  ASSERT_TRUE(Look());
  int left = 4;
  web_.intercept = [&](const net::HttpRequest&) -> std::optional<net::HttpResponse> {
    if (left-- <= 0) return std::nullopt;
    if (left % 2 == 0) return net::HttpResponse{429, {{"Retry-After", "7"}}, ""};
    return net::HttpResponse{503, {}, "<html>busy</html>"};
  };
  const auto before = clock_.Now();
  const auto bytes = Read({0, 100});
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_GE(clock_.Now() - before, std::chrono::seconds(14));
}

TEST_F(HttpsSourceTest, TheSecretIsABearerTokenOrNamedHeaders) {
  Make("  hello-token\n");
  ASSERT_TRUE(Look());
  EXPECT_EQ(requests().back().headers.Get("Authorization"), "Bearer hello-token");
  Make(R"({"headers": {"X-Api-Key": "k1", "Authorization": "Basic dTpw"}})");
  ASSERT_TRUE(Look());
  EXPECT_EQ(requests().back().headers.Get("X-Api-Key"), "k1");
  EXPECT_EQ(requests().back().headers.Get("Authorization"), "Basic dTpw");
}

TEST_F(HttpsSourceTest, TheSecretStaysWithItsHostWhenARedirectLeaves) {
  Make(R"({"headers": {"X-Api-Key": "k1"}})");
  web_.intercept = [](const net::HttpRequest& request) -> std::optional<net::HttpResponse> {
    if (request.url.host != "files.test") return std::nullopt;
    if (request.url.path == "/dir/model%20v2.bin") {
      return net::HttpResponse{302, {{"Location", "/moved"}}, ""};
    }
    return net::HttpResponse{307, {{"Location", "https://cdn.test/f?sig=1"}}, ""};
  };
  ExpectReadable();
  for (const auto& request : requests()) {
    EXPECT_EQ(request.headers.Has("X-Api-Key"), request.url.host == "files.test");
  }
}

TEST_F(HttpsSourceTest, RedirectsToPlainHttpAndInCirclesAreRefused) {
  std::string location = "http://files.test/x";
  web_.intercept = [&](const net::HttpRequest&) -> std::optional<net::HttpResponse> {
    return net::HttpResponse{302, {{"Location", location}}, ""};
  };
  EXPECT_NE(LookError(Code::kPermissionDenied).find("https to http"), std::string::npos);
  location = "https://files.test/loop";
  EXPECT_NE(LookError(Code::kFailedPrecondition).find("redirects"), std::string::npos);
}

TEST_F(HttpsSourceTest, ErrorsSayWhatToDo) {
  const auto error_of = [&](int status, Code code) {
    web_.intercept = [=](const net::HttpRequest&) {
      return net::HttpResponse{status, {}, "no such thing"};
    };
    return LookError(code);
  };
  EXPECT_NE(error_of(401, Code::kUnauthenticated).find("name a secret"), std::string::npos);
  EXPECT_NE(error_of(403, Code::kPermissionDenied).find("has expired"), std::string::npos);
  const std::string missing = error_of(404, Code::kNotFound);
  EXPECT_NE(missing.find("HTTP 404 (no such thing): check the address"), std::string::npos);
  EXPECT_EQ(missing.find("sig=abc"), std::string::npos) << "a query is never shown";
  Make("token");
  EXPECT_NE(error_of(401, Code::kUnauthenticated).find("does not know the secret's"),
            std::string::npos);
  EXPECT_NE(error_of(500, Code::kUnavailable).find("gave up after 8 tries"), std::string::npos);
}

TEST_F(HttpsSourceTest, AWebPageOrACompressedAnswerIsNoFile) {
  web_.more.Set("Content-Type", "text/html; charset=utf-8");
  EXPECT_NE(LookError(Code::kInvalidArgument).find("a web page instead of a file"),
            std::string::npos);
  web_.more.Set("Content-Type", "application/octet-stream");
  web_.more.Set("Content-Encoding", "gzip");
  EXPECT_NE(LookError(Code::kUnsupported).find("compresses the answer (gzip)"), std::string::npos);
}

TEST_F(HttpsSourceTest, APinOfAnotherTimeIsCompared) {
  ASSERT_TRUE(Look());
  const Pin old = pin_;
  source_.reset();
  Make();
  EXPECT_TRUE(source_->List(ctx_, old));
  web_.etag = "\"v2\"";
  const auto changed = source_->List(ctx_, old);
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code(), Code::kFailedPrecondition);
}

TEST_F(HttpsSourceTest, ACancelledContextStopsEveryCall) {
  ASSERT_TRUE(Look());
  std::stop_source stop;
  const Context cancelled = ctx_.WithStop(stop.get_token());
  stop.request_stop();
  EXPECT_EQ(source_->Resolve(cancelled).error().code(), Code::kCancelled);
  EXPECT_EQ(source_->List(cancelled, pin_).error().code(), Code::kCancelled);
  EXPECT_EQ(ReadRange(cancelled, *source_, pin_, file_, {0, 9}).error().code(), Code::kCancelled);
}

TEST_F(HttpsSourceTest, TheErrorOfTheSinkComesBack) {
  ASSERT_TRUE(Look());
  for (const bool ranges : {true, false}) {
    web_.ranges = ranges;
    const Status status =
        source_->Read(ctx_, pin_, file_, {100, 90'000}, [](std::span<const std::byte>) -> Status {
          return Error(Code::kResourceExhausted, "full");
        });
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), Code::kResourceExhausted);
  }
}

TEST(HttpsSecret, RefusesWhatCannotBeSent) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {" \n", "is empty"},
      {"a\nb", "cannot be sent"},
      {"{", "begins like JSON"},
      {R"({"token": "x"})", "no object 'headers'"},
      {R"({"headers": {}})", "names no header"},
      {R"({"headers": {"X": 1}})", "is no text"},
      {R"({"headers": {"X": "1"}, "y": 1})", "keys beside"},
      {R"({"headers": {"Range": "bytes=0-1"}})", "may not set the header Range"},
      {R"({"headers": {"Host": "x"}})", "may not set the header Host"},
      {R"({"headers": {"a b": "x"}})", "names a header that is none"},
  };
  for (const auto& [secret, part] : cases) {
    const auto headers = ParseHttpsSecret(secret);
    ASSERT_FALSE(headers) << secret;
    EXPECT_EQ(headers.error().code(), Code::kInvalidArgument);
    EXPECT_NE(headers.error().message().find(part), std::string::npos) << headers.error().message();
  }
}

}  // namespace
}  // namespace bdn::source::testing
