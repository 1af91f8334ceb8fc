// XML of STS from a server that is not trusted: any bytes give keys that can be sent, an error body
// or an error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cloud/aws_sts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto keys = bdn::cloud::ParseStsAnswer(text);
  if (keys) {
    const auto& token = keys->credentials.session_token;
    if (token.empty() ||
        std::any_of(token.begin(), token.end(), [](char c) { return c <= 0x20 || c >= 0x7f; })) {
      std::abort();
    }
  }
  (void)bdn::cloud::ParseStsError(text);
  return 0;
}
