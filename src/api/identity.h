#pragma once
// The JSON bodies around the OIDC issuer, as api/types.h has those of everything else.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bdn::api {

// A published key of the issuer.
struct OidcKeyBody {
  std::string kid;
  std::string algorithm;        // RS256 ES256
  std::string state;            // signs; next: published, will sign; old: published, signs no more
  std::string signs_from;       // RFC 3339
  std::string published_until;  // empty: for ever
  std::string thumbprint;       // SHA-1 of its certificate; empty without one
};

// GET /v1/oidc
struct OidcBody {
  std::string issuer;
  std::string audience;
  std::string org;
  std::string team;
  std::int64_t token_seconds = 0;
  std::string subject_format;
  // Of the deployment that was asked about, else of an example.
  std::string mirror_subject;
  std::string run_subject;
  std::string model;  // the model's id in them
  std::vector<OidcKeyBody> keys;
};
std::string ToJson(const OidcBody& body);
Result<OidcBody> OidcFromJson(std::string_view json);

// POST /v1/deployments/{id}/identity-token
struct IdentityTokenBody {
  std::string token;  // a bearer secret
  std::string issuer;
  std::string audience;
  std::string subject;
  std::string expires_at;  // RFC 3339
};
std::string ToJson(const IdentityTokenBody& body);
Result<IdentityTokenBody> IdentityTokenFromJson(std::string_view json);

}  // namespace bdn::api
