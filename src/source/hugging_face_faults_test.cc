// Every way in which a Hub, a storage host or the network between was seen to misbehave.
#include <numeric>

#include "source/hugging_face.h"
#include "source/testing/hub_test_base.h"

namespace bdn::source {
namespace {

using namespace std::chrono_literals;
using testing::Has;
using testing::HubTest;
using testing::PatternBytes;
using HookAnswer = std::optional<Result<net::HttpResponse>>;

class HuggingFaceFaults : public HubTest {
 protected:
  // Replaces answers of the storage host (or the Hub's resolve-cache): `change` gets the regular
  // answer and the number of the call.
  void OnContent(std::function<void(net::HttpResponse&, int)> change) {
    content_calls_ = 0;
    hub_->SetHook([this, change](const net::HttpRequest& request) -> HookAnswer {
      if (!hub_->IsStorage(request) && !Has(request.url.path, "/resolve-cache/")) {
        return std::nullopt;
      }
      auto answer = hub_->Answer(request);
      change(answer, content_calls_++);
      return answer;
    });
  }
  void OnResolve(std::function<void(net::HttpResponse&, int)> change) {
    resolve_calls_ = 0;
    hub_->SetHook([this, change](const net::HttpRequest& request) -> HookAnswer {
      if (!Has(request.url.path, "/resolve/")) return std::nullopt;
      auto answer = hub_->Answer(request);
      change(answer, resolve_calls_++);
      return answer;
    });
  }
  void ExpectFails(Code code, std::string_view says, net::ByteRange range) {
    const auto bytes = Read(range);
    ASSERT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code(), code) << bytes.error().message();
    EXPECT_TRUE(Has(bytes.error().message(), says)) << bytes.error().message();
    EXPECT_FALSE(Has(bytes.error().message(), "Signature")) << bytes.error().message();
    EXPECT_FALSE(Has(bytes.error().message(), "hf_t")) << bytes.error().message();
  }
  int content_calls_ = 0;
  int resolve_calls_ = 0;
};

// --- redirects

TEST_F(HuggingFaceFaults, StorageOnAnotherPortNeverSeesTheToken) {
  Start({.token = "hf_t"}, "hf_t");
  const std::string content = PatternBytes(5000, 1);
  PinLfs(content);
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, content);
  EXPECT_FALSE(hub_->token_leaked());
  EXPECT_GT(hub_->CountOf(":8443/blob/"), 0u);
}

TEST_F(HuggingFaceFaults, RelativeRedirectKeepsItsQueryAndTheToken) {
  Start({.token = "hf_t"}, "hf_t");
  PinSmall("{}");
  ASSERT_TRUE(ReadAll());
  const auto last = hub_->transport().requests().back();
  EXPECT_EQ(last.url.query, "etag=%22x%22");
  EXPECT_EQ(last.headers.Get("Authorization"), "Bearer hf_t");
  EXPECT_EQ(last.headers.Get("Range"), "bytes=0-1");
}

TEST_F(HuggingFaceFaults, AbsoluteRedirectToTheDefaultHostMeansTheEndpoint) {
  Start({.endpoint = "http://hub.internal:8080", .token = "hf_t"}, "hf_t");
  PinSmall("{}");
  OnResolve([&](net::HttpResponse& answer, int) {
    answer.headers.Set("Location",
                       "https://huggingface.co" + std::string(*answer.headers.Get("Location")));
  });
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(hub_->CountOf("https://huggingface.co/"), 0u);
}

TEST_F(HuggingFaceFaults, RedirectsInACircleEnd) {
  for (const bool lfs : {false, true}) {
    Start();
    lfs ? PinLfs("12345") : PinSmall("12345");
    const std::size_t before = calls();
    OnResolve([&](net::HttpResponse& answer, int n) {
      answer.status = 307;
      answer.headers.Set("Location", "/owner/name/resolve/" + pin_.fingerprint + "/" +
                                         files_[0].path + "?n=" + std::to_string(n));
    });
    ExpectFails(Code::kPermissionDenied, "redirects", {0, 5});
    EXPECT_LE(calls() - before, 12u);
  }
}

