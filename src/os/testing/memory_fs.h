#pragma once
// A file system in memory that knows what a power cut would leave.
//
// Durability model, the strictest one that POSIX allows:
//   * a file remembers the content and length of its last File::Sync (empty before the first);
//   * a directory remembers the names of its last SyncDir (none before the first), and which inode
//     each name stood for, so an unsynced rename comes back under its old name, or under both when
//     only the new directory was synced;
//   * modes, times and symbolic link targets are as durable as the inode itself.
//
// A MemoryFs is a handle: Share() gives the code under test another handle of the same files, so
// that a test can cut the power, then open the same disk again:
//
//   MemoryFs disk;
//   { auto cache = OpenNodeCache(disk.Share(), ...); ... }
//   disk.DropUnsynced();
//   auto again = OpenNodeCache(disk.Share(), ...);
//
// Permissions are stored and not enforced. Thread-safe.
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "os/fs.h"

namespace bdn::os::testing {

class MemoryFs final : public Fs {
 public:
  // What is modified is stamped with `clock`; without one, always 2026-01-01T00:00:00Z.
  explicit MemoryFs(const Clock* clock = nullptr);
  ~MemoryFs() override;

  std::unique_ptr<Fs> Share() const;

  // The power cut: everything that was not synced is gone. Files that are open stay bound to the
  // machine that died: their calls fail with kUnavailable.
  void DropUnsynced();
  // The sum of file lengths may not grow past this: kResourceExhausted. 0: no limit.
  void SetCapacity(std::uint64_t bytes);
  // Sum of the lengths of all files that have a name or are open.
  std::uint64_t used_bytes() const;
  // Calls of File::Sync, SyncDir and SyncAll so far: what a test of the number of flushes counts.
  std::uint64_t syncs() const;
  // Flips the lowest bit of one byte, in what is read now and in what a power cut leaves.
  Status CorruptByte(std::string_view path, std::uint64_t offset);

  Result<std::unique_ptr<File>> Open(std::string_view path,
                                     OpenMode mode,
                                     std::uint32_t permissions) override;
  Result<FileInfo> Stat(std::string_view path) const override;
  Status MakeDir(std::string_view path, std::uint32_t permissions) override;
  Status Remove(std::string_view path) override;
  Status RemoveDir(std::string_view path) override;
  Status Rename(std::string_view from, std::string_view to) override;
  Status Link(std::string_view from, std::string_view to) override;
  Status Symlink(std::string_view target, std::string_view path) override;
  Result<std::string> ReadLink(std::string_view path) const override;
  Status SetMode(std::string_view path, std::uint32_t permissions) override;
  Status SetModified(std::string_view path, WallTime time) override;
  Status List(std::string_view path,
              const std::function<Status(const DirEntry&)>& visit) const override;
  Status SyncDir(std::string_view path) override;
  Status SyncAll() override;
  Result<DiskSpace> Space() const override;
  std::string HostPath(std::string_view path) const override;

  class Disk;  // the shared files; see memory_fs.cc

 private:
  explicit MemoryFs(std::shared_ptr<Disk> disk);
  std::shared_ptr<Disk> disk_;
};

}  // namespace bdn::os::testing
