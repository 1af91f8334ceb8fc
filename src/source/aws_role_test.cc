#include "source/aws_role.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/executor.h"
#include "base/guarded.h"
#include "base/testing/manual_clock.h"
#include "net/testing/memory_transport.h"
#include "source/source_factory.h"
#include "source/testing/memory_bucket.h"
#include "source/testing/pattern_bytes.h"
#include "source/testing/source_conformance.h"

namespace bdn::source::testing {
namespace {

constexpr char kArn[] = "arn:aws:iam::123456789012:role/weights";

class CountingTokens final : public auth::IdentityTokens {
 public:
  Result<std::string> Mint(std::string_view audience) override {
    EXPECT_EQ(audience, "");
    return "token-" + std::to_string(++minted);
  }
  std::atomic<int> minted{0};
};

std::string Failure(const std::string& code) {
  return "<ErrorResponse><Error><Code>" + code + "</Code></Error></ErrorResponse>";
}

// An STS that gives keys for `life`, and a bucket that takes the newest of them until they end.
class RoleTest : public ::testing::Test {
 protected:
  Result<net::HttpResponse> AnswerSts() {
    const int call = ++sts_calls_;
    if (!sts_failures_.empty()) {
      const std::string code = sts_failures_.front();
      sts_failures_.erase(sts_failures_.begin());
      if (!code.empty()) return net::HttpResponse{400, {}, Failure(code)};
    }
    keys_end_ = clock_.Now() + life_;
    const std::string n = std::to_string(call);
    return net::HttpResponse{
        200,
        {},
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
        "<AccessKeyId>ASIA" +
            n + "</AccessKeyId><SecretAccessKey>SK" + n + "</SecretAccessKey><SessionToken>T" + n +
            "</SessionToken><Expiration>" + FormatRfc3339(keys_end_) +
            "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
            "</AssumeRoleWithWebIdentityResponse>"};
  }