TEST_F(HuggingFaceFaults, FromHttpsToHttpIsRefused) {
  for (const bool lfs : {false, true}) {
    Start({.token = "hf_t"}, "hf_t");
    lfs ? PinLfs("12345") : PinSmall("12345");
    OnResolve([&](net::HttpResponse& answer, int) {
      answer.headers.Set("Location", "http://huggingface.co/x");
    });
    ExpectFails(Code::kPermissionDenied, "https", {0, 5});
    EXPECT_EQ(hub_->CountOf("http://"), 0u);
  }
}

TEST_F(HuggingFaceFaults, SchemeRelativeRedirectIsAnotherHost) {
  Start({.token = "hf_t"}, "hf_t");
  PinSmall("12345");
  hub_->SetHook([&](const net::HttpRequest& request) -> HookAnswer {
    if (request.url.host == "evil.example") return testing::ServeContent(request, "12345");
    auto answer = hub_->Answer(request);
    if (answer.status == 307) answer.headers.Set("Location", "//evil.example/path");
    return answer;
  });
  ASSERT_TRUE(ReadAll());
  EXPECT_EQ(hub_->CountOf("https://evil.example/path"), 1u);
  EXPECT_FALSE(hub_->token_leaked());
}

// --- what the first answer says

TEST_F(HuggingFaceFaults, AnotherCommitEtagOrSizeIsSourceChanged) {
  const std::vector<std::pair<std::string, std::string>> headers = {
      {"X-Repo-Commit", std::string(40, 'f')},
      {"X-Linked-Etag", "\"" + std::string(64, 'f') + "\""},
      {"X-Linked-Size", "6"}};
  for (const auto& [name, value] : headers) {
    Start();
    PinLfs("12345");
    OnResolve([&](net::HttpResponse& answer, int) { answer.headers.Set(name, value); });
    ExpectFails(Code::kFailedPrecondition, "source changed", {0, 5});
    EXPECT_EQ(hub_->CountOf("/blob/"), 0u);
  }
  Start();
  PinSmall("12345");
  OnResolve([&](net::HttpResponse& answer, int) {
    answer.headers.Set("ETag", "W/\"" + std::string(40, 'f') + "\"");
  });
  ExpectFails(Code::kFailedPrecondition, "source changed", {0, 5});
}

TEST_F(HuggingFaceFaults, AWeakEtagIsTheSameEtag) {
  Start();
  PinSmall("12345");
  OnResolve([&](net::HttpResponse& answer, int) {
    answer.headers.Set("ETag", "W/\"" + files_[0].hash + "\"");
  });
  EXPECT_TRUE(ReadAll());
}

TEST_F(HuggingFaceFaults, NoCommitHeaderIsNoHub) {
  for (const bool lfs : {false, true}) {
    Start({.small_files_redirect = false});
    lfs ? PinLfs("12345") : PinSmall("12345");
    OnResolve([&](net::HttpResponse& answer, int) { answer.headers.Remove("X-Repo-Commit"); });
    ExpectFails(Code::kUnavailable, "X-Repo-Commit", {0, 5});
    EXPECT_EQ(hub_->CountOf("/blob/"), 0u);
  }
}

TEST_F(HuggingFaceFaults, AListedFileThatIsGoneIsSourceChanged) {
  Start();
  PinLfs("12345");
  OnResolve([&](net::HttpResponse& answer, int) {
    answer = {404, {{"X-Error-Code", "EntryNotFound"}}, ""};
  });
  ExpectFails(Code::kFailedPrecondition, "source changed", {0, 5});
  EXPECT_EQ(resolve_calls_, 1);
}

// --- storage hosts

