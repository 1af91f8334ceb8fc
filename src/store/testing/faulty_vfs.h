#pragma once
// The file system under SQLite (sqlite.org/vfs.html) that counts every operation which changes a
// file and fails the n-th one before it happens: what os::testing::FaultyFs is to stores that use
// os::Fs. Everything else goes to the default file system.
//
//   FaultyVfs vfs;
//   vfs.FailAt(7);
//   auto metadata = OpenSqliteMetadata(path, {.db = {.vfs = vfs.name()}});
//
// One at a time in a process; outlives every database that uses it. Thread-safe.
#include <cstdint>
#include <string>

namespace bdn::store::testing {

class FaultyVfs {
 public:
  FaultyVfs();
  ~FaultyVfs();
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  std::string name() const;
  // The n-th operation from now on fails (0: the next), and every later one when `all_later`.
  void FailAt(std::uint64_t n, bool all_later);
  void Heal();
  std::uint64_t failures() const;  // since FailAt
};

}  // namespace bdn::store::testing
