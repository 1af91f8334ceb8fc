#pragma once
// The steps of a read-only bind mount, as plain system calls: no allocation, so that a child may
// use them between fork and exec. Every function returns what the system call does and leaves
// errno.
namespace bdn::mount {

// A detached, read-only (nosuid, nodev, noexec) copy of the mount at `path`, as a descriptor; -1.
// Not of the mounts below it.
int CloneReadOnly(const char* path) noexcept;
// The same with its attributes and with all mounts below it. `path` is relative to `dir_fd`.
int CloneRecursive(int dir_fd, const char* path) noexcept;
// Attaches a detached mount at `path`, which must exist and not be a symbolic link.
int Attach(int mount_fd, int dir_fd, const char* path) noexcept;
// Makes the mount of a descriptor read-only.
int MakeReadOnly(int mount_fd) noexcept;

}  // namespace bdn::mount