TEST_F(HuggingFaceFaults, AnAddressThatEndsInMidFileIsRenewedAndTheReadResumes) {
  Start();
  const std::string content = PatternBytes(100'000, 1);
  PinLfs(content);
  OnContent([&](net::HttpResponse& answer, int n) {
    if (n == 0) answer.body.resize(40'000);  // Content-Length stays: a broken connection
    if (n == 1) answer = {403, {}, "<Error><Code>AccessDenied</Code></Error>"};
  });
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, content);
  EXPECT_EQ(hub_->transport().requests().back().headers.Get("Range"), "bytes=40000-99999");
  EXPECT_EQ(hub_->CountOf("/resolve/"), 2u);
}

TEST_F(HuggingFaceFaults, RefusedForEverEndsAfterThreeFreshAddresses) {
  for (const int status : {401, 403}) {
    Start();
    PinLfs(PatternBytes(1000, 1));
    OnContent([&](net::HttpResponse& answer, int) { answer = {status, {}, "SignatureError"}; });
    ExpectFails(Code::kPermissionDenied, "refused the address", {0, 1000});
    EXPECT_EQ(hub_->CountOf("/resolve/"), 1u + kHubRefreshesMax);
    EXPECT_EQ(content_calls_, 1 + kHubRefreshesMax);
  }
}

TEST_F(HuggingFaceFaults, ProgressAllowsMoreThanThreeRenewals) {
  Start();
  const std::string content = PatternBytes(10'000, 1);
  PinLfs(content);
  OnContent([&](net::HttpResponse& answer, int n) {
    if (n % 2 == 0) {
      answer = {403, {}, ""};
    } else if (answer.body.size() > 1000) {
      answer.body.resize(1000);
    }
  });
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, content);
}

TEST_F(HuggingFaceFaults, RenewedAddressOfOtherContentIsSourceChanged) {
  Start();
  PinLfs(PatternBytes(1000, 1));
  hub_->SetHook([&](const net::HttpRequest& request) -> HookAnswer {
    auto answer = hub_->Answer(request);
    if (hub_->IsStorage(request)) return net::HttpResponse{403, {}, ""};
    if (hub_->CountOf("/blob/") > 0) answer.headers.Set("X-Linked-Size", "1001");
    return answer;
  });
  ExpectFails(Code::kFailedPrecondition, "source changed", {0, 1000});
}

TEST_F(HuggingFaceFaults, AResetAtEveryStepOfALargeFileIsSurvived) {
  Start();
  const std::string content = PatternBytes(1 << 20, 1);
  PinLfs(content);
  OnContent([&](net::HttpResponse& answer, int) {
    if (answer.body.size() > 20'000) answer.body.resize(20'000);
  });
  const auto bytes = ReadAll();  // more than fifty resets, each with progress
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, content);
  EXPECT_EQ(hub_->CountOf("/resolve/"), 1u);
}

TEST_F(HuggingFaceFaults, AStallAfterTheHeadersIsRetried) {
  Start();
  const std::string content = PatternBytes(1000, 1);
  PinLfs(content);
  int stalls = 0;
  hub_->SetHook([&](const net::HttpRequest& request) -> HookAnswer {
    if (!hub_->IsStorage(request) || ++stalls > 3) return std::nullopt;
    clock_.Advance(30s);
    return Result<net::HttpResponse>(Error(Code::kTimeout, "no byte for 30 s"));
  });
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, content);
}

TEST_F(HuggingFaceFaults, ADeadStorageHostIsAskedAboutAgain) {
  Start();
  PinLfs(PatternBytes(1000, 1));
  hub_->SetHook([&](const net::HttpRequest& request) -> HookAnswer {
    if (!hub_->IsStorage(request)) return std::nullopt;
    return Result<net::HttpResponse>(Error(Code::kUnavailable, "connection refused"));
  });
  ExpectFails(Code::kUnavailable, "gave up after 8 tries", {0, 1000});
  EXPECT_GT(hub_->CountOf("/resolve/"), 1u);
}

TEST_F(HuggingFaceFaults, AddressesThatTheGuardRefusesEndAtOnce) {
  Start();
  PinLfs("12345");
  hub_->SetHook([&](const net::HttpRequest& request) -> HookAnswer {
    if (!hub_->IsStorage(request)) return std::nullopt;
    return Result<net::HttpResponse>(Error(Code::kPermissionDenied, "169.254.169.254 is refused"));
  });
  ExpectFails(Code::kPermissionDenied, "169.254.169.254", {0, 5});
  EXPECT_EQ(hub_->CountOf("/blob/"), 1u);
}

