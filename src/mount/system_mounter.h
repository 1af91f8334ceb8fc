#pragma once
#include <memory>

#include "mount/mounter.h"

namespace bdn::mount {

// The calling process's mount namespace, through the mount API of Linux 5.12: open_tree(2) makes a
// detached copy, mount_setattr(2) makes that read-only, move_mount(2) attaches it. Neither `source`
// nor `target` may be a symbolic link. Mounting at a target that has a mount covers it.
std::unique_ptr<Mounter> MakeSystemMounter();

}  // namespace bdn::mount
