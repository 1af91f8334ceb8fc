#include "auth/sigv4.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "crypto/digest.h"
#include "crypto/hash.h"

namespace bdn::auth {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kDateHeader = "X-Amz-Date";
constexpr std::string_view kTokenHeader = "X-Amz-Security-Token";
constexpr std::string_view kHashHeader = "X-Amz-Content-Sha256";
constexpr std::string_view kUnsignedBody = "UNSIGNED-PAYLOAD";

// Hop by hop headers, those that proxies and CDNs rewrite, and what we add ourselves.
constexpr std::array<std::string_view, 13> kNeverSigned = {"accept-encoding",
                                                           "authorization",
                                                           "connection",
                                                           "expect",
                                                           "host",
                                                           "keep-alive",
                                                           "te",
                                                           "trailer",
                                                           "upgrade",
                                                           "transfer-encoding",
                                                           "user-agent",
                                                           "x-amz-date",
                                                           "x-amzn-trace-id"};

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// Blanks at the ends cut, those inside made one.
std::string Collapse(std::string_view value) {
  std::string out;
  bool blank = false;
  for (const char c : value) {
    if (c == ' ' || c == '\t') {
      blank = !out.empty();
      continue;
    }
    if (blank) out += ' ';
    blank = false;
    out += c;
  }
  return out;
}

// What is no valid escape stands for itself.
std::string DecodeOrKeep(std::string_view text) {
  auto decoded = net::PercentDecode(text);
  return decoded ? *std::move(decoded) : std::string(text);
}

std::string NormalizePath(std::string_view path) {
  std::vector<std::string_view> segments;
  const bool directory = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view segment = path.substr(at, end - at);
    at = end + 1;
    if (segment.empty() || segment == ".") continue;
    if (segment != "..") {
      segments.push_back(segment);
    } else if (!segments.empty()) {
      segments.pop_back();
    }
  }
  std::string out;
  for (const std::string_view segment : segments) out += "/" + std::string(segment);
  if (out.empty() || directory) out += '/';
  return out;
}

// "20130524T000000Z"
std::string BasicDate(WallTime now) {
  std::string text = FormatRfc3339(now);
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}

std::string Hex(std::string_view raw) {
  return crypto::HexEncode(
      std::span(reinterpret_cast<const std::uint8_t*>(raw.data()), raw.size()));
}

// The headers that count, in their canonical form: all lines, and all names.
struct SignedHeaders {
  std::string lines;
  std::string names;
};

SignedHeaders CanonicalHeaders(const net::HttpRequest& request, const net::Headers& added) {
  std::map<std::string, std::string> fields{{"host", request.url.authority()}};
  for (const auto& [name, value] : request.headers.fields()) {
    const std::string lower = Lower(name);
    if (std::find(kNeverSigned.begin(), kNeverSigned.end(), lower) != kNeverSigned.end()) continue;
    const auto [it, fresh] = fields.try_emplace(lower, Collapse(value));
    if (!fresh) it->second += "," + Collapse(value);
  }
  for (const auto& [name, value] : added.fields()) fields.insert_or_assign(Lower(name), value);
  SignedHeaders headers;
  for (const auto& [name, value] : fields) {
    headers.lines += name + ":" + value + "\n";
    headers.names += (headers.names.empty() ? "" : ";") + name;
  }
  return headers;
}

// One signature: what it is valid for.
struct Signing {
  // One text for the header and the scope: two readings of the clock would differ at midnight.
  Signing(const SigV4Scope& rules, WallTime now)
      : scope(rules),
        date(BasicDate(now)),
        where(
            fmt::format("{}/{}/{}/aws4_request", date.substr(0, 8), scope.region, scope.service)) {}

