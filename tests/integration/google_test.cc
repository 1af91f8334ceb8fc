// gs:// over real sockets against the stand-in for Google, which verifies assertions, tokens of an
// issuer and rights: rows 17 and 18 of what may go wrong.
#include <memory>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "auth/identity_tokens.h"
#include "auth/jwt.h"
#include "codec/gzip.h"
#include "crypto/signature.h"
#include "fakes/google_fake.h"
#include "net/curl_transport.h"
#include "source/content_verifier.h"
#include "source/source_factory.h"
#include "source/testing/source_conformance.h"

namespace bdn {
namespace {

using fakes::FaultKind;
using fakes::GoogleFake;
using source::testing::PatternBytes;
using source::testing::ReadRange;

constexpr char kEmail[] = "reader@fake-project.iam.gserviceaccount.com";
constexpr char kProvider[] =
    "projects/123456789/locations/global/workloadIdentityPools/pool/providers/bdn";

// An OIDC issuer on a port of its own, and tokens of one workload.
class TestIssuer final : public auth::IdentityTokens {
 public:
  explicit TestIssuer(crypto::SignatureAlgorithm algorithm)
      : key_(crypto::PrivateKey::Generate(algorithm)) {
    net::Router router;
    router.Add("GET", "/.well-known/openid-configuration",
               [this](net::ServerRequest&, net::ServerResponse& response) {
                 return response.Send(200, {},
                                      boost::json::serialize(boost::json::object{
                                          {"issuer", url()}, {"jwks_uri", url() + "/jwks"}}));
               });
    router.Add("GET", "/jwks", [this](net::ServerRequest&, net::ServerResponse& response) {
      const boost::json::array keys{auth::PublicJwk(key_.public_key())};
      return response.Send(200, {}, boost::json::serialize(boost::json::object{{"keys", keys}}));
    });
    auto started = net::StartServer({.name = "issuer"}, std::move(router));
    EXPECT_TRUE(started);
    server_ = *std::move(started);
  }
  std::string url() const { return server_->base_url(); }

  Result<std::string> Mint(std::string_view audience) override {
    ++minted;
    const std::int64_t now = RealClock().Now().time_since_epoch() / std::chrono::seconds(1) + shift;
    const boost::json::object claims{{"iss", url()},
                                     {"sub", subject},
                                     {"aud", audience.empty() ? "bdn" : std::string(audience)},
                                     {"iat", now},
                                     {"exp", now + 600}};
    return auth::SignJwt(key_, auth::JwkThumbprint(key_.public_key()), claims);
  }

  std::string subject = "v=1:org=lab:model=m";
  std::int64_t shift = 0;  // seconds that its clock is off
  int minted = 0;

 private:
  const crypto::PrivateKey key_;
  std::unique_ptr<net::Server> server_;
};

// The conformance suite over real sockets.
struct GoogleFixture {
  GoogleFixture() {
    auto started = GoogleFake::Start({});
    EXPECT_TRUE(started);
    google = *std::move(started);
    google->AddBucket({.name = "weights"});
    net::CurlTransportOptions options;
    EXPECT_TRUE(options.addresses.Allow("127.0.0.1"));
    transport = net::MakeCurlTransport(std::move(options));
    const auto uri = model::ParseSourceUri("gs://weights/m");
    auto source = source::MakeSource(
        *uri, {.secret = google->AddServiceAccount(kEmail)},
        {.transport = *transport, .limiters = limiters, .google_endpoint = google->url()});
    EXPECT_TRUE(source);
    made = *std::move(source);
  }
  void Publish(const std::string& path, const std::string& content) {
    EXPECT_TRUE(google->Put("weights", "m/" + path, {.content = fakes::MakeContent(content)}));
  }
  source::Source& source() { return *made; }
  const Context& context() { return ctx; }

