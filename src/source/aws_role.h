#pragma once
// AWS_OIDC: keys of a role, taken with tokens of our own issuer and renewed before they end.
#include <memory>

#include "auth/identity_tokens.h"
#include "cloud/aws_credentials.h"
#include "cloud/aws_sts.h"
#include "net/http.h"
#include "source/retry.h"

namespace bdn::source {

// Keys are exchanged for others this long before they end (half their life when that is shorter).
inline constexpr Duration kAwsKeysRefreshBefore = std::chrono::minutes(5);

struct AwsRoleOptions {
  RetryOptions retry = {};
  UnitRandom random = {};
};

// One exchange at a time, whoever asks; each with a token of its own. Where an exchange fails while
// the old keys are still good, those are given. A token that STS finds expired is replaced once.
// `transport` and `identity` outlive the provider.
// Errors: kInvalidArgument for a role that cannot be used.
Result<std::shared_ptr<cloud::AwsCredentialsProvider>> MakeAwsRole(net::Transport& transport,
                                                                   auth::IdentityTokens& identity,
                                                                   cloud::StsRole role,
                                                                   AwsRoleOptions options);

}  // namespace bdn::source