  std::string Sign(const net::HttpRequest& request,
                   std::string_view query,
                   const SignedHeaders& headers,
                   std::string_view payload_hash,
                   const std::string& secret) const {
    const std::string canonical = fmt::format(
        "{}\n{}\n{}\n{}\n{}\n{}", request.method, SigV4Path(request.url.path, scope.rules),
        SigV4Query(query), headers.lines, headers.names, payload_hash);
    const std::string text =
        fmt::format("{}\n{}\n{}\n{}", kAlgorithm, date, where, crypto::Sha256Hex(canonical));
    std::string key = crypto::HmacSha256("AWS4" + secret, date.substr(0, 8));
    key = crypto::HmacSha256(key, scope.region);
    key = crypto::HmacSha256(key, scope.service);
    key = crypto::HmacSha256(key, "aws4_request");
    return Hex(crypto::HmacSha256(key, text));
  }

  const SigV4Scope& scope;
  const std::string date;
  const std::string where;
};

}  // namespace

std::string SigV4Path(std::string_view path, const SigV4Rules& rules) {
  std::string text = rules.normalize_path ? NormalizePath(path) : std::string(path);
  if (text.empty()) text = "/";
  // The text is on the wire already encoded. Encoding it again gives the doubled form; S3 wants the
  // single one, in the one spelling that both sides know.
  if (!rules.encode_path_twice) text = DecodeOrKeep(text);
  return net::PercentEncode(text, "/");
}

std::string SigV4Query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> parts;
  for (std::size_t at = 0; at < query.size();) {
    const std::size_t end = std::min(query.find('&', at), query.size());
    const std::string_view part = query.substr(at, end - at);
    at = end + 1;
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    parts.emplace_back(net::PercentEncode(DecodeOrKeep(part.substr(0, equals))),
                       net::PercentEncode(DecodeOrKeep(value)));
  }
  std::sort(parts.begin(), parts.end());
  std::string out;
  for (const auto& [name, value] : parts) {
    if (!out.empty()) out += '&';
    out += name + "=" + value;
  }
  return out;
}

net::Headers SignSigV4(const net::HttpRequest& request,
                       const SigV4Scope& scope,
                       const AwsCredentials& credentials,
                       WallTime now) {
  const Signing signing(scope, now);
  const auto given_hash = request.headers.Get(kHashHeader);
  const std::string payload_hash =
      given_hash ? std::string(*given_hash) : crypto::Sha256Hex(request.body);

  net::Headers added;
  added.Set(kDateHeader, signing.date);
  if (!credentials.session_token.empty()) added.Set(kTokenHeader, credentials.session_token);
  if (scope.rules.content_hash_header && !given_hash) added.Set(kHashHeader, payload_hash);
  const SignedHeaders headers = CanonicalHeaders(request, added);
  added.Set("Authorization",
            fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                        credentials.access_key_id, signing.where, headers.names,
                        signing.Sign(request, request.url.query, headers, payload_hash,
                                     credentials.secret_access_key)));
  return added;
}

std::string PresignSigV4(const net::HttpRequest& request,
                         const SigV4Scope& scope,
                         const AwsCredentials& credentials,
                         WallTime now,
                         Duration lifetime) {
  const Signing signing(scope, now);
  const SignedHeaders headers = CanonicalHeaders(request, {});
  std::string query = request.url.query;
  const auto add = [&](std::string_view name, std::string_view value) {
    query += fmt::format("{}{}={}", query.empty() ? "" : "&", name, net::PercentEncode(value));
  };
  add("X-Amz-Algorithm", kAlgorithm);
  add("X-Amz-Credential", credentials.access_key_id + "/" + signing.where);
  add(kDateHeader, signing.date);
  add("X-Amz-Expires",
      std::to_string(std::chrono::duration_cast<std::chrono::seconds>(lifetime).count()));
  if (!credentials.session_token.empty()) add(kTokenHeader, credentials.session_token);
  add("X-Amz-SignedHeaders", headers.names);
  const std::string payload_hash = scope.rules.content_hash_header
                                       ? std::string(kUnsignedBody)
                                       : crypto::Sha256Hex(request.body);
  add("X-Amz-Signature",
      signing.Sign(request, query, headers, payload_hash, credentials.secret_access_key));
  return query;
}

}  // namespace bdn::auth
