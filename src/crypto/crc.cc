#include "crypto/crc.h"

#include <array>
#include <atomic>
#include <bit>
#include <cstring>

#include "base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bdn::crypto {
namespace {

// Words of the input are read as they lie in memory.
static_assert(std::endian::native == std::endian::little);

// All three checks are of the reflected kind: the lowest bit of a register, and of each byte of the
// input, belongs to the highest power. `kPolynomial` lacks the highest power and is reflected too.
struct Crc32Rules {
  using Register = std::uint32_t;
  static constexpr Register kPolynomial = 0xEDB88320;
};
struct Crc32cRules {
  using Register = std::uint32_t;
  static constexpr Register kPolynomial = 0x82F63B78;
};
struct Crc64NvmeRules {
  using Register = std::uint64_t;
  static constexpr Register kPolynomial = 0x9A6C9329AC4BC9B5;
};

constexpr std::size_t kSlices = 8;

// value[s][b]: what a byte b becomes that s further bytes follow.
template <class Rules>
struct Tables {
  using Register = typename Rules::Register;
  std::array<std::array<Register, 256>, kSlices> value{};

  constexpr Tables() {
    for (std::size_t b = 0; b < 256; ++b) {
      auto crc = static_cast<Register>(b);
      for (int bit = 0; bit < 8; ++bit) {
        crc = static_cast<Register>((crc >> 1) ^ ((crc & 1) != 0 ? Rules::kPolynomial : 0));
      }
      value[0][b] = crc;
    }
    for (std::size_t s = 1; s < kSlices; ++s) {
      for (std::size_t b = 0; b < 256; ++b) {
        const Register before = value[s - 1][b];
        value[s][b] = static_cast<Register>((before >> 8) ^ value[0][before & 0xFF]);
      }
    }
  }
};
template <class Rules>
constexpr Tables<Rules> kTables;

template <class Rules>
typename Rules::Register ByTables(typename Rules::Register crc,
                                  const std::byte* at,
                                  std::size_t count) {
  using Register = typename Rules::Register;
  const auto& table = kTables<Rules>.value;
  for (; count >= kSlices; at += kSlices, count -= kSlices) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof(word));
    word ^= crc;
    crc = 0;
    for (std::size_t i = 0; i < kSlices; ++i) {
      crc ^= table[kSlices - 1 - i][(word >> (8 * i)) & 0xFF];
    }
  }
  for (; count > 0; ++at, --count) {
    const auto index = static_cast<std::size_t>((crc ^ static_cast<Register>(*at)) & 0xFF);
    crc = static_cast<Register>((crc >> 8) ^ table[0][index]);
  }
  return crc;
}

#if defined(__x86_64__)

// Folding: 16 bytes of the input are a polynomial M of degree 127, and what counts is M·x^d modulo
// P, where d is the number of bits that follow. With M = A·x^64 + B, M·x^d is A·(x^(64+d) mod P) +
// B·(x^d mod P), which fits 128 bits again and is added to the 16 bytes that lie d bits further on.
// When less than 64 bytes are left, what was folded goes through the tables like input.
// The product of two reflected numbers is one place short of a reflected product, so each factor
// has one power less. Source: Gopal and others, "Fast CRC Computation for Generic Polynomials Using
// PCLMULQDQ Instruction", Intel, 2009.

// x^power mod P, reflected in 64 bits: the highest bit is x^0.
template <class Rules>
constexpr std::uint64_t PowerModP(unsigned power) {
  constexpr unsigned kBits = 8 * sizeof(typename Rules::Register);
  std::uint64_t value = std::uint64_t{1} << (kBits - 1);
  for (unsigned i = 0; i < power; ++i) {
    value = (value >> 1) ^ ((value & 1) != 0 ? std::uint64_t{Rules::kPolynomial} : 0);
  }
  return value << (64 - kBits);
}

constexpr std::size_t kFoldBytes = 64;
constexpr std::size_t kLaneBytes = 16;

#define BDN_CRC_TARGET __attribute__((target("pclmul,sse4.1")))

BDN_CRC_TARGET inline __m128i Load(const std::byte* at) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}

