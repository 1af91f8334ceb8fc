// The token endpoint of Entra ID: applications with a secret, or with a token of a trusted issuer,
// which is verified as Entra ID does: discovery document, key set, signature, times, audience and
// subject.
#include <algorithm>
#include <utility>

#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "auth/jwt.h"
#include "codec/json.h"
#include "fakes/blob_fake.h"

namespace bdn::fakes {
namespace {

constexpr std::uint64_t kTokenBodyBytesMax = 64 * 1024;
constexpr std::uint64_t kIssuerAnswerBytesMax = 256 * 1024;
constexpr std::string_view kAssertionType =
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
constexpr std::string_view kExchangeAudience = "api://AzureADTokenExchange";

std::string FormField(const std::string& body, const std::string& name) {
  const std::string text = "&" + body;
  const auto at = text.find("&" + name + "=");
  if (at == std::string::npos) return {};
  const auto begin = at + name.size() + 2;
  return net::PercentDecode(text.substr(begin, text.find('&', begin) - begin)).value_or("");
}

Answer RefuseToken(const std::string& text) {
  return {.status = 401,
          .headers = {{"Content-Type", "application/json"}},
          .body = codec::SerializeJson(boost::json::object{
              {"error", "invalid_client"}, {"error_description", text + "\r\nTrace ID: fake"}})};
}

std::string ClaimOf(const boost::json::object& claims, const char* name) {
  const auto* value = claims.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

Result<std::vector<auth::Jwk>> BlobFake::KeysOf(const std::string& issuer) {
  const Context ctx = Context(*options_.clock).WithTimeout(std::chrono::seconds(10));
  net::HttpRequest request;
  BDN_ASSIGN(request.url, net::ParseUrl(issuer + "/.well-known/openid-configuration"));
  BDN_ASSIGN(const auto discovery, net::FetchAll(ctx, *issuers_, request, kIssuerAnswerBytesMax));
  BDN_ASSIGN(const auto json, codec::ParseJson(discovery.body));
  const codec::JsonView root(json);
  BDN_ASSIGN(const std::string says, root.String("issuer"));
  if (says != issuer) return Error(Code::kInvalidArgument, "another issuer");
  BDN_ASSIGN(const std::string where, root.String("jwks_uri"));
  BDN_ASSIGN(request.url, net::ParseUrl(where));
  BDN_ASSIGN(const auto keys, net::FetchAll(ctx, *issuers_, request, kIssuerAnswerBytesMax));
  return auth::ParseJwks(keys.body);
}

std::string BlobFake::CheckAssertion(const BlobApplication& application, const std::string& token) {
  const auto jwt = auth::ParseJwt(token);
  if (!jwt) return "AADSTS50027: JWT token is invalid or malformed.";
  if (ClaimOf(jwt->claims, "iss") != application.issuer) {
    return "AADSTS700211: No matching federated identity record found for presented assertion "
           "issuer '" +
           ClaimOf(jwt->claims, "iss") + "'.";
  }
  if (ClaimOf(jwt->claims, "sub") != application.subject) {
    return "AADSTS700213: No matching federated identity record found for presented assertion "
           "subject '" +
           ClaimOf(jwt->claims, "sub") + "'.";
  }
  const auto keys = KeysOf(application.issuer);
  if (!keys) return "AADSTS50166: Request to External OIDC endpoint failed.";
  const auto claims = auth::VerifyJwt(token, *keys,
                                      {.issuer = application.issuer,
                                       .audience = std::string(kExchangeAudience),
                                       .now = options_.clock->Now()});
  if (claims) return {};
  if (claims.error().message().find("audience") != std::string::npos) {
    return "AADSTS700212: No matching federated identity record found for presented assertion "
           "audience.";
  }
  return "AADSTS700024: " + claims.error().message();
}

Answer BlobFake::AnswerToken(net::ServerRequest& request) {
  const std::string body = request.Body(kTokenBodyBytesMax).value_or("");
  const std::string_view path = request.path();
  const std::string tenant(path.substr(1, path.find('/', 1) - 1));
  const std::string id = tenant + "/" + FormField(body, "client_id");
  const auto it = std::find_if(options_.applications.begin(), options_.applications.end(),
                               [&](const BlobApplication& a) { return a.id == id; });
  if (it == options_.applications.end()) {
    return RefuseToken("AADSTS700016: Application '" + id + "' was not found in the directory.");
  }
  if (FormField(body, "grant_type") != "client_credentials" ||
      FormField(body, "scope") != "https://storage.azure.com/.default") {
    return RefuseToken("AADSTS70011: The provided request must include a valid 'scope'.");
  }
  if (FormField(body, "client_assertion_type") == kAssertionType) {
    const std::string wrong = CheckAssertion(*it, FormField(body, "client_assertion"));
    if (!wrong.empty()) return RefuseToken(wrong);
  } else if (it->secret.empty() || FormField(body, "client_secret") != it->secret) {
    return RefuseToken("AADSTS7000215: Invalid client secret provided.");
  }
  const std::string token = fmt::format("fake-token-{}", next_token_.fetch_add(1));
  state_.With([&](State& state) {
    state.accounts.tokens[token] = it->rights;
    state.token_ends[token] = options_.clock->Now() + options_.token_life;
  });
  const auto life = std::chrono::duration_cast<std::chrono::seconds>(options_.token_life).count();
  return {.headers = {{"Content-Type", "application/json"}},
          .body = codec::SerializeJson(boost::json::object{
              {"token_type", "Bearer"}, {"expires_in", life}, {"access_token", token}})};
}

}  // namespace bdn::fakes
