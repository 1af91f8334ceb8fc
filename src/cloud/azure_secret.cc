#include "cloud/azure_secret.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "codec/json.h"
#include "crypto/digest.h"
#include "net/http.h"

namespace bdn::cloud {
namespace {

constexpr std::size_t kAzureSecretBytesMax = 64 * 1024;
constexpr std::array<AzureCloud, 4> kAzureClouds = {{
    {"core.windows.net", "https://login.microsoftonline.com", "api://AzureADTokenExchange"},
    {"core.usgovcloudapi.net", "https://login.microsoftonline.us",
     "api://AzureADTokenExchangeUSGov"},
    {"core.chinacloudapi.cn", "https://login.partner.microsoftonline.cn",
     "api://AzureADTokenExchangeChina"},
    {"core.cloudapi.de", "https://login.microsoftonline.de", "api://AzureADTokenExchange"},
}};

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

Error MissingAzureKeys() {
  return Error(Code::kInvalidArgument,
               "azure_account_key, azure_sas_token, or azure_tenant_id and azure_client_id are "
               "required in Azure credentials")
      .WithHint(
          "Store the secret as JSON: {\"azure_sas_token\": \"…\"}, {\"azure_account_key\": \"…\"} "
          "or {\"azure_tenant_id\": \"…\", \"azure_client_id\": \"…\"}");
}

Error BadAzure(std::string message) {
  return Error(Code::kInvalidArgument, "Azure credentials: " + std::move(message));
}

Status SetCloud(std::string_view suffix, AzureSecret& secret) {
  const auto* cloud = std::find_if(kAzureClouds.begin(), kAzureClouds.end(),
                                   [&](const AzureCloud& c) { return c.suffix == suffix; });
  if (cloud == kAzureClouds.end()) {
    std::string all;
    for (const AzureCloud& c : kAzureClouds) all.append(all.empty() ? "" : ", ").append(c.suffix);
    return BadAzure("the endpoint suffix is none of " + all +
                    "; another endpoint is the operator's to set (AZURE_STORAGE_BLOB_ENDPOINT)");
  }
  secret.cloud = cloud;
  return {};
}

bool IsAzureAccount(std::string_view name) {
  return name.size() >= 3 && name.size() <= 24 && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
         });
}

// Letters, digits, '.' and '-': tenant and client become parts of a URL and a form.
bool IsDirectoryId(std::string_view id) {
  return !id.empty() && id.size() <= 253 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-';
  });
}

// "ACCOUNT.blob.SUFFIX" says both.
Status SetHost(std::string_view host, AzureSecret& secret) {
  const auto at = host.find(".blob.");
  if (at == std::string_view::npos || !IsAzureAccount(host.substr(0, at))) {
    return BadAzure("the URL's host is not ACCOUNT.blob.core.windows.net");
  }
  secret.account = host.substr(0, at);
  return SetCloud(host.substr(at + 6), secret);
}

Status SetKey(std::string_view base64, AzureSecret& secret) {
  auto key = crypto::Base64Decode(Trimmed(base64));
  if (!key || key->size() < 16) {
    return BadAzure("the account key is not base64, as the portal shows it under 'Access keys'");
  }
  secret.account_key = *std::move(key);
  return {};
}

