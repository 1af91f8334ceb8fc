// JSON of Google Cloud Storage from a server that is not trusted, and secrets that users paste: any
// bytes give a page, an error body, a key or an error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cloud/gcs.h"
#include "cloud/google_auth.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)bdn::cloud::ParseGcsListPage(text);
  (void)bdn::cloud::ParseGcsError(text);
  (void)bdn::cloud::ParseGcpSecret(text);
  (void)bdn::cloud::ParseGcpProvider(text);
  return 0;
}
