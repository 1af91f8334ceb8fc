// The secret of a bucket as users store it: any bytes give credentials or an error that holds none
// of their values.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cloud/s3.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)bdn::cloud::CheckS3Secret(text);
  return 0;
}
