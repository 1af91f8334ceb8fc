#include "source/google_tokens.h"

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "auth/jwt.h"
#include "base/testing/manual_clock.h"
#include "source/testing/memory_google.h"

namespace bdn::source::testing {
namespace {

constexpr char kGoogleEmail[] = "reader@project.iam.gserviceaccount.com";
constexpr char kGoogleProvider[] =
    "projects/123456789/locations/global/workloadIdentityPools/pool/providers/bdn";

const crypto::PrivateKey& GoogleTestKey() {
  static const crypto::PrivateKey kMade =
      crypto::PrivateKey::Generate(crypto::SignatureAlgorithm::kRs256);
  return kMade;
}

class GoogleTokensTest : public ::testing::Test {
 protected:
  GoogleTokensTest()
      : roles_(MakeGoogleRoleTokens(google_.transport(),
                                    {},
                                    identity_,
                                    *cloud::ParseGcpProvider(kGoogleProvider),
                                    kGoogleEmail,
                                    {.random = [] { return 0.0; }})),
        keys_(MakeGoogleKeyTokens(google_.transport(),
                                  "https://oauth2.googleapis.com/token",
                                  {.client_email = kGoogleEmail,
                                   .private_key_id = "kid-1",
                                   .token_uri = "https://oauth2.googleapis.com/token",
                                   .private_key = GoogleTestKey()},
                                  {.random = [] { return 0.0; }})) {}
  // `host` answers `times` times like this.
  void Inject(const std::string& host, int times, net::HttpResponse answer) {
    auto left = std::make_shared<int>(times);
    google_.intercept =
        [left, host, answer = std::move(answer)](
            const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
      if (request.url.host != host || (*left)-- <= 0) return std::nullopt;
      return answer;
    };
  }
  std::size_t Asked(const std::string& host) { return google_.Requests("//" + host).size(); }

  static constexpr char kSts[] = "sts.googleapis.com";
  static constexpr char kIam[] = "iamcredentials.googleapis.com";
  static constexpr char kOauth[] = "oauth2.googleapis.com";
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  MemoryGoogle google_;
  CountingIdentity identity_;
  std::unique_ptr<GoogleTokens> roles_;
  std::unique_ptr<GoogleTokens> keys_;
};

TEST_F(GoogleTokensTest, ATokenOfOursIsExchangedThenTheAccountIsImpersonated) {
  const auto token = roles_->Get(ctx_);
  ASSERT_TRUE(token) << token.error().message();
  EXPECT_EQ(*token, "token-2");
  const auto requests = google_.transport().requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].url.ToString(), "https://sts.googleapis.com/v1/token");
  EXPECT_FALSE(requests[0].headers.Has("Authorization"));
  EXPECT_EQ(requests[0].headers.Get("Content-Type"), "application/x-www-form-urlencoded");
  EXPECT_EQ(requests[0].body,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience=%2F%"
            "2Fiam.googleapis.com%2Fprojects%2F123456789%2Flocations%2Fglobal%"
            "2FworkloadIdentityPools%2Fpool%2Fproviders%2Fbdn&scope=https%3A%2F%2Fwww.googleapis."
            "com%2Fauth%2Fcloud-platform&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-"
            "type%3Aaccess_token&subject_token=jwt-1-for-&subject_token_type=urn%3Aietf%3Aparams%"
            "3Aoauth%3Atoken-type%3Ajwt");
  EXPECT_EQ(requests[1].url.ToString(),
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
            "reader@project.iam.gserviceaccount.com:generateAccessToken");
  EXPECT_EQ(requests[1].headers.Get("Authorization"), "Bearer token-1");
  EXPECT_EQ(requests[1].body,
            R"({"scope":["https://www.googleapis.com/auth/devstorage.read_only"],)"
            R"("lifetime":"3600s"})");
}

TEST_F(GoogleTokensTest, TheTwoTokensAreKeptApart) {
  google_.expire_time = "2026-01-01T00:10:00.123456789Z";  // ten minutes from now
  google_.life_as_text = true;
  ASSERT_TRUE(roles_->Get(ctx_));
  ASSERT_TRUE(roles_->Get(ctx_));
  EXPECT_EQ(Asked(kIam), 1u);
  clock_.Advance(std::chrono::seconds(600 - 149));
  google_.expire_time = "2026-01-01T02:00:00Z";
  ASSERT_TRUE(roles_->Get(ctx_));
  EXPECT_EQ(Asked(kIam), 2u) << "renewed at three quarters of a short life";
  EXPECT_EQ(Asked(kSts), 1u) << "the exchanged token is good for longer";
  EXPECT_EQ(identity_.minted(), 1);
}

