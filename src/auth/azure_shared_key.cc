#include "auth/azure_shared_key.h"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "crypto/digest.h"
#include "crypto/hash.h"

namespace bdn::auth {
namespace {

std::string LowerAscii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string_view TrimBlanks(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

std::string CanonicalAzureHeaders(const net::Headers& headers) {
  std::map<std::string, std::string> sorted;
  for (const auto& [name, value] : headers.fields()) {
    std::string lower = LowerAscii(name);
    if (!lower.starts_with("x-ms-")) continue;
    const auto [it, fresh] = sorted.try_emplace(std::move(lower), TrimBlanks(value));
    if (!fresh) it->second += "," + std::string(TrimBlanks(value));
  }
  std::string text;
  for (const auto& [name, value] : sorted) text += name + ":" + value + "\n";
  return text;
}

// What cannot be decoded is signed as it stands: the server refuses the request anyway.
std::string DecodeOr(std::string_view text) {
  auto decoded = net::PercentDecode(text);
  return decoded ? *std::move(decoded) : std::string(text);
}

std::string CanonicalResource(const net::Url& url, std::string_view account) {
  std::map<std::string, std::vector<std::string>> parameters;
  for (std::string_view left = url.query; !left.empty();) {
    const std::size_t end = std::min(left.find('&'), left.size());
    const std::string_view part = left.substr(0, end);
    left.remove_prefix(std::min(end + 1, left.size()));
    if (part.empty()) continue;
    const std::size_t equals = std::min(part.find('='), part.size());
    const std::string_view value = part.substr(std::min(equals + 1, part.size()));
    parameters[LowerAscii(DecodeOr(part.substr(0, equals)))].push_back(DecodeOr(value));
  }
  std::string text = "/" + std::string(account) + url.path;
  for (auto& [name, values] : parameters) {
    std::sort(values.begin(), values.end());
    text += "\n" + name + ":" + fmt::format("{}", fmt::join(values, ","));
  }
  return text;
}

}  // namespace

std::string AzureStringToSign(const net::HttpRequest& request, std::string_view account) {
  constexpr std::array<std::string_view, 11> kStandard = {"Content-Encoding",
                                                          "Content-Language",
                                                          "Content-Length",
                                                          "Content-MD5",
                                                          "Content-Type",
                                                          "Date",
                                                          "If-Modified-Since",
                                                          "If-Match",
                                                          "If-None-Match",
                                                          "If-Unmodified-Since",
                                                          "Range"};
  std::string text = request.method + "\n";
  for (const std::string_view name : kStandard) {
    if (name == "Content-Length") {
      // Nothing at all for an empty body.
      if (!request.body.empty()) text += std::to_string(request.body.size());
    } else {
      text += request.headers.Get(name).value_or("");
    }
    text += "\n";
  }
  return text + CanonicalAzureHeaders(request.headers) + CanonicalResource(request.url, account);
}

std::string SignAzureSharedKey(const net::HttpRequest& request, const AzureSharedKey& key) {
  const std::string signature =
      crypto::Base64Encode(crypto::HmacSha256(key.key, AzureStringToSign(request, key.account)));
  return fmt::format("SharedKey {}:{}", key.account, signature);
}

}  // namespace bdn::auth
