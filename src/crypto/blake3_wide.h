// What the SIMD kernels share. Wide<V> compresses as many chunks or parents at a time as a register
// has lanes: each register holds one word of the state of all of them, so that the rounds need no
// shuffles. Row<V> compresses one block: each register holds a row of four words of its state.
//
// To be included once by a kernel's .cc file, inside no namespace, after it has defined
// BDN_BLAKE3_TARGET, the attribute that lets a function use the instruction set. Everything here is
// local to that file: code for two instruction sets must not meet under one name at link time.
//
// V, of Wide: Reg, kLanes, Set(word), Add, Xor, Rot<n> to the right, and
//   Counter(counter, low): the low or the high words of counter, counter + 1, ...: one a lane.
//   Load<kStride>(input, last, m): 64 bytes for each lane, lane i from input + min(i,
//   last)·kStride,
//     transposed: m[w] gets word w of every lane.
//   Store(h, count, out): transposes back and stores the first `count` chaining values.
// V, of Row: Rot<n> for a row, and
//   Pick<kRound, kHalf>(low, high): eight words of the block, whose words 0-7 and 8-15 are given,
//   in
//     the order of RowOrder.
#ifndef BDN_BLAKE3_TARGET
#error "define BDN_BLAKE3_TARGET before including crypto/blake3_wide.h"
#endif
#define BDN_BLAKE3_INLINE BDN_BLAKE3_TARGET __attribute__((always_inline)) inline

#include <algorithm>
#include <cstring>

#include <immintrin.h>

#include "crypto/blake3_kernels.h"

namespace bdn::crypto::blake3 {
namespace {

template <class V>
struct Wide {
  using Reg = typename V::Reg;

  template <int kA, int kB, int kC, int kD>
  BDN_BLAKE3_INLINE static void MixHalf(Reg* v, const Reg& x, bool first) {
    v[kA] = V::Add(V::Add(v[kA], x), v[kB]);
    v[kD] = V::Xor(v[kD], v[kA]);
    v[kD] = first ? V::template Rot<16>(v[kD]) : V::template Rot<8>(v[kD]);
    v[kC] = V::Add(v[kC], v[kD]);
    v[kB] = V::Xor(v[kB], v[kC]);
    v[kB] = first ? V::template Rot<12>(v[kB]) : V::template Rot<7>(v[kB]);
  }

  template <int kRound>
  BDN_BLAKE3_INLINE static void Round(Reg* v, const Reg* m) {
    constexpr auto& s = kSchedule[kRound];
    MixHalf<0, 4, 8, 12>(v, m[s[0]], true);
    MixHalf<1, 5, 9, 13>(v, m[s[2]], true);
    MixHalf<2, 6, 10, 14>(v, m[s[4]], true);
    MixHalf<3, 7, 11, 15>(v, m[s[6]], true);
    MixHalf<0, 4, 8, 12>(v, m[s[1]], false);
    MixHalf<1, 5, 9, 13>(v, m[s[3]], false);
    MixHalf<2, 6, 10, 14>(v, m[s[5]], false);
    MixHalf<3, 7, 11, 15>(v, m[s[7]], false);
    MixHalf<0, 5, 10, 15>(v, m[s[8]], true);
    MixHalf<1, 6, 11, 12>(v, m[s[10]], true);
    MixHalf<2, 7, 8, 13>(v, m[s[12]], true);
    MixHalf<3, 4, 9, 14>(v, m[s[14]], true);
    MixHalf<0, 5, 10, 15>(v, m[s[9]], false);
    MixHalf<1, 6, 11, 12>(v, m[s[11]], false);
    MixHalf<2, 7, 8, 13>(v, m[s[13]], false);
    MixHalf<3, 4, 9, 14>(v, m[s[15]], false);
  }

