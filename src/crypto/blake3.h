#pragma once
// BLAKE3 from its public specification (Aumasson, Neves, O'Connor, Wilcox-O'Hearn, 2020), with
// portable, AVX2 and AVX-512 kernels chosen when the program starts. Checked against the published
// test vectors (src/crypto/testdata/blake3_test_vectors.json).
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "crypto/digest.h"

namespace bdn::crypto {

// Incremental hashing: Update any number of times, then Finish. Not thread-safe; one per stream.
class Blake3 {
 public:
  Blake3();
  ~Blake3();
  Blake3(Blake3&&) noexcept;
  Blake3& operator=(Blake3&&) noexcept;
  void Update(std::span<const std::byte> bytes);
  // The digest of all bytes so far; may be called again and more bytes added after.
  Digest Finish() const;
  void Reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest Blake3Of(std::span<const std::byte> bytes);
Digest Blake3Of(std::string_view bytes);

// Which kernel runs: "avx512", "avx2" or "portable". Tests and benches force one with
// SetBlake3Kernel; kInvalidArgument for one that this CPU lacks.
std::string_view Blake3Kernel();
Status SetBlake3Kernel(std::string_view name);

}  // namespace bdn::crypto
