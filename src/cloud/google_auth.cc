#include "cloud/google_auth.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "auth/jwt.h"
#include "cloud/google_errors.h"
#include "cloud/hugging_face_hub.h"
#include "codec/json.h"

namespace bdn::cloud {
namespace {

constexpr std::size_t kGoogleSecretBytesMax = 64 * 1024;
constexpr std::uint64_t kGoogleAnswerBytesMax = 64 * 1024;
constexpr std::string_view kGoogleScope = "https://www.googleapis.com/auth/devstorage.read_only";
constexpr std::string_view kGoogleUniverse = "googleapis.com";
constexpr std::array<std::string_view, 3> kGoogleTokenUris = {
    "https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v4/token"};
constexpr auto kGoogleAssertionLife = std::chrono::seconds(3600);
constexpr auto kGoogleLifeMax = std::chrono::hours(12);
// Below this the answer's Date proves nothing: it has whole seconds and was on the way.
constexpr auto kGoogleSkewMin = std::chrono::seconds(30);

std::string_view GoogleTrim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

Error BadGoogleSecret(std::string why) {
  return Error(Code::kInvalidArgument, "The GCS secret " + std::move(why))
      .WithHint(
          "Store the JSON key of a service account as it was downloaded: `bdn secret set NAME < "
          "key.json`");
}

Status CheckGoogleKeyType(const codec::JsonView& root) {
  const auto type = root.StringOr("type", "");
  if (!type || type->empty()) {
    return BadGoogleSecret("has no \"type\": it is not the key file of a service account");
  }
  if (*type == "service_account") return {};
  if (*type == "authorized_user") {
    return BadGoogleSecret(
        "is of type authorized_user, a person's login by gcloud: a key of type service_account is "
        "needed");
  }
  if (*type == "external_account") {
    return BadGoogleSecret(
        "is of type external_account: set auth_method: GCP_OIDC in the config instead of a secret, "
        "or store a key of type service_account");
  }
  return BadGoogleSecret(
      fmt::format("is of type {}: a key of type service_account is needed", Printable(*type, 60)));
}

Result<crypto::PrivateKey> ParseGoogleKey(const std::string& pem) {
  if (pem.find("\\n") != std::string::npos) {
    return BadGoogleSecret(
        "has a private_key whose line breaks are the two characters \\ and n: it was escaped "
        "twice on its way here");
  }
  auto key = crypto::PrivateKey::FromPem(pem);
  if (!key) {
    return BadGoogleSecret("has a private_key that is no RSA key in PEM form: " +
                           key.error().message());
  }
  if (key->algorithm() != crypto::SignatureAlgorithm::kRs256) {
    return BadGoogleSecret("has a private_key that is not an RSA key");
  }
  return key;
}

// Answers of all three services.
Result<GoogleToken> ReadGoogleToken(const net::HttpResponse& answer,
                                    std::string_view value_key,
                                    const std::string& where,
                                    WallTime now) {
  const auto bad = [&](std::string_view why) {
    return Error(Code::kUnavailable, fmt::format("{}: Google's answer {}", where, why));
  };
  const auto value =
      codec::ParseJson(answer.body, {.bytes_max = kGoogleAnswerBytesMax, .depth_max = 8});
  if (!value) return bad("is no JSON");
  const codec::JsonView root(*value);
  GoogleToken token;
  token.value = root.StringOr(value_key, "").value_or("");
  if (token.value.empty() || token.value.size() > kGoogleTokenBytesMax ||
      !std::all_of(token.value.begin(), token.value.end(),
                   [](char c) { return c > 0x20 && c < 0x7f; })) {
    return bad("holds no token");
  }
  // A number of seconds, sometimes as a string; or the time it ends, with fractions.
  const auto in = root.Find("expires_in");
  const auto at = root.StringOr("expireTime", "");
  std::int64_t seconds = 0;
  if (in && *in) {
    if (const auto number = (*in)->AsInt()) {
      seconds = *number;
    } else if (const auto text = (*in)->AsString()) {
      std::from_chars(text->data(), text->data() + text->size(), seconds);
    }
  } else if (at && !at->empty()) {
    if (const auto end = ParseRfc3339(*at)) {
      seconds = std::chrono::duration_cast<std::chrono::seconds>(*end - now).count();
    }
  }
  if (seconds <= 0) return bad("holds a token that has ended already");
  token.life = std::chrono::seconds(
      std::min<std::int64_t>(seconds, std::chrono::seconds(kGoogleLifeMax).count()));
  return token;
}

std::string GoogleForm(
    std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  std::string body;
  for (const auto& [name, value] : fields) {
    if (!body.empty()) body += '&';
    body += fmt::format("{}={}", name, net::PercentEncode(value));
  }
  return body;
}

Result<net::HttpResponse> GooglePost(const Context& ctx,
                                     net::Transport& transport,
                                     const std::string& url,
                                     std::string_view type,
                                     std::string body,
                                     const std::string& bearer = {}) {
  net::HttpRequest request{.method = "POST"};
  BDN_ASSIGN(request.url, net::ParseUrl(url));
  request.headers.Set("Content-Type", std::string(type));
  request.headers.Set("Accept", "application/json");
  if (!bearer.empty()) request.headers.Set("Authorization", "Bearer " + bearer);
  request.body = std::move(body);
  return net::FetchAll(ctx, transport, request, kGoogleAnswerBytesMax);
}

std::string GoogleAssertion(const GcpServiceAccountKey& key, WallTime now) {
  const auto at = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch());
  boost::json::object claims;
  claims["iss"] = key.client_email;
  claims["scope"] = kGoogleScope;
  claims["aud"] = key.token_uri;
  claims["iat"] = at.count();
  claims["exp"] = (at + kGoogleAssertionLife).count();
  return auth::SignJwt(key.private_key, key.private_key_id, claims);
}

}  // namespace

