// BLAKE3 with 256-bit registers: 8 chunks or parents at a time, and one block at a time with
// 128-bit rows for the ends.
#include "crypto/blake3_kernels.h"

#if defined(__x86_64__)
#define BDN_BLAKE3_TARGET __attribute__((target("avx2")))
#include "crypto/blake3_wide.h"

namespace bdn::crypto::blake3 {
namespace {

struct Lanes8 : Lanes8Base {
  // Two of the four rotations move whole bytes, which is one instruction.
  template <int kBits>
  BDN_BLAKE3_INLINE static Reg Rot(Reg a) {
    if constexpr (kBits == 16) {
      return _mm256_shuffle_epi8(
          a, _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13,  //
                              2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
    } else if constexpr (kBits == 8) {
      return _mm256_shuffle_epi8(
          a, _mm256_setr_epi8(1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12,  //
                              1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12));
    } else {
      return _mm256_or_si256(_mm256_srli_epi32(a, kBits), _mm256_slli_epi32(a, 32 - kBits));
    }
  }
};

struct RowOps {
  template <int kBits>
  BDN_BLAKE3_INLINE static __m128i Rot(__m128i a) {
    if constexpr (kBits == 16) {
      return _mm_shuffle_epi8(a,
                              _mm_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
    } else if constexpr (kBits == 8) {
      return _mm_shuffle_epi8(a,
                              _mm_setr_epi8(1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12));
    } else {
      return _mm_or_si128(_mm_srli_epi32(a, kBits), _mm_slli_epi32(a, 32 - kBits));
    }
  }

  static constexpr int FromHigh(int round, int half) {
    int mask = 0;
    for (int i = 0; i < 8; ++i) mask |= kRowOrder.word[round][half][i] >= 8 ? 1 << i : 0;
    return mask;
  }
  template <int kRound, int kHalf>
  BDN_BLAKE3_INLINE static __m256i Pick(__m256i low, __m256i high) {
    // The instruction looks at the lower three bits only: the same order serves both halves.
    constexpr auto& w = kRowOrder.word[kRound][kHalf];
    const __m256i order = _mm256_setr_epi32(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]);
    return _mm256_blend_epi32(_mm256_permutevar8x32_epi32(low, order),
                              _mm256_permutevar8x32_epi32(high, order), FromHigh(kRound, kHalf));
  }
};

void Chunks(const std::uint8_t* input, std::size_t count, std::uint64_t counter, Word* out) {
  FullChunks<Lanes8>(input, count, counter, out);
  if (count > 1) {
    Wide<Lanes8>::Chunks<false>(input, count, counter, out);
  } else if (count == 1) {
    Row<RowOps>::Chunk(input, counter, out);
  }
}

void Parents(const Word* children, std::size_t count, Word* out) {
  FullParents<Lanes8>(children, count, out);
  if (count > 1) {
    Wide<Lanes8>::Parents<false>(children, count, out);
  } else if (count == 1) {
    Row<RowOps>::Parent(children, out);
  }
}

constexpr Kernel kKernel = {"avx2", Row<RowOps>::Compress, Row<RowOps>::Blocks, Chunks, Parents};

}  // namespace

// The compiler's run-time test asks the operating system too: it saves these registers or not.
const Kernel* Avx2Kernel() {
  const bool has = __builtin_cpu_supports("avx2");
  return has ? &kKernel : nullptr;
}

}  // namespace bdn::crypto::blake3

#else
namespace bdn::crypto::blake3 {
const Kernel* Avx2Kernel() {
  return nullptr;
}
}  // namespace bdn::crypto::blake3
#endif
