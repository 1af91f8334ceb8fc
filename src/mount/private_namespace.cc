#include "mount/private_namespace.h"

#include <array>
#include <cerrno>
#include <climits>
#include <string>
#include <string_view>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mount/mount_syscalls.h"
#include "os/errno_error.h"
#include "os/unique_fd.h"

namespace bdn::mount {
namespace {

using os::ChildFailure;

// --- The host, looked at before the fork. ---

Result<HostEntry> EntryAt(int dir_fd, const char* name, const std::string& shown) {
  HostEntry entry;
  struct stat st = {};
  if (::fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return entry;
    return os::ErrnoError(errno, "look at " + shown);
  }
  entry.kind = S_ISDIR(st.st_mode)   ? HostKind::kDirectory
               : S_ISLNK(st.st_mode) ? HostKind::kSymlink
                                     : HostKind::kOther;
  entry.mode = st.st_mode & 07777u;
  entry.uid = st.st_uid;
  entry.gid = st.st_gid;
  if (entry.kind == HostKind::kSymlink) {
    std::array<char, PATH_MAX> target;
    const ssize_t n = ::readlinkat(dir_fd, name, target.data(), target.size());
    if (n < 0) return os::ErrnoError(errno, "read link " + shown);
    entry.link_target.assign(target.data(), static_cast<std::size_t>(n));
  }
  return entry;
}

class SystemHostView final : public HostView {
 public:
  Result<HostEntry> Look(const std::string& path) const override {
    return EntryAt(AT_FDCWD, path.c_str(), path);
  }