Result<GcpServiceAccountKey> ParseGcpSecret(std::string_view json, std::string_view own_token_uri) {
  json = GoogleTrim(json);
  if (json.empty()) return BadGoogleSecret("is empty");
  if (json.starts_with("-----BEGIN")) {
    return BadGoogleSecret("is a private key alone: the whole JSON file is needed");
  }
  const auto value = codec::ParseJson(json, {.bytes_max = kGoogleSecretBytesMax, .depth_max = 8});
  if (!value || !value->is_object()) return BadGoogleSecret("is not JSON");
  const codec::JsonView root(*value);
  BDN_TRY(CheckGoogleKeyType(root));
  const auto field = [&](std::string_view name) {
    const auto text = root.StringOr(name, "");
    return text ? std::string(GoogleTrim(*text)) : std::string();
  };
  for (const std::string_view name : {"client_email", "private_key", "private_key_id"}) {
    if (field(name).empty()) return BadGoogleSecret(fmt::format("has no {}", name));
  }
  const std::string universe = field("universe_domain");
  if (!universe.empty() && universe != kGoogleUniverse) {
    return Error(Code::kUnsupported,
                 fmt::format("The GCS secret is for the universe {}: only {} is supported",
                             Printable(universe, 100), kGoogleUniverse));
  }
  std::string token_uri = field("token_uri");
  if (token_uri.empty()) token_uri = kGoogleTokenUris[0];
  // The file says where an assertion goes: anywhere else is somebody who collects them.
  const bool google = std::find(kGoogleTokenUris.begin(), kGoogleTokenUris.end(), token_uri) !=
                      kGoogleTokenUris.end();
  if (!google && (own_token_uri.empty() || token_uri != own_token_uri)) {
    return BadGoogleSecret(
        fmt::format("has the token_uri {}, which is not an address of Google: refused",
                    Printable(net::RedactUrl(token_uri), 200)));
  }
  if (auto status = CheckGcpServiceAccount(field("client_email")); !status) {
    return BadGoogleSecret("has a client_email that is no service account's");
  }
  BDN_ASSIGN(auto key, ParseGoogleKey(field("private_key")));
  return GcpServiceAccountKey{.client_email = field("client_email"),
                              .private_key_id = field("private_key_id"),
                              .token_uri = std::move(token_uri),
                              .private_key = std::move(key)};
}

Status CheckGcpServiceAccount(std::string_view email) {
  const bool plain = std::all_of(email.begin(), email.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == '@' || c == '+';
  });
  const auto at = email.find('@');
  if (plain && at != std::string_view::npos && at > 0 && at + 1 < email.size() &&
      email.find('@', at + 1) == std::string_view::npos && email.size() <= 254) {
    return {};
  }
  return Error(Code::kInvalidArgument,
               fmt::format("gcp_oidc_service_account: '{}' is no service account: write "
                           "NAME@PROJECT.iam.gserviceaccount.com",
                           Printable(email, 200)));
}

