#pragma once
// Proof of who we are to others, as OpenID Connect ID tokens of bdn's own issuer: what AWS STS and
// Google's token exchange take in place of a stored key.
#include <string>
#include <string_view>

#include "base/result.h"

namespace bdn::auth {

// Tokens of one workload: whoever holds this can prove that workload's subject and no other.
class IdentityTokens {
 public:
  virtual ~IdentityTokens() = default;

  // A fresh signed token (JWS compact form) for `audience`; empty for the issuer's default one.
  // A bearer secret: never in a log, an argument or a URL.
  // Errors: kFailedPrecondition when there is no issuer, with what to set up.
  // Threads: safe to call concurrently.
  virtual Result<std::string> Mint(std::string_view audience) = 0;
};

}  // namespace bdn::auth
