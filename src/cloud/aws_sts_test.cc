#include "cloud/aws_sts.h"

#include <string>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "net/testing/memory_transport.h"

namespace bdn::cloud {
namespace {

std::string Answer(const std::string& session_token, const std::string& expires) {
  return "<AssumeRoleWithWebIdentityResponse "
         "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>"
         "<SubjectFromWebIdentityToken>v=1:org=o</SubjectFromWebIdentityToken>"
         "<Credentials><SessionToken>" +
         session_token + "</SessionToken><SecretAccessKey>SK/+=</SecretAccessKey><Expiration>" +
         expires +
         "</Expiration><AccessKeyId>ASIA1</AccessKeyId></Credentials>"
         "</AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>r</RequestId>"
         "</ResponseMetadata></AssumeRoleWithWebIdentityResponse>";
}

std::string Failure(const std::string& code, const std::string& message) {
  return "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>"
         "<Type>Sender</Type><Code>" +
         code + "</Code><Message>" + message +
         "</Message></Error><RequestId>r</RequestId></ErrorResponse>";
}

class StsTest : public ::testing::Test {
 protected:
  Result<StsKeys> Assume(net::HttpResponse answer) {
    transport_.emplace([answer = std::move(answer)](const net::HttpRequest&) { return answer; });
    return AssumeRoleWithWebIdentity(ctx_, *transport_, role_, "head.claims.sig", &life_);
  }
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  std::optional<net::testing::MemoryTransport> transport_;
  StsRole role_{.arn = "arn:aws:iam::123456789012:role/path/weights", .region = "eu-west-1"};
  Duration life_{0};
};

TEST_F(StsTest, TheTokenGoesIntoTheBodyAndNothingIsSigned) {
  const auto keys = Assume({200, {}, Answer("T", "2026-01-01T01:00:00Z")});
  ASSERT_TRUE(keys) << keys.error().message();
  EXPECT_EQ(keys->credentials.access_key_id, "ASIA1");
  EXPECT_EQ(keys->credentials.secret_access_key, "SK/+=");
  EXPECT_EQ(keys->credentials.session_token, "T");
  EXPECT_EQ(life_, std::chrono::hours(1));
  const auto request = transport_->requests().at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.url.ToString(), "https://sts.eu-west-1.amazonaws.com/");
  EXPECT_FALSE(request.headers.Has("Authorization"));
  EXPECT_FALSE(request.headers.Has("X-Amz-Date"));
  EXPECT_EQ(request.body,
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&DurationSeconds=3600"
            "&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fpath%2Fweights"
            "&RoleSessionName=bdn-mirror&WebIdentityToken=head.claims.sig");
}

TEST_F(StsTest, SessionTokensMayBeLong) {
  const std::string token(4096, 't');
  const auto keys = Assume({200, {}, Answer(token, "2026-01-01T01:00:00Z")});
  ASSERT_TRUE(keys) << keys.error().message();
  EXPECT_EQ(keys->credentials.session_token, token);
}

// The machine's clock may be wrong; what counts is how long the keys live by the clock of STS.
TEST_F(StsTest, LifeIsTakenByTheClockOfSts) {
  ASSERT_TRUE(Assume(
      {200, {{"Date", "Thu, 01 Jan 2026 05:00:00 GMT"}}, Answer("T", "2026-01-01T05:15:00Z")}));
  EXPECT_EQ(life_, std::chrono::minutes(15));
}

TEST_F(StsTest, EndpointsFollowThePartition) {
  role_.region = "cn-north-1";
  role_.arn = "arn:aws-cn:iam::123456789012:role/weights";
  ASSERT_TRUE(Assume({200, {}, Answer("T", "2026-01-01T01:00:00Z")}));
  EXPECT_EQ(transport_->requests().at(0).url.host, "sts.cn-north-1.amazonaws.com.cn");
  role_.region = "";
  role_.arn = "arn:aws:iam::123456789012:role/weights";
  ASSERT_TRUE(Assume({200, {}, Answer("T", "2026-01-01T01:00:00Z")}));
  EXPECT_EQ(transport_->requests().at(0).url.host, "sts.us-east-1.amazonaws.com");
  role_.endpoint = "http://127.0.0.1:7480";
  role_.arn = "arn:aws:iam:::role/weights";
  ASSERT_TRUE(Assume({200, {}, Answer("T", "2026-01-01T01:00:00Z")}));
  EXPECT_EQ(transport_->requests().at(0).url.ToString(), "http://127.0.0.1:7480/");
}

TEST_F(StsTest, RefusesRolesAndRegionsThatCannotBe) {
  const auto refused = [&](const StsRole& role, const std::string& field) {
    const Status status = CheckStsRole(role);
    ASSERT_FALSE(status) << role.arn;
    EXPECT_EQ(status.error().code(), Code::kInvalidArgument);
    EXPECT_NE(status.error().message().find(field), std::string::npos) << status.error().message();
  };
  for (const char* arn : {"", "not-an-arn", "arn:aws:iam::123:role/x", "arn:aws:iam:::role/x",
                          "arn:aws:iam::123456789012:user/x", "arn:aws:iam::123456789012:role/",
                          "arn:aws:s3:::bucket", "arn:aws:iam::12345678901a:role/x",
                          "arn:aws:iam::123456789012:role/a b"}) {
    refused({.arn = arn, .region = "us-east-1"}, "aws_oidc_role_arn");
  }
  const std::string good = "arn:aws:iam::123456789012:role/x";
  for (const char* region : {"169.254.169.254/", "evil.example#", "us east", "-x"}) {
    refused({.arn = good, .region = region}, "aws_oidc_region");
  }
  EXPECT_FALSE(CheckStsRole({.arn = good, .region = "x", .endpoint = "ftp://h"}));
  EXPECT_TRUE(CheckStsRole({.arn = "arn:aws-us-gov:iam::123456789012:role/x", .region = ""}));
}

TEST_F(StsTest, ErrorsSayWhatToDo) {
  struct Case {
    int status;
    std::string body;
    Code code;
    const char* part;
  };
  const Case cases[] = {
      {400, Failure("IDPCommunicationError", "x"), Code::kUnavailable, "must be public"},
      {400,
       Failure("InvalidIdentityToken",
               "Couldn't retrieve verification key from your identity "
               "provider"),
       Code::kUnavailable, "certificate"},
      {400, Failure("InvalidIdentityToken", "Incorrect token audience"), Code::kPermissionDenied,
       "client IDs"},
      {400, Failure("InvalidIdentityToken", "No OpenIDConnect provider found in your account"),
       Code::kNotFound, "create the provider"},
      {400, Failure("InvalidIdentityToken", "else"), Code::kPermissionDenied, "oidc show"},
      {400, Failure("ExpiredTokenException", ""), Code::kUnauthenticated, "clock"},
      {403, Failure("IDPRejectedClaim", ""), Code::kPermissionDenied, "rejected"},
      {403, Failure("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
       Code::kPermissionDenied, "trust policy"},
      {403, Failure("RegionDisabledException", ""), Code::kPermissionDenied, "aws_oidc_region"},
      {400, Failure("PackedPolicyTooLarge", ""), Code::kInvalidArgument, "policy"},
      {400, Failure("MalformedPolicyDocument", ""), Code::kInvalidArgument, "policy"},
      {400, Failure("ValidationError", ""), Code::kInvalidArgument, "aws_oidc_role_arn"},
      {400, Failure("Throttling", ""), Code::kRateLimited, "slow"},
      {503, "<html>", Code::kUnavailable, "later"},
      {500, "", Code::kUnavailable, "later"},
      {401, "", Code::kPermissionDenied, "oidc show"},
      {302, "", Code::kPermissionDenied, "redirects"},
      // Ceph's shape.
      {403, "<Error><Code>AccessDenied</Code></Error>", Code::kPermissionDenied, "trust policy"},
  };
  for (const Case& c : cases) {
    const auto keys = Assume({c.status, {}, c.body});
    ASSERT_FALSE(keys);
    const std::string& text = keys.error().message();
    EXPECT_EQ(keys.error().code(), c.code) << text;
    EXPECT_NE(keys.error().hint().find(c.part), std::string::npos) << keys.error().hint();
    EXPECT_NE(text.find("arn:aws:iam::123456789012:role/path/weights"), std::string::npos) << text;
    EXPECT_EQ(text.find("head.claims.sig"), std::string::npos) << text;
  }
  const auto slow = Assume({400, {{"Retry-After", "7"}}, Failure("Throttling", "")});
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().retry_after(), std::chrono::seconds(7));
}

TEST_F(StsTest, AnAnswerWithoutKeysIsNoAnswer) {
  const std::string whole = Answer("T", "2026-01-01T01:00:00Z");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto keys = ParseStsAnswer(whole.substr(0, size));
    ASSERT_FALSE(keys) << size;
    EXPECT_EQ(keys.error().code(), Code::kUnavailable);
  }
  EXPECT_TRUE(ParseStsAnswer(whole));
  EXPECT_FALSE(ParseStsAnswer(Answer("", "2026-01-01T01:00:00Z")));
  EXPECT_FALSE(ParseStsAnswer(Answer("a\nb", "2026-01-01T01:00:00Z")));
  EXPECT_FALSE(ParseStsAnswer(Answer("T", "tomorrow")));
  EXPECT_FALSE(ParseStsAnswer("<html></html>"));
  EXPECT_EQ(ParseStsAnswer("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>").error().code(),
            Code::kUnsupported);
}

}  // namespace
}  // namespace bdn::cloud