  Result<std::vector<HostEntry>> List(const std::string& dir) const override {
    const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(dir.c_str()), ::closedir);
    if (!opened) return os::ErrnoError(errno, "list " + dir);
    std::vector<HostEntry> entries;
    while (true) {
      errno = 0;
      const dirent* const found = ::readdir(opened.get());
      if (found == nullptr && errno != 0) return os::ErrnoError(errno, "list " + dir);
      if (found == nullptr) return entries;
      const std::string name = found->d_name;
      if (name == "." || name == "..") continue;
      BDN_ASSIGN(HostEntry entry, EntryAt(::dirfd(opened.get()), name.c_str(), dir + '/' + name));
      if (entry.kind == HostKind::kMissing) continue;  // it went away
      if (entries.size() == kShadowEntriesMax) {
        return Error(Code::kResourceExhausted,
                     "list " + dir + ": more than " + std::to_string(kShadowEntriesMax) +
                         " entries; make the mount location's parent directory by hand");
      }
      entry.name = name;
      entries.push_back(std::move(entry));
    }
  }
};

// --- The child: system calls only. ---

bool Failed(const ChildFailure& failure) {
  return failure.error_number != 0;
}

ChildFailure WriteProc(const char* path, std::string_view content) noexcept {
  const os::UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  if (file.valid() &&
      ::write(file.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size())) {
    return {};
  }
  return {errno, "map the user into a new user namespace:", path};
}

// A detached tmpfs that looks like the directory it will cover.
int NewTmpfs(const Shadow& shadow) noexcept {
  const os::UniqueFd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context.valid()) return -1;
  const int fd = context.get();
  if (::fsconfig(fd, FSCONFIG_SET_STRING, "source", "bdn", 0) != 0 ||
      ::fsconfig(fd, FSCONFIG_SET_STRING, "mode", shadow.mode.c_str(), 0) != 0 ||
      ::fsconfig(fd, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return -1;
  }
  return ::fsmount(fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

// Shows one entry of the covered directory `old_fd` again in the tmpfs `new_fd`.
ChildFailure ShowEntry(int old_fd, int new_fd, const HostEntry& entry) noexcept {
  const char* const name = entry.name.c_str();
  if (entry.kind == HostKind::kSymlink) {
    if (::symlinkat(entry.link_target.c_str(), new_fd, name) == 0) return {};
    return {errno, "make again the symbolic link", name};
  }
  const os::UniqueFd tree(CloneRecursive(old_fd, name));
  if (!tree.valid()) {
    if (errno == ENOENT) return {};  // it went away since it was listed
    return {errno, "bind", name};
  }
  // What it is now, not what it was when it was listed.
  struct stat st = {};
  if (::fstat(tree.get(), &st) != 0) return {errno, "look at", name};
  const int made = S_ISDIR(st.st_mode) ? ::mkdirat(new_fd, name, 0755)
                                       : ::mknodat(new_fd, name, S_IFREG | 0444, 0);
  if (made != 0) return {errno, "make a place for", name};
  if (Attach(tree.get(), new_fd, name) == 0) return {};
  return {errno, "bind", name};
}

ChildFailure PivotInto(int new_fd) noexcept {
  // The old root ends up stacked on the new one and is taken off; pivot_root(2) documents this use
  // of "." twice, which needs no directory to put the old root in.
  if (::fchdir(new_fd) != 0) return {errno, "enter the new root", ""};
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return {errno, "change the root", ""};
  if (::umount2(".", MNT_DETACH) != 0) return {errno, "leave the old root", ""};
  if (::chdir("/") != 0) return {errno, "enter the new root", ""};
  return {};
}

ChildFailure MakeShadow(const Shadow& shadow) noexcept {
  const char* const dir = shadow.dir.c_str();
  const os::UniqueFd old(::open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!old.valid()) return {errno, "open", dir};
  const os::UniqueFd fresh(NewTmpfs(shadow));
  if (!fresh.valid()) return {errno, "make a tmpfs for", dir};
  // Kernels before 6.15 mount only onto what is attached, so the tmpfs covers `dir` first; the old
  // directory stays reachable through its descriptor.
  if (Attach(fresh.get(), AT_FDCWD, dir) != 0) return {errno, "cover", dir};
  // In a user namespace the owner may have no number; then the caller owns it.
  static_cast<void>(
      !::fchownat(fresh.get(), "", shadow.uid, shadow.gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
  for (const HostEntry& entry : shadow.entries) {
    const ChildFailure failure = ShowEntry(old.get(), fresh.get(), entry);
    if (Failed(failure)) return failure;
  }
  for (const std::string& name : shadow.new_dirs) {
    if (::mkdirat(fresh.get(), name.c_str(), 0755) != 0) {
      return {errno, "make in the private name space", name.c_str()};
    }
  }
  if (!shadow.writable && MakeReadOnly(fresh.get()) != 0) return {errno, "make read-only", dir};
  if (shadow.dir == "/") return PivotInto(fresh.get());
  return {};
}

}  // namespace

std::unique_ptr<HostView> MakeHostView() {
  return std::make_unique<SystemHostView>();
}

Result<NamespacePlan> PlanNamespaceHere(std::span<const TreeMount> trees) {
  std::array<char, PATH_MAX> directory;
  if (::getcwd(directory.data(), directory.size()) == nullptr) {
    return os::ErrnoError(errno, "ask for the working directory");
  }
  return PlanNamespace(
      trees, SystemHostView(),
      {.uid = ::geteuid(), .gid = ::getegid(), .working_directory = directory.data()});
}

ChildFailure MakePrivateNamespace(const NamespacePlan& plan, bool& new_user) noexcept {
  new_user = false;
  if (::unshare(CLONE_NEWNS) != 0) {
    if (errno != EPERM) return {errno, "make a private mount namespace", ""};
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
      return {errno,
              "make a private mount namespace (allow unprivileged user namespaces: sysctl "
              "user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)",
              ""};
    }
    new_user = true;
    ChildFailure failure = WriteProc("/proc/self/setgroups", "deny");
    if (!Failed(failure)) failure = WriteProc("/proc/self/uid_map", plan.uid_map);
    if (!Failed(failure)) failure = WriteProc("/proc/self/gid_map", plan.gid_map);
    if (Failed(failure)) return failure;
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return {errno,
            "make the mounts private (in a user namespace, AppArmor's "
            "kernel.apparmor_restrict_unprivileged_userns may forbid it)",
            ""};
  }
  return {};
}

ChildFailure EnterNamespace(NamespacePlan& plan) noexcept {
  bool new_user = false;
  ChildFailure failure = MakePrivateNamespace(plan, new_user);
  if (Failed(failure)) return failure;
  // Trees first: a shadow or another tree may cover where they lie.
  for (PlannedMount& mount : plan.mounts) {
    mount.fd = CloneReadOnly(mount.tree.c_str());
    if (mount.fd < 0) return {errno, "bind", mount.tree.c_str()};
  }
  for (const Shadow& shadow : plan.shadows) {
    failure = MakeShadow(shadow);
    if (Failed(failure)) return failure;
  }
  for (PlannedMount& mount : plan.mounts) {
    if (Attach(mount.fd, AT_FDCWD, mount.target.c_str()) != 0) {
      return {errno, "mount at", mount.target.c_str()};
    }
    ::close(std::exchange(mount.fd, -1));
  }
  // By its name: the directory may be shadowed now, or below a new root.
  if (::chdir(plan.working_directory.c_str()) != 0) {
    return {errno, "go back to the working directory", plan.working_directory.c_str()};
  }
  if (new_user && ::prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0) != 0) {
    return {errno, "drop CAP_SYS_ADMIN", ""};
  }
  return {};
}

}  // namespace bdn::mount
