#include "source/gcs.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>

#include "base/testing/manual_clock.h"
#include "crypto/signature.h"
#include "source/content_verifier.h"
#include "source/source_factory.h"
#include "source/testing/memory_google.h"
#include "source/testing/source_conformance.h"

namespace bdn::source::testing {
namespace {

const std::string& GcsKeyPem() {
  static const std::string kPem =
      crypto::PrivateKey::Generate(crypto::SignatureAlgorithm::kRs256).ToPem();
  return kPem;
}

std::string GcsKeyFile() {
  return boost::json::serialize(
      boost::json::object{{"type", "service_account"},
                          {"client_email", "reader@project.iam.gserviceaccount.com"},
                          {"private_key", GcsKeyPem()},
                          {"private_key_id", "kid-1"},
                          {"token_uri", "https://oauth2.googleapis.com/token"}});
}

std::string GcsCompress(const std::string& text) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, static_cast<uLong>(text.size())) + 32, '\0');
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

Result<std::unique_ptr<Source>> MakeGs(net::Transport& transport,
                                       RateLimiters& limiters,
                                       const std::string& text,
                                       SourceCredentials credentials) {
  BDN_ASSIGN(const auto uri, model::ParseSourceUri(text));
  return MakeSource(uri, credentials,
                    {.transport = transport, .limiters = limiters, .random = [] { return 0.0; }});
}

struct GcsFixture {
  GcsFixture()
      : made(MakeGs(
            google.transport(), limiters, "gs://bucket/models/w", {.secret = GcsKeyFile()})) {}
  void Publish(const std::string& path, const std::string& content) {
    google.Put("models/w/" + path, content);
  }
  Source& source() { return **made; }
  const Context& context() { return ctx; }

  bdn::testing::ManualClock clock;
  Context ctx{clock};
  RateLimiters limiters;
  MemoryGoogle google;
  Result<std::unique_ptr<Source>> made;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Gcs, SourceConformance, GcsFixture);

class GcsSourceTest : public ::testing::Test {
 protected:
  Result<std::vector<RemoteFile>> Look() {
    BDN_ASSIGN(pin_, f_.source().Resolve(f_.ctx));
    BDN_ASSIGN(files_, f_.source().List(f_.ctx, pin_));
    return files_;
  }
  std::string Names() {
    const auto files = Look();
    if (!files) return files.error().message();
    std::string names;
    for (const auto& file : *files) names += file.path + "|";
    return names;
  }
  Result<std::string> ReadAll() {
    return ReadRange(f_.ctx, f_.source(), pin_, files_.at(0), {0, files_.at(0).size});
  }
  // Answers `times` requests of storage with this, then lets Google answer.
  void Inject(int times, net::HttpResponse answer) {
    auto left = std::make_shared<int>(times);
    f_.google.intercept =
        [left, answer = std::move(answer)](
            const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
      if (request.url.host != "storage.googleapis.com" || (*left)-- <= 0) return std::nullopt;
      return answer;
    };
  }
  std::size_t tokens() { return f_.google.Requests("oauth2.googleapis.com").size(); }
  std::size_t downloads() { return f_.google.Requests("/download/").size(); }

  GcsFixture f_;
  Pin pin_;
  std::vector<RemoteFile> files_;
};

TEST_F(GcsSourceTest, OnlyWhatLiesBelowThePathIsListed) {
  f_.google.Put("models/w", "an object of the same name");
  f_.google.Put("models/w/", "");
  f_.google.Put("models/w/sub/", "");
  f_.google.Put("models/w/a.bin", "1");
  f_.google.Put("models/w/sub/b.bin", "2");
  f_.google.Put("models/w-v2/c.bin", "3");
  EXPECT_EQ(Names(), "a.bin|sub/b.bin|");
  EXPECT_EQ(pin_.fingerprint_type, "generation-set");
  const auto lists = f_.google.Requests("/storage/v1/b/bucket/o?");
  ASSERT_EQ(lists.size(), 1u) << "the listing of Resolve is used by List";
  EXPECT_NE(lists[0].url.query.find("prefix=models%2Fw%2F"), std::string::npos);
  EXPECT_EQ(files_[0].etag, files_[0].version);
  EXPECT_EQ(files_[0].hash_kind, ContentHash::kMd5);
  EXPECT_EQ(files_[0].hash, "c4ca4238a0b923820dcc509a6f75849b");
}

