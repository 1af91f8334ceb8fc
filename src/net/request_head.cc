#include "net/request_head.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "net/text.h"

namespace bdn::net {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
// A client may send an empty line after a body by mistake (RFC 9112 §2.2); more is not a mistake.
constexpr std::size_t kLeadingEmptyLinesMax = 2;
constexpr std::size_t kMethodBytesMax = 32;
constexpr std::uint64_t kLengthMax = std::uint64_t{1} << 62;

std::unexpected<HeadRefusal> Refuse(int status, std::string message) {
  return std::unexpected(HeadRefusal{status, std::move(message)});
}

bool IsTargetChar(char c) {
  return c > 0x20 && c < 0x7f && c != '#';
}

bool IsHost(std::string_view host) {
  constexpr std::string_view kPunctuation = "-._~!$&'()*+,;=:[]%";
  return std::all_of(host.begin(), host.end(), [&](char c) {
    return IsAlpha(c) || IsDigit(c) || kPunctuation.find(c) != std::string_view::npos;
  });
}

// Cuts the line at the front of `rest` and its CRLF. FindHeadEnd saw to it that there is one.
std::string_view TakeLine(std::string_view& rest) {
  const std::size_t end = rest.find(kLineEnd);
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + kLineEnd.size());
  return line;
}

// Splits path and query; in absolute form also takes the authority.
std::expected<void, HeadRefusal> ParseTarget(std::string_view target, RequestHead& head) {
  if (target == "*") {
    if (head.method != "OPTIONS") return Refuse(400, "the target * belongs to OPTIONS only");
    head.path = "*";
    return {};
  }
  if (head.method == "CONNECT") return Refuse(501, "CONNECT is not supported");
  if (target[0] != '/') {
    const std::size_t scheme_end = target.find("://");
    if (scheme_end == std::string_view::npos) {
      return Refuse(400, "the request target is neither a path nor an absolute URL");
    }
    const std::string_view scheme = target.substr(0, scheme_end);
    if (!EqualsIgnoreCase(scheme, "http") && !EqualsIgnoreCase(scheme, "https")) {
      return Refuse(400, "the scheme of the request target is not http or https");
    }
    target.remove_prefix(scheme_end + 3);
    const std::size_t authority_end = std::min(target.find_first_of("/?"), target.size());
    const std::string_view authority = target.substr(0, authority_end);
    // IsHost has no '@', so user information is refused as well.
    if (authority.empty() || !IsHost(authority)) {
      return Refuse(400, "the host in the request target is malformed");
    }
    head.host = authority;
    target.remove_prefix(authority_end);
  }
  const std::size_t question = target.find('?');
  head.path = target.substr(0, question);
  if (head.path.empty()) head.path = "/";
  if (question != std::string_view::npos) head.query = target.substr(question + 1);
  return {};
}

std::expected<void, HeadRefusal> ParseRequestLine(std::string_view line,
                                                  const HeadLimits& limits,
                                                  RequestHead& head) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return Refuse(400, "the request line is not METHOD SP TARGET SP VERSION");
  }
  head.method = line.substr(0, first);
  if (!IsToken(head.method) || head.method.size() > kMethodBytesMax) {
    return Refuse(400, "the method is malformed");
  }
  const std::string_view version = line.substr(last + 1);
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.' ||
      version[5] < '0' || version[5] > '9' || version[7] < '0' || version[7] > '9') {
    return Refuse(400, "the HTTP version is malformed");
  }
  if (version[5] != '1') return Refuse(505, "this server speaks HTTP/1.1");
  head.minor_version = version[7] == '0' ? 0 : 1;
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (target.size() > limits.target_bytes_max) return Refuse(414, "the request target is too long");
  if (target.empty() || !std::all_of(target.begin(), target.end(), IsTargetChar)) {
    return Refuse(400, "the request target holds a character that must be percent-encoded");
  }
  return ParseTarget(target, head);
}

std::expected<void, HeadRefusal> ParseField(std::string_view line, RequestHead& head) {
  if (line[0] == ' ' || line[0] == '\t') return Refuse(400, "a header field is folded");
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return Refuse(400, "a header field has no colon");
  const std::string_view name = line.substr(0, colon);
  // Blanks before the colon are refused here too: they are not token characters (RFC 9112 §5.1).
  if (!IsToken(name)) return Refuse(400, "a header field name is malformed");
  const std::string_view value = TrimBlanks(line.substr(colon + 1));
  if (!IsFieldValue(value)) return Refuse(400, "a header field value holds a control character");
  head.headers.Add(std::string(name), std::string(value));
  return {};
}

