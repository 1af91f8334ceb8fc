#pragma once
// The strict parser of an HTTP/1.1 request head (RFC 9112 §2-§6). Where the RFC lets a server
// choose between repairing and refusing, this one refuses: two parsers that repair differently are
// what request smuggling needs.
//
// Pure: bytes in, value or refusal out. Fuzzed (fuzz/request_head_fuzz.cc).
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "net/http.h"

namespace bdn::net {

struct HeadLimits {
  std::size_t head_bytes_max = 32 * 1024;
  std::size_t headers_max = 100;
  std::size_t target_bytes_max = 16 * 1024;  // RFC 9110 §4.1 recommends at least 8000
};

// Why a request is refused before any handler sees it. The connection closes after the answer,
// because where the next request begins is not known.
struct HeadRefusal {
  int status = 400;  // 400, 414, 417, 431, 501, 505
  std::string message;
};

struct RequestHead {
  std::string method;
  std::string path;   // as on the wire; starts with '/', or "*" (OPTIONS)
  std::string query;  // without '?'
  std::string host;   // of the target in absolute form, else of the Host field
  int minor_version = 1;
  Headers headers;
  bool chunked = false;
  std::uint64_t content_length = 0;  // 0 when chunked or without a body
  bool keep_alive = true;
  bool expect_continue = false;
};

// How long the head at the front of `buffer` is, its empty line included; 0 while it is not
// complete. Empty lines before the request line count as part of it (RFC 9112 §2.2). A line that
// ends in LF alone refuses at once, as does a head that is too long.
// `scanned` is how much earlier calls on the same, shorter buffer have seen; it is moved on.
std::expected<std::size_t, HeadRefusal> FindHeadEnd(std::string_view buffer,
                                                    const HeadLimits& limits,
                                                    std::size_t& scanned);

// `head` is exactly what FindHeadEnd measured.
std::expected<RequestHead, HeadRefusal> ParseRequestHead(std::string_view head,
                                                         const HeadLimits& limits);

// Whether the comma-separated list `value` holds `token` (without case).
bool ListHasToken(std::string_view value, std::string_view token);
// No control characters but HTAB (RFC 9110 §5.5).
bool IsFieldValue(std::string_view text);

}  // namespace bdn::net
