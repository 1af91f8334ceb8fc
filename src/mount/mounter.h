#pragma once
// Making a directory tree appear read-only at a path: the system calls behind it as a seam.
//
// Implementations: SystemMounter (new mount API, Linux 5.12+), testing::MemoryMounter,
// testing::FaultyMounter.
#include <string>
#include <vector>

#include "base/result.h"

namespace bdn::mount {

struct MountInfo {
  std::string target;
  std::string root;  // the directory that is shown there
};

// Thread-safe.
class Mounter {
 public:
  virtual ~Mounter() = default;
  // Shows directory (or file) `source` at `target`, which exists, read-only, nosuid, nodev, noexec;
  // atomically: there is never a writable moment.
  // kPermissionDenied without CAP_SYS_ADMIN, kNotFound, kUnsupported on an old kernel.
  virtual Status BindReadOnly(const std::string& source, const std::string& target) = 0;
  // kNotFound when nothing is mounted there; kFailedPrecondition while in use unless `lazy`.
  virtual Status Unmount(const std::string& target, bool lazy) = 0;
  virtual Result<std::vector<MountInfo>> List() = 0;
};

}  // namespace bdn::mount
