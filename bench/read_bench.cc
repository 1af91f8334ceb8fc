// Reads two files in turn and compares: a file through a mount, and the plain file.
//
//   read_bench PLAIN MOUNTED [ROUNDS]
//
// Both must have the same size, 1 MiB at least, and be in the page cache already: what is measured
// is the path to the bytes, not the disk. Prints a line of "name plain mounted ratio" for each way
// of reading: medians of GB/s, and of the ratios of the rounds.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "os/unique_fd.h"

namespace {

constexpr std::size_t kRandomReads = 200'000;
constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kBufferBytesMax = 1 << 20;

// Reads the open file in one way; the number of bytes, or nothing after an error.
using Way = std::function<std::optional<std::uint64_t>(int fd, std::uint64_t size)>;

std::optional<std::uint64_t> ReadInOrder(int fd, std::span<std::byte> buffer) {
  std::uint64_t total = 0;
  for (;;) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(total));
    if (got < 0) return std::nullopt;
    if (got == 0) return total;
    total += static_cast<std::uint64_t>(got);
  }
}

std::optional<std::uint64_t> ReadAtRandom(int fd, std::uint64_t size, std::span<std::byte> buffer) {
  std::minstd_rand random(1);  // the same offsets for both files
  std::uniform_int_distribution<std::uint64_t> pages(0, size / kPageBytes - 1);
  for (std::size_t i = 0; i < kRandomReads; ++i) {
    const auto offset = static_cast<off_t>(pages(random) * kPageBytes);
    if (::pread(fd, buffer.data(), kPageBytes, offset) != ssize_t{kPageBytes}) return std::nullopt;
  }
  return kRandomReads * kPageBytes;
}

// Touches each cache line once, in order, as a loader that copies to a device does.
std::optional<std::uint64_t> ReadMapped(int fd, std::uint64_t size) {
  void* const map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return std::nullopt;
  const std::span words(static_cast<const std::uint64_t*>(map), size / sizeof(std::uint64_t));
  constexpr std::size_t kWordsPerLine = 64 / sizeof(std::uint64_t);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < words.size(); i += kWordsPerLine) sum += words[i];
  ::munmap(map, size);
  volatile std::uint64_t keep = sum;  // or the loop could go
  (void)keep;
  return size;
}

std::optional<double> Speed(const char* path, const Way& way) {
  const bdn::os::UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (fd.get() < 0 || ::fstat(fd.get(), &info) != 0) return std::nullopt;
  const auto started = std::chrono::steady_clock::now();
  const auto bytes = way(fd.get(), static_cast<std::uint64_t>(info.st_size));
  if (!bytes) return std::nullopt;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  return static_cast<double>(*bytes) / took.count() / 1e9;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

bool Compare(const char* name, const Way& way, const char* plain, const char* mounted, int rounds) {
  std::vector<double> plain_speeds;
  std::vector<double> mounted_speeds;
  std::vector<double> ratios;
  for (int i = 0; i <= rounds; ++i) {
    // Who is first changes from round to round. The first round only warms up.
    const bool plain_first = i % 2 == 0;
    const auto first = Speed(plain_first ? plain : mounted, way);
    const auto second = Speed(plain_first ? mounted : plain, way);
    if (!first || !second) {
      std::perror(name);
      return false;
    }
    if (i == 0) continue;
    plain_speeds.push_back(plain_first ? *first : *second);
    mounted_speeds.push_back(plain_first ? *second : *first);
    ratios.push_back(mounted_speeds.back() / plain_speeds.back());
  }
  std::printf("%s\t%.2f\t%.2f\t%.3f\n", name, Median(plain_speeds), Median(mounted_speeds),
              Median(ratios));
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: read_bench PLAIN MOUNTED [ROUNDS]\n");
    return 2;
  }
  const int rounds = argc > 3 ? std::max(1, std::atoi(argv[3])) : 7;
  static std::array<std::byte, kBufferBytesMax> memory;
  const auto in_order = [](std::size_t bytes) -> Way {
    return
        [bytes](int fd, std::uint64_t) { return ReadInOrder(fd, std::span(memory).first(bytes)); };
  };
  const std::array<std::pair<const char*, Way>, 4> ways{{
      {"sequential 1 MiB", in_order(1 << 20)},
      {"sequential 128 KiB", in_order(128 << 10)},
      {"random 4 KiB", [](int fd, std::uint64_t size) { return ReadAtRandom(fd, size, memory); }},
      {"mmap sequential", ReadMapped},
  }};
  bool good = true;
  for (const auto& [name, way] : ways) {
    good = Compare(name, way, argv[1], argv[2], rounds) && good;
  }
  return good ? 0 : 1;
}
