// Manifests: what parses is contained, and its canonical text is stable.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "model/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto manifest =
      bdn::model::ParseManifest(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!manifest) return 0;
  BDN_CHECK(bdn::model::CheckTree(manifest->entries).has_value());
  const std::string text = bdn::model::WriteManifest(*manifest);
  const auto again = bdn::model::ParseManifest(text);
  BDN_CHECK(again.has_value());
  BDN_CHECK(again->total_size == manifest->total_size);
  BDN_CHECK(bdn::model::WriteManifest(*again) == text);
  return 0;
}