  std::shared_ptr<cloud::AwsCredentialsProvider> MakeRole() {
    auto made = MakeAwsRole(sts_, tokens_, {.arn = kArn, .region = "eu-west-1"}, {});
    EXPECT_TRUE(made) << made.error().message();
    return *made;
  }
  std::string KeyOf(cloud::AwsCredentialsProvider& role) {
    const auto keys = role.Get(ctx_);
    return keys ? keys->access_key_id : keys.error().message();
  }

  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  CountingTokens tokens_;
  std::atomic<int> sts_calls_{0};
  std::vector<std::string> sts_failures_;  // code of each call in order; "" succeeds
  Duration life_ = std::chrono::hours(1);
  WallTime keys_end_;
  net::testing::MemoryTransport sts_{[this](const net::HttpRequest&) { return AnswerSts(); }};
};

TEST_F(RoleTest, KeysAreRenewedFiveMinutesBeforeTheyEnd) {
  const auto role = MakeRole();
  EXPECT_EQ(KeyOf(*role), "ASIA1");
  clock_.Advance(std::chrono::minutes(54));
  EXPECT_EQ(KeyOf(*role), "ASIA1");
  clock_.Advance(std::chrono::minutes(1));
  EXPECT_EQ(KeyOf(*role), "ASIA2");
  EXPECT_EQ(tokens_.minted, 2) << "each exchange has a token of its own";
}

TEST_F(RoleTest, AnIssuerThatCannotBeReachedIsTriedAgainWithAFreshToken) {
  sts_failures_ = {"IDPCommunicationError", "IDPCommunicationError"};
  const auto role = MakeRole();
  EXPECT_EQ(KeyOf(*role), "ASIA3");
  EXPECT_EQ(tokens_.minted, 3);
  EXPECT_EQ(clock_.sleeps().size(), 2u);
}

TEST_F(RoleTest, ATrustPolicyThatRefusesIsNotAskedTwice) {
  sts_failures_ = {"AccessDenied"};
  const auto role = MakeRole();
  const auto keys = role->Get(ctx_);
  ASSERT_FALSE(keys);
  EXPECT_EQ(keys.error().code(), Code::kPermissionDenied);
  EXPECT_EQ(sts_calls_, 1);
}

TEST_F(RoleTest, AnExpiredTokenIsReplacedOnce) {
  sts_failures_ = {"ExpiredTokenException"};
  EXPECT_EQ(KeyOf(*MakeRole()), "ASIA2");
  sts_failures_ = {"ExpiredTokenException", "ExpiredTokenException"};
  const auto before = sts_calls_.load();
  EXPECT_FALSE(MakeRole()->Get(ctx_));
  EXPECT_EQ(sts_calls_, before + 2);
}

TEST_F(RoleTest, OldKeysServeWhileTheExchangeFails) {
  const auto role = MakeRole();
  EXPECT_EQ(KeyOf(*role), "ASIA1");
  clock_.Advance(std::chrono::minutes(56));
  sts_failures_ = {"IDPCommunicationError"};
  EXPECT_EQ(KeyOf(*role), "ASIA1");
  EXPECT_EQ(KeyOf(*role), "ASIA1") << "the next exchange waits a little";
  EXPECT_EQ(sts_calls_, 2);
  clock_.Advance(std::chrono::seconds(31));
  EXPECT_EQ(KeyOf(*role), "ASIA3");
}

TEST_F(RoleTest, KeysThatHaveEndedAreNotGivenOut) {
  const auto role = MakeRole();
  EXPECT_EQ(KeyOf(*role), "ASIA1");
  clock_.Advance(std::chrono::minutes(61));
  sts_failures_ = {"AccessDenied"};
  EXPECT_FALSE(role->Get(ctx_));
}

TEST_F(RoleTest, ManyCallersShareOneExchange) {
  const auto role = MakeRole();
  ThreadPool pool(ThreadPool::Options{.name = "t", .threads = 8});
  Guarded<std::vector<std::string>> seen;
  {
    TaskGroup group(pool, ctx_);
    for (int i = 0; i < 64; ++i) {
      group.Run([&](const Context&) -> Status {
        BDN_ASSIGN(const auto keys, role->Get(ctx_));
        seen.With([&](auto& all) { all.push_back(keys.access_key_id); });
        return {};
      });
    }
    EXPECT_TRUE(group.Wait());
  }
  EXPECT_EQ(sts_calls_, 1);
  EXPECT_EQ(seen.With([](auto& all) { return all.size(); }), 64u);
}

TEST_F(RoleTest, RefusedKeysAreDroppedUnlessOthersCameMeanwhile) {
  const auto role = MakeRole();
  const auto first = *role->Get(ctx_);
  EXPECT_TRUE(role->Refused(first));
  EXPECT_EQ(KeyOf(*role), "ASIA2");
  EXPECT_TRUE(role->Refused(first)) << "a late answer about the old keys";
  EXPECT_EQ(KeyOf(*role), "ASIA2");
}

// s3:// with keys of a role: the bucket checks that the newest keys sign, and that they are good.
class RoleSourceTest : public RoleTest {
 protected:
  void SetUp() override {
    bucket_.intercept =
        [this](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
      if (request.url.host == "sts.eu-west-1.amazonaws.com") return AnswerSts();
      const std::string token(request.headers.Get("X-Amz-Security-Token").value_or(""));
      tokens_seen_.push_back(token);
      const bool newest = token == "T" + std::to_string(sts_calls_.load());
      if (refuse_ > 0 || !newest || clock_.Now() >= keys_end_) {
        --refuse_;
        return net::HttpResponse{400, {}, "<Error><Code>ExpiredToken</Code></Error>"};
      }
      clock_.Advance(each_read_);
      return std::nullopt;
    };
    model::WeightsAuth auth;
    auth.method = model::AuthMethod::kAwsOidc;
    auth.aws_oidc_role_arn = kArn;
    auth.aws_oidc_region = "eu-west-1";
    auto made = MakeSource(
        *model::ParseSourceUri("s3://bucket/w"), {.auth = auth, .identity = &tokens_},
        {.transport = bucket_.transport(), .limiters = limiters_, .s3_endpoint = "http://s3.test"});
    ASSERT_TRUE(made) << made.error().message();
    source_ = *std::move(made);
  }