  // One block of every lane: h, 8 registers, becomes the next chaining values.
  BDN_BLAKE3_INLINE static void Compress(
      Reg* h, const Reg* m, const Reg& low, const Reg& high, Word flags) {
    Reg v[16] = {h[0],           h[1],           h[2], h[3],           h[4],
                 h[5],           h[6],           h[7], V::Set(kIv[0]), V::Set(kIv[1]),
                 V::Set(kIv[2]), V::Set(kIv[3]), low,  high,           V::Set(kBlockBytes),
                 V::Set(flags)};
    Round<0>(v, m);
    Round<1>(v, m);
    Round<2>(v, m);
    Round<3>(v, m);
    Round<4>(v, m);
    Round<5>(v, m);
    Round<6>(v, m);
    for (int i = 0; i < 8; ++i) h[i] = V::Xor(v[i], v[i + 8]);
  }

  BDN_BLAKE3_INLINE static void Start(Reg* h) {
    for (int i = 0; i < 8; ++i) h[i] = V::Set(kIv[static_cast<std::size_t>(i)]);
  }

  // As many streams of 1 KiB each as there are lanes are more than the processor follows by itself.
  // An address beyond the input does no harm here; as an integer it is not out of bounds either.
  BDN_BLAKE3_INLINE static void Prefetch(const std::uint8_t* input, std::size_t block) {
    constexpr std::size_t kAheadBytes = 2 * kBlockBytes;
    const auto from = reinterpret_cast<std::uintptr_t>(input) + block * kBlockBytes + kAheadBytes;
    for (std::size_t i = 0; i < V::kLanes; ++i) {
      __builtin_prefetch(reinterpret_cast<const void*>(from + i * kChunkBytes));
    }
  }

  // 1 to kLanes chunks. Lanes without a chunk repeat the last one and are not stored.
  template <bool kFull>
  BDN_BLAKE3_TARGET static void Chunks(const std::uint8_t* input,
                                       std::size_t count,
                                       std::uint64_t counter,
                                       Word* out) {
    const std::size_t last = kFull ? V::kLanes - 1 : count - 1;
    const Reg low = V::Counter(counter, true);
    const Reg high = V::Counter(counter, false);
    Reg h[8];
    Start(h);
    for (std::size_t block = 0; block < kBlocksPerChunk; ++block) {
      Reg m[16];
      V::template Load<kChunkBytes>(input + block * kBlockBytes, last, m);
      if constexpr (kFull) Prefetch(input, block);
      const Word flags =
          (block == 0 ? kChunkStart : 0) | (block == kBlocksPerChunk - 1 ? kChunkEnd : 0);
      Compress(h, m, low, high, flags);
    }
    V::Store(h, last + 1, out);
  }

  // 1 to kLanes parents. All children are read before the first parent is written.
  template <bool kFull>
  BDN_BLAKE3_TARGET static void Parents(const Word* children, std::size_t count, Word* out) {
    const std::size_t last = kFull ? V::kLanes - 1 : count - 1;
    Reg m[16];
    V::template Load<kBlockBytes>(reinterpret_cast<const std::uint8_t*>(children), last, m);
    Reg h[8];
    Start(h);
    Compress(h, m, V::Set(0), V::Set(0), kParent);
    V::Store(h, last + 1, out);
  }
};

// Compress as many full sets of lanes as there are, and move the arguments on.
template <class V>
BDN_BLAKE3_TARGET void FullChunks(const std::uint8_t*& input,
                                  std::size_t& count,
                                  std::uint64_t& counter,
                                  Word*& out) {
  for (; count >= V::kLanes; count -= V::kLanes) {
    Wide<V>::template Chunks<true>(input, V::kLanes, counter, out);
    input += V::kLanes * kChunkBytes;
    counter += V::kLanes;
    out += V::kLanes * kCvWords;
  }
}
template <class V>
BDN_BLAKE3_TARGET void FullParents(const Word*& children, std::size_t& count, Word*& out) {
  for (; count >= V::kLanes; count -= V::kLanes) {
    Wide<V>::template Parents<true>(children, V::kLanes, out);
    children += 2 * V::kLanes * kCvWords;
    out += V::kLanes * kCvWords;
  }
}

// What 256-bit registers have in common with and without AVX-512; a kernel adds Rot.
struct Lanes8Base {
  using Reg = __m256i;
  static constexpr std::size_t kLanes = 8;

