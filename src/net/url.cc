#include <algorithm>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "net/http.h"
#include "net/text.h"

namespace bdn::net {
namespace {

constexpr std::size_t kHostBytesMax = 253;  // RFC 1035 §2.3.4, without the root's dot

std::uint16_t DefaultPort(std::string_view scheme) {
  return scheme == "https" ? 443 : 80;
}

Error BadUrl(std::string_view text, std::string_view why) {
  return Error(Code::kInvalidArgument,
               "URL \"" + RedactUrl(text.substr(0, 256)) + "\": " + std::string(why));
}

// The five parts of RFC 3986 appendix B. A part that is absent differs from one that is empty.
struct Reference {
  std::optional<std::string_view> scheme;
  std::optional<std::string_view> authority;
  std::string_view path;
  std::optional<std::string_view> query;
  std::optional<std::string_view> fragment;
};

Reference Split(std::string_view text) {
  Reference parts;
  const auto colon = text.find_first_of(":/?#");
  if (colon != std::string_view::npos && text[colon] == ':' && colon > 0 && IsAlpha(text[0]) &&
      std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon), [](char c) {
        return IsAlpha(c) || IsDigit(c) || c == '+' || c == '-' || c == '.';
      })) {
    parts.scheme = text.substr(0, colon);
    text.remove_prefix(colon + 1);
  }
  if (const auto hash = text.find('#'); hash != std::string_view::npos) {
    parts.fragment = text.substr(hash + 1);
    text = text.substr(0, hash);
  }
  if (const auto mark = text.find('?'); mark != std::string_view::npos) {
    parts.query = text.substr(mark + 1);
    text = text.substr(0, mark);
  }
  if (text.starts_with("//")) {
    const auto slash = text.find('/', 2);
    parts.authority = text.substr(2, slash == std::string_view::npos ? slash : slash - 2);
    text = slash == std::string_view::npos ? std::string_view() : text.substr(slash);
  }
  parts.path = text;
  return parts;
}

Status CheckCharacters(std::string_view text) {
  if (text.size() > kUrlBytesMax) {
    return BadUrl(text, "longer than " + std::to_string(kUrlBytesMax) + " bytes");
  }
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f) {
      return BadUrl(text, "contains a blank or a control character; percent-encode it");
    }
  }
  return {};
}

Status ParseHost(std::string_view text, std::string_view host, Url* url) {
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return BadUrl(text, "an IPv6 address needs its closing bracket");
    const std::string address(host.substr(1, host.size() - 2));
    in6_addr parsed{};
    if (inet_pton(AF_INET6, address.c_str(), &parsed) != 1) {
      return BadUrl(text, "what stands in brackets is not an IPv6 address");
    }
    url->host = ToLower(address);
    return {};
  }
  if (host.empty()) return BadUrl(text, "has no host");
  if (host.size() > kHostBytesMax) return BadUrl(text, "the host is longer than 253 bytes");
  // Percent-encoded and non-ASCII host names are refused rather than decoded: two spellings of one
  // host would defeat every comparison of origins.
  if (!std::all_of(host.begin(), host.end(), [](char c) {
        return IsAlpha(c) || IsDigit(c) || c == '-' || c == '.' || c == '_';
      })) {
    return BadUrl(text, "the host may hold only A-Z a-z 0-9 - . _ (write IDNs in punycode)");
  }
  url->host = ToLower(host);
  return {};
}

Status ParseAuthority(std::string_view text, std::string_view authority, Url* url) {
  if (authority.find('@') != std::string_view::npos) {
    return BadUrl(text, "user information is not accepted; pass credentials as a header");
  }
  std::string_view host = authority;
  std::string_view port;
  const auto bracket = authority.rfind(']');
  const auto colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
  }
  BDN_TRY(ParseHost(text, host, url));
  url->port = DefaultPort(url->scheme);
  if (port.empty()) return {};  // "host:" means the scheme's own port, RFC 3986 §3.2.3
  const auto number = ParseDecimal(port);
  if (!number || *number == 0 || *number > 65535) {
    return BadUrl(text, "the port is not a number from 1 to 65535");
  }
  url->port = static_cast<std::uint16_t>(*number);
  return {};
}