TEST_F(GcsSourceTest, AnObjectOfExactlyThatNameIsASourceOfOneFile) {
  f_.google.Put("models/w", "content");
  EXPECT_EQ(Names(), "w|");
  EXPECT_EQ(pin_.fingerprint_type, "generation");
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, "content");
}

TEST_F(GcsSourceTest, NothingThereIsSaidAlsoWhereAnObjectMayNotBeLookedAt) {
  f_.google.Put("models/w-v2/c.bin", "3");
  f_.google.intercept =
      [](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (!request.url.path.ends_with("/o/models%2Fw")) return std::nullopt;
    return net::HttpResponse{403, {}, MemoryGoogle::ApiError(403, "forbidden", "no")};
  };
  EXPECT_NE(Names().find("nothing lies below 'models/w/' in the bucket bucket"), std::string::npos);
}

TEST_F(GcsSourceTest, PagesAreFollowedEmptyOnesTooAndCirclesAreNot) {
  for (int i = 0; i < 7; ++i) f_.Publish("f" + std::to_string(i), "x");
  f_.google.page_size = 2;
  EXPECT_EQ(Names(), "f0|f1|f2|f3|f4|f5|f6|");
  Inject(1, {200, {}, R"({"nextPageToken": "models"})"});
  EXPECT_EQ(Names(), "f0|f1|f2|f3|f4|f5|f6|");
  Inject(100, {200, {}, R"({"nextPageToken": "t"})"});
  EXPECT_NE(Names().find("leads in a circle after page 2"), std::string::npos);
}

TEST_F(GcsSourceTest, SizesAndGenerationsAbove2To53AreExact) {
  Inject(1, {200,
             {},
             R"({"items": [{"name": "models/w/huge", "size": "18014398509481985",
                 "generation": "1700000000000000001", "crc32c": "4waSgw=="}]})"});
  ASSERT_TRUE(Look());
  EXPECT_EQ(files_[0].size, 18'014'398'509'481'985u);
  EXPECT_EQ(files_[0].version, "1700000000000000001");
  EXPECT_EQ(files_[0].hash_kind, ContentHash::kCrc32c);
  EXPECT_EQ(files_[0].hash, "e3069283") << "big-endian";
}

TEST_F(GcsSourceTest, BrokenListingsAreAskedForAgain) {
  f_.Publish("a", "x");
  for (const std::string body :
       {"", "<html>", "[]", R"({"items": [{"name": "models/w/a"}]})",
        R"({"items": [{"name": "models/w/a", "size": "-1", "generation": "1"}]})",
        R"({"items": [{"name": "models/w/a", "size": "1", "generation": "0"}]})",
        R"({"items": [{"name": "models/w/a", "size": "1", "generation": "1", "crc32c": "x"}]})",
        R"({"error": {"code": 500}})"}) {
    Inject(2, {200, {}, body});
    EXPECT_EQ(Names(), "a|") << body;
  }
}

TEST_F(GcsSourceTest, ANameIsOneSegmentOfTheAddress) {
  const std::vector<std::string> names = {"a/b?c#d%41.bin", "deep/er/x y+z"};
  for (const auto& name : names) f_.Publish(name, "of " + name);
  ASSERT_TRUE(Look());
  for (const auto& file : files_) {
    const auto bytes = ReadRange(f_.ctx, f_.source(), pin_, file, {0, file.size});
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_EQ(*bytes, "of " + file.path);
  }
  EXPECT_EQ(f_.google.Requests("/download/")[0].url.path,
            "/download/storage/v1/b/bucket/o/models%2Fw%2Fa%2Fb%3Fc%23d%2541.bin");
}

TEST_F(GcsSourceTest, NamesThatAreNoPathsAreNamedTogether) {
  for (const auto& key : {"a//b", "a/../b", "/lead", "d", "d/e", "good"}) f_.Publish(key, "x");
  const std::string error = Names();
  for (const auto* part : {"'a//b'", "'a/../b'", "'/lead'", "'d'"}) {
    EXPECT_NE(error.find(part), std::string::npos) << part << " in " << error;
  }
}

TEST_F(GcsSourceTest, EveryReadNamesTheGenerationAndAcceptsWhatIsStored) {
  f_.Publish("m", PatternBytes(1000, 1));
  ASSERT_TRUE(Look());
  ASSERT_TRUE(ReadAll());
  const auto read = f_.google.Requests("/download/").at(0);
  EXPECT_EQ(read.headers.Get("Accept-Encoding"), "gzip");
  EXPECT_EQ(read.headers.Get("Range"), "bytes=0-999");
  EXPECT_EQ(read.url.query, "alt=media&generation=" + files_[0].version);
}