  BDN_BLAKE3_INLINE static Reg Set(Word word) { return _mm256_set1_epi32(static_cast<int>(word)); }
  BDN_BLAKE3_INLINE static Reg Add(Reg a, Reg b) { return _mm256_add_epi32(a, b); }
  BDN_BLAKE3_INLINE static Reg Xor(Reg a, Reg b) { return _mm256_xor_si256(a, b); }

  BDN_BLAKE3_INLINE static Reg Counter(std::uint64_t counter, bool low) {
    alignas(32) Word words[kLanes];
    for (std::size_t i = 0; i < kLanes; ++i) {
      words[i] = static_cast<Word>((counter + i) >> (low ? 0 : 32));
    }
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(words));
  }

  BDN_BLAKE3_INLINE static void Transpose(const Reg* t, Reg* m) {
    // u[4g + c], in each 128-bit part p: word 4p + c of rows 4g..4g+3.
    Reg u[8];
    for (int g = 0; g < 8; g += 4) {
      const Reg a = _mm256_unpacklo_epi32(t[g], t[g + 1]);
      const Reg b = _mm256_unpackhi_epi32(t[g], t[g + 1]);
      const Reg c = _mm256_unpacklo_epi32(t[g + 2], t[g + 3]);
      const Reg d = _mm256_unpackhi_epi32(t[g + 2], t[g + 3]);
      u[g] = _mm256_unpacklo_epi64(a, c);
      u[g + 1] = _mm256_unpackhi_epi64(a, c);
      u[g + 2] = _mm256_unpacklo_epi64(b, d);
      u[g + 3] = _mm256_unpackhi_epi64(b, d);
    }
    for (int c = 0; c < 4; ++c) {
      m[c] = _mm256_permute2x128_si256(u[c], u[4 + c], 0x20);
      m[4 + c] = _mm256_permute2x128_si256(u[c], u[4 + c], 0x31);
    }
  }

  template <std::size_t kStride>
  BDN_BLAKE3_INLINE static void Load(const std::uint8_t* input, std::size_t last, Reg* m) {
    for (std::size_t half = 0; half < 2; ++half) {
      Reg t[8];
      for (std::size_t i = 0; i < kLanes; ++i) {
        t[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(
            input + std::min(i, last) * kStride + half * sizeof(Reg)));
      }
      Transpose(t, m + half * kLanes);
    }
  }

  BDN_BLAKE3_INLINE static void Store(const Reg* h, std::size_t count, Word* out) {
    Reg rows[8];
    Transpose(h, rows);
    for (std::size_t i = 0; i < kLanes; ++i) {
      if (i < count) _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i * kCvWords), rows[i]);
    }
  }
};

// Round kRound takes its sixteen message words in this order: the first and the second word of each
// column (half 0), then of each diagonal (half 1). Row<V> moves rows a, c and d to line up the
// diagonals and leaves b, on which everything waits, where it is; so lane 0 is diagonal 3.
struct RowOrder {
  std::uint8_t word[kRounds][2][8];
};
constexpr RowOrder MakeRowOrder() {
  RowOrder order{};
  for (std::size_t r = 0; r < kRounds; ++r) {
    for (std::size_t i = 0; i < 8; ++i) {
      const std::size_t lane = i % 4;
      const std::size_t second = i / 4;
      order.word[r][0][i] = kSchedule[r][2 * lane + second];
      order.word[r][1][i] = kSchedule[r][8 + 2 * ((lane + 3) % 4) + second];
    }
  }
  return order;
}
inline constexpr RowOrder kRowOrder = MakeRowOrder();

template <class V>
struct Row {
  struct Rows {
    __m128i a, b, c, d;
  };

  BDN_BLAKE3_INLINE static void MixHalf(Rows& v, __m128i x, bool first) {
    v.a = _mm_add_epi32(_mm_add_epi32(v.a, x), v.b);
    v.d = _mm_xor_si128(v.d, v.a);
    v.d = first ? V::template Rot<16>(v.d) : V::template Rot<8>(v.d);
    v.c = _mm_add_epi32(v.c, v.d);
    v.b = _mm_xor_si128(v.b, v.c);
    v.b = first ? V::template Rot<12>(v.b) : V::template Rot<7>(v.b);
  }

