// XML of the Azure Blob service from a server that is not trusted: any bytes give a page, an error
// body or an error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cloud/azure_xml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)bdn::cloud::ParseAzureListPage(text);
  (void)bdn::cloud::ParseAzureError(text);
  return 0;
}