TEST_F(GcsSourceTest, AnOverwrittenObjectIsAChangedSource) {
  const std::vector<net::HttpResponse> answers = {
      {404, {}, "No such object: bucket/models/w/m"},
      {412, {}, MemoryGoogle::ApiError(412, "conditionNotMet", "Precondition Failed")},
      {416, {}, "Requested range not satisfiable"},
      {206,
       {{"x-goog-generation", "17"}, {"Content-Range", "bytes 500-999/1000"}},
       std::string(500, 'x')},
      {206, {{"Content-Range", "bytes 500-999/1001"}}, std::string(500, 'x')},
  };
  for (const auto& answer : answers) {
    GcsFixture f;
    f.Publish("m", PatternBytes(1000, 1));
    const auto pin = f.source().Resolve(f.ctx);
    ASSERT_TRUE(pin);
    const auto files = f.source().List(f.ctx, *pin);
    ASSERT_TRUE(files);
    f.google.intercept =
        [&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
      if (request.url.path.find("/download/") == std::string::npos) return std::nullopt;
      return answer;
    };
    std::string got;
    const auto bytes = ReadRange(f.ctx, f.source(), *pin, files->at(0), {500, 1000}, &got);
    ASSERT_FALSE(bytes) << answer.status;
    EXPECT_EQ(bytes.error().code(), Code::kFailedPrecondition) << answer.status;
    EXPECT_TRUE(bytes.error().message().starts_with("source changed")) << bytes.error().message();
    EXPECT_EQ(got, "");
  }
}

TEST_F(GcsSourceTest, CompressionOnTheWayIsThrownAwayAndAskedForWithout) {
  const std::string content = PatternBytes(1000, 2);
  f_.Publish("m", content);
  ASSERT_TRUE(Look());
  f_.google.intercept =
      [&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (request.headers.Get("Accept-Encoding") != "gzip") return std::nullopt;
    return net::HttpResponse{200, {{"Content-Encoding", "gzip"}}, GcsCompress(content)};
  };
  const auto bytes = ReadRange(f_.ctx, f_.source(), pin_, files_[0], {0, 1000});
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, content);
  EXPECT_EQ(f_.google.Requests("/download/").back().headers.Get("Accept-Encoding"), "identity");
}

