#include "fakes/blob_auth.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include "crypto/digest.h"
#include "crypto/hash.h"

namespace bdn::fakes {
namespace {

constexpr std::chrono::minutes kDateDifferenceMax{15};
constexpr std::string_view kMalformed =
    "Server failed to authenticate the request. Make sure the value of Authorization header is "
    "formed correctly including the signature.";

BlobRefusal Unauthentic(std::string detail) {
  return {403, "AuthenticationFailed", std::string(kMalformed), std::move(detail)};
}

BlobRefusal Forbidden(std::string code, std::string_view by) {
  return {
      403, std::move(code),
      fmt::format("This request is not authorized to perform this operation using this {}.", by)};
}

std::string ToLower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// Decoded, by lower-case name; a name may come twice.
std::multimap<std::string, std::string> Parameters(std::string_view query) {
  std::multimap<std::string, std::string> out;
  while (!query.empty()) {
    const auto part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(part.size() + 1, query.size()));
    const auto equals = std::min(part.find('='), part.size());
    const auto value = part.substr(std::min(equals + 1, part.size()));
    out.emplace(ToLower(net::PercentDecode(part.substr(0, equals)).value_or("")),
                net::PercentDecode(value).value_or(std::string(value)));
  }
  return out;
}

std::string Mac(const std::string& key, const std::string& text) {
  return crypto::Base64Encode(crypto::HmacSha256(key, text));
}

std::string SharedKeyText(const net::ServerRequest& request, const std::string& account) {
  const auto& headers = request.headers();
  const auto value = [&](std::string_view name) {
    return std::string(headers.Get(name).value_or(""));
  };
  std::vector<std::string> lines = {std::string(request.method())};
  const std::string length = value("Content-Length");
  for (const char* name :
       {"Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type",
        "Date", "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range"}) {
    lines.push_back(std::string_view(name) == "Content-Length" && length == "0" ? "" : value(name));
  }
  std::map<std::string, std::string> ours;
  for (const auto& [name, text] : headers.fields()) {
    if (ToLower(name).starts_with("x-ms-")) ours[ToLower(name)] = text;
  }
  for (const auto& [name, text] : ours) lines.push_back(name + ":" + text);
  std::string resource = "/" + account + std::string(request.path());
  std::map<std::string, std::vector<std::string>> grouped;
  for (const auto& [name, text] : Parameters(request.query())) grouped[name].push_back(text);
  for (auto& [name, texts] : grouped) {
    std::sort(texts.begin(), texts.end());
    resource += fmt::format("\n{}:{}", name, fmt::join(texts, ","));
  }
  lines.push_back(resource);
  return fmt::format("{}", fmt::join(lines, "\n"));
}

std::optional<BlobRefusal> CheckSharedKey(const net::ServerRequest& request,
                                          std::string_view credential,
                                          const BlobTarget& target,
                                          const BlobAccounts& accounts,
                                          WallTime now) {
  const auto colon = credential.find(':');
  const auto key = accounts.keys.find(target.account);
  if (colon == std::string_view::npos || credential.substr(0, colon) != target.account ||
      key == accounts.keys.end()) {
    return Unauthentic("The account is another one");
  }
  const auto date = request.headers().Get("x-ms-date");
  const auto signed_at = ParseHttpDate(date.value_or(request.headers().Get("Date").value_or("")));
  if (!signed_at || std::chrono::abs(*signed_at - now) > kDateDifferenceMax) {
    return Unauthentic(fmt::format("Request date header too old: '{}'", date.value_or("")));
  }
  const std::string text = SharedKeyText(request, target.account);
  if (Mac(key->second, text) == credential.substr(colon + 1)) return std::nullopt;
  return Unauthentic(
      fmt::format("The MAC signature found in the HTTP request is not the same as "
                  "any computed signature. Server used following string to sign: "
                  "'{}'.",
                  text));
}

std::optional<WallTime> SasTime(std::string text) {
  if (text.size() == 10) text += "T00:00:00Z";
  return ParseRfc3339(text);
}

// docs: "Create a service SAS" and "Create an account SAS", versions from 2020-12-06 on.
std::optional<BlobRefusal> CheckSas(const std::multimap<std::string, std::string>& query,
                                    const BlobTarget& target,
                                    const BlobAccounts& accounts,
                                    WallTime now) {
  const auto q = [&](const char* name) {
    const auto it = query.find(name);
    return it == query.end() ? std::string() : it->second;
  };
  const auto key = accounts.keys.find(target.account);
  if (key == accounts.keys.end() || q("sv") < "2020-12-06") {
    return Unauthentic("The account or the version is not known");
  }
  const bool for_account = query.contains("ss");
  std::vector<std::string> lines;
  if (for_account) {
    lines = {target.account, q("sp"),  q("ss"), q("srt"), q("st"), q("se"),
             q("sip"),       q("spr"), q("sv"), q("ses"), ""};
  } else {
    std::string name = "/blob/" + target.account + "/" + target.container;
    if (q("sr") == "b") name += "/" + target.blob;
    lines = {q("sp"), q("st"), q("se"),  name,      q("si"),   q("sip"),  q("spr"),  q("sv"),
             q("sr"), "",      q("ses"), q("rscc"), q("rscd"), q("rsce"), q("rscl"), q("rsct")};
  }
  const std::string text = fmt::format("{}", fmt::join(lines, "\n"));
  if (Mac(key->second, text) != q("sig")) {
    return Unauthentic("Signature did not match. String to sign used was " + text);
  }
  const auto begin = SasTime(q("st"));
  const auto end = SasTime(q("se"));
  if ((!q("st").empty() && (!begin || *begin > now)) || !end || *end <= now) {
    return Unauthentic("Signature not valid in the specified time frame");
  }
  if (q("spr") == "https") return Forbidden("AuthorizationProtocolMismatch", "protocol");
  if (for_account && q("ss").find('b') == std::string::npos) {
    return Forbidden("AuthorizationServiceMismatch", "service");
  }
  const char kind = target.blob.empty() ? 'c' : 'o';
  if (for_account && q("srt").find(kind) == std::string::npos) {
    return Forbidden("AuthorizationResourceTypeMismatch", "resource type");
  }
  if (q("sp").find(target.right) == std::string::npos) {
    return Forbidden("AuthorizationPermissionMismatch", "permission");
  }
  return std::nullopt;
}

}  // namespace

