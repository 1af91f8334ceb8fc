#pragma once
// From a source URI and a secret to a Source. The one place that knows which schemes exist.
#include <memory>
#include <optional>
#include <string>

#include "auth/identity_tokens.h"
#include "base/result.h"
#include "model/config.h"
#include "model/source_uri.h"
#include "net/http.h"
#include "source/rate_limiter.h"
#include "source/retry.h"
#include "source/source.h"

namespace bdn::source {

struct SourceCredentials {
  // The secret's plain value as it was stored; nullopt for anonymous access. hf: the token; s3, r2,
  // cw: JSON (cloud::ParseS3Secret); azure: cloud::ParseAzureSecret; gs: cloud::ParseGcpSecret;
  // https: source/https.h.
  std::optional<std::string> secret;
  // What the config says: method, roles and provider for OIDC. `auth_secret_name` is resolved
  // already and used for messages only.
  model::WeightsAuth auth = {};
  // For AWS_OIDC and GCP_OIDC; outlives the source. Null where no issuer is set up.
  auth::IdentityTokens* identity = nullptr;
};

// What every source of a process shares; both references outlive all sources.
struct SourceEnvironment {
  net::Transport& transport;
  RateLimiters& limiters;
  // Where the Hub is; empty for https://huggingface.co. Whoever builds the transport lets the
  // address guard allow this host (net::AddressPolicy::Allow), because the operator named it.
  std::string hf_endpoint = {};
  // Where s3:// buckets are; empty for Amazon. The same rule for its host.
  std::string s3_endpoint = {};
  // The same of r2:// and cw://.
  std::string r2_endpoint = {};
  std::string cw_endpoint = {};
  // Where AWS_OIDC takes its keys; empty for Amazon's STS. The same rule for its host.
  std::string sts_endpoint = {};
  // Where azure:// accounts are, and where Entra ID hands out their tokens; empty for Azure. The
  // same rule for their hosts.
  std::string azure_endpoint = {};
  std::string azure_authority = {};
  // Where gs:// buckets, tokens and IAM are, all at one address; empty for Google. The same rule.
  std::string google_endpoint = {};
  // The training store that bt:// means where it is not our own, and its key; the same rule for its
  // host.
  std::string bt_endpoint = {};
  std::string bt_key = {};
  // In [0, 1), thread-safe; for jitter. Empty: no jitter.
  UnitRandom random = {};
  RetryOptions retry = {};
};

// What a source says that needs an identity where there is none.
Error NoIssuer();

// Errors: kInvalidArgument for a secret, a role or an endpoint that cannot be used;
//         kFailedPrecondition for AWS_OIDC or GCP_OIDC where no issuer is set up.
Result<std::unique_ptr<Source>> MakeSource(const model::SourceUri& uri,
                                           const SourceCredentials& credentials,
                                           const SourceEnvironment& environment);

}  // namespace bdn::source