  MemoryBucket bucket_;
  RateLimiters limiters_;
  std::unique_ptr<Source> source_;
  std::vector<std::string> tokens_seen_;
  int refuse_ = 0;
  Duration each_read_{0};
};

// SOURCES of 40 minutes with keys of 15: renewed in the middle of a file, no request fails.
TEST_F(RoleSourceTest, KeysOfFifteenMinutesLastForAJobOfForty) {
  life_ = std::chrono::minutes(15);
  const std::string content = PatternBytes(40'000, 7);
  bucket_.Put("w/model", content);
  const auto pin = source_->Resolve(ctx_);
  ASSERT_TRUE(pin) << pin.error().message();
  const auto files = source_->List(ctx_, *pin);
  ASSERT_TRUE(files);
  each_read_ = std::chrono::minutes(1);
  std::string got;
  for (std::uint64_t at = 0; at < content.size(); at += 1000) {
    const auto part = ReadRange(ctx_, *source_, *pin, files->at(0), {at, at + 1000});
    ASSERT_TRUE(part) << at << ": " << part.error().message();
    got += *part;
  }
  EXPECT_EQ(got, content);
  EXPECT_EQ(sts_calls_, 4) << "at 0, 10, 20 and 30 minutes";
  EXPECT_EQ(refuse_, 0) << "no request was refused";
}

TEST_F(RoleSourceTest, ExpiredKeysAreRenewedOnceACall) {
  bucket_.Put("w/model", "content");
  const auto pin = source_->Resolve(ctx_);
  ASSERT_TRUE(pin) << pin.error().message();
  const auto files = source_->List(ctx_, *pin);
  refuse_ = 1;
  const auto bytes = ReadRange(ctx_, *source_, *pin, files->at(0), {0, 7});
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, "content");
  EXPECT_EQ(sts_calls_, 2);
  refuse_ = 100;
  const auto never = ReadRange(ctx_, *source_, *pin, files->at(0), {0, 7});
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code(), Code::kUnauthenticated);
  EXPECT_EQ(sts_calls_, 3);
}

TEST(RoleSource, SaysWhatIsMissing) {
  MemoryBucket bucket;
  RateLimiters limiters;
  CountingTokens tokens;
  const auto make = [&](const char* uri, model::WeightsAuth auth, auth::IdentityTokens* identity) {
    const auto made =
        MakeSource(*model::ParseSourceUri(uri), {.auth = std::move(auth), .identity = identity},
                   {.transport = bucket.transport(), .limiters = limiters});
    return made ? std::string() : made.error().message();
  };
  model::WeightsAuth auth;
  auth.method = model::AuthMethod::kAwsOidc;
  auth.aws_oidc_role_arn = kArn;
  auth.aws_oidc_region = "eu-west-1";
  EXPECT_EQ(make("s3://bucket/w", auth, &tokens), "");
  EXPECT_NE(make("s3://bucket/w", auth, nullptr).find("need an OIDC issuer"), std::string::npos);
  EXPECT_NE(make("r2://acc.bucket/w", auth, &tokens).find("AWS_OIDC is for s3://"),
            std::string::npos);
  auth.aws_oidc_role_arn = "not-an-arn";
  EXPECT_NE(make("s3://bucket/w", auth, &tokens).find("aws_oidc_role_arn"), std::string::npos);
  auth.method = model::AuthMethod::kGcpOidc;
  EXPECT_NE(make("s3://bucket/w", auth, &tokens).find("GCP_OIDC for gs://"), std::string::npos);
}

}  // namespace
}  // namespace bdn::source::testing
