#include "mount/mount_syscalls.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

namespace bdn::mount {
namespace {

int SetAttributes(int mount_fd, unsigned long long set) noexcept {
  mount_attr attributes = {};
  attributes.attr_set = set;
  return ::mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes));
}

}  // namespace

int CloneReadOnly(const char* path) noexcept {
  const int fd =
      ::open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
  if (fd < 0) return -1;
  if (SetAttributes(
          fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC) == 0) {
    return fd;
  }
  const int error_number = errno;
  ::close(fd);
  errno = error_number;
  return -1;
}

int CloneRecursive(int dir_fd, const char* path) noexcept {
  return ::open_tree(
      dir_fd, path,
      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | AT_RECURSIVE | AT_NO_AUTOMOUNT);
}

int Attach(int mount_fd, int dir_fd, const char* path) noexcept {
  return ::move_mount(mount_fd, "", dir_fd, path, MOVE_MOUNT_F_EMPTY_PATH);
}

int MakeReadOnly(int mount_fd) noexcept {
  return SetAttributes(mount_fd, MOUNT_ATTR_RDONLY);
}

}  // namespace bdn::mount