// --- answers to ranged requests: never a spliced byte

TEST_F(HuggingFaceFaults, TheWholeFileForARangeIsNeverSpliced) {
  Start();
  const std::string content = PatternBytes(50'000, 1);
  PinLfs(content);
  OnContent([&](net::HttpResponse& answer, int) {
    answer = {200, {{"Content-Length", "50000"}}, content};
  });
  ExpectFails(Code::kUnavailable, "ignored the Range", {10'000, 20'000});
  EXPECT_EQ(partial_, "");
  ExpectFails(Code::kUnavailable, "ignored the Range", {0, 20'000});
  EXPECT_EQ(partial_, "");
  const auto whole = ReadAll();  // offset 0 and full size: that is what was asked for
  ASSERT_TRUE(whole) << whole.error().message();
  EXPECT_EQ(*whole, content);
}

TEST_F(HuggingFaceFaults, TheWholeFileAfterABreakIsNotAppended) {
  Start();
  const std::string content = PatternBytes(50'000, 1);
  PinLfs(content);
  OnContent([&](net::HttpResponse& answer, int n) {
    if (n == 0) answer.body.resize(20'000);
    if (n == 1) answer = {200, {{"Content-Length", "50000"}}, content};
  });
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, content);
}

TEST_F(HuggingFaceFaults, WrongRangesAreNotTaken) {
  const std::string content = PatternBytes(1000, 1);
  const std::vector<std::pair<std::string, Code>> rows = {
      {"bytes 0-99/1000", Code::kUnavailable},          // wrong start
      {"bytes 100-198/1000", Code::kUnavailable},       // wrong end
      {"bytes 100-200/1000", Code::kUnavailable},       // wrong end
      {"bytes 100-199/*", Code::kUnavailable},          // total unknown
      {"chapters 1-2/3", Code::kUnavailable},           //
      {"bytes 100-199/999", Code::kFailedPrecondition}  // another file
  };
  for (const auto& [value, code] : rows) {
    Start();
    PinLfs(content);
    OnContent([&](net::HttpResponse& answer, int) { answer.headers.Set("Content-Range", value); });
    ExpectFails(code, "", {100, 200});
    EXPECT_EQ(partial_, "") << value;
  }
}

TEST_F(HuggingFaceFaults, ALengthThatContradictsTheRangeIsNotTaken) {
  Start();
  PinLfs(PatternBytes(1000, 1));
  OnContent([&](net::HttpResponse& answer, int n) {
    if (n == 0) answer.headers.Set("Content-Length", "50");
  });
  const auto bytes = Read({100, 200});
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, PatternBytes(1000, 1).substr(100, 100));
}

TEST_F(HuggingFaceFaults, ABodyThatIsTooLongOrShortWithoutLengthIsSeen) {
  Start();
  const std::string content = PatternBytes(1000, 1);
  PinLfs(content);
  OnContent([&](net::HttpResponse& answer, int n) {
    if (n > 1) return;
    answer.headers.Remove("Content-Length");
    answer.body = n == 0 ? answer.body + "more" : answer.body.substr(0, 30);
  });
  const auto bytes = Read({100, 200});
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, content.substr(100, 100));
  EXPECT_EQ(content_calls_, 3);
}

TEST_F(HuggingFaceFaults, AnEncodedBodyIsNotTaken) {
  Start();
  PinSmall("12345");
  OnContent(
      [&](net::HttpResponse& answer, int) { answer.headers.Add("Content-Encoding", "gzip"); });
  ExpectFails(Code::kUnavailable, "gzip", {0, 5});
  EXPECT_EQ(partial_, "");
}

TEST_F(HuggingFaceFaults, RangeNotSatisfiableIsSourceChangedAndShowsBothRanges) {
  Start();
  PinLfs(PatternBytes(1000, 1));
  OnContent([&](net::HttpResponse& answer, int) {
    answer = {416, {{"Content-Range", "bytes */7"}}, ""};
  });
  ExpectFails(Code::kFailedPrecondition, "bytes */7", {100, 200});
  ExpectFails(Code::kFailedPrecondition, "bytes=100-199", {100, 200});
}

TEST_F(HuggingFaceFaults, APointerInsteadOfTheContentIsNamed) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') +
      "\nsize 1000\n";
  Start();
  PinLfs(PatternBytes(1000, 1));
  hub_->SetHook([&](const net::HttpRequest& request) -> HookAnswer {
    auto answer = testing::ServeContent(request, pointer);
    answer.headers.Add("X-Repo-Commit", pin_.fingerprint);
    answer.headers.Add("ETag", "\"" + testing::GitBlobId(pointer) + "\"");
    return answer;
  });
  ExpectFails(Code::kCorrupt, "Git LFS pointer", {0, 1000});
  EXPECT_EQ(partial_, "");
}

// --- errors of the Hub

TEST_F(HuggingFaceFaults, FourDifferentMessagesAndNoRetries) {
  struct Row {
    int status;
    std::string header;
    std::string value;
    Code code;
    std::string says;
  };
  const std::vector<Row> rows = {
      {401, "X-Error-Code", "RepoNotFound", Code::kNotFound, "no token was given"},
      {401, "X-Error-Message", "Invalid credentials in Authorization header",
       Code::kUnauthenticated, "does not accept the Hugging Face token"},
      {403, "X-Error-Code", "GatedRepo", Code::kPermissionDenied, "its licence is at"},
      {403, "X-Error-Message", "Access to this resource is disabled.", Code::kPermissionDenied,
       "disabled"}};
  for (const auto& row : rows) {
    Start();
    hub_->SetHook([&](const net::HttpRequest&) -> HookAnswer {
      return net::HttpResponse{row.status, {{row.header, row.value}}, ""};
    });
    const auto pin = source_->Resolve(ctx_);
    ASSERT_FALSE(pin);
    EXPECT_EQ(pin.error().code(), row.code);
    EXPECT_TRUE(Has(pin.error().message(), row.says)) << pin.error().message();
    EXPECT_EQ(calls(), 1u);
  }
}

TEST_F(HuggingFaceFaults, ADisabledRepositoryThatStillAnswersIsRefused) {
  Start();
  hub_->SetHook([&](const net::HttpRequest&) -> HookAnswer {
    return net::HttpResponse{
        200, {}, R"({"id":"owner/name","disabled":true,"sha":")" + std::string(40, 'a') + "\"}"};
  });
  const auto pin = source_->Resolve(ctx_);
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().code(), Code::kPermissionDenied);
}

