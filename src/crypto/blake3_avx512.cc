// BLAKE3 with 512-bit registers: 32 chunks or parents at a time, 16 or 8 when no more are left, and
// one block at a time with 128-bit rows for the ends.
#include "crypto/blake3_kernels.h"

#if defined(__x86_64__)
#define BDN_BLAKE3_TARGET __attribute__((target("avx2,avx512f,avx512vl")))
#include "crypto/blake3_wide.h"

namespace bdn::crypto::blake3 {
namespace {

struct Lanes16 {
  using Reg = __m512i;
  static constexpr std::size_t kLanes = 16;

  BDN_BLAKE3_INLINE static Reg Set(Word word) { return _mm512_set1_epi32(static_cast<int>(word)); }
  BDN_BLAKE3_INLINE static Reg Add(Reg a, Reg b) { return _mm512_add_epi32(a, b); }
  BDN_BLAKE3_INLINE static Reg Xor(Reg a, Reg b) { return _mm512_xor_si512(a, b); }
  template <int kBits>
  BDN_BLAKE3_INLINE static Reg Rot(Reg a) {
    return _mm512_ror_epi32(a, kBits);
  }

  BDN_BLAKE3_INLINE static Reg Counter(std::uint64_t counter, bool low) {
    alignas(64) Word words[kLanes];
    for (std::size_t i = 0; i < kLanes; ++i) {
      words[i] = static_cast<Word>((counter + i) >> (low ? 0 : 32));
    }
    return _mm512_load_si512(words);
  }

  template <std::size_t kStride>
  BDN_BLAKE3_INLINE static void Load(const std::uint8_t* input, std::size_t last, Reg* m) {
    Reg t[16];
    for (std::size_t i = 0; i < kLanes; ++i) {
      t[i] = _mm512_loadu_si512(input + std::min(i, last) * kStride);
    }
    // Within each group of four rows g, transpose the 4x4 words of each 128-bit part p: u[4g + c]
    // then has, in part p, word 4p + c of the four rows.
    Reg u[16];
    for (int g = 0; g < 16; g += 4) {
      const Reg a = _mm512_unpacklo_epi32(t[g], t[g + 1]);
      const Reg b = _mm512_unpackhi_epi32(t[g], t[g + 1]);
      const Reg c = _mm512_unpacklo_epi32(t[g + 2], t[g + 3]);
      const Reg d = _mm512_unpackhi_epi32(t[g + 2], t[g + 3]);
      u[g] = _mm512_unpacklo_epi64(a, c);
      u[g + 1] = _mm512_unpackhi_epi64(a, c);
      u[g + 2] = _mm512_unpacklo_epi64(b, d);
      u[g + 3] = _mm512_unpackhi_epi64(b, d);
    }
    // Then transpose the 4x4 parts of the four groups.
    for (int c = 0; c < 4; ++c) {
      const Reg even_low = _mm512_shuffle_i32x4(u[c], u[4 + c], 0x88);
      const Reg odd_low = _mm512_shuffle_i32x4(u[c], u[4 + c], 0xDD);
      const Reg even_high = _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0x88);
      const Reg odd_high = _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0xDD);
      m[c] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
      m[4 + c] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
      m[8 + c] = _mm512_shuffle_i32x4(even_low, even_high, 0xDD);
      m[12 + c] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xDD);
    }
  }

  BDN_BLAKE3_INLINE static void Store(const Reg* h, std::size_t count, Word* out) {
    alignas(64) Word rows[kLanes * kCvWords];
    Reg u[8];  // u[4g + c], in part p: words 4g..4g+3 of lane 4p + c
    for (int g = 0; g < 8; g += 4) {
      const Reg a = _mm512_unpacklo_epi32(h[g], h[g + 1]);
      const Reg b = _mm512_unpackhi_epi32(h[g], h[g + 1]);
      const Reg c = _mm512_unpacklo_epi32(h[g + 2], h[g + 3]);
      const Reg d = _mm512_unpackhi_epi32(h[g + 2], h[g + 3]);
      u[g] = _mm512_unpacklo_epi64(a, c);
      u[g + 1] = _mm512_unpackhi_epi64(a, c);
      u[g + 2] = _mm512_unpacklo_epi64(b, d);
      u[g + 3] = _mm512_unpackhi_epi64(b, d);
    }
    const Reg kLow = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const Reg kHigh = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    Word* to = count == kLanes ? out : rows;
    for (int c = 0; c < 4; ++c) {
      const Reg low = _mm512_permutex2var_epi64(u[c], kLow, u[4 + c]);
      const Reg high = _mm512_permutex2var_epi64(u[c], kHigh, u[4 + c]);
      Word* row = to + static_cast<std::size_t>(c) * kCvWords;
      const auto at = [&](std::size_t part) {
        return reinterpret_cast<__m256i*>(row + 4 * part * kCvWords);
      };
      _mm256_storeu_si256(at(0), _mm512_castsi512_si256(low));
      _mm256_storeu_si256(at(1), _mm512_extracti64x4_epi64(low, 1));
      _mm256_storeu_si256(at(2), _mm512_castsi512_si256(high));
      _mm256_storeu_si256(at(3), _mm512_extracti64x4_epi64(high, 1));
    }
    if (to == rows) std::copy_n(rows, count * kCvWords, out);
  }
};