TEST_F(GcsSourceTest, AnObjectThatIsStoredCompressedIsDeliveredDecompressed) {
  std::string text;
  for (int i = 0; text.size() < 200'000; ++i) text += "line " + std::to_string(i * 31) + "\n";
  for (const bool composed : {false, true}) {
    f_.google.PutObject("models/w/config.json",
                        {.content = GcsCompress(text), .encoding = "gzip", .composed = composed});
    const auto files = Look();
    ASSERT_TRUE(files) << files.error().message();
    ASSERT_EQ(files->size(), 1u);
    EXPECT_EQ(files_[0].size, text.size());
    EXPECT_EQ(files_[0].hash_kind, ContentHash::kSha256);
    EXPECT_EQ(files_[0].hash, crypto::Sha256Hex(text));
    EXPECT_TRUE(files_[0].etag.ends_with("+gunzip"));
    for (const net::ByteRange range : {net::ByteRange{0, text.size()},
                                       {0, 1},
                                       {text.size() - 1, text.size()},
                                       {65'000, 131'500}}) {
      const auto bytes = ReadRange(f_.ctx, f_.source(), pin_, files_[0], range);
      ASSERT_TRUE(bytes) << bytes.error().message();
      EXPECT_EQ(*bytes, text.substr(range.begin, range.size()));
    }
  }
  const auto before = downloads();
  ASSERT_TRUE(f_.source().List(f_.ctx, pin_));
  EXPECT_EQ(downloads(), before) << "measured once";
}

TEST_F(GcsSourceTest, AReadOfACompressedObjectThatBreaksContinuesWhereItStopped) {
  const std::string text = PatternBytes(300'000, 5);
  const std::string stored = GcsCompress(text);
  f_.google.PutObject("models/w/t", {.content = stored, .encoding = "gzip"});
  ASSERT_TRUE(Look());
  int broken = 0;
  f_.google.intercept =
      [&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (request.url.path.find("/download/") == std::string::npos || broken++ >= 3) {
      return std::nullopt;
    }
    return net::HttpResponse{200,
                             {{"Content-Encoding", "gzip"},
                              {"Content-Length", std::to_string(stored.size())},
                              {"x-goog-generation", files_[0].version}},
                             stored.substr(0, stored.size() / 4 * static_cast<unsigned>(broken))};
  };
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, text);
  EXPECT_EQ(broken, 4);
}

TEST_F(GcsSourceTest, WhatIsStoredCompressedAndIsNotCannotBeRead) {
  f_.google.PutObject("models/w/plain", {.content = "no gzip at all", .encoding = "gzip"});
  f_.google.PutObject("models/w/cut",
                      {.content = GcsCompress("abc").substr(0, 12), .encoding = "gzip"});
  f_.google.PutObject("models/w/good", {.content = GcsCompress("abc"), .encoding = "gzip"});
  ASSERT_TRUE(Look());
  EXPECT_NE(files_[0].problem.find("correct the object's metadata"), std::string::npos);
  EXPECT_EQ(files_[1].problem, "");
  EXPECT_NE(files_[2].problem, "");
}

TEST_F(GcsSourceTest, ACompressedBombIsAProblemOfThatFileAlone) {
  const std::string member = GcsCompress(std::string(1 << 20, '\0'));
  std::string stored;
  for (std::uint64_t i = 0; i <= kGcsGunzipBytesMax >> 20; ++i) stored += member;
  f_.google.PutObject("models/w/bomb", {.content = stored, .encoding = "gzip"});
  f_.Publish("other", "x");
  ASSERT_TRUE(Look());
  EXPECT_NE(files_[0].problem.find("holds more than"), std::string::npos);
  EXPECT_EQ(files_[1].problem, "");
}

TEST_F(GcsSourceTest, ACompressedObjectThatIsNotWhatTheListingSaysIsReadOnceMoreThenCorrupt) {
  f_.google.PutObject("models/w/t", {.content = GcsCompress("abc"), .encoding = "gzip"});
  int wrong = 1;
  f_.google.intercept =
      [&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (request.url.path.find("/download/") == std::string::npos || wrong-- <= 0) {
      return std::nullopt;
    }
    return net::HttpResponse{200, {{"Content-Encoding", "gzip"}}, GcsCompress("abd")};
  };
  ASSERT_TRUE(Look());
  EXPECT_EQ(files_[0].hash, crypto::Sha256Hex("abc"));
  f_.google.PutObject("models/w/t", {.content = GcsCompress("xyz"), .encoding = "gzip"});
  wrong = 2;
  const auto files = Look();
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code(), Code::kCorrupt) << files.error().message();
}

TEST_F(GcsSourceTest, OneTokenServesAllAndIsRenewedEarly) {
  f_.Publish("m", "content");
  ASSERT_TRUE(Look());
  ASSERT_TRUE(ReadAll());
  EXPECT_EQ(tokens(), 1u);
  f_.clock.Advance(std::chrono::seconds(3600 - 226));
  ASSERT_TRUE(ReadAll());
  EXPECT_EQ(tokens(), 1u);
  f_.clock.Advance(std::chrono::seconds(2));
  ASSERT_TRUE(ReadAll());
  EXPECT_EQ(tokens(), 2u);
}

TEST_F(GcsSourceTest, ATokenThatIsNotTakenIsRenewedOnce) {
  f_.Publish("m", "content");
  ASSERT_TRUE(Look());
  f_.google.RevokeTokens();
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  f_.google.RevokeTokens();
  EXPECT_EQ(Names(), "m|");
  EXPECT_EQ(tokens(), 3u);
  Inject(100, {401, {}, MemoryGoogle::ApiError(401, "authError", "Invalid Credentials")});
  const auto refused = ReadAll();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kUnauthenticated);
  EXPECT_EQ(tokens(), 4u);
}

