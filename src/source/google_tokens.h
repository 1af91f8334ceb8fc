#pragma once
// Access tokens of Google for one source: asked for once, shared by all of its reads, renewed
// before they end. The calls are cloud/google_auth.h.
#include <memory>
#include <string>
#include <string_view>

#include "auth/identity_tokens.h"
#include "base/context.h"
#include "base/result.h"
#include "cloud/google_auth.h"
#include "net/http.h"
#include "source/retry.h"

namespace bdn::source {

// A token is renewed so long before its end; shorter lives at three quarters.
inline constexpr std::chrono::seconds kGoogleRenewBefore{225};

// Thread-safe.
class GoogleTokens {
 public:
  virtual ~GoogleTokens() = default;
  // A token that is good now; may wait for the services, which are asked again where that helps.
  virtual Result<std::string> Get(const Context& ctx) = 0;
  // A service did not take `used`: the next Get gives another one.
  virtual void Refused(std::string_view used) = 0;
};

struct GoogleTokenOptions {
  RetryOptions retry = {};
  UnitRandom random = {};
};

// For a service account's key. `transport` outlives it.
std::unique_ptr<GoogleTokens> MakeGoogleKeyTokens(net::Transport& transport,
                                                  std::string token_url,
                                                  cloud::GcpServiceAccountKey key,
                                                  GoogleTokenOptions options);

// For tokens of our own issuer: exchanged at `provider`, then a token as the account `email`. The
// two are kept apart: the first serves several of the second. `transport` and `identity` outlive
// it.
std::unique_ptr<GoogleTokens> MakeGoogleRoleTokens(net::Transport& transport,
                                                   cloud::GoogleEndpoints endpoints,
                                                   auth::IdentityTokens& identity,
                                                   cloud::GcpProvider provider,
                                                   std::string email,
                                                   GoogleTokenOptions options);

}  // namespace bdn::source
