// The token services of the stand-in: assertions of service accounts, exchange of foreign tokens,
// impersonation. Everything that Google would verify is verified.
#include <algorithm>
#include <utility>

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "codec/json.h"
#include "crypto/digest.h"
#include "crypto/hash.h"
#include "fakes/google_fake.h"

namespace bdn::fakes {
namespace {

constexpr std::uint64_t kTokenBodyBytesMax = 256 * 1024;
constexpr std::uint64_t kGoogleIssuerBytesMax = 1u << 20;
constexpr std::string_view kIamHost = "//iam.googleapis.com/";
constexpr auto kGoogleSkew = std::chrono::seconds(300);
constexpr std::size_t kSubjectBytesMax = 127;

Answer TokenJson(int status, const boost::json::object& body) {
  return {.status = status,
          .headers = {{"Content-Type", "application/json; charset=UTF-8"}},
          .body = boost::json::serialize(body)};
}

Answer OauthError(std::string_view code, std::string_view text, int status = 400) {
  return TokenJson(status, {{"error", code}, {"error_description", text}});
}

Answer IamError(int status, std::string_view name, std::string_view message) {
  return TokenJson(status, {{"error", {{"code", status}, {"message", message}, {"status", name}}}});
}

// A form, or an object of JSON.
std::optional<std::map<std::string, std::string>> FormFieldsOf(net::ServerRequest& request) {
  const auto body = request.Body(kTokenBodyBytesMax);
  if (!body) return std::nullopt;
  std::map<std::string, std::string> fields;
  if (request.headers().Get("Content-Type").value_or("").starts_with("application/json")) {
    const auto json = codec::ParseJson(*body);
    if (!json || !json->is_object()) return std::nullopt;
    for (const auto& member : json->get_object()) {
      if (member.value().is_string()) {
        fields[std::string(member.key())] = std::string(member.value().get_string());
      }
    }
    // The REST reference has camel case, the OAuth standard snake case.
    for (const auto& [camel, snake] : {std::pair{"grantType", "grant_type"},
                                       {"subjectToken", "subject_token"},
                                       {"subjectTokenType", "subject_token_type"},
                                       {"requestedTokenType", "requested_token_type"}}) {
      if (fields.contains(camel)) fields[snake] = fields[camel];
    }
    return fields;
  }
  for (const std::string_view name :
       {"grant_type", "assertion", "audience", "scope", "requested_token_type", "subject_token",
        "subject_token_type"}) {
    if (auto value = net::QueryParam(*body, name)) fields[std::string(name)] = *std::move(value);
  }
  return fields;
}

std::int64_t ClaimSeconds(const boost::json::object& claims, std::string_view name) {
  const auto* value = claims.if_contains(name);
  if (value == nullptr) return 0;
  if (value->is_int64()) return value->get_int64();
  if (value->is_uint64()) return static_cast<std::int64_t>(value->get_uint64());
  if (value->is_double()) return static_cast<std::int64_t>(value->get_double());
  return 0;
}

std::string ClaimText(const boost::json::object& claims, std::string_view name) {
  const auto* value = claims.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

std::int64_t ClockSecondsOf(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

}  // namespace

std::string GoogleFake::GiveToken(Token token) {
  token.expires = options_.clock->Now() + options_.token_life;
  std::string value = "ya29.fake-" + crypto::Base64UrlEncode(crypto::RandomBytes(24));
  state_.With([&](State& s) { s.tokens[value] = std::move(token); });
  return value;
}

std::optional<GoogleFake::Token> GoogleFake::FindToken(const net::ServerRequest& request) {
  const auto field = request.headers().Get("Authorization");
  if (!field || !field->starts_with("Bearer ")) return std::nullopt;
  return state_.With([&](State& s) -> std::optional<Token> {
    const auto it = s.tokens.find(std::string(field->substr(7)));
    if (it == s.tokens.end() || it->second.expires <= options_.clock->Now()) return std::nullopt;
    return it->second;
  });
}

Answer GoogleFake::AnswerOauth(net::ServerRequest& request) {
  const auto fields = FormFieldsOf(request);
  if (!fields) return OauthError("invalid_request", "Bad Request");
  const auto field = [&](const std::string& name) {
    const auto it = fields->find(name);
    return it == fields->end() ? std::string() : it->second;
  };
  if (field("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer") {
    return OauthError("unsupported_grant_type", "Invalid grant_type: " + field("grant_type"));
  }
  const auto jwt = auth::ParseJwt(field("assertion"));
  if (!jwt) return OauthError("invalid_grant", "Invalid JWT: Failed to parse");
  const std::string email = ClaimText(jwt->claims, "iss");
  const auto keys = state_.With([&](State& s) -> std::optional<std::vector<auth::Jwk>> {
    const auto it = s.accounts.find(email);
    if (it == s.accounts.end()) return std::nullopt;
    return it->second.keys;
  });
  if (!keys) return OauthError("invalid_grant", "Invalid grant: account not found");
  const WallTime now = options_.clock->Now();
  const std::int64_t iat = ClaimSeconds(jwt->claims, "iat");
  const std::int64_t exp = ClaimSeconds(jwt->claims, "exp");
  const std::int64_t skew = kGoogleSkew.count();
  if (exp - iat > 3600 + skew || iat > ClockSecondsOf(now) + skew || exp <= ClockSecondsOf(now)) {
    return OauthError("invalid_grant",
                      "Invalid JWT: Token must be a short-lived token (60 minutes) and in a "
                      "reasonable timeframe. Check your iat and exp values in the JWT claim.");
  }
  const std::string audience = ClaimText(jwt->claims, "aud");
  const std::vector<std::string> audiences = {
      url() + "/token", "https://oauth2.googleapis.com/token",
      "https://accounts.google.com/o/oauth2/token", "https://www.googleapis.com/oauth2/v4/token"};
  if (std::find(audiences.begin(), audiences.end(), audience) == audiences.end()) {
    return OauthError("invalid_grant", "Invalid JWT: audience is not a token endpoint");
  }
  if (!auth::VerifyJwt(field("assertion"), *keys,
                       {.issuer = email, .audience = audience, .now = now, .skew = kGoogleSkew})) {
    return OauthError("invalid_grant", "Invalid JWT Signature.");
  }
  const std::string scope = ClaimText(jwt->claims, "scope");
  if (scope.find("/auth/devstorage") == std::string::npos &&
      scope.find("/auth/cloud-platform") == std::string::npos) {
    return OauthError("invalid_scope", "Invalid OAuth scope or ID token audience provided.");
  }
  return TokenJson(200, {{"access_token", GiveToken({.email = email})},
                         {"expires_in", options_.token_life / std::chrono::seconds(1)},
                         {"token_type", "Bearer"}});
}

Result<std::vector<auth::Jwk>> GoogleFake::KeysOf(const GoogleProvider& provider) {
  const std::string base =
      provider.discovery_base.empty() ? provider.issuer : provider.discovery_base;
  const Context ctx = Context(*options_.clock).WithTimeout(std::chrono::seconds(10));
  net::HttpRequest request;
  BDN_ASSIGN(request.url, net::ParseUrl(base + "/.well-known/openid-configuration"));
  BDN_ASSIGN(const auto discovery, net::FetchAll(ctx, *issuers_, request, kGoogleIssuerBytesMax));
  if (discovery.status != 200) return Error(Code::kUnavailable, "no discovery document");
  BDN_ASSIGN(const auto json, codec::ParseJson(discovery.body));
  const codec::JsonView root(json);
  BDN_ASSIGN(const std::string issuer, root.String("issuer"));
  if (issuer != provider.issuer) return Error(Code::kInvalidArgument, "another issuer");
  BDN_ASSIGN(std::string keys_url, root.String("jwks_uri"));
  // Read where the discovery document is read, when that is not at the issuer's own address.
  if (base != provider.issuer && keys_url.starts_with(provider.issuer)) {
    keys_url = base + keys_url.substr(provider.issuer.size());
  }
  BDN_ASSIGN(request.url, net::ParseUrl(keys_url));
  BDN_ASSIGN(const auto keys, net::FetchAll(ctx, *issuers_, request, kGoogleIssuerBytesMax));
  if (keys.status != 200) return Error(Code::kUnavailable, "no key set");
  return auth::ParseJwks(keys.body);
}

std::optional<Answer> GoogleFake::CheckSubject(const GoogleProvider& provider,
                                               const std::string& token) {
  const auto jwt = auth::ParseJwt(token);
  if (!jwt || ClaimText(jwt->header, "kid").empty()) {
    return OauthError("invalid_grant", "Unable to parse the ID Token.");
  }
  if (ClaimText(jwt->claims, "iss") != provider.issuer) {
    return OauthError("invalid_grant",
                      fmt::format("The issuer in ID Token {} does not match the expected ones: {}.",
                                  ClaimText(jwt->claims, "iss"), provider.issuer));
  }
  const WallTime now = options_.clock->Now();
  const std::int64_t iat = ClaimSeconds(jwt->claims, "iat");
  const std::int64_t exp = ClaimSeconds(jwt->claims, "exp");
  if (exp <= ClockSecondsOf(now) || exp - iat > 48 * 3600) {
    return OauthError("invalid_grant",
                      fmt::format("ID Token issued at {} is stale to sign-in.", iat));
  }
  const auto keys = KeysOf(provider);
  if (!keys) {
    return OauthError("invalid_grant", "Error connecting to the given credential's issuer.");
  }
  std::vector<std::string> audiences = provider.audiences;
  if (audiences.empty()) {
    audiences = {std::string(kIamHost) + provider.name,
                 "https:" + std::string(kIamHost) + provider.name};
  }
  std::string why;
  for (const auto& audience : audiences) {
    const auto claims = auth::VerifyJwt(
        token, *keys,
        {.issuer = provider.issuer, .audience = audience, .now = now, .skew = kGoogleSkew});
    if (!claims) {
      why = claims.error().message();
      continue;
    }
    const std::string subject = ClaimText(*claims, "sub");
    if (subject.empty() || subject.size() > kSubjectBytesMax) {
      return OauthError("invalid_grant",
                        "The size of mapped attribute google.subject exceeds the 127 bytes limit.");
    }
    if (!subject.starts_with(provider.subject_prefix)) {
      return OauthError("unauthorized_client",
                        "The given credential is rejected by the attribute condition.");
    }
    return std::nullopt;
  }
  if (why.find("audience") != std::string::npos) {
    return OauthError("invalid_grant",
                      fmt::format("The audience in ID Token does not match the expected audience "
                                  "{}.",
                                  audiences[0]));
  }
  return OauthError("invalid_grant", "The token's signature could not be verified: " + why);
}

Answer GoogleFake::AnswerSts(net::ServerRequest& request) {
  if (request.headers().Has("Authorization")) {
    return OauthError("invalid_client", "This call takes no Authorization header.", 401);
  }
  const auto fields = FormFieldsOf(request);
  if (!fields) return OauthError("invalid_request", "Bad Request");
  const auto field = [&](const std::string& name) {
    const auto it = fields->find(name);
    return it == fields->end() ? std::string() : it->second;
  };
  if (field("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" ||
      field("requested_token_type") != "urn:ietf:params:oauth:token-type:access_token" ||
      field("scope").empty()) {
    return OauthError("invalid_request", "grant_type, requested_token_type or scope is wrong.");
  }
  const std::string type = field("subject_token_type");
  if (type != "urn:ietf:params:oauth:token-type:jwt" &&
      type != "urn:ietf:params:oauth:token-type:id_token") {
    return OauthError("invalid_request", "Invalid value for \"subject_token_type\".");
  }
  std::string audience = field("audience");
  if (!audience.starts_with(kIamHost)) {
    return OauthError("invalid_request",
                      "Invalid value for \"audience\". This value should be the full resource name "
                      "of the Identity Provider.");
  }
  audience.erase(0, kIamHost.size());
  const auto provider = state_.With([&](State& s) -> std::optional<GoogleProvider> {
    const auto it = s.providers.find(audience);
    if (it == s.providers.end() || it->second.disabled) return std::nullopt;
    return it->second;
  });
  if (!provider) {
    return OauthError("invalid_target",
                      "The target service indicated by the \"audience\" parameters is invalid. "
                      "This might either be because the pool or provider is disabled or deleted or "
                      "because it doesn't exist.");
  }
  if (auto refused = CheckSubject(*provider, field("subject_token"))) return *std::move(refused);
  return TokenJson(200, {{"access_token", GiveToken({.provider = provider->name})},
                         {"issued_token_type", "urn:ietf:params:oauth:token-type:access_token"},
                         {"token_type", "Bearer"},
                         {"expires_in", options_.token_life / std::chrono::seconds(1)}});
}

Answer GoogleFake::AnswerIam(net::ServerRequest& request) {
  constexpr std::string_view kRoot = "/v1/projects/-/serviceAccounts/";
  constexpr std::string_view kVerb = ":generateAccessToken";
  const std::string_view path = request.path();
  if (!path.starts_with(kRoot) || !path.ends_with(kVerb)) {
    return IamError(404, "NOT_FOUND", "Method not found.");
  }
  const auto token = FindToken(request);
  if (!token || token->provider.empty()) {
    return IamError(401, "UNAUTHENTICATED",
                    "Request had invalid authentication credentials. Expected OAuth 2 access "
                    "token, login cookie or other valid authentication credential.");
  }
  const auto body = request.Body(kTokenBodyBytesMax);
  const auto json = body ? codec::ParseJson(*body) : Result<boost::json::value>(body.error());
  const auto* object = json ? json->if_object() : nullptr;
  if (object == nullptr || !object->contains("scope")) {
    return IamError(400, "INVALID_ARGUMENT", "scope is required");
  }
  const std::string email =
      net::PercentDecode(path.substr(kRoot.size(), path.size() - kRoot.size() - kVerb.size()))
          .value_or("");
  const int known = state_.With([&](State& s) {
    const auto it = s.accounts.find(email);
    if (it == s.accounts.end()) return 404;
    return it->second.principals.contains(token->provider) ? 200 : 403;
  });
  if (known == 404) {
    return IamError(404, "NOT_FOUND", "Not found; Gaia id not found for email " + email);
  }
  if (known == 403) {
    return IamError(403, "PERMISSION_DENIED",
                    "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may "
                    "not exist).");
  }
  return TokenJson(200,
                   {{"accessToken", GiveToken({.email = email})},
                    {"expireTime", FormatRfc3339(options_.clock->Now() + options_.token_life)}});
}

}  // namespace bdn::fakes