TEST_F(GoogleTokensTest, AStaleTokenOfOursIsMintedAnewOnce) {
  const auto stale = MemoryGoogle::OAuthError("invalid_grant",
                                              "ID Token issued at 1700000000 is stale to sign-in.");
  Inject(kSts, 1, {400, {}, stale});
  ASSERT_TRUE(roles_->Get(ctx_));
  EXPECT_EQ(identity_.minted(), 2);
  roles_->Refused(*roles_->Get(ctx_));
  Inject(kIam, 1, {401, {}, ""});  // so that the exchange is asked for again
  ASSERT_TRUE(roles_->Get(ctx_));
  EXPECT_EQ(identity_.minted(), 3);
}

TEST_F(GoogleTokensTest, StaleForEverIsReportedAfterTwo) {
  Inject(kSts, 100, {400, {}, MemoryGoogle::OAuthError("invalid_grant", "is stale to sign-in.")});
  const auto token = roles_->Get(ctx_);
  ASSERT_FALSE(token);
  EXPECT_EQ(token.error().code(), Code::kUnauthenticated);
  EXPECT_NE(token.error().hint().find("check this machine's clock"), std::string::npos);
  EXPECT_EQ(identity_.minted(), 2);
}

TEST_F(GoogleTokensTest, ErrorsOfTheExchangeSayWhatToDoAndAreNotTriedAgain) {
  struct Case {
    std::string code, text;
    Code expected;
    std::string part;
  };
  const std::vector<Case> cases = {
      {"invalid_target", "The target service indicated by the \"audience\" is invalid.",
       Code::kNotFound, "does not exist, or is disabled or deleted"},
      {"invalid_request", "Invalid value for \"audience\".", Code::kInvalidArgument,
       "check gcp_oidc_workload_id_provider"},
      {"invalid_grant", "The audience in ID Token [a] does not match the expected audience b.",
       Code::kPermissionDenied, "`bdn oidc show` prints"},
      {"invalid_grant", "The issuer in ID Token x does not match", Code::kUnauthenticated,
       "`bdn oidc show` prints the issuer"},
      {"unauthorized_client", "The given credential is rejected by the attribute condition.",
       Code::kPermissionDenied, "attribute condition refuses this workload"},
  };
  for (const auto& c : cases) {
    Inject(kSts, 100, {400, {}, MemoryGoogle::OAuthError(c.code, c.text)});
    const auto before = Asked(kSts);
    const auto token = roles_->Get(ctx_);
    ASSERT_FALSE(token) << c.code;
    EXPECT_EQ(token.error().code(), c.expected) << token.error().message();
    const std::string said = token.error().message() + " | " + token.error().hint();
    EXPECT_NE(said.find(c.part), std::string::npos) << said;
    EXPECT_EQ(token.error().message().find("jwt-"), std::string::npos);
    const bool audience = c.text.find("audience in ID Token") != std::string::npos;
    EXPECT_EQ(Asked(kSts), before + (audience ? 2 : 1)) << c.text;
  }
}

TEST_F(GoogleTokensTest, WhereTheIssuersAudienceIsNotAllowedTheProvidersOwnIsUsedFromThenOn) {
  google_.intercept =
      [&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    const bool own = request.body.find("-for-https%3A%2F%2Fiam.googleapis.com%2Fprojects%2F123") !=
                     std::string::npos;
    if (request.url.host != kSts || own) return std::nullopt;
    return net::HttpResponse{
        400,
        {},
        MemoryGoogle::OAuthError("invalid_grant",
                                 "The audience in ID Token [a] does not match the expected "
                                 "audience.")};
  };
  const auto first = roles_->Get(ctx_);
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(Asked(kSts), 2u);
  clock_.Advance(std::chrono::hours(2));
  roles_->Refused(*first);
  ASSERT_TRUE(roles_->Get(ctx_));
  EXPECT_EQ(Asked(kSts), 3u);
}

TEST_F(GoogleTokensTest, WhatPassesIsTriedAgain) {
  const std::vector<net::HttpResponse> answers = {
      {503, {}, ""},
      {429, {{"Retry-After", "3"}}, ""},
      {400, {}, MemoryGoogle::OAuthError("temporarily_unavailable", "")},
      {400,
       {},
       MemoryGoogle::OAuthError("invalid_grant",
                                "Error connecting to the given credential's issuer.")},
      {200, {}, "not json"},
      {200, {}, R"({"access_token": "x", "expires_in": 0})"},
  };
  for (const auto& answer : answers) {
    Inject(kSts, 3, answer);
    const auto fresh =
        MakeGoogleRoleTokens(google_.transport(), {}, identity_,
                             *cloud::ParseGcpProvider(kGoogleProvider), kGoogleEmail, {});
    const auto token = fresh->Get(ctx_);
    EXPECT_TRUE(token) << answer.body << token.error().message();
  }
}

