#pragma once
// One call of AWS STS, one attempt: AssumeRoleWithWebIdentity, which gives short-lived keys of a
// role to whoever shows a token of an issuer that the role trusts. No credential is needed and the
// request is not signed. Nothing here waits, retries or keeps anything.
//
// Source: docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "auth/sigv4.h"
#include "base/context.h"
#include "base/result.h"
#include "net/http.h"

namespace bdn::cloud {

inline constexpr std::uint64_t kStsAnswerBytesMax = 1ull << 20;
inline constexpr std::string_view kStsRegionDefault = "us-east-1";
inline constexpr std::chrono::seconds kStsDurationDefault{3600};  // the least that a role allows

struct StsRole {
  std::string arn;     // "arn:aws:iam::123456789012:role/name"
  std::string region;  // of the STS that is asked; empty: us-east-1
  // Instead of https://sts.REGION.amazonaws.com; empty for that. Role names without an account are
  // taken there only.
  std::string endpoint = {};
  std::string session_name = "bdn-mirror";  // seen in the account's audit log
  std::chrono::seconds duration = kStsDurationDefault;
};

// kInvalidArgument for an ARN, region or endpoint that cannot be used, with the name of the config
// field.
Status CheckStsRole(const StsRole& role);

struct StsKeys {
  auth::AwsCredentials credentials;
  WallTime expires_at;  // by the clock of STS
};

// kUnavailable for what is no whole answer, kUnsupported for a document type, kResourceExhausted
// over a limit.
Result<StsKeys> ParseStsAnswer(std::string_view xml);

struct StsErrorBody {
  std::string code;
  std::string message;
};
// Empty strings for what is not there or is no XML.
StsErrorBody ParseStsError(std::string_view xml);

// `token` goes into the body: queries are logged on their way. `life`, when given, receives how
// long the keys are good, by the clock of STS alone (its Date header), so that a clock of ours that
// is wrong does not matter.
// Errors: kUnauthenticated when the token has expired (a fresh one may do), kPermissionDenied,
//         kInvalidArgument, kNotFound (no OIDC provider in the account), kRateLimited,
//         kUnavailable. Each says what to do; none has a part of the token.
Result<StsKeys> AssumeRoleWithWebIdentity(const Context& ctx,
                                          net::Transport& transport,
                                          const StsRole& role,
                                          std::string_view token,
                                          Duration* life = nullptr);

}  // namespace bdn::cloud