  const Context ctx{RealClock()};
  std::unique_ptr<GoogleFake> google;
  std::unique_ptr<net::Transport> transport;
  source::RateLimiters limiters;
  std::unique_ptr<source::Source> made;
};

class GoogleTest : public ::testing::Test {
 protected:
  GoogleTest() {
    auto started = GoogleFake::Start({.page_entries = 3});
    EXPECT_TRUE(started);
    google_ = *std::move(started);
    google_->AddBucket({.name = "weights"});
    net::CurlTransportOptions options;
    EXPECT_TRUE(options.addresses.Allow("127.0.0.1"));
    transport_ = net::MakeCurlTransport(std::move(options));
  }
  void Put(const std::string& name, const std::string& content) {
    ASSERT_TRUE(google_->Put("weights", name, {.content = fakes::MakeContent(content)}));
  }
  std::unique_ptr<source::Source> Make(source::SourceCredentials credentials,
                                       const std::string& text = "gs://weights/m") {
    const auto uri = model::ParseSourceUri(text);
    EXPECT_TRUE(uri);
    source::RetryOptions retry;
    retry.backoff.base = std::chrono::milliseconds(1);
    retry.backoff.cap = std::chrono::milliseconds(5);
    auto made = source::MakeSource(*uri, credentials,
                                   {.transport = *transport_,
                                    .limiters = limiters_,
                                    .google_endpoint = google_->url(),
                                    .retry = retry});
    EXPECT_TRUE(made) << made.error().message();
    return made ? *std::move(made) : nullptr;
  }
  std::unique_ptr<source::Source> ByKey() {
    return Make({.secret = google_->AddServiceAccount(kEmail)});
  }
  source::SourceCredentials Role(const std::string& prefix = "") {
    return {.auth = {.method = model::AuthMethod::kGcpOidc,
                     .gcp_oidc_service_account = kEmail,
                     .gcp_oidc_workload_id_provider = prefix + kProvider},
            .identity = &issuer_};
  }
  // A provider for our issuer, and the right to become the account.
  void SetUpFederation() {
    google_->AddServiceAccount(kEmail);
    google_->SetProvider({.name = kProvider,
                          .issuer = issuer_.url(),
                          .audiences = {"bdn"},
                          .subject_prefix = "v=1:org=lab:"});
    google_->Bind(kEmail, kProvider);
  }
  // Names and verified contents, or the error.
  std::string ReadAll(source::Source& source) {
    const auto pin = source.Resolve(ctx_);
    if (!pin) return pin.error().message();
    const auto files = source.List(ctx_, *pin);
    if (!files) return files.error().message();
    std::string all;
    for (const auto& file : *files) {
      const auto bytes = ReadRange(ctx_, source, *pin, file, {0, file.size});
      if (!bytes) return bytes.error().message();
      source::ContentVerifier verifier(file);
      verifier.Update(std::as_bytes(std::span(*bytes)));
      if (const auto good = verifier.Finish(); !good) return good.error().message();
      all += file.path + "=" + *bytes + "|";
    }
    return all;
  }
  std::size_t Asked(const std::string& server) {
    return google_->log().CountIf([&](const fakes::LogEntry& e) { return e.server == server; });
  }