  template <int kRound>
  BDN_BLAKE3_INLINE static void Round(Rows& v, __m256i low, __m256i high) {
    const __m256i columns = V::template Pick<kRound, 0>(low, high);
    MixHalf(v, _mm256_castsi256_si128(columns), true);
    MixHalf(v, _mm256_extracti128_si256(columns, 1), false);
    v.a = _mm_shuffle_epi32(v.a, 0x93);
    v.c = _mm_shuffle_epi32(v.c, 0x39);
    v.d = _mm_shuffle_epi32(v.d, 0x4E);
    const __m256i diagonals = V::template Pick<kRound, 1>(low, high);
    MixHalf(v, _mm256_castsi256_si128(diagonals), true);
    MixHalf(v, _mm256_extracti128_si256(diagonals, 1), false);
    v.a = _mm_shuffle_epi32(v.a, 0x39);
    v.c = _mm_shuffle_epi32(v.c, 0x93);
    v.d = _mm_shuffle_epi32(v.d, 0x4E);
  }

  // h0 and h1, words 0-3 and 4-7 of the chaining value, become the next.
  BDN_BLAKE3_INLINE static void Step(__m128i& h0,
                                     __m128i& h1,
                                     const std::uint8_t* block,
                                     Word block_bytes,
                                     std::uint64_t counter,
                                     Word flags) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + 32));
    Rows v = {h0, h1, _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIv.data())),
              _mm_set_epi32(static_cast<int>(flags), static_cast<int>(block_bytes),
                            static_cast<int>(counter >> 32), static_cast<int>(counter))};
    Round<0>(v, low, high);
    Round<1>(v, low, high);
    Round<2>(v, low, high);
    Round<3>(v, low, high);
    Round<4>(v, low, high);
    Round<5>(v, low, high);
    Round<6>(v, low, high);
    h0 = _mm_xor_si128(v.a, v.c);
    h1 = _mm_xor_si128(v.b, v.d);
  }

  BDN_BLAKE3_TARGET static void Compress(
      Word* cv, const std::uint8_t* block, Word block_bytes, std::uint64_t counter, Word flags) {
    auto* at = reinterpret_cast<__m128i*>(cv);
    __m128i h0 = _mm_loadu_si128(at);
    __m128i h1 = _mm_loadu_si128(at + 1);
    Step(h0, h1, block, block_bytes, counter, flags);
    _mm_storeu_si128(at, h0);
    _mm_storeu_si128(at + 1, h1);
  }

  BDN_BLAKE3_TARGET static void Blocks(Word* cv,
                                       const std::uint8_t* input,
                                       std::size_t blocks,
                                       std::uint64_t counter,
                                       Word first_flags) {
    auto* at = reinterpret_cast<__m128i*>(cv);
    __m128i h0 = _mm_loadu_si128(at);
    __m128i h1 = _mm_loadu_si128(at + 1);
    for (std::size_t i = 0; i < blocks; ++i) {
      Step(h0, h1, input + i * kBlockBytes, kBlockBytes, counter, i == 0 ? first_flags : 0);
    }
    _mm_storeu_si128(at, h0);
    _mm_storeu_si128(at + 1, h1);
  }

  BDN_BLAKE3_TARGET static void Chunk(const std::uint8_t* input, std::uint64_t counter, Word* cv) {
    std::memcpy(cv, kIv.data(), sizeof(kIv));
    Blocks(cv, input, kBlocksPerChunk - 1, counter, kChunkStart);
    Compress(cv, input + kChunkBytes - kBlockBytes, kBlockBytes, counter, kChunkEnd);
  }

  // `cv` may be the first of the children.
  BDN_BLAKE3_TARGET static void Parent(const Word* children, Word* cv) {
    auto* at = reinterpret_cast<__m128i*>(cv);
    __m128i h0 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIv.data()));
    __m128i h1 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIv.data()) + 1);
    Step(h0, h1, reinterpret_cast<const std::uint8_t*>(children), kBlockBytes, 0, kParent);
    _mm_storeu_si128(at, h0);
    _mm_storeu_si128(at + 1, h1);
  }
};

}  // namespace
}  // namespace bdn::crypto::blake3
