// Link and Retry-After: any text is read without harm, and a target found is part of the text.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "net/http.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bdn::net;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto target = NextLink({{"Link", text}})) {
    BDN_CHECK(text.find("<" + *target + ">") != std::string::npos);
  }
  const bdn::WallTime now{std::chrono::hours(24 * 365 * 55)};
  if (const auto wait = ParseRetryAfter(text, now)) {
    BDN_CHECK(wait->count() >= 0);
    BDN_CHECK(*wait <= kRetryAfterMax);
  }
  return 0;
}
