// The parser of /proc/self/mountinfo: mount points are named by whoever may mount.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "mount/mountinfo.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto mounts = bdn::mount::ParseMountInfo(text);
  if (!mounts) return 0;
  for (const bdn::mount::MountInfo& mount : *mounts) {
    BDN_CHECK(mount.target.starts_with('/'));
    BDN_CHECK(mount.target.find('\0') == std::string::npos || text.find('\0') != text.npos);
  }
  return 0;
}