// RFC 3986 §5.2.4, for a path that starts with '/'.
std::string RemoveDotSegments(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const auto next = path.find('/', 1);
    const bool last = next == std::string_view::npos;
    const std::string_view segment = path.substr(0, next);
    path = last ? std::string_view() : path.substr(next);
    if (segment == "/." || segment == "/..") {
      if (segment == "/..") out.erase(out.empty() ? 0 : out.rfind('/'));
      if (last) out += '/';
    } else {
      out += segment;
    }
  }
  return out.empty() ? "/" : out;
}

void SetQuery(const std::optional<std::string_view>& query, Url* url) {
  url->has_query = query.has_value();
  url->query = query.value_or("");
}

// RFC 3986 §5.2.3: the reference's path in place of everything after the base's last slash.
std::string MergePaths(const Url& base, std::string_view reference) {
  std::string path = base.path.substr(0, base.path.rfind('/') + 1) + std::string(reference);
  return path.starts_with('/') ? path : "/" + path;
}

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  const char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::string Url::authority() const {
  std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != 0 && port != DefaultPort(scheme)) text += ":" + std::to_string(port);
  return text;
}

std::string Url::ToString() const {
  std::string text = scheme + "://" + authority() + path;
  if (has_query) text += "?" + query;
  return text;
}

bool Url::SameOrigin(const Url& other) const {
  return scheme == other.scheme && host == other.host && port == other.port;
}

Result<Url> ParseUrl(std::string_view text) {
  BDN_TRY(CheckCharacters(text));
  const Reference parts = Split(text);
  if (!parts.scheme) return BadUrl(text, "must start with https:// or http://");
  Url url;
  url.scheme = ToLower(*parts.scheme);
  if (url.scheme != "http" && url.scheme != "https") {
    return BadUrl(text, "the scheme must be https or http");
  }
  if (parts.fragment) return BadUrl(text, "a fragment (#…) has no meaning here; write # as %23");
  if (!parts.authority) return BadUrl(text, "has no host");
  BDN_TRY(ParseAuthority(text, *parts.authority, &url));
  url.path = parts.path.empty() ? "/" : std::string(parts.path);
  SetQuery(parts.query, &url);
  return url;
}

Result<Url> ResolveUrl(const Url& base, std::string_view reference) {
  BDN_TRY(CheckCharacters(reference));
  const Reference parts = Split(reference);
  if (parts.scheme || parts.authority) {
    std::string_view absolute = reference.substr(0, reference.find('#'));
    BDN_ASSIGN(Url url, ParseUrl(parts.scheme ? std::string(absolute)
                                              : base.scheme + ":" + std::string(absolute)));
    url.path = RemoveDotSegments(url.path);
    return url;
  }
  Url url = base;
  if (parts.path.empty()) {
    if (parts.query) SetQuery(parts.query, &url);
    return url;
  }
  url.path = RemoveDotSegments(parts.path.starts_with('/') ? std::string(parts.path)
                                                           : MergePaths(base, parts.path));
  SetQuery(parts.query, &url);
  BDN_TRY(CheckCharacters(url.ToString()));
  return url;
}

std::string RedactUrl(std::string_view url) {
  std::string text(url.substr(0, url.find_first_of("?#")));
  const auto start = text.find("//");
  if (start != std::string::npos) {
    const auto slash = text.find('/', start + 2);
    const auto at = text.rfind('@', slash);
    if (at != std::string::npos && at > start) text.erase(start + 2, at - start - 1);
  }
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::string PercentEncode(std::string_view text, std::string_view keep) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (IsAlpha(c) || IsDigit(c) || std::string_view("-._~").find(c) != std::string_view::npos ||
        keep.find(c) != std::string_view::npos) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

Result<std::string> PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexValue(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      return Error(Code::kInvalidArgument,
                   "a % is not followed by two hexadecimal digits; write a percent sign as %25");
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace bdn::net
