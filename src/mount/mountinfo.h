#pragma once
// The parser of /proc/self/mountinfo (proc_pid_mountinfo(5)).
#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mount/mounter.h"

namespace bdn::mount {

inline constexpr std::size_t kMountInfoBytesMax = 64u << 20;
inline constexpr std::size_t kMountsMax = 200'000;  // twice the kernel's default fs.mount-max

// In the order of the file: a later mount covers an earlier one at the same target.
// kCorrupt with the number of the line that does not parse; kResourceExhausted over kMountsMax.
Result<std::vector<MountInfo>> ParseMountInfo(std::string_view text);

}  // namespace bdn::mount
