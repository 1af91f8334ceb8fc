// Hashes one file on one thread, with read(2) into a buffer as the workers do it, and prints its
// BLAKE3 digest. bench/blake3.sh compares it with b3sum.
//   build/release/bench/blake3_file FILE [KERNEL]
#include <cstdio>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "crypto/blake3.h"

namespace {
constexpr std::size_t kBufferBytes = 256 << 10;
}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: %s FILE [portable|avx2|avx512]\n", argv[0]);
    return 2;
  }
  if (argc == 3) {
    if (const auto set = bdn::crypto::SetBlake3Kernel(argv[2]); !set) {
      std::fprintf(stderr, "%s\n", set.error().message().c_str());
      return 1;
    }
  }
  const int fd = ::open(argv[1], O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    std::perror(argv[1]);
    return 1;
  }
  bdn::crypto::Blake3 hasher;
  std::vector<std::byte> buffer(kBufferBytes);
  ssize_t got = 0;
  while ((got = ::read(fd, buffer.data(), buffer.size())) > 0) {
    hasher.Update(std::span(buffer).first(static_cast<std::size_t>(got)));
  }
  if (got < 0) {
    std::perror(argv[1]);
    return 1;
  }
  ::close(fd);
  std::puts(hasher.Finish().hex().c_str());
  return 0;
}