// `lane` moved forward by the bits that `factors` stand for, added to `next`.
BDN_CRC_TARGET inline __m128i Fold(__m128i lane, __m128i factors, __m128i next) {
  const __m128i a = _mm_clmulepi64_si128(lane, factors, 0x00);
  const __m128i b = _mm_clmulepi64_si128(lane, factors, 0x11);
  return _mm_xor_si128(_mm_xor_si128(a, b), next);
}

template <class Rules>
BDN_CRC_TARGET __m128i Factors(unsigned bits) {
  // The first half of the bytes, the low half of the register, has the higher powers.
  return _mm_set_epi64x(static_cast<long long>(PowerModP<Rules>(bits - 1)),
                        static_cast<long long>(PowerModP<Rules>(bits + 64 - 1)));
}

// `count` is at least kFoldBytes.
template <class Rules>
BDN_CRC_TARGET typename Rules::Register ByFolding(typename Rules::Register crc,
                                                  const std::byte* at,
                                                  std::size_t count) {
  static const __m128i kByBlock = Factors<Rules>(8 * kFoldBytes);
  static const __m128i kByLane = Factors<Rules>(8 * kLaneBytes);
  __m128i lanes[4] = {Load(at), Load(at + 16), Load(at + 32), Load(at + 48)};
  const std::uint64_t start = crc;
  lanes[0] = _mm_xor_si128(lanes[0], _mm_set_epi64x(0, static_cast<long long>(start)));
  for (at += kFoldBytes, count -= kFoldBytes; count >= kFoldBytes;
       at += kFoldBytes, count -= kFoldBytes) {
    lanes[0] = Fold(lanes[0], kByBlock, Load(at));
    lanes[1] = Fold(lanes[1], kByBlock, Load(at + 16));
    lanes[2] = Fold(lanes[2], kByBlock, Load(at + 32));
    lanes[3] = Fold(lanes[3], kByBlock, Load(at + 48));
  }
  __m128i lane = lanes[0];
  for (int i = 1; i < 4; ++i) lane = Fold(lane, kByLane, lanes[i]);
  std::array<std::byte, kLaneBytes> folded;
  std::memcpy(folded.data(), &lane, sizeof(lane));
  return ByTables<Rules>(ByTables<Rules>(0, folded.data(), folded.size()), at, count);
}

bool HasFolding() {
  return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

#else

constexpr std::size_t kFoldBytes = 64;

template <class Rules>
typename Rules::Register ByFolding(typename Rules::Register crc,
                                   const std::byte* at,
                                   std::size_t count) {
  return ByTables<Rules>(crc, at, count);
}

bool HasFolding() {
  return false;
}

#endif

std::atomic<bool>& Folds() {
  static std::atomic<bool> folds = HasFolding();
  return folds;
}

template <class Rules>
std::uint64_t Run(std::uint64_t state, std::span<const std::byte> bytes) {
  const auto crc = static_cast<typename Rules::Register>(state);
  if (bytes.size() >= kFoldBytes && CrcFolds()) {
    return ByFolding<Rules>(crc, bytes.data(), bytes.size());
  }
  return ByTables<Rules>(crc, bytes.data(), bytes.size());
}

}  // namespace

// All three start with, and end by an inversion of, all bits.
Crc::Crc(CrcKind kind)
    : kind_(kind), state_(kind == CrcKind::kCrc64Nvme ? ~std::uint64_t{0} : 0xFFFF'FFFF) {}

void Crc::Update(std::span<const std::byte> bytes) {
  switch (kind_) {
    case CrcKind::kCrc32:
      state_ = Run<Crc32Rules>(state_, bytes);
      return;
    case CrcKind::kCrc32c:
      state_ = Run<Crc32cRules>(state_, bytes);
      return;
    case CrcKind::kCrc64Nvme:
      state_ = Run<Crc64NvmeRules>(state_, bytes);
      return;
  }
  BDN_CHECK(false && "a CrcKind that does not exist");
}

std::uint64_t Crc::value() const {
  return kind_ == CrcKind::kCrc64Nvme ? ~state_ : state_ ^ 0xFFFF'FFFF;
}

std::size_t Crc::size() const {
  return kind_ == CrcKind::kCrc64Nvme ? sizeof(std::uint64_t) : sizeof(std::uint32_t);
}

bool CrcFolds() {
  return Folds().load(std::memory_order_relaxed);
}

void SetCrcFolds(bool folds) {
  Folds().store(folds && HasFolding(), std::memory_order_relaxed);
}

}  // namespace bdn::crypto
