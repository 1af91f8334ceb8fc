#include "mount/system_mounter.h"

#include <cerrno>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "mount/mount_syscalls.h"
#include "mount/mountinfo.h"
#include "os/errno_error.h"
#include "os/unique_fd.h"

namespace bdn::mount {
namespace {

Error MountError(int error_number, std::string_view what) {
  Error error = os::ErrnoError(error_number, what);
  switch (error_number) {
    case EPERM:
      return std::move(error).WithHint(
          "mounting needs CAP_SYS_ADMIN, and a seccomp profile that allows open_tree, "
          "mount_setattr and move_mount");
    case ENOSYS:
      return std::move(error).WithHint("mounting needs Linux 5.12 or later");
    case ENOSPC:
      return std::move(error).WithHint("the mount table is full; see sysctl fs.mount-max");
    default:
      return error;
  }
}

class SystemMounter final : public Mounter {
 public:
  Status BindReadOnly(const std::string& source, const std::string& target) override {
    const os::UniqueFd tree(CloneReadOnly(source.c_str()));
    if (!tree.valid()) return MountError(errno, "bind " + source);
    if (Attach(tree.get(), AT_FDCWD, target.c_str()) == 0) return {};
    const int error_number = errno;
    Error error = MountError(error_number, "mount " + source + " at " + target);
    if (error_number != EINVAL) return error;
    return std::move(error)
        .WithCode(Code::kFailedPrecondition)
        .WithHint("mount a directory on a directory, and a file on a file");
  }

  Status Unmount(const std::string& target, bool lazy) override {
    if (::umount2(target.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return {};
    const int error_number = errno;
    if (error_number == EINVAL) {
      return Error(Code::kNotFound, "unmount " + target + ": nothing is mounted there");
    }
    Error error = MountError(error_number, "unmount " + target);
    if (error_number != EBUSY) return error;
    return std::move(error).WithHint("a process still uses it; `fuser -m` names it");
  }

  Result<std::vector<MountInfo>> List() override {
    const os::UniqueFd file(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return os::ErrnoError(errno, "open /proc/self/mountinfo");
    std::string text;
    constexpr std::size_t kStepBytes = 64u << 10;
    while (true) {
      const std::size_t old = text.size();
      if (old > kMountInfoBytesMax) {
        return Error(Code::kResourceExhausted, "/proc/self/mountinfo: longer than 64 MiB");
      }
      text.resize(old + kStepBytes);
      const ssize_t n = ::read(file.get(), text.data() + old, kStepBytes);
      text.resize(old + (n > 0 ? static_cast<std::size_t>(n) : 0));
      if (n == 0) return ParseMountInfo(text);
      if (n < 0 && errno != EINTR) return os::ErrnoError(errno, "read /proc/self/mountinfo");
    }
  }
};

}  // namespace

std::unique_ptr<Mounter> MakeSystemMounter() {
  return std::make_unique<SystemMounter>();
}

}  // namespace bdn::mount
