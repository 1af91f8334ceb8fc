#pragma once
// The file system as a dependency: a rooted directory and the calls that stores and caches need,
// with their durability spelt out.
//
// Implementations: RealFs (os/real_fs.h), testing::MemoryFs (models what is durable, so that a test
// can drop the rest), testing::FaultyFs (fails the n-th call of another Fs).
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace bdn::os {

enum class FileType : std::uint8_t { kFile, kDirectory, kSymlink, kOther };

struct FileInfo {
  FileType type = FileType::kOther;
  std::uint32_t mode = 0;  // permission bits only, 07777
  std::uint64_t size_bytes = 0;
  std::uint64_t allocated_bytes = 0;  // blocks on disk
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  std::uint64_t links = 0;
  WallTime modified;
};

struct DiskSpace {
  std::uint64_t total_bytes = 0;
  std::uint64_t available_bytes = 0;  // to this process: without what is reserved for root
};

// An open file. Reads and writes carry their offset, so one handle may be used by many threads at
// once. Closed by the destructor; data written and not synced may be lost with the power.
//
// Errors of every call: kResourceExhausted (ENOSPC, EDQUOT), kUnavailable (EIO), kInternal.
class File {
 public:
  virtual ~File() = default;
  // Fills `into` from `offset`; fewer bytes only at the end of the file.
  virtual Result<std::size_t> ReadAt(std::uint64_t offset, std::span<std::byte> into) const = 0;
  // Writes all of `bytes`, or fails (then an unknown prefix was written).
  virtual Status WriteAt(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  // Reserves disk blocks for [0, size_bytes) and makes the file at least that long. A file system
  // that cannot reserve only sets the length.
  virtual Status Allocate(std::uint64_t size_bytes) = 0;
  virtual Status Truncate(std::uint64_t size_bytes) = 0;
  // Makes the content and the length durable (fdatasync). The *name* is durable only after
  // Fs::SyncDir of its directory.
  virtual Status Sync() = 0;
  virtual Result<FileInfo> Info() const = 0;
  // For sendfile(2) and mmap(2); -1 where there is none (memory).
  virtual int fd() const noexcept = 0;
};

enum class OpenMode : std::uint8_t {
  kRead,       // must exist
  kReadWrite,  // must exist
  kCreateNew,  // must not exist: kAlreadyExists
  kCreate,     // opens or creates, read and write
};

struct DirEntry {
  std::string name;
  FileType type = FileType::kOther;
};

// One directory and what is below it. Every path is relative to it, normalised ("a/b": no leading
// '/', no "." or "..", no "//"; "" is the directory itself) and never follows a symbolic link, not
// even in the middle: such a path is kPermissionDenied. Thread-safe.
//
// Errors: kNotFound, kAlreadyExists, kInvalidArgument (path not normalised, name too long),
// kPermissionDenied, kFailedPrecondition (not empty, is/isn't a directory, EXDEV),
// kResourceExhausted (ENOSPC, EDQUOT, EMLINK, EMFILE), kUnavailable (EIO), kInternal.
// Messages name the path.
class Fs {
 public:
  virtual ~Fs() = default;
  // Only regular files open. `permissions` of what is made are cut by the process's umask.
  virtual Result<std::unique_ptr<File>> Open(std::string_view path,
                                             OpenMode mode,
                                             std::uint32_t permissions = 0644) = 0;
  // Of the entry itself, never of what a symbolic link names.
  virtual Result<FileInfo> Stat(std::string_view path) const = 0;
  virtual Status MakeDir(std::string_view path, std::uint32_t permissions = 0755) = 0;
  // Removes a file or symbolic link.
  virtual Status Remove(std::string_view path) = 0;
  virtual Status RemoveDir(std::string_view path) = 0;
  // Replaces `to` when it is a file (or both are directories and `to` is empty). Nothing happens
  // when both name the same inode: then both names stay. Atomic for observers; durable after
  // SyncDir of both parents.
  virtual Status Rename(std::string_view from, std::string_view to) = 0;
  // A second name for a file. kResourceExhausted when the inode has too many (EMLINK).
  virtual Status Link(std::string_view from, std::string_view to) = 0;
  virtual Status Symlink(std::string_view target, std::string_view path) = 0;
  virtual Result<std::string> ReadLink(std::string_view path) const = 0;
  virtual Status SetMode(std::string_view path, std::uint32_t permissions) = 0;
  virtual Status SetModified(std::string_view path, WallTime time) = 0;
  // Calls `visit` for each entry, in no order, without "." and "..". An error of `visit` ends it.
  virtual Status List(std::string_view path,
                      const std::function<Status(const DirEntry&)>& visit) const = 0;
  // Makes the names in directory `path` durable.
  virtual Status SyncDir(std::string_view path) = 0;
  // Makes everything written so far below the root durable, contents and names (syncfs(2): the
  // whole file system). One call in place of a Sync per file where there are very many small ones.
  virtual Status SyncAll() = 0;
  virtual Result<DiskSpace> Space() const = 0;
  // The absolute path of `path` on this machine, for mount(2) and messages; empty in memory.
  virtual std::string HostPath(std::string_view path) const = 0;
};

// --- Built on the calls above, the same for every implementation (os/fs_util.cc). ---

// kInvalidArgument unless `path` is normalised as Fs demands.
Status CheckPath(std::string_view path);
// Makes every missing directory of `path`. With `sync`, success means that every name of it is
// durable, also of directories that somebody else made; that costs one SyncDir a level, so make the
// directories of a hot path once, when it is opened.
Status MakeDirs(Fs& fs, std::string_view path, bool sync = false);
Result<std::string> ReadFile(const Fs& fs, std::string_view path, std::uint64_t bytes_max);
// Temporary file beside it, write, Sync, Rename, SyncDir: after success the new content survives a
// power cut, after failure (or a crash) the old content is whole. A crash may leave one
// "<path>.tmp-<random>".
Status WriteFileDurably(Fs& fs,
                        std::string_view path,
                        std::string_view content,
                        std::uint32_t permissions = 0644);
// Removes what crashes of WriteFileDurably left in directory `dir`, which only the caller may use.
Status RemoveTemporaries(Fs& fs, std::string_view dir);
// Removes `path` and all below it; not finding it is success.
Status RemoveTree(Fs& fs, std::string_view path);
// 16 hex digits from the system's random source, for temporary names and ids.
std::string RandomName();

}  // namespace bdn::os