TEST_F(GoogleTokensTest, ImpersonationThatIsRefusedSaysWhichGrantIsMissing) {
  Inject(kIam, 100, {403, {}, R"({"error": {"code": 403, "status": "PERMISSION_DENIED",
      "message": "Permission 'iam.serviceAccounts.getAccessToken' denied on resource"}})"});
  const auto token = roles_->Get(ctx_);
  ASSERT_FALSE(token);
  EXPECT_EQ(token.error().code(), Code::kPermissionDenied);
  EXPECT_NE(token.error().message().find("grant roles/iam.workloadIdentityUser"),
            std::string::npos);
  EXPECT_EQ(Asked(kIam), 1u);
  Inject(kIam, 100, {404, {}, R"({"error": {"code": 404, "status": "NOT_FOUND"}})"});
  EXPECT_EQ(roles_->Get(ctx_).error().code(), Code::kNotFound);
  EXPECT_EQ(Asked(kSts), 1u);
}

TEST_F(GoogleTokensTest, AnExchangedTokenThatIsNotTakenIsExchangedAnewOnce) {
  Inject(kIam, 1, {401, {}, ""});
  ASSERT_TRUE(roles_->Get(ctx_));
  EXPECT_EQ(Asked(kSts), 2u);
  Inject(kIam, 100, {401, {}, ""});
  roles_->Refused(*roles_->Get(ctx_));
  EXPECT_EQ(roles_->Get(ctx_).error().code(), Code::kUnauthenticated);
}

TEST_F(GoogleTokensTest, AnAssertionIsSignedForTheKeysTokenUri) {
  ASSERT_TRUE(keys_->Get(ctx_));
  const auto request = google_.Requests("//oauth2").at(0);
  const std::string lead =
      "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
  ASSERT_TRUE(request.body.starts_with(lead));
  const std::string assertion = request.body.substr(lead.size());
  const std::vector<auth::Jwk> keys = {{.kid = "kid-1", .key = GoogleTestKey().public_key()}};
  const auto claims = auth::VerifyJwt(assertion, keys,
                                      {.issuer = kGoogleEmail,
                                       .audience = "https://oauth2.googleapis.com/token",
                                       .now = clock_.Now()});
  ASSERT_TRUE(claims) << claims.error().message();
  EXPECT_EQ(claims->at("scope"), "https://www.googleapis.com/auth/devstorage.read_only");
  EXPECT_EQ(claims->at("iat"), 1'767'225'600);
  EXPECT_EQ(claims->at("exp"), 1'767'229'200);
}

TEST_F(GoogleTokensTest, AWrongClockIsPutRightOnceByTheAnswersDate) {
  const auto skewed = MemoryGoogle::OAuthError(
      "invalid_grant",
      "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.");
  Inject(kOauth, 1,
         {400, {{"Date", FormatHttpDate(clock_.Now() + std::chrono::minutes(20))}}, skewed});
  ASSERT_TRUE(keys_->Get(ctx_));
  const auto second = google_.Requests("//oauth2").at(1);
  const auto jwt = auth::ParseJwt(second.body.substr(second.body.rfind('=') + 1));
  ASSERT_TRUE(jwt);
  EXPECT_EQ(jwt->claims.at("iat"), 1'767'226'800);
  keys_->Refused(*keys_->Get(ctx_));
  Inject(kOauth, 100,
         {400, {{"Date", FormatHttpDate(clock_.Now() + std::chrono::minutes(20))}}, skewed});
  const auto token = keys_->Get(ctx_);
  ASSERT_FALSE(token);
  EXPECT_NE(token.error().message().find("clock is wrong"), std::string::npos);
}

TEST_F(GoogleTokensTest, ErrorsOfKeysSayWhatToDo) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"Invalid JWT Signature.", "the key was deleted"},
      {"Invalid grant: account not found", "was deleted or disabled"},
      {"", "| create another"}};
  for (const auto& [text, part] : cases) {
    Inject(kOauth, 100, {400, {}, MemoryGoogle::OAuthError("invalid_grant", text)});
    const auto before = Asked(kOauth);
    const auto token = keys_->Get(ctx_);
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().code(), Code::kUnauthenticated);
    const std::string said = token.error().message() + " | " + token.error().hint();
    EXPECT_NE(said.find(part), std::string::npos) << said;
    EXPECT_EQ(Asked(kOauth), before + 1);
  }
}

TEST_F(GoogleTokensTest, ManyReadersShareOneRequest) {
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        if (!keys_->Get(ctx_)) ++failed;
      });
    }
  }
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(Asked(kOauth), 1u);
}

}  // namespace
}  // namespace bdn::source::testing
