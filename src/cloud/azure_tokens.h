#pragma once
// Access tokens of Entra ID (Azure AD) for storage: an application proves itself with its secret,
// or with an identity token of ours (workload identity federation).
// Source: learn.microsoft.com, "OAuth 2.0 client credentials flow", third case "access token
// request with a federated credential".
#include <string>

#include "auth/identity_tokens.h"
#include "base/context.h"
#include "base/guarded.h"
#include "base/result.h"
#include "cloud/azure_secret.h"
#include "net/http.h"

namespace bdn::cloud {

// Used again until so long before its end.
inline constexpr std::chrono::minutes kAzureTokenMargin{5};

// Thread-safe. What is passed in outlives it; `ours` may be null.
class AzureTokens {
 public:
  AzureTokens(net::Transport& transport,
              AzureIdentity identity,
              std::string authority,  // https://login.microsoftonline.com
              std::string audience,   // of our own token
              auth::IdentityTokens* ours);

  // A token that is good for some minutes at least.
  // Errors: kUnauthenticated with what Entra ID said and the fix, kFailedPrecondition without an
  //         issuer of our own, kRateLimited, kUnavailable, and what the transport returns.
  Result<std::string> Get(const Context& ctx);
  // It was refused: the next Get asks for another.
  void Forget(const std::string& token);

 private:
  struct State {
    std::string token;
    WallTime good_until{};
  };
  Result<net::HttpRequest> MakeTokenRequest();

  net::Transport& transport_;
  const AzureIdentity identity_;
  const std::string authority_;
  const std::string audience_;
  auth::IdentityTokens* const ours_;
  Guarded<State> state_;
};

}  // namespace bdn::cloud
