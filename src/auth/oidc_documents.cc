#include "auth/oidc_documents.h"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "auth/jwt.h"
#include "codec/json.h"
#include "crypto/digest.h"
#include "net/http.h"

namespace bdn::auth {
namespace {

namespace json = boost::json;

Error NoIssuerUrl(std::string_view issuer, std::string_view why) {
  return Error(Code::kInvalidArgument,
               fmt::format("'{}' cannot be an OIDC issuer: {}", issuer.substr(0, 300), why))
      .WithHint("Write it as https://id.example.com or https://id.example.com/path.");
}

bool IsThisMachine(std::string_view host) {
  return host == "localhost" || host.starts_with("127.") || host == "::1";
}

}  // namespace

Status CheckIssuer(std::string_view issuer) {
  if (issuer.size() > kIssuerBytesMax) {
    return NoIssuerUrl(issuer, fmt::format("it has more than {} bytes", kIssuerBytesMax));
  }
  const auto url = net::ParseUrl(issuer);
  if (!url) return NoIssuerUrl(issuer, url.error().message());
  if (url->scheme != "https" && !IsThisMachine(url->host)) {
    return NoIssuerUrl(issuer, "AWS and Google fetch its keys over https only");
  }
  if (url->has_query) return NoIssuerUrl(issuer, "it has a query");
  if (issuer.ends_with('/')) return NoIssuerUrl(issuer, "it ends with '/'");
  // Verifiers compare bytes: what a parser would change must not be there.
  const std::string plain = url->path == "/" ? url->scheme + "://" + url->authority()
                                             : url->scheme + "://" + url->authority() + url->path;
  if (plain != issuer) {
    return NoIssuerUrl(issuer, "it is not in its plain form, which is " + plain);
  }
  const bool path_fits = std::all_of(url->path.begin(), url->path.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '-' || c == '_' || c == '.' || c == '~';
  });
  if (!path_fits || url->path.find("//") != std::string::npos ||
      url->path.find("/.") != std::string::npos) {
    return NoIssuerUrl(issuer, "its path may hold letters, digits and - _ . ~ between single '/'");
  }
  return {};
}

std::string IssuerPath(std::string_view issuer) {
  const auto url = net::ParseUrl(issuer);
  return url && url->path != "/" ? url->path : std::string();
}

std::string IssuerName(std::string_view issuer) {
  const std::size_t mark = issuer.find("://");
  return std::string(mark == issuer.npos ? issuer : issuer.substr(mark + 3));
}

std::string DiscoveryDocument(std::string_view issuer) {
  const json::array claims{"iss", "sub",  "aud",   "iat",        "exp",         "jti",
                           "org", "team", "model", "deployment", "environment", "type"};
  return codec::SerializeJson(
      json::object{{"issuer", issuer},
                   {"jwks_uri", std::string(issuer) + std::string(kJwksPath)},
                   {"response_types_supported", json::array{"id_token"}},
                   {"subject_types_supported", json::array{"public"}},
                   {"id_token_signing_alg_values_supported", json::array{"RS256", "ES256"}},
                   {"scopes_supported", json::array{"openid"}},
                   {"claims_supported", claims}});
}

std::string JwksDocument(std::span<const PublishedKey> keys) {
  json::array all;
  for (const PublishedKey& published : keys) {
    json::object jwk = PublicJwk(published.key);
    if (!published.certificate.empty()) {
      // Standard base64 with padding, unlike everything else in a JWK (RFC 7517 §4.7).
      jwk["x5c"] = json::array{crypto::Base64Encode(published.certificate)};
    }
    all.push_back(std::move(jwk));
  }
  return codec::SerializeJson(json::object{{"keys", std::move(all)}});
}

}  // namespace bdn::auth
