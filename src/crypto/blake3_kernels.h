#pragma once
// The inner loops of BLAKE3, one set for each instruction set. Only blake3.cc, the kernels, their
// tests and benches include this; everybody else uses crypto/blake3.h.
//
// Source: draft-aumasson-blake3-00 (IETF) and the BLAKE3 paper (2020), section 2.
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bdn::crypto::blake3 {

// Chaining values are kept as words, input is read as bytes; the kernels treat one as the other.
static_assert(std::endian::native == std::endian::little);

using Word = std::uint32_t;

inline constexpr std::size_t kBlockBytes = 64;
inline constexpr std::size_t kChunkBytes = 1024;
inline constexpr std::size_t kBlocksPerChunk = kChunkBytes / kBlockBytes;
inline constexpr std::size_t kCvWords = 8;
inline constexpr int kRounds = 7;

inline constexpr Word kChunkStart = 1;
inline constexpr Word kChunkEnd = 2;
inline constexpr Word kParent = 4;
inline constexpr Word kRoot = 8;

inline constexpr std::array<Word, 8> kIv = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                                            0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

// kSchedule[r][i]: which word of the block is the i-th message word of round r. The specification
// gives one permutation that is applied between rounds; this is that permutation, repeated.
using Schedule = std::array<std::array<std::uint8_t, 16>, kRounds>;
constexpr Schedule MakeSchedule() {
  constexpr std::array<std::uint8_t, 16> kPermutation = {2, 6,  3,  10, 7, 0,  4,  13,
                                                         1, 11, 12, 5,  9, 14, 15, 8};
  Schedule schedule{};
  for (std::uint8_t i = 0; i < 16; ++i) schedule[0][i] = i;
  for (std::size_t r = 1; r < schedule.size(); ++r) {
    for (std::size_t i = 0; i < 16; ++i) schedule[r][i] = schedule[r - 1][kPermutation[i]];
  }
  return schedule;
}
inline constexpr Schedule kSchedule = MakeSchedule();

// One set of inner loops. All functions are pure but for `out`; nothing needs alignment.
struct Kernel {
  std::string_view name;

  // Compresses one block (64 bytes, zero padded beyond `block_bytes`): cv becomes the next one.
  void (*compress)(
      Word* cv, const std::uint8_t* block, Word block_bytes, std::uint64_t counter, Word flags);

  // Compresses `blocks` full blocks of one chunk, one after the other; `first_flags` go to the
  // first of them, the others have none.
  void (*blocks)(Word* cv,
                 const std::uint8_t* input,
                 std::size_t blocks,
                 std::uint64_t counter,
                 Word first_flags);

  // The chaining values of `count` whole chunks that lie one after the other at `input`; the first
  // has number `counter`. None of them may be the root. `out` gets 8 words a chunk.
  void (*chunks)(const std::uint8_t* input, std::size_t count, std::uint64_t counter, Word* out);

  // The chaining values of `count` parents, none the root, of the 2·count values at `children`.
  // `out` may be `children`: a parent is written when its children, and those before, are read.
  void (*parents)(const Word* children, std::size_t count, Word* out);
};

const Kernel& PortableKernel();
// nullptr when this CPU or operating system lacks what the kernel needs.
const Kernel* Avx2Kernel();
const Kernel* Avx512Kernel();

}  // namespace bdn::crypto::blake3