  const Context ctx_{RealClock()};
  std::unique_ptr<GoogleFake> google_;
  TestIssuer issuer_{crypto::SignatureAlgorithm::kEs256};
  std::unique_ptr<net::Transport> transport_;
  source::RateLimiters limiters_;
};

TEST_F(GoogleTest, ReadsByTheKeyOfAServiceAccount) {
  for (int i = 0; i < 7; ++i) Put("m/" + std::to_string(i), "content " + std::to_string(i));
  Put("m/a?b#c%41 +/é", "odd");
  Put("m-v2/x", "not ours");
  const auto source = ByKey();
  EXPECT_EQ(ReadAll(*source),
            "0=content 0|1=content 1|2=content 2|3=content 3|4=content 4|5=content 5|6=content 6|"
            "a?b#c%41 +/é=odd|");
  EXPECT_EQ(Asked("oauth2"), 1u);
}

TEST_F(GoogleTest, ReadsByFederationHoweverTheProviderIsWritten) {
  SetUpFederation();
  Put("m/a", "content");
  for (const std::string prefix : {"", "//iam.googleapis.com/", "https://iam.googleapis.com/"}) {
    const auto source = Make(Role(prefix));
    EXPECT_EQ(ReadAll(*source), "a=content|") << prefix;
  }
  EXPECT_EQ(Asked("sts"), 3u);
  EXPECT_EQ(Asked("iam"), 3u);
  EXPECT_EQ(issuer_.minted, 3);
  google_->SetProvider({.name = kProvider, .issuer = issuer_.url()});
  EXPECT_EQ(ReadAll(*Make(Role())), "a=content|") << "nobody set an audience";
  EXPECT_EQ(Asked("sts"), 5u);
}

TEST_F(GoogleTest, ReadsComposedAndCompressedObjects) {
  const std::string text = PatternBytes(100'000, 1);
  ASSERT_TRUE(google_->Put("weights", "m/composed",
                           {.content = fakes::MakeContent("parts"), .composed = true}));
  ASSERT_TRUE(
      google_->Put("weights", "m/config.json",
                   {.content = fakes::MakeContent(fakes::Gzip(text)), .content_encoding = "gzip"}));
  const auto source = ByKey();
  EXPECT_EQ(ReadAll(*source), "composed=parts|config.json=" + text + "|");
}

TEST_F(GoogleTest, ReadsOnThroughResetsAndCompressionOnTheWay) {
  const std::string content = PatternBytes(3'000'000, 2);
  Put("m/a", content);
  google_->faults().Add({.kind = FaultKind::kGzip, .path_prefix = "/download/"});
  google_->faults().Add(
      {.kind = FaultKind::kReset, .path_prefix = "/download/", .count = 2, .after_bytes = 700'000});
  google_->faults().Add({.kind = FaultKind::kTruncate,
                         .path_prefix = "/download/",
                         .count = 1,
                         .after_bytes = 100'000});
  google_->faults().Add({.kind = FaultKind::kStatus, .server = "storage", .count = 3});
  const auto source = ByKey();
  EXPECT_EQ(ReadAll(*source), "a=" + content + "|");
  EXPECT_EQ(google_->faults().left(), 0u);
}

TEST_F(GoogleTest, AFlippedByteDoesNotPass) {
  Put("m/a", PatternBytes(1000, 3));
  google_->faults().Add(
      {.kind = FaultKind::kFlipByte, .path_prefix = "/download/", .after_bytes = 500});
  const auto source = ByKey();
  EXPECT_NE(ReadAll(*source).find("MD5"), std::string::npos);
}

TEST_F(GoogleTest, AnOverwrittenGenerationIsAChangedSource) {
  Put("m/a", PatternBytes(1000, 4));
  const auto source = ByKey();
  const auto pin = source->Resolve(ctx_);
  ASSERT_TRUE(pin) << pin.error().message();
  const auto files = source->List(ctx_, *pin);
  ASSERT_TRUE(files);
  Put("m/a", PatternBytes(1000, 5));
  const auto bytes = ReadRange(ctx_, *source, *pin, files->at(0), {0, 1000});
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(bytes.error().message().starts_with("source changed")) << bytes.error().message();
}

TEST_F(GoogleTest, TokensThatEndAreRenewedInTheMiddle) {
  SetUpFederation();
  Put("m/a", "content");
  const auto source = Make(Role());
  EXPECT_EQ(ReadAll(*source), "a=content|");
  google_->ExpireTokens();  // the storage says 401, then IAM does
  EXPECT_EQ(ReadAll(*source), "a=content|");
  EXPECT_EQ(Asked("sts"), 2u);
}

TEST_F(GoogleTest, KeysThatWereDeletedSaySo) {
  Put("m/a", "content");
  const auto source = ByKey();
  google_->DeleteKeys(kEmail);
  EXPECT_NE(ReadAll(*source).find("the key was deleted, or the file was changed"),
            std::string::npos);
}

TEST_F(GoogleTest, MissingRightsNameThePermission) {
  google_->AddBucket({.name = "closed", .readers = {"nobody@x"}});
  google_->AddBucket({.name = "paid", .requester_pays = true});
  const std::string key = google_->AddServiceAccount(kEmail);
  EXPECT_NE(ReadAll(*Make({.secret = key}, "gs://closed")).find("allow storage.objects.list"),
            std::string::npos);
  EXPECT_NE(ReadAll(*Make({.secret = key}, "gs://paid")).find("requester pays"), std::string::npos);
  EXPECT_NE(ReadAll(*Make({.secret = key}, "gs://nowhere")).find("there is no such bucket"),
            std::string::npos);
}

TEST_F(GoogleTest, FederationThatIsRefusedSaysWhere) {
  google_->AddServiceAccount(kEmail);
  const auto error = [&] { return ReadAll(*Make(Role())); };
  EXPECT_NE(error().find("workload identity pool or its provider does not exist"),
            std::string::npos);
  google_->SetProvider({.name = kProvider, .issuer = issuer_.url(), .audiences = {"another"}});
  EXPECT_NE(error().find("set its allowed audiences to the issuer's"), std::string::npos);
  google_->SetProvider({.name = kProvider,
                        .issuer = issuer_.url(),
                        .audiences = {"bdn"},
                        .subject_prefix = "v=1:org=other"});
  EXPECT_NE(error().find("attribute condition refuses this workload"), std::string::npos);
  google_->SetProvider({.name = kProvider, .issuer = "https://another.test"});
  EXPECT_NE(error().find("does not take tokens of this issuer"), std::string::npos);
  google_->SetProvider({.name = kProvider, .issuer = issuer_.url()});
  EXPECT_NE(error().find("grant roles/iam.workloadIdentityUser"), std::string::npos);
  const auto before = issuer_.minted;
  issuer_.shift = -3600;
  EXPECT_NE(error().find("too old when it arrived"), std::string::npos);
  EXPECT_EQ(issuer_.minted, before + 2) << "made anew once";
  issuer_.shift = 0;
  issuer_.subject = std::string(128, 'x');
  EXPECT_NE(error().find("127 bytes"), std::string::npos);
}

}  // namespace

namespace source::testing {
INSTANTIATE_TYPED_TEST_SUITE_P(Google, SourceConformance, GoogleFixture);
}  // namespace source::testing
}  // namespace bdn
