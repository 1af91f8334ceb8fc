#include "store/testing/faulty_vfs.h"

#include <atomic>
#include <limits>
#include <new>

#include <sqlite3.h>

#include "base/check.h"

namespace bdn::store::testing {
namespace {

constexpr const char* kVfsName = "bdn-faulty";

// SQLite's interface is a table of C functions, so the plan is the process's.
struct Plan {
  std::atomic<std::uint64_t> calls = 0;
  std::atomic<std::uint64_t> fail_at = std::numeric_limits<std::uint64_t>::max();
  std::atomic<bool> all_later = false;
  std::atomic<std::uint64_t> failures = 0;
};
Plan plan;
sqlite3_vfs vfs;

bool Fails() {
  const std::uint64_t call = plan.calls++;
  const bool fails = call == plan.fail_at || (plan.all_later && call > plan.fail_at);
  if (fails) ++plan.failures;
  return fails;
}

sqlite3_vfs* Inner() {
  return static_cast<sqlite3_vfs*>(vfs.pAppData);
}

// The real file lies behind ours in the memory that SQLite gives.
struct File {
  sqlite3_file base;
  sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

sqlite3_file* InnerOf(sqlite3_file* file) {
  return reinterpret_cast<File*>(file)->inner();
}
const sqlite3_io_methods& MethodsOf(sqlite3_file* file) {
  return *InnerOf(file)->pMethods;
}

int Close(sqlite3_file* f) {
  return MethodsOf(f).xClose(InnerOf(f));
}
int Read(sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
  return MethodsOf(f).xRead(InnerOf(f), to, size, at);
}
int Write(sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
  return Fails() ? SQLITE_IOERR_WRITE : MethodsOf(f).xWrite(InnerOf(f), from, size, at);
}
int Truncate(sqlite3_file* f, sqlite3_int64 size) {
  return Fails() ? SQLITE_IOERR_TRUNCATE : MethodsOf(f).xTruncate(InnerOf(f), size);
}
// What the kernel has survives the process: no need to wait for the disk.
int Sync(sqlite3_file*, int) {
  return Fails() ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}
int FileSize(sqlite3_file* f, sqlite3_int64* size) {
  return MethodsOf(f).xFileSize(InnerOf(f), size);
}
int Lock(sqlite3_file* f, int lock) {
  return MethodsOf(f).xLock(InnerOf(f), lock);
}
int Unlock(sqlite3_file* f, int lock) {
  return MethodsOf(f).xUnlock(InnerOf(f), lock);
}
int CheckReservedLock(sqlite3_file* f, int* out) {
  return MethodsOf(f).xCheckReservedLock(InnerOf(f), out);
}
int FileControl(sqlite3_file* f, int op, void* arg) {
  return MethodsOf(f).xFileControl(InnerOf(f), op, arg);
}
int SectorSize(sqlite3_file* f) {
  return MethodsOf(f).xSectorSize(InnerOf(f));
}
int DeviceCharacteristics(sqlite3_file* f) {
  return MethodsOf(f).xDeviceCharacteristics(InnerOf(f));
}
int ShmMap(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
  return MethodsOf(f).xShmMap(InnerOf(f), page, size, extend, out);
}
int ShmLock(sqlite3_file* f, int offset, int n, int flags) {
  return MethodsOf(f).xShmLock(InnerOf(f), offset, n, flags);
}
void ShmBarrier(sqlite3_file* f) {
  MethodsOf(f).xShmBarrier(InnerOf(f));
}
int ShmUnmap(sqlite3_file* f, int remove) {
  return MethodsOf(f).xShmUnmap(InnerOf(f), remove);
}

const sqlite3_io_methods kMethods = {.iVersion = 2,
                                     .xClose = Close,
                                     .xRead = Read,
                                     .xWrite = Write,
                                     .xTruncate = Truncate,
                                     .xSync = Sync,
                                     .xFileSize = FileSize,
                                     .xLock = Lock,
                                     .xUnlock = Unlock,
                                     .xCheckReservedLock = CheckReservedLock,
                                     .xFileControl = FileControl,
                                     .xSectorSize = SectorSize,
                                     .xDeviceCharacteristics = DeviceCharacteristics,
                                     .xShmMap = ShmMap,
                                     .xShmLock = ShmLock,
                                     .xShmBarrier = ShmBarrier,
                                     .xShmUnmap = ShmUnmap};

int Open(sqlite3_vfs*, const char* name, sqlite3_file* f, int flags, int* out_flags) {
  f->pMethods = nullptr;
  if ((flags & SQLITE_OPEN_CREATE) != 0 && Fails()) return SQLITE_CANTOPEN;
  const int rc = Inner()->xOpen(Inner(), name, InnerOf(f), flags, out_flags);
  if (InnerOf(f)->pMethods != nullptr) f->pMethods = &kMethods;
  return rc;
}
int Delete(sqlite3_vfs*, const char* name, int sync_dir) {
  return Fails() ? SQLITE_IOERR_DELETE : Inner()->xDelete(Inner(), name, sync_dir);
}

}  // namespace

FaultyVfs::FaultyVfs() {
  sqlite3_vfs* const inner = sqlite3_vfs_find(nullptr);
  BDN_CHECK(inner != nullptr && sqlite3_vfs_find(kVfsName) == nullptr);
  vfs = *inner;
  vfs.pNext = nullptr;
  vfs.zName = kVfsName;
  vfs.pAppData = inner;
  vfs.szOsFile = static_cast<int>(sizeof(File)) + inner->szOsFile;
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  BDN_CHECK(sqlite3_vfs_register(&vfs, /*makeDflt=*/0) == SQLITE_OK);
  Heal();
}

FaultyVfs::~FaultyVfs() {
  sqlite3_vfs_unregister(&vfs);
}

std::string FaultyVfs::name() const {
  return kVfsName;
}

void FaultyVfs::FailAt(std::uint64_t n, bool all_later) {
  plan.failures = 0;
  plan.all_later = all_later;
  plan.fail_at = plan.calls + n;
}

void FaultyVfs::Heal() {
  plan.all_later = false;
  plan.fail_at = std::numeric_limits<std::uint64_t>::max();
}

std::uint64_t FaultyVfs::failures() const {
  return plan.failures;
}

}  // namespace bdn::store::testing
