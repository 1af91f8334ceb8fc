#pragma once
// bdn:<namespace>/<volume>[:<tag>|@<digest prefix>], also spelt bdn://… (docs/formats/volumes.md).
#include <string>
#include <string_view>

#include "base/result.h"

namespace bdn::model {

struct VolumeRef {
  std::string ns;
  std::string volume;
  std::string tag;               // empty: none
  std::string digest_prefix;     // 12 to 64 hex digits; empty: none
  std::string ToString() const;  // "bdn:ns/vol:tag"
};

Result<VolumeRef> ParseVolumeRef(std::string_view text);
// [a-z0-9][a-z0-9._-]{0,255}
bool IsVolumeName(std::string_view name);
bool IsTagName(std::string_view tag);

}  // namespace bdn::model
