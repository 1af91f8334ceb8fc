// Preloaded into a program (LD_PRELOAD): numbers its calls that change files, from 0, across all
// threads, and ends the process as kill -9 would before the call with a given number.
//
// A row of writes of content, one thread to one file without a gap, is a call for each MiB: into
// how many pieces the network cuts content differs from run to run. What SQLite writes is small:
// each is a call.
//
//   BDN_KILL_COUNTER  file of kCallsMax + 8 bytes: a little-endian count of the calls so far, then
//                     one letter a call: w(rite) s(ync) r(ename) l(ink) u(nlink) m(kdir) t(runcate)
//                     c(hange of mode)
//   BDN_KILL_AT       the number; without it the calls are only counted
#include <atomic>
#include <cstdint>
#include <cstdlib>

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

constexpr std::uint64_t kCallsMax = 1 << 20;

struct Shared {
  std::atomic<std::uint64_t> calls;
  char kinds[kCallsMax];
};

struct Setup {
  Shared* shared = nullptr;
  std::uint64_t kill_at = UINT64_MAX;
  Setup() {
    const char* const at = std::getenv("BDN_KILL_AT");
    if (at != nullptr) kill_at = std::strtoull(at, nullptr, 10);
    const char* const path = std::getenv("BDN_KILL_COUNTER");
    if (path == nullptr) return;
    const int fd = ::open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) std::abort();
    void* const map = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) std::abort();
    ::close(fd);
    shared = static_cast<Shared*>(map);
  }
};

void Step(char kind) {
  static Setup setup;
  if (setup.shared == nullptr) return;
  const std::uint64_t number = setup.shared->calls.fetch_add(1);
  if (number < kCallsMax) setup.shared->kinds[number] = kind;
  if (number != setup.kill_at) return;
  ::syscall(SYS_kill, ::getpid(), SIGKILL);
  for (;;) ::pause();
}

constexpr std::size_t kSmallWriteBytes = 8 << 10;
constexpr std::size_t kContentBytes = 64 << 10;  // SQLite appends less in one transaction here
constexpr std::size_t kCallBytes = 1 << 20;

void Write(int fd, std::size_t size, off64_t at) {
  thread_local int row_fd = -1;
  thread_local off64_t row_end = 0;
  thread_local std::size_t row_bytes = 0;
  thread_local std::size_t since_call = 0;
  const bool continues = fd == row_fd && at == row_end;
  row_fd = fd;
  row_end = at + static_cast<off64_t>(size);
  row_bytes = continues ? row_bytes + size : size;
  const bool content = size >= kSmallWriteBytes || row_bytes > kContentBytes;
  since_call = continues ? since_call + size : kCallBytes;
  if (content && since_call < kCallBytes) return;
  since_call = 0;
  Step('w');
}

template <class F>
F* Real(const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t pwrite(int fd, const void* from, size_t size, off_t at) {
  static auto* const real = Real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  Write(fd, size, at);
  return real(fd, from, size, at);
}

ssize_t pwrite64(int fd, const void* from, size_t size, off64_t at) {
  static auto* const real = Real<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  Write(fd, size, at);
  return real(fd, from, size, at);
}

int fdatasync(int fd) {
  static auto* const real = Real<int(int)>("fdatasync");
  Step('s');
  return real(fd);
}

int fsync(int fd) {
  static auto* const real = Real<int(int)>("fsync");
  Step('s');
  return real(fd);
}

int syncfs(int fd) noexcept {
  static auto* const real = Real<int(int)>("syncfs");
  Step('s');
  return real(fd);
}

int renameat2(
    int from_dir, const char* from, int to_dir, const char* to, unsigned int flags) noexcept {
  static auto* const real =
      Real<int(int, const char*, int, const char*, unsigned int)>("renameat2");
  Step('r');
  return real(from_dir, from, to_dir, to, flags);
}

int linkat(int from_dir, const char* from, int to_dir, const char* to, int flags) noexcept {
  static auto* const real = Real<int(int, const char*, int, const char*, int)>("linkat");
  Step('l');
  return real(from_dir, from, to_dir, to, flags);
}

int unlinkat(int dir, const char* path, int flags) noexcept {
  static auto* const real = Real<int(int, const char*, int)>("unlinkat");
  Step('u');
  return real(dir, path, flags);
}

int mkdirat(int dir, const char* path, mode_t mode) noexcept {
  static auto* const real = Real<int(int, const char*, mode_t)>("mkdirat");
  Step('m');
  return real(dir, path, mode);
}

int ftruncate(int fd, off_t size) noexcept {
  static auto* const real = Real<int(int, off_t)>("ftruncate");
  Step('t');
  return real(fd, size);
}

int fallocate(int fd, int mode, off_t at, off_t size) {
  static auto* const real = Real<int(int, int, off_t, off_t)>("fallocate");
  Step('t');
  return real(fd, mode, at, size);
}

int fchmodat(int dir, const char* path, mode_t mode, int flags) noexcept {
  static auto* const real = Real<int(int, const char*, mode_t, int)>("fchmodat");
  Step('c');
  return real(dir, path, mode, flags);
}

}  // extern "C"
