#pragma once
// An Fs that counts every call and fails the n-th one, for exhaustive fault tests:
//
//   for (std::uint64_t n = 0;; ++n) {
//     MemoryFs disk;
//     FaultyFs faulty(disk.Share());
//     faulty.FailAt(n, {.all_later = true});   // the machine dies at call n
//     Run(faulty.Share());
//     const bool done = faulty.failures() == 0;
//     disk.DropUnsynced();
//     CheckInvariants(disk);
//     if (done) break;
//   }
//
// Counted: every call of Fs and of the Files that it opened, but HostPath and fd, which cannot
// fail. What is done to fd() goes around this class. Thread-safe.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "os/fs.h"

namespace bdn::os::testing {

struct Fault {
  Code code = Code::kUnavailable;
  // When the call is a WriteAt: so many bytes are written before it fails (all, when fewer).
  std::optional<std::size_t> torn_bytes = std::nullopt;
  // Every later call fails too: the process died here.
  bool all_later = false;
};

class FaultyFs final : public Fs {
 public:
  explicit FaultyFs(std::unique_ptr<Fs> inner);
  explicit FaultyFs(Fs& inner);  // borrowed for this object's life, and that of its shares
  ~FaultyFs() override;

  // Another handle with the same count and faults.
  std::unique_ptr<Fs> Share() const;

  // The n-th call from now on fails; 0 is the next one. Forgets an earlier FailAt and failures().
  void FailAt(std::uint64_t n, Fault fault = {});
  // No more failures.
  void Heal();
  // Calls since the construction, failed ones too.
  std::uint64_t operations() const;
  // Calls that failed by our doing since the last FailAt.
  std::uint64_t failures() const;

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

  class Plan;  // the shared count and fault

 private:
  FaultyFs(std::shared_ptr<Fs> inner, std::shared_ptr<Plan> plan);
  std::shared_ptr<Fs> inner_;
  std::shared_ptr<Plan> plan_;
};

}  // namespace bdn::os::testing
