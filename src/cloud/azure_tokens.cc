#include "cloud/azure_tokens.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "cloud/hugging_face_hub.h"
#include "codec/json.h"

namespace bdn::cloud {
namespace {

constexpr std::uint64_t kTokenAnswerBytesMax = 256 * 1024;
constexpr std::int64_t kTokenLifeSecondsMax = 86'400;

struct EntraRow {
  std::string_view name;
  std::string_view fix;
};

// learn.microsoft.com, "Microsoft Entra authentication and authorization error codes".
constexpr std::array<EntraRow, 11> kEntraRows = {{
    {"AADSTS70021",
     "add a federated credential to the application whose issuer, subject and "
     "audience are exactly those of bdn's token"},
    {"AADSTS700211", "the application has no federated credential with this issuer"},
    {"AADSTS700212", "the application has no federated credential with this audience"},
    {"AADSTS700213", "the application has no federated credential with this subject"},
    {"AADSTS700024", "bdn's token is outside its time: set this machine's clock"},
    {"AADSTS50166", "Entra ID cannot reach bdn's issuer: its discovery document must be public"},
    {"AADSTS700016", "the tenant has no application with this azure_client_id"},
    {"AADSTS90002", "there is no tenant with this azure_tenant_id"},
    {"AADSTS900023", "azure_tenant_id is no tenant"},
    {"AADSTS7000215", "azure_client_secret is wrong: it is the secret's value and not its id"},
    {"AADSTS7000222", "azure_client_secret has expired: make another one"},
}};

Error TokenErrorOf(const std::string& host, const net::HttpResponse& answer, WallTime now) {
  std::string description;
  if (const auto json = codec::ParseJson(answer.body)) {
    const auto text = codec::JsonView(*json).StringOr("error_description", "");
    if (text) description = text->substr(0, text->find_first_of("\r\n"));
  }
  // "AADSTS700213: No matching federated identity record found …"
  const std::string name = description.substr(0, description.find(':'));
  const auto* row = std::find_if(kEntraRows.begin(), kEntraRows.end(),
                                 [&](const EntraRow& r) { return r.name == name; });
  Code code = Code::kUnauthenticated;
  if (answer.status == 429) code = Code::kRateLimited;
  if (answer.status == 408 || answer.status >= 500) code = Code::kUnavailable;
  Error error(code, fmt::format("the token for Azure: {} answered HTTP {}{}{}", host, answer.status,
                                description.empty() ? "" : " ", Printable(description, 400)));
  if (row != kEntraRows.end()) error = std::move(error).WithHint(std::string(row->fix));
  const auto wait = answer.headers.Get("Retry-After");
  if (const auto time = wait ? net::ParseRetryAfter(*wait, now) : std::nullopt) {
    error = std::move(error).WithRetryAfter(*time);
  }
  return error;
}

}  // namespace

AzureTokens::AzureTokens(net::Transport& transport,
                         AzureIdentity identity,
                         std::string authority,
                         std::string audience,
                         auth::IdentityTokens* ours)
    : transport_(transport),
      identity_(std::move(identity)),
      authority_(std::move(authority)),
      audience_(std::move(audience)),
      ours_(ours) {}

Result<net::HttpRequest> AzureTokens::MakeTokenRequest() {
  net::HttpRequest request;
  request.method = "POST";
  BDN_ASSIGN(request.url, net::ParseUrl(fmt::format("{}/{}/oauth2/v2.0/token", authority_,
                                                    identity_.tenant_id)));
  request.headers.Set("Content-Type", "application/x-www-form-urlencoded");
  request.headers.Set("Accept", "application/json");
  request.body = fmt::format("grant_type=client_credentials&client_id={}&scope={}",
                             net::PercentEncode(identity_.client_id),
                             net::PercentEncode("https://storage.azure.com/.default"));
  if (!identity_.client_secret.empty()) {
    request.body += "&client_secret=" + net::PercentEncode(identity_.client_secret);
    return request;
  }
  if (ours_ == nullptr) {
    return Error(Code::kFailedPrecondition,
                 "Azure credentials without azure_client_secret need bdn's own identity tokens, "
                 "and no issuer is set up here")
        .WithHint("set up the issuer, or add azure_client_secret to the secret");
  }
  BDN_ASSIGN(const std::string assertion, ours_->Mint(audience_));
  request.body +=
      fmt::format("&client_assertion_type={}&client_assertion={}",
                  net::PercentEncode("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                  net::PercentEncode(assertion));
  return request;
}

Result<std::string> AzureTokens::Get(const Context& ctx) {
  const WallTime now = ctx.clock().Now();
  const State known = state_.With([](const State& state) { return state; });
  if (!known.token.empty() && now < known.good_until) return known.token;
  BDN_ASSIGN(const net::HttpRequest request, MakeTokenRequest());
  BDN_ASSIGN(const auto answer, net::FetchAll(ctx, transport_, request, kTokenAnswerBytesMax));
  if (answer.status != 200) return TokenErrorOf(request.url.authority(), answer, now);
  const auto json = codec::ParseJson(answer.body);
  const auto token = json ? codec::JsonView(*json).String("access_token") : json.error();
  const auto life = json ? codec::JsonView(*json).IntOr("expires_in", 0) : json.error();
  const bool plain =
      token && !token->empty() &&
      std::all_of(token->begin(), token->end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!plain || !life) {
    return Error(Code::kUnavailable, fmt::format("the token for Azure: {} answered without a token",
                                                 request.url.authority()));
  }
  State fresh{*token,
              now + std::chrono::seconds(std::clamp<std::int64_t>(*life, 0, kTokenLifeSecondsMax)) -
                  kAzureTokenMargin};
  state_.With([&](State& state) { state = fresh; });
  return std::move(fresh.token);
}

void AzureTokens::Forget(const std::string& token) {
  state_.With([&](State& state) {
    if (state.token == token) state = {};
  });
}

}  // namespace bdn::cloud
