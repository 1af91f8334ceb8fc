// Source URIs: the canonical spelling is a URI of the same source.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "model/source_uri.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto uri = bdn::model::ParseSourceUri(text);
  if (!uri) return 0;
  const auto again = bdn::model::ParseSourceUri(uri->Canonical());
  BDN_CHECK(again.has_value());
  BDN_CHECK(again->Canonical() == uri->Canonical());
  return 0;
}
