// Volume references: the canonical spelling parses to the same reference.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "model/volume_ref.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto ref =
      bdn::model::ParseVolumeRef(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!ref) return 0;
  const auto again = bdn::model::ParseVolumeRef(ref->ToString());
  BDN_CHECK(again.has_value());
  BDN_CHECK(again->ns == ref->ns && again->volume == ref->volume && again->tag == ref->tag &&
            again->digest_prefix == ref->digest_prefix);
  return 0;
}
