// A Content-Range that was accepted is a range that lies within its total.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "net/http.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto range = bdn::net::ParseContentRange(text)) {
    BDN_CHECK(range->range.begin < range->range.end);
    BDN_CHECK(range->range.end <= range->total);
  }
  return 0;
}