// Two registers side by side: 32 registers hold the state, the message words come from memory. Each
// step of a round waits for the one before; a second, independent set of lanes fills that wait.
// Always full: `last` and `count` are 31 and 32.
struct Lanes32 {
  struct Reg {
    __m512i a, b;
  };
  static constexpr std::size_t kLanes = 32;
  using Half = Lanes16;

  BDN_BLAKE3_INLINE static Reg Set(Word word) { return {Half::Set(word), Half::Set(word)}; }
  BDN_BLAKE3_INLINE static Reg Add(const Reg& x, const Reg& y) {
    return {Half::Add(x.a, y.a), Half::Add(x.b, y.b)};
  }
  BDN_BLAKE3_INLINE static Reg Xor(const Reg& x, const Reg& y) {
    return {Half::Xor(x.a, y.a), Half::Xor(x.b, y.b)};
  }
  template <int kBits>
  BDN_BLAKE3_INLINE static Reg Rot(const Reg& x) {
    return {Half::Rot<kBits>(x.a), Half::Rot<kBits>(x.b)};
  }
  BDN_BLAKE3_INLINE static Reg Counter(std::uint64_t counter, bool low) {
    return {Half::Counter(counter, low), Half::Counter(counter + Half::kLanes, low)};
  }
  template <std::size_t kStride>
  BDN_BLAKE3_INLINE static void Load(const std::uint8_t* input, std::size_t, Reg* m) {
    __m512i t[16];
    Half::Load<kStride>(input, Half::kLanes - 1, t);
    for (int i = 0; i < 16; ++i) m[i].a = t[i];
    Half::Load<kStride>(input + Half::kLanes * kStride, Half::kLanes - 1, t);
    for (int i = 0; i < 16; ++i) m[i].b = t[i];
  }
  BDN_BLAKE3_INLINE static void Store(const Reg* h, std::size_t, Word* out) {
    __m512i t[8];
    for (int i = 0; i < 8; ++i) t[i] = h[i].a;
    Half::Store(t, Half::kLanes, out);
    for (int i = 0; i < 8; ++i) t[i] = h[i].b;
    Half::Store(t, Half::kLanes, out + Half::kLanes * kCvWords);
  }
};

struct Lanes8 : Lanes8Base {
  template <int kBits>
  BDN_BLAKE3_INLINE static Reg Rot(Reg a) {
    return _mm256_ror_epi32(a, kBits);
  }
};

struct RowOps {
  template <int kBits>
  BDN_BLAKE3_INLINE static __m128i Rot(__m128i a) {
    return _mm_ror_epi32(a, kBits);
  }
  template <int kRound, int kHalf>
  BDN_BLAKE3_INLINE static __m256i Pick(__m256i low, __m256i high) {
    constexpr auto& w = kRowOrder.word[kRound][kHalf];
    const __m256i order = _mm256_setr_epi32(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]);
    return _mm256_permutex2var_epi32(low, order, high);
  }
};

void Chunks(const std::uint8_t* input, std::size_t count, std::uint64_t counter, Word* out) {
  FullChunks<Lanes32>(input, count, counter, out);
  FullChunks<Lanes16>(input, count, counter, out);
  // What is left costs the same for any number of chunks up to the width.
  if (count > 8) {
    Wide<Lanes16>::Chunks<false>(input, count, counter, out);
  } else if (count > 1) {
    Wide<Lanes8>::Chunks<false>(input, count, counter, out);
  } else if (count == 1) {
    Row<RowOps>::Chunk(input, counter, out);
  }
}

void Parents(const Word* children, std::size_t count, Word* out) {
  FullParents<Lanes32>(children, count, out);
  FullParents<Lanes16>(children, count, out);
  if (count > 8) {
    Wide<Lanes16>::Parents<false>(children, count, out);
  } else if (count > 1) {
    Wide<Lanes8>::Parents<false>(children, count, out);
  } else if (count == 1) {
    Row<RowOps>::Parent(children, out);
  }
}

constexpr Kernel kKernel = {"avx512", Row<RowOps>::Compress, Row<RowOps>::Blocks, Chunks, Parents};

}  // namespace

// The compiler's run-time test asks the operating system too: it saves these registers or not.
const Kernel* Avx512Kernel() {
  const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avx512f") &&
                   __builtin_cpu_supports("avx512vl");
  return has ? &kKernel : nullptr;
}

}  // namespace bdn::crypto::blake3

#else
namespace bdn::crypto::blake3 {
const Kernel* Avx512Kernel() {
  return nullptr;
}
}  // namespace bdn::crypto::blake3
#endif