Status SetSas(std::string_view text, AzureSecret& secret) {
  text = Trimmed(text);
  if (text.starts_with('?')) text.remove_prefix(1);
  bool has_signature = false;
  bool has_version = false;
  for (std::string_view left = text; !left.empty();) {
    const std::string_view part = left.substr(0, left.find('&'));
    left.remove_prefix(std::min(part.size() + 1, left.size()));
    has_signature = has_signature || (part.starts_with("sig=") && part.size() > 4);
    has_version = has_version || (part.starts_with("sv=") && part.size() > 3);
    // What a listing asks for itself must not be in the token a second time.
    const std::string_view name = part.substr(0, part.find('='));
    if (name == "restype" || name == "comp" || name == "prefix") continue;
    if (!secret.sas.empty()) secret.sas += '&';
    secret.sas += part;
  }
  const bool sendable = std::all_of(text.begin(), text.end(),
                                    [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
  if (!has_signature || !has_version || !sendable) {
    return BadAzure("the SAS token is not complete: it holds sv=…, sp=…, se=… and sig=…");
  }
  // Pasted without its encoding, a '+' of base64 would arrive as a blank.
  for (auto at = secret.sas.find('+'); at != std::string::npos; at = secret.sas.find('+', at)) {
    secret.sas.replace(at, 1, "%2B");
  }
  return {};
}

// Name=Value;Name=Value, as the portal shows it.
Status SetConnectionString(std::string_view text, AzureSecret& secret) {
  std::string_view key;
  std::string_view sas;
  for (std::string_view left = text; !left.empty();) {
    const std::string_view part = left.substr(0, left.find(';'));
    left.remove_prefix(std::min(part.size() + 1, left.size()));
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = Trimmed(part.substr(0, equals));
    const std::string_view value = Trimmed(part.substr(equals + 1));
    if (name == "AccountName") secret.account = value;
    if (name == "AccountKey") key = value;
    if (name == "SharedAccessSignature") sas = value;
    if (name == "EndpointSuffix") BDN_TRY(SetCloud(value, secret));
    if (name == "BlobEndpoint") {
      const auto url = net::ParseUrl(value);
      if (!url) return BadAzure("BlobEndpoint is no URL");
      BDN_TRY(SetHost(url->host, secret));
    }
  }
  if (!sas.empty()) return SetSas(sas, secret);
  if (key.empty()) {
    return BadAzure("the connection string has neither AccountKey nor SharedAccessSignature");
  }
  return SetKey(key, secret);
}

Status SetPlain(std::string_view text, AzureSecret& secret) {
  if (text.starts_with("https://")) {
    const auto url = net::ParseUrl(text);
    if (!url || !url->has_query) return BadAzure("the URL has no SAS token behind a '?'");
    BDN_TRY(SetHost(url->host, secret));
    return SetSas(url->query, secret);
  }
  if (text.find("AccountKey=") != text.npos || text.find("SharedAccessSignature=") != text.npos) {
    return SetConnectionString(text, secret);
  }
  if (text.find("sig=") != std::string_view::npos) return SetSas(text, secret);
  if (const auto key = crypto::Base64Decode(text); key && key->size() == 64) {
    secret.account_key = *key;
    return {};
  }
  return MissingAzureKeys();
}

Status SetJson(const codec::JsonView& root, AzureSecret& secret) {
  const auto field = [&](std::string_view name) {
    const auto text = root.StringOr(name, "");
    return text ? std::string(Trimmed(*text)) : std::string();
  };
  secret.account = field("azure_account_name");
  if (const auto suffix = field("azure_endpoint_suffix"); !suffix.empty()) {
    BDN_TRY(SetCloud(suffix, secret));
  }
  const std::string sas = field("azure_sas_token");
  std::string key = field("azure_account_key");
  // The name in secrets that were made for other tools.
  if (key.empty()) key = field("account_key");
  const AzureIdentity identity{field("azure_tenant_id"), field("azure_client_id"),
                               field("azure_client_secret")};
  const bool has_identity = !identity.tenant_id.empty() && !identity.client_id.empty();
  if (static_cast<int>(!sas.empty()) + static_cast<int>(!key.empty()) +
          static_cast<int>(has_identity) >
      1) {
    return BadAzure(
        "give one of azure_account_key, azure_sas_token, or azure_tenant_id and azure_client_id");
  }
  if (!sas.empty())
    return sas.starts_with("https://") ? SetPlain(sas, secret) : SetSas(sas, secret);
  if (!key.empty()) return SetKey(key, secret);
  if (!has_identity) return MissingAzureKeys();
  if (!IsDirectoryId(identity.tenant_id) || !IsDirectoryId(identity.client_id)) {
    return BadAzure(
        "azure_tenant_id and azure_client_id are ids such as "
        "00000000-0000-0000-0000-000000000000");
  }
  secret.identity = identity;
  return {};
}

}  // namespace

const AzureCloud& AzurePublicCloud() {
  return kAzureClouds[0];
}

Result<AzureSecret> ParseAzureSecret(std::string_view text) {
  AzureSecret secret;
  text = Trimmed(text);
  if (text.starts_with('{')) {
    const auto value = codec::ParseJson(text, {.bytes_max = kAzureSecretBytesMax});
    if (!value) return BadAzure("the JSON cannot be read: " + value.error().message());
    BDN_TRY(SetJson(*value, secret));
  } else {
    BDN_TRY(SetPlain(text, secret));
  }
  if (!secret.account.empty() && !IsAzureAccount(secret.account)) {
    return BadAzure("the account's name is 3 to 24 lower-case letters and digits");
  }
  return secret;
}

std::optional<WallTime> AzureSasExpiry(std::string_view sas) {
  for (std::string_view left = sas; !left.empty();) {
    const std::string_view part = left.substr(0, left.find('&'));
    left.remove_prefix(std::min(part.size() + 1, left.size()));
    if (!part.starts_with("se=")) continue;
    auto time = net::PercentDecode(part.substr(3));
    if (!time) return std::nullopt;
    // Azure takes days and minutes without seconds too.
    if (time->size() == 10) *time += "T00:00:00Z";
    if (time->size() == 17 && time->ends_with('Z')) time->replace(16, 1, ":00Z");
    return ParseRfc3339(*time);
  }
  return std::nullopt;
}

}  // namespace bdn::cloud
