#pragma once
// What an OIDC issuer publishes, and what its address may be. Pure.
// Source: OpenID Connect Discovery 1.0 §3; RFC 7517; "Create an OpenID Connect identity provider"
// in the IAM guide; "Configure Workload Identity Federation" of Google Cloud.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/signature.h"

namespace bdn::auth {

inline constexpr std::size_t kIssuerBytesMax = 255;  // AWS IAM
inline constexpr std::string_view kDiscoveryPath = "/.well-known/openid-configuration";
inline constexpr std::string_view kJwksPath = "/.well-known/jwks.json";

// An issuer is an https URL without a trailing '/', query, fragment, user or upper case in its
// host; its bytes are the "iss" of every token. http is for this machine only (localhost and
// loopback addresses). kInvalidArgument says what is wrong.
Status CheckIssuer(std::string_view issuer);
// "https://id.example.com/oidc" → "/oidc"; empty without a path.
std::string IssuerPath(std::string_view issuer);
// Without the scheme: how AWS names the provider, and the default audience.
std::string IssuerName(std::string_view issuer);

std::string DiscoveryDocument(std::string_view issuer);

struct PublishedKey {
  crypto::PublicKey key;
  // DER of a self-signed certificate; empty for none. Ceph's RGW takes keys only from "x5c"; AWS,
  // Google and the JOSE libraries ignore it.
  std::string certificate = {};
};
std::string JwksDocument(std::span<const PublishedKey> keys);

}  // namespace bdn::auth