TEST_F(GcsSourceTest, ABodyThatBreaksIsResumed) {
  const std::string content = PatternBytes(100'000, 3);
  f_.Publish("m", content);
  ASSERT_TRUE(Look());
  int broken = 0;
  f_.google.intercept =
      [&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (broken++ >= 12) return std::nullopt;
    const std::size_t begin = std::stoul(std::string(*request.headers.Get("Range")).substr(6));
    return net::HttpResponse{
        206,
        {{"Content-Length", std::to_string(content.size() - begin)},
         {"Content-Range", "bytes " + std::to_string(begin) + "-99999/100000"}},
        content.substr(begin, 5'000)};
  };
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, content);
}

TEST_F(GcsSourceTest, WhatIsWorthTryingAgainIsTriedAgainAndNothingElse) {
  f_.Publish("m", "content");
  ASSERT_TRUE(Look());
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    Inject(2, {status, {}, ""});
    EXPECT_TRUE(ReadAll()) << status;
  }
  for (const int status : {400, 403}) {
    Inject(100, {status, {}, ""});
    const auto before = downloads();
    EXPECT_FALSE(ReadAll());
    EXPECT_EQ(downloads(), before + 1) << status;
  }
}

TEST_F(GcsSourceTest, ErrorsNameThePermissionAndTheFix) {
  const auto error_of = [&](int status, const std::string& reason, const std::string& message) {
    Inject(100, {status, {}, MemoryGoogle::ApiError(status, reason, message)});
    const auto files = Look();
    EXPECT_FALSE(files);
    return files ? "" : files.error().message();
  };
  EXPECT_NE(error_of(403, "forbidden", "does not have storage.objects.list access.")
                .find("allow storage.objects.list on the bucket"),
            std::string::npos);
  const std::string pays = error_of(
      400, "userProjectMissing", "Bucket is a requester pays bucket but no user project provided.");
  EXPECT_NE(pays.find("requester pays"), std::string::npos);
  EXPECT_NE(error_of(404, "notFound", "The specified bucket does not exist.")
                .find("there is no such bucket"),
            std::string::npos);
}

TEST_F(GcsSourceTest, AnotherEndpointIsAnotherIdentityAndTakesAllCalls) {
  std::vector<std::string> urls;
  net::testing::MemoryTransport transport([&](const net::HttpRequest& request) {
    urls.push_back(request.url.ToString());
    if (request.url.path == "/google/token") {
      return net::HttpResponse{200, {}, R"({"access_token": "t", "expires_in": 60})"};
    }
    return net::HttpResponse{
        200, {}, R"({"items": [{"name": "a", "size": "1", "generation": "1"}]})"};
  });
  const auto uri = model::ParseSourceUri("gs://bucket");
  const auto source = MakeSource(*uri, {.secret = GcsKeyFile()},
                                 {.transport = transport,
                                  .limiters = f_.limiters,
                                  .google_endpoint = "http://127.0.0.1:1/google/"});
  ASSERT_TRUE(source) << source.error().message();
  const auto pin = (*source)->Resolve(f_.ctx);
  ASSERT_TRUE(pin) << pin.error().message();
  EXPECT_EQ(pin->identity, "gs://bucket at http://127.0.0.1:1/google/");
  ASSERT_EQ(urls.size(), 2u);
  EXPECT_EQ(urls[0], "http://127.0.0.1:1/google/token");
  EXPECT_TRUE(urls[1].starts_with("http://127.0.0.1:1/google/storage/v1/b/bucket/o?"));
}

TEST(GcsSource, SaysWhichCredentialsAreMissing) {
  MemoryGoogle google;
  RateLimiters limiters;
  const auto error_of = [&](SourceCredentials credentials) {
    const auto made = MakeGs(google.transport(), limiters, "gs://bucket/w", std::move(credentials));
    EXPECT_FALSE(made);
    return made ? std::string() : made.error().message();
  };
  EXPECT_EQ(error_of({}), "no credentials configured: need either OIDC config or secret_id");
  EXPECT_EQ(
      error_of({.auth = {.method = model::AuthMethod::kCustomSecret, .auth_secret_name = "gone"}}),
      "secret_id is required");
  EXPECT_NE(error_of({.auth = {.method = model::AuthMethod::kAwsOidc}}).find("takes GCP_OIDC"),
            std::string::npos);
  EXPECT_NE(error_of({.secret = "{}"}).find("The GCS secret has no \"type\""), std::string::npos);
  const model::WeightsAuth oidc{
      .method = model::AuthMethod::kGcpOidc,
      .gcp_oidc_service_account = "a@p.iam.gserviceaccount.com",
      .gcp_oidc_workload_id_provider =
          "projects/1/locations/global/workloadIdentityPools/pool/providers/bdn"};
  EXPECT_NE(error_of({.auth = oidc}).find("an OIDC issuer, and none is set up"), std::string::npos);
}

}  // namespace
}  // namespace bdn::source::testing