TEST_F(HuggingFaceFaults, ThrottlingWaitsAsTheHubSays) {
  struct Row {
    net::Headers headers;
    Duration at_least;
    Duration at_most;
  };
  const std::vector<Row> rows = {
      {{{"RateLimit", "\"api\";r=0;t=2"}, {"Retry-After", "50"}}, 3s, 4s},
      {{{"RateLimit", "\"api\";r=37;t=200"}, {"Retry-After", "9"}}, 9s, 10s},
      {{}, 1ns, 500ms}};
  for (const auto& row : rows) {
    Start();
    hub_->Publish("f", "x");
    bool once = false;
    hub_->SetHook([&](const net::HttpRequest&) -> HookAnswer {
      if (std::exchange(once, true)) return std::nullopt;
      return net::HttpResponse{429, row.headers, ""};
    });
    const Duration before = Slept();
    MustResolve();
    EXPECT_GE(Slept() - before, row.at_least);
    EXPECT_LE(Slept() - before, row.at_most);
  }
}

TEST_F(HuggingFaceFaults, ThrottlingOfOneSourceHoldsBackTheOthers) {
  Start();
  hub_->Publish("f", "x");
  auto other = Make(std::nullopt);
  const auto limiter = limiters_.For("huggingface.co", "");
  hub_->SetHook([&](const net::HttpRequest&) -> HookAnswer {
    return net::HttpResponse{429, {{"Retry-After", "100"}}, ""};
  });
  EXPECT_FALSE(source_->Resolve(ctx_.WithTimeout(1s)));
  EXPECT_LT(limiter->concurrency(), 64);
  hub_->SetHook({});
  const Duration before = Slept();
  EXPECT_TRUE(other->Resolve(ctx_));
  EXPECT_EQ(Slept() - before, 100s);
}