std::optional<BlobRefusal> CheckBlobAccess(const net::ServerRequest& request,
                                           const BlobTarget& target,
                                           const BlobAccounts& accounts,
                                           WallTime now) {
  const std::string_view given = request.headers().Get("Authorization").value_or("");
  constexpr std::string_view kShared = "SharedKey ";
  constexpr std::string_view kBearer = "Bearer ";
  if (given.starts_with(kShared)) {
    return CheckSharedKey(request, given.substr(kShared.size()), target, accounts, now);
  }
  if (given.starts_with(kBearer)) {
    const auto token = accounts.tokens.find(given.substr(kBearer.size()));
    if (token == accounts.tokens.end()) {
      return BlobRefusal{401, "InvalidAuthenticationInfo", "The token is not valid or has ended."};
    }
    if (token->second.find(target.right) != std::string::npos) return std::nullopt;
    return Forbidden("AuthorizationPermissionMismatch", "permission");
  }
  if (!given.empty()) return BlobRefusal{400, "InvalidAuthenticationInfo", std::string(kMalformed)};
  const auto query = Parameters(request.query());
  if (query.contains("sig")) return CheckSas(query, target, accounts, now);
  return BlobRefusal{409, "PublicAccessNotPermitted",
                     "Public access is not permitted on this storage account."};
}

}  // namespace bdn::fakes
