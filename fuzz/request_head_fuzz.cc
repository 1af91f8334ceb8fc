// The request head parser never crashes, finds the same end however the bytes arrive, and what it
// accepts keeps the promises that the server relies on.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "net/request_head.h"
#include "net/text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bdn::net;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const HeadLimits limits{.head_bytes_max = 4096, .headers_max = 20, .target_bytes_max = 512};
  std::size_t scanned = 0;
  const auto end = FindHeadEnd(text, limits, scanned);
  std::size_t piecewise_scanned = 0;
  for (std::size_t have = 0; have <= size; ++have) {
    const auto step = FindHeadEnd(text.substr(0, have), limits, piecewise_scanned);
    if (!step) {
      // Too long may be noticed before the end; but nothing may be accepted that way.
      BDN_CHECK(!end || *end == 0 || *end > have);
      break;
    }
    if (*step == 0) continue;
    BDN_CHECK(end && *end == *step);
    break;
  }
  if (!end || *end == 0) return 0;
  BDN_CHECK(*end <= size);
  const auto head = ParseRequestHead(text.substr(0, *end), limits);
  if (!head) {
    BDN_CHECK(head.error().status >= 400 && head.error().status <= 505);
    return 0;
  }
  BDN_CHECK(IsToken(head->method));
  BDN_CHECK(head->path.starts_with('/') || head->path == "*");
  BDN_CHECK(!head->chunked || head->content_length == 0);
  BDN_CHECK(!head->chunked || !head->headers.Has("Content-Length"));
  BDN_CHECK(head->headers.fields().size() <= limits.headers_max);
  for (const auto& [name, value] : head->headers.fields()) {
    BDN_CHECK(IsToken(name) && IsFieldValue(value));
  }
  return 0;
}