TEST_F(HuggingFaceFaults, SlowsDownBeforeTheLimitIsReached) {
  Start({.page_entries = 1});
  for (int i = 0; i < 5; ++i) hub_->Publish("f" + std::to_string(i), "x");
  const Pin pin = MustResolve();
  hub_->SetHook([&](const net::HttpRequest& request) -> HookAnswer {
    auto answer = hub_->Answer(request);
    answer.headers.Add("RateLimit", "\"api\";r=10;t=100");
    answer.headers.Add("RateLimit-Policy", "\"fixed window\";\"api\";q=500;w=300");
    return answer;
  });
  EXPECT_EQ(MustList(pin).size(), 5u);
  EXPECT_EQ(Slept(), 4 * 10s);
}

TEST_F(HuggingFaceFaults, ServerErrorsAreRetriedWithLimits) {
  for (const int status : {408, 500, 502, 503, 504}) {
    Start();
    hub_->SetHook([&](const net::HttpRequest&) -> HookAnswer {
      return net::HttpResponse{status, {}, ""};
    });
    const auto pin = source_->Resolve(ctx_);
    ASSERT_FALSE(pin);
    EXPECT_EQ(pin.error().code(), Code::kUnavailable);
    EXPECT_EQ(calls(), 8u) << status;
  }
}

TEST_F(HuggingFaceFaults, ACaptivePortalIsNotARepository) {
  Start();
  hub_->SetHook([&](const net::HttpRequest&) -> HookAnswer {
    return net::HttpResponse{200, {{"Content-Type", "text/html"}}, "<html>log in</html>"};
  });
  const auto pin = source_->Resolve(ctx_);
  ASSERT_FALSE(pin);
  EXPECT_TRUE(Has(pin.error().message(), "is this the address of a Hub?"));
}

// Whatever single request fails, and however: a read gives all the right bytes or a prefix of them.
TEST_F(HuggingFaceFaults, AnyOneFailingRequestIsSurvived) {
  const std::string content = PatternBytes(60'001, 3);
  for (const bool lfs : {false, true}) {
    for (int kind = 0; kind < 5; ++kind) {
      for (int n = 0;; ++n) {
        Start({.page_entries = 1});
        hub_->Publish("a", "x");
        lfs ? hub_->PublishLfs("m.bin", content) : hub_->Publish("m.bin", content);
        int count = 0;
        bool failed = false;
        hub_->SetHook([&](const net::HttpRequest& request) -> HookAnswer {
          if (count++ != n) return std::nullopt;
          failed = true;
          auto answer = hub_->Answer(request);
          if (kind == 0) return Result<net::HttpResponse>(Error(Code::kUnavailable, "refused"));
          if (kind == 1) return Result<net::HttpResponse>(Error(Code::kTimeout, "stalled"));
          if (kind == 2) return net::HttpResponse{503, {}, ""};
          if (kind == 3) return net::HttpResponse{429, {{"Retry-After", "1"}}, ""};
          answer.headers.Set("Content-Length", std::to_string(answer.body.size()));
          if (!answer.headers.Has("Location")) answer.body.resize(answer.body.size() / 2);
          return answer;
        });
        pin_ = MustResolve();
        files_ = MustList(pin_);
        ASSERT_EQ(files_.size(), 2u);
        const auto bytes = testing::ReadRange(ctx_, *source_, pin_, files_[1], {0, 60'001});
        ASSERT_TRUE(bytes) << bytes.error().message();
        EXPECT_EQ(*bytes, content);
        if (!failed) break;
      }
    }
  }
}

}  // namespace
}  // namespace bdn::source