Result<GcpProvider> ParseGcpProvider(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("gcp_oidc_workload_id_provider: '{}' {}: write "
                    "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME",
                    Printable(text, 300), why));
  };
  std::string_view rest = GoogleTrim(text);
  if (rest.starts_with("https:")) rest.remove_prefix(6);
  constexpr std::string_view kHost = "//iam.googleapis.com/";
  if (rest.starts_with(kHost)) {
    rest.remove_prefix(kHost.size());
  } else if (rest.starts_with("/")) {
    return bad("is at another host than iam.googleapis.com");
  }
  constexpr std::array<std::string_view, 8> kParts = {
      "projects", "", "locations", "global", "workloadIdentityPools", "", "providers", ""};
  std::string_view left = rest;
  for (std::size_t i = 0; i < kParts.size(); ++i) {
    const auto slash = left.find('/');
    const bool last = i + 1 == kParts.size();
    if ((slash == std::string_view::npos) != last) return bad("is no provider's name");
    const std::string_view part = left.substr(0, slash);
    if (!last) left.remove_prefix(slash + 1);
    if (!kParts[i].empty()) {
      if (part != kParts[i]) return bad("is no provider's name");
      continue;
    }
    const bool plain = std::all_of(part.begin(), part.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
    if (part.empty() || part.size() > 63 || !plain) return bad("is no provider's name");
    const bool number = part.find_first_not_of("0123456789") == std::string_view::npos;
    if (i == 1 && !number) {
      return bad("names the project by its id; the project's number is needed");
    }
  }
  return GcpProvider{.resource = std::string(rest)};
}

GoogleEndpoints GoogleEndpointsAt(std::string_view base) {
  GoogleEndpoints endpoints;
  if (base.empty()) return endpoints;
  while (base.ends_with('/')) base.remove_suffix(1);
  return {.oauth_token = std::string(base) + "/token",
          .sts_token = std::string(base) + "/v1/token",
          .iam = std::string(base)};
}

Result<GoogleToken> RequestKeyToken(const Context& ctx,
                                    net::Transport& transport,
                                    const std::string& token_url,
                                    const GcpServiceAccountKey& key) {
  Duration skew{0};
  for (bool corrected = false;;) {
    const WallTime now = ctx.clock().Now();
    const std::string body =
        GoogleForm({{"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"},
                    {"assertion", GoogleAssertion(key, now + skew)}});
    BDN_ASSIGN(const auto answer,
               GooglePost(ctx, transport, token_url, "application/x-www-form-urlencoded", body));
    if (answer.status == 200) {
      return ReadGoogleToken(answer, "access_token", "a token for " + key.client_email, now);
    }
    bool skewed = false;
    Error error =
        GoogleAuthError(GoogleStep::kKey, key.client_email, answer, now, nullptr, &skewed);
    const auto date = answer.headers.Get("Date");
    const auto theirs = date ? ParseHttpDate(*date) : std::nullopt;
    const bool apart = theirs && (*theirs - now > kGoogleSkewMin || now - *theirs > kGoogleSkewMin);
    if (corrected || !skewed || !apart) return error;
    corrected = true;
    skew = *theirs - now;
  }
}

Result<GoogleToken> ExchangeToken(const Context& ctx,
                                  net::Transport& transport,
                                  const GoogleEndpoints& endpoints,
                                  const GcpProvider& provider,
                                  const std::string& subject_token,
                                  ExchangeHelp* help) {
  const std::string body =
      GoogleForm({{"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"},
                  {"audience", provider.audience()},
                  {"scope", "https://www.googleapis.com/auth/cloud-platform"},
                  {"requested_token_type", "urn:ietf:params:oauth:token-type:access_token"},
                  {"subject_token", subject_token},
                  {"subject_token_type", "urn:ietf:params:oauth:token-type:jwt"}});
  const WallTime now = ctx.clock().Now();
  BDN_ASSIGN(const auto answer, GooglePost(ctx, transport, endpoints.sts_token,
                                           "application/x-www-form-urlencoded", body));
  if (answer.status != 200) {
    return GoogleAuthError(GoogleStep::kExchange, provider.resource, answer, now, help, nullptr);
  }
  return ReadGoogleToken(answer, "access_token", "the exchange at " + provider.resource, now);
}

Result<GoogleToken> ImpersonateServiceAccount(const Context& ctx,
                                              net::Transport& transport,
                                              const GoogleEndpoints& endpoints,
                                              const std::string& email,
                                              const std::string& federated) {
  // "-" for the project: the account's name says it, and another value is refused.
  const std::string url = fmt::format("{}/v1/projects/-/serviceAccounts/{}:generateAccessToken",
                                      endpoints.iam, net::PercentEncode(email, "@"));
  const WallTime now = ctx.clock().Now();
  BDN_ASSIGN(const auto answer,
             GooglePost(ctx, transport, url, "application/json",
                        fmt::format("{{\"scope\":[\"{}\"],\"lifetime\":\"3600s\"}}", kGoogleScope),
                        federated));
  if (answer.status != 200) {
    return GoogleAuthError(GoogleStep::kImpersonate, email, answer, now, nullptr, nullptr);
  }
  return ReadGoogleToken(answer, "accessToken", "a token as " + email, now);
}

}  // namespace bdn::cloud
