#include "source/doctor.h"

#include <string>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "source/testing/memory_container.h"

namespace bdn::source::testing {
namespace {

constexpr char kDoctorKey[] = R"({"azure_account_key": "MDEyMzQ1Njc4OWFiY2RlZg=="})";

class DoctorTest : public ::testing::Test {
 protected:
  DoctorReport Look(const std::string& text, std::optional<std::string> secret = kDoctorKey) {
    RecordingTransport recorder(container_.transport());
    SourceEnvironment environment{
        .transport = recorder, .limiters = limiters_, .azure_endpoint = "http://azure.test"};
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
  EXPECT_EQ(StepOf(report, "accepted").state, StepState::kFailed);
  EXPECT_EQ(StepOf(report, "list").state, StepState::kSkipped);
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