// All elements of a list field over its repetitions, empty ones left out.
std::vector<std::string_view> ListOf(const Headers& headers, std::string_view name) {
  std::vector<std::string_view> out;
  for (const auto& [field, text] : headers.fields()) {
    if (!EqualsIgnoreCase(field, name)) continue;
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view element = TrimBlanks(rest.substr(0, comma));
      if (!element.empty()) out.push_back(element);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return out;
}

// RFC 9112 §6.3: how long the body is.
std::expected<void, HeadRefusal> DecideFraming(RequestHead& head) {
  const bool has_coding = head.headers.Has("Transfer-Encoding");
  std::optional<std::uint64_t> length;
  for (const auto& [name, text] : head.headers.fields()) {
    if (!EqualsIgnoreCase(name, "Content-Length")) continue;
    const auto one = ParseDecimal(text);
    if (!one || *one > kLengthMax)
      return Refuse(400, "Content-Length is not a plain decimal number");
    if (length && *length != *one) return Refuse(400, "two Content-Length fields differ");
    length = one;
  }
  if (has_coding && length) {
    return Refuse(400, "Transfer-Encoding and Content-Length exclude each other");
  }
  head.content_length = length.value_or(0);
  if (!has_coding) return {};
  if (head.minor_version == 0) return Refuse(400, "HTTP/1.0 has no Transfer-Encoding");
  const auto codings = ListOf(head.headers, "Transfer-Encoding");
  if (codings.empty()) return Refuse(400, "Transfer-Encoding is empty");
  for (std::size_t i = 0; i < codings.size(); ++i) {
    const bool is_chunked = EqualsIgnoreCase(codings[i], "chunked");
    if (is_chunked && i + 1 != codings.size()) {
      return Refuse(400, "chunked is not the last transfer coding");
    }
    if (!is_chunked) return Refuse(501, "the only supported transfer coding is chunked");
  }
  head.chunked = true;
  return {};
}

std::expected<void, HeadRefusal> DecideConnection(RequestHead& head) {
  head.keep_alive = head.minor_version >= 1;
  std::size_t hosts = 0;
  for (const auto& [name, value] : head.headers.fields()) {
    if (EqualsIgnoreCase(name, "Connection")) {
      if (ListHasToken(value, "close")) head.keep_alive = false;
    } else if (EqualsIgnoreCase(name, "Expect")) {
      if (head.minor_version == 0) continue;  // RFC 9110 §10.1.1: ignored
      if (!EqualsIgnoreCase(value, "100-continue")) {
        return Refuse(417, "the only supported expectation is 100-continue");
      }
      head.expect_continue = true;
    } else if (EqualsIgnoreCase(name, "Host")) {
      hosts += 1;
      if (!IsHost(value)) return Refuse(400, "the Host field is malformed");
      if (head.host.empty()) head.host = value;
    }
  }
  if (hosts > 1 || (hosts == 0 && head.minor_version >= 1)) {
    return Refuse(400, "a request needs exactly one Host field");
  }
  return {};
}

}  // namespace

bool IsFieldValue(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

bool ListHasToken(std::string_view value, std::string_view token) {
  while (!value.empty()) {
    const std::size_t comma = std::min(value.find(','), value.size());
    if (EqualsIgnoreCase(TrimBlanks(value.substr(0, comma)), token)) return true;
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
  return false;
}

std::expected<std::size_t, HeadRefusal> FindHeadEnd(std::string_view buffer,
                                                    const HeadLimits& limits,
                                                    std::size_t& scanned) {
  while (true) {
    const std::size_t newline = buffer.find('\n', scanned);
    if (newline == std::string_view::npos) break;
    if (newline == 0 || buffer[newline - 1] != '\r') {
      return Refuse(400, "a line of the request head ends in LF without CR");
    }
    scanned = newline + 1;
    const std::size_t line_end = newline - 1;
    const bool empty_line = line_end == 0 || buffer[line_end - 1] == '\n';
    if (!empty_line) continue;
    // Only an empty line after a line with text ends the head.
    if (buffer.substr(0, line_end).find_first_not_of(kLineEnd) != std::string_view::npos) {
      if (scanned > limits.head_bytes_max) return Refuse(431, "the request head is too long");
      return scanned;
    }
    if (scanned > kLeadingEmptyLinesMax * kLineEnd.size()) {
      return Refuse(400, "empty lines in front of the request line");
    }
  }
  if (buffer.size() > limits.head_bytes_max) {
    const bool in_first_line = scanned == 0;
    return in_first_line ? Refuse(414, "the request line is too long")
                         : Refuse(431, "the request head is too long");
  }
  return 0;
}

std::expected<RequestHead, HeadRefusal> ParseRequestHead(std::string_view head_text,
                                                         const HeadLimits& limits) {
  std::string_view rest = head_text;
  while (rest.starts_with(kLineEnd)) rest.remove_prefix(kLineEnd.size());
  RequestHead head;
  if (auto ok = ParseRequestLine(TakeLine(rest), limits, head); !ok) {
    return std::unexpected(std::move(ok).error());
  }
  std::size_t fields = 0;
  while (!rest.empty()) {
    const std::string_view line = TakeLine(rest);
    if (line.empty()) break;
    if (++fields > limits.headers_max) return Refuse(431, "too many header fields");
    if (auto ok = ParseField(line, head); !ok) return std::unexpected(std::move(ok).error());
  }
  if (auto ok = DecideConnection(head); !ok) return std::unexpected(std::move(ok).error());
  if (auto ok = DecideFraming(head); !ok) return std::unexpected(std::move(ok).error());
  return head;
}

}  // namespace bdn::net
