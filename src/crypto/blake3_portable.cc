// The reference for the other kernels and the one for CPUs without them: plain 32-bit arithmetic.
#include <cstring>

#include "crypto/blake3_kernels.h"

namespace bdn::crypto::blake3 {
namespace {

using State = std::array<Word, 16>;

// The quarter round: mixes two message words into a column or a diagonal.
inline void Mix(
    State& v, std::size_t a, std::size_t b, std::size_t c, std::size_t d, Word x, Word y) {
  v[a] += v[b] + x;
  v[d] = std::rotr(v[d] ^ v[a], 16);
  v[c] += v[d];
  v[b] = std::rotr(v[b] ^ v[c], 12);
  v[a] += v[b] + y;
  v[d] = std::rotr(v[d] ^ v[a], 8);
  v[c] += v[d];
  v[b] = std::rotr(v[b] ^ v[c], 7);
}

inline void Round(State& v, const State& m, const std::array<std::uint8_t, 16>& s) {
  Mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
  Mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
  Mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
  Mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
  Mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
  Mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
  Mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
  Mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
}

void Compress(
    Word* cv, const std::uint8_t* block, Word block_bytes, std::uint64_t counter, Word flags) {
  State m;
  std::memcpy(m.data(), block, kBlockBytes);
  State v;
  std::memcpy(v.data(), cv, kCvWords * sizeof(Word));
  for (std::size_t i = 0; i < 4; ++i) v[8 + i] = kIv[i];
  v[12] = static_cast<Word>(counter);
  v[13] = static_cast<Word>(counter >> 32);
  v[14] = block_bytes;
  v[15] = flags;
  for (const auto& order : kSchedule) Round(v, m, order);
  for (std::size_t i = 0; i < kCvWords; ++i) cv[i] = v[i] ^ v[i + 8];
}

void Blocks(Word* cv,
            const std::uint8_t* input,
            std::size_t blocks,
            std::uint64_t counter,
            Word first_flags) {
  for (std::size_t i = 0; i < blocks; ++i) {
    Compress(cv, input + i * kBlockBytes, kBlockBytes, counter, i == 0 ? first_flags : 0);
  }
}

void Chunks(const std::uint8_t* input, std::size_t count, std::uint64_t counter, Word* out) {
  for (std::size_t i = 0; i < count; ++i, input += kChunkBytes, out += kCvWords) {
    std::memcpy(out, kIv.data(), sizeof(kIv));
    Blocks(out, input, kBlocksPerChunk - 1, counter + i, kChunkStart);
    Compress(out, input + kChunkBytes - kBlockBytes, kBlockBytes, counter + i, kChunkEnd);
  }
}

void Parents(const Word* children, std::size_t count, Word* out) {
  for (std::size_t i = 0; i < count; ++i) {
    std::array<std::uint8_t, kBlockBytes> block;  // a copy: `out` may be `children`
    std::memcpy(block.data(), children + 2 * kCvWords * i, kBlockBytes);
    Word* cv = out + kCvWords * i;
    std::memcpy(cv, kIv.data(), sizeof(kIv));
    Compress(cv, block.data(), kBlockBytes, 0, kParent);
  }
}

constexpr Kernel kKernel = {"portable", Compress, Blocks, Chunks, Parents};

}  // namespace

const Kernel& PortableKernel() {
  return kKernel;
}

}  // namespace bdn::crypto::blake3
