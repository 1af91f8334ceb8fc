#pragma once
// JSON Web Tokens in JWS compact form, signed with RS256 or ES256, and the public keys that verify
// them as a JWK set. No other algorithm exists here: no "none", no HMAC, no encryption.
//
// A token is a bearer secret: never in a log, an argument or a URL.
// Source: RFC 7515, RFC 7517, RFC 7518, RFC 7519, RFC 7638.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/signature.h"

namespace bdn::auth {

// What AWS STS takes as WebIdentityToken at most.
inline constexpr std::size_t kJwtBytesMax = 20'000;
inline constexpr std::size_t kJwksBytesMax = 256u << 10;
inline constexpr std::size_t kJwksKeysMax = 200;

// "RS256" or "ES256".
std::string_view JwtAlgorithmName(crypto::SignatureAlgorithm algorithm);

// base64url(header) "." base64url(claims) "." base64url(signature); the header is
// {"alg", "typ": "JWT", "kid"}, without "kid" when that is empty. Thread-safe.
std::string SignJwt(const crypto::PrivateKey& key,
                    std::string_view kid,
                    const boost::json::object& claims);

// The identity of a public key: base64url of the SHA-256 of its required members (RFC 7638), 43
// characters. What this product uses as "kid".
std::string JwkThumbprint(const crypto::PublicKey& key);
// {"kty", "alg", "use": "sig", "kid": the thumbprint, and "n" "e" or "crv" "x" "y"}.
boost::json::object PublicJwk(const crypto::PublicKey& key);

struct Jwk {
  std::string kid;  // empty when the set names none
  crypto::PublicKey key;
};
// The keys of a set that can verify signatures of ours; others (encryption, other curves, members
// that are wrong) are left out, as RFC 7517 §5 says.
// Errors: kInvalidArgument when it is no JWK set, kResourceExhausted over a limit.
Result<std::vector<Jwk>> ParseJwks(std::string_view text);

// A token taken apart and not verified: to route, to test, to explain. Nothing in it is true yet.
struct UnverifiedJwt {
  boost::json::object header;
  boost::json::object claims;
  std::string signed_part;  // what the signature is over
  std::string signature;    // raw bytes
};
// kInvalidArgument; the message never has a part of the token.
Result<UnverifiedJwt> ParseJwt(std::string_view token);

struct JwtExpectation {
  std::string issuer;
  std::string audience;  // one of the token's audiences
  WallTime now;
  Duration skew = std::chrono::seconds(60);  // how far the two clocks may be apart
};
// The claims of a token that one of `keys` signed (the one that its "kid" names; without "kid" the
// only one), for us and valid now. "exp" must be there; a "crit" header is refused.
// Errors: kUnauthenticated, with what is wrong and never a part of the token.
Result<boost::json::object> VerifyJwt(std::string_view token,
                                      std::span<const Jwk> keys,
                                      const JwtExpectation& expected);

}  // namespace bdn::auth
