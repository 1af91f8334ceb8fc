#include "source/doctor.h"

#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "crypto/signature.h"
#include "source/testing/memory_bucket.h"
#include "source/testing/memory_container.h"
#include "source/testing/memory_google.h"
#include "source/testing/memory_training.h"

namespace bdn::source::testing {
namespace {

constexpr char kDoctorKey[] = R"({"azure_account_key": "MDEyMzQ1Njc4OWFiY2RlZg=="})";

constexpr char kDoctorKeys[] = R"({"aws_access_key_id": "AK", "aws_secret_access_key": "SK"})";

std::string DoctorKeyFile() {
  const auto key = crypto::PrivateKey::Generate(crypto::SignatureAlgorithm::kRs256);
  return boost::json::serialize(
      boost::json::object{{"type", "service_account"},
                          {"client_email", "reader@project.iam.gserviceaccount.com"},
                          {"private_key", key.ToPem()},
                          {"private_key_id", "kid-1"},
                          {"token_uri", "https://oauth2.googleapis.com/token"}});
}

class DoctorTest : public ::testing::Test {
 protected:
  DoctorReport Look(const std::string& text, std::optional<std::string> secret = kDoctorKey) {
    return LookBy(container_.transport(), text, std::move(secret));
  }
  DoctorReport LookBy(net::Transport& transport,
                      const std::string& text,
                      std::optional<std::string> secret) {
    RecordingTransport recorder(transport);
    SourceEnvironment environment{.transport = recorder,
                                  .limiters = limiters_,
                                  .r2_endpoint = "http://s3.test",
                                  .cw_endpoint = "http://127.0.0.1",
                                  .azure_endpoint = "http://azure.test",
                                  .bt_endpoint = "http://train.test"};
    environment.retry.backoff.attempts_max = 2;
    return Diagnose(ctx_, *model::ParseSourceUri(text), {.secret = std::move(secret)}, environment,
                    recorder);
  }
  // "credentials=ok address=ok …", states only.
  static std::string States(const DoctorReport& report) {
    std::string text;
    for (const auto& step : report.steps) {
      text += (text.empty() ? "" : " ") + step.name + "=" + std::string(StepStateName(step.state));
    }
    return text;
  }
  static std::string FixOf(const DoctorReport& report, const std::string& name) {
    const DoctorStep step = StepOf(report, name);
    EXPECT_EQ(step.state, StepState::kFailed) << name << ": " << States(report);
    return step.fix;
  }
  static DoctorStep StepOf(const DoctorReport& report, const std::string& name) {
    for (const auto& step : report.steps) {
      if (step.name == name) return step;
    }
    return {};
  }
  void Refuse(const std::string& method, int status, const std::string& code) {
    container_.intercept =
        [=](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
      const bool list = request.url.query.find("comp=list") != std::string::npos;
      if ((method == "list") != list) return std::nullopt;
      return MemoryContainer::Refuse(status, code);
    };
  }
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  RateLimiters limiters_;
  MemoryContainer container_;
};

constexpr char kAllOk[] =
    "credentials=ok address=ok connection=ok tls=skipped clock=skipped accepted=ok list=ok read=ok "
    "range=ok changes=ok";

TEST_F(DoctorTest, SaysOkForEachStepOfASourceThatWorks) {
  container_.Put("w/config.json", "{}");
  container_.Put("w/model.bin", "12345678");
  const auto report = Look("azure://account/models/w");
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(States(report), kAllOk);
  EXPECT_TRUE(StepOf(report, "list").detail.starts_with("2 files, 10 bytes, at etag-set "));
  EXPECT_EQ(StepOf(report, "read").detail, "one byte of config.json");
  EXPECT_EQ(StepOf(report, "changes").detail, "If-Match is honoured");
  const auto again = DoctorReportFromJson(ToJson(report));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(States(*again), kAllOk);
  EXPECT_EQ(ToJson(*again), ToJson(report));
}

TEST_F(DoctorTest, NamesTheRightThatListingLacks) {
  container_.Put("w/a", "12");
  Refuse("list", 403, "AuthorizationPermissionMismatch");
  const auto report = Look("azure://account/models/w");
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(States(report),
            "credentials=ok address=ok connection=ok tls=skipped clock=skipped accepted=ok "
            "list=failed read=skipped range=skipped changes=skipped");
  EXPECT_NE(StepOf(report, "list").fix.find("Storage Blob Data Reader on the container models"),
            std::string::npos);
  EXPECT_EQ(StepOf(report, "read").detail, "a step before it failed");
}

TEST_F(DoctorTest, NamesTheRightThatReadingLacks) {
  container_.Put("w/a", "12");
  Refuse("read", 403, "AuthorizationPermissionMismatch");
  const auto report = Look("azure://account/models/w");
  EXPECT_EQ(StepOf(report, "list").state, StepState::kOk);
  EXPECT_EQ(StepOf(report, "read").state, StepState::kFailed);
  EXPECT_NE(StepOf(report, "read").fix.find("with r in its sp"), std::string::npos);
}

TEST_F(DoctorTest, TellsRefusedCredentialsFromMissingRights) {
  Refuse("list", 403, "AuthenticationFailed");
  const auto report = Look("azure://account/models/w");
  EXPECT_EQ(FixOf(report, "accepted"), "check azure_account_key: it may have been rotated");
  EXPECT_EQ(StepOf(report, "list").state, StepState::kSkipped);
  const auto sas = Look("azure://account/models/w", "sv=1&sp=rl&sig=hush");
  EXPECT_EQ(FixOf(sas, "accepted"),
            "check that it is complete, for this account and container, and not revoked");
  Refuse("list", 401, "NoAuthenticationInformation");
  const auto other = Look("azure://account/models/w");
  EXPECT_EQ(FixOf(other, "accepted"), "store credentials in the secret that are accepted");
}

TEST_F(DoctorTest, SaysThatAKeyOfGoogleWasDeleted) {
  MemoryGoogle google;
  google.intercept = [](const net::HttpRequest& request) {
    return request.url.host == "oauth2.googleapis.com"
               ? std::optional<Result<net::HttpResponse>>(net::HttpResponse{
                     400, {}, MemoryGoogle::OAuthError("invalid_grant", "Invalid JWT Signature.")})
               : std::nullopt;
  };
  const auto report = LookBy(google.transport(), "gs://bucket/w", DoctorKeyFile());
  EXPECT_NE(StepOf(report, "accepted").detail.find("the key was deleted"), std::string::npos);
  EXPECT_EQ(FixOf(report, "accepted"),
            "create a key for the service account and store it in the secret");
}

TEST_F(DoctorTest, SaysToCheckTheNameOfWhatIsNotThere) {
  Refuse("list", 404, "ContainerNotFound");
  EXPECT_EQ(FixOf(Look("azure://account/models/w"), "list"), "check the container's name");
  MemoryBucket bucket;
  EXPECT_EQ(FixOf(LookBy(bucket.transport(), "r2://abc.other/w", kDoctorKeys), "list"),
            "check the bucket's name, and the account for r2://");
  MemoryGoogle google;
  EXPECT_EQ(FixOf(LookBy(google.transport(), "gs://other/w", DoctorKeyFile()), "list"),
            "check the bucket's name");
  MemoryTraining training;
  training.Put("w", "12");
  const auto project = LookBy(training.transport(), "bt://nothing", "secret");
  EXPECT_NE(FixOf(project, "list"), "");
}

TEST_F(DoctorTest, NamesTheRightThatListingLacksAtGoogle) {
  MemoryGoogle google;
  google.intercept = [](const net::HttpRequest& request) {
    return request.url.path == "/storage/v1/b/bucket/o"
               ? std::optional<Result<net::HttpResponse>>(
                     net::HttpResponse{403, {}, MemoryGoogle::ApiError(403, "forbidden", "no")})
               : std::nullopt;
  };
  const auto report = LookBy(google.transport(), "gs://bucket/w", DoctorKeyFile());
  EXPECT_EQ(StepOf(report, "accepted").state, StepState::kOk) << States(report);
  EXPECT_TRUE(FixOf(report, "list")
                  .starts_with("allow storage.objects.list on the bucket bucket "
                               "(roles/storage.objectViewer has it)"))
      << FixOf(report, "list");
}

TEST_F(DoctorTest, NamesTheRightThatListingLacksAtR2AndCoreWeave) {
  MemoryBucket bucket;
  bucket.intercept = [](const net::HttpRequest& request) {
    return request.url.query.find("list-type=2") != std::string::npos
               ? std::optional<Result<net::HttpResponse>>(
                     net::HttpResponse{403, {}, "<Error><Code>AccessDenied</Code></Error>"})
               : std::nullopt;
  };
  const auto fix_of = [&](const std::string& text) {
    const auto report = LookBy(bucket.transport(), text, kDoctorKeys);
    EXPECT_EQ(StepOf(report, "accepted").state, StepState::kOk) << States(report);
    return FixOf(report, "list");
  };
  EXPECT_TRUE(fix_of("r2://abc.bucket/w")
                  .starts_with("use an API token of R2 with Object Read for the bucket bucket"))
      << fix_of("r2://abc.bucket/w");
  EXPECT_TRUE(fix_of("cw://bucket/w")
                  .starts_with("allow s3:ListBucket on arn:aws:s3:::bucket (a condition on "
                               "s3:prefix must allow 'w/')"))
      << fix_of("cw://bucket/w");
}

TEST_F(DoctorTest, LooksAtTrainingStores) {
  MemoryTraining training;
  training.Put("w", "12");
  const auto report = LookBy(training.transport(), "bt://demo", "secret");
  EXPECT_TRUE(report.ok()) << ToJson(report);
  EXPECT_TRUE(StepOf(report, "list").detail.starts_with("1 files, 2 bytes, at checkpoint "));
  const auto wrong = LookBy(training.transport(), "bt://demo", "other");
  EXPECT_EQ(FixOf(wrong, "accepted"),
            "give it in BDN_BT_API_KEY, or name a secret in the source's auth section");
  training.intercept = [](const net::HttpRequest&) {
    return std::optional<Result<net::HttpResponse>>(net::HttpResponse{403, {}, "{}"});
  };
  const auto refused = LookBy(training.transport(), "bt://demo", "secret");
  EXPECT_EQ(FixOf(refused, "list").find("use an API key of the control plane"), 0u)
      << FixOf(refused, "list");
}

TEST_F(DoctorTest, SaysWhatIsWrongWithASecretBeforeAnythingIsAsked) {
  const auto report = Look("azure://account/models/w", "{}");
  EXPECT_EQ(StepOf(report, "credentials").state, StepState::kFailed);
  EXPECT_NE(StepOf(report, "credentials").detail.find("azure_sas_token"), std::string::npos);
  EXPECT_EQ(container_.transport().calls(), 0u);
  const auto none = Look("azure://account/models/w", std::nullopt);
  EXPECT_EQ(StepOf(none, "credentials").detail, "secret_id is required");
}

TEST_F(DoctorTest, TellsWhereTheWayEnds) {
  const auto with = [&](const Error& error) {
    container_.intercept = [error](const net::HttpRequest&) {
      return std::optional<Result<net::HttpResponse>>(error);
    };
    return States(Look("azure://account/models/w"));
  };
  EXPECT_NE(
      with(Error(Code::kUnavailable, "GET x: Could not resolve host: x")).find("address=failed"),
      std::string::npos);
  EXPECT_NE(with(Error(Code::kPermissionDenied, "GET x: refused to connect to 10.0.0.1"))
                .find("address=failed"),
            std::string::npos);
  const Error refused = Error(Code::kPermissionDenied, "refused to connect to 10.0.0.1")
                            .WithHint("allow it with --allow-private 10.0.0.1");
  with(refused);
  EXPECT_EQ(FixOf(Look("azure://account/models/w"), "address"),
            "allow it with --allow-private 10.0.0.1");
  EXPECT_NE(with(Error(Code::kUnavailable, "GET x: Failed to connect")).find("connection=failed"),
            std::string::npos);
  EXPECT_NE(with(Error(Code::kPermissionDenied,
                       "GET x: the server's certificate does not verify: self-signed"))
                .find("connection=ok tls=failed"),
            std::string::npos);
}

TEST_F(DoctorTest, FindsAClockThatIsWrong) {
  container_.Put("w/a", "12");
  container_.intercept =
      [](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (request.url.query.find("comp=list") == std::string::npos) return std::nullopt;
    return net::HttpResponse{200,
                             {{"Date", "Thu, 01 Jan 2026 01:00:00 GMT"}},
                             "<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>"};
  };
  const auto report = Look("azure://account/models/w");
  EXPECT_EQ(StepOf(report, "clock").state, StepState::kFailed);
  EXPECT_EQ(StepOf(report, "clock").detail, "3600 s behind the server");
}

TEST_F(DoctorTest, SaysWhatAServerDoesNotDo) {
  container_.Put("w/a", "12");
  container_.Put("w/cold", "12345", {.tier = "Archive"});
  container_.ignore_if_match = true;
  const auto report = Look("azure://account/models/w");
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(StepOf(report, "changes").detail, "If-Match is ignored; bdn compares the ETags itself");
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_EQ(report.warnings[0], "cold is archived: change its tier to Cool or Hot");
}

}  // namespace
}  // namespace bdn::source::testing
