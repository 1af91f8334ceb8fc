#include "crypto/crc.h"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace bdn::crypto {
namespace {

constexpr CrcKind kKinds[] = {CrcKind::kCrc32, CrcKind::kCrc32c, CrcKind::kCrc64Nvme};

std::uint64_t CrcOf(CrcKind kind, std::string_view text) {
  Crc crc(kind);
  crc.Update(std::as_bytes(std::span(text)));
  return crc.value();
}

// The definition, one bit at a time.
std::uint64_t BitByBit(CrcKind kind, std::string_view text) {
  const bool wide = kind == CrcKind::kCrc64Nvme;
  const std::uint64_t polynomial = wide                       ? 0x9A6C9329AC4BC9B5
                                   : kind == CrcKind::kCrc32c ? 0x82F63B78
                                                              : 0xEDB88320;
  const std::uint64_t ones = wide ? ~std::uint64_t{0} : 0xFFFF'FFFF;
  std::uint64_t crc = ones;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? polynomial : 0);
  }
  return crc ^ ones;
}

std::string Pattern(std::size_t size) {
  std::string text(size, '\0');
  std::uint32_t state = 12345;
  for (char& c : text) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

class CrcTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override { SetCrcFolds(GetParam()); }
  void TearDown() override { SetCrcFolds(true); }
};

INSTANTIATE_TEST_SUITE_P(TablesAndFolding, CrcTest, ::testing::Bool());

// The check values of the catalogue, and RFC 3720 appendix B.4.
TEST_P(CrcTest, PublishedVectors) {
  EXPECT_EQ(CrcOf(CrcKind::kCrc32, "123456789"), 0xcbf43926u);
  EXPECT_EQ(CrcOf(CrcKind::kCrc32c, "123456789"), 0xe3069283u);
  EXPECT_EQ(CrcOf(CrcKind::kCrc64Nvme, "123456789"), 0xae8b14860a799888u);
  EXPECT_EQ(CrcOf(CrcKind::kCrc32c, std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(CrcOf(CrcKind::kCrc32c, std::string(32, '\xff')), 0x62a8ab43u);
  // NVM Command Set specification 1.0c, figure 122: 4 KiB of zeros, and of ones.
  EXPECT_EQ(CrcOf(CrcKind::kCrc64Nvme, std::string(4096, '\0')), 0x6482d367eb22b64eu);
  EXPECT_EQ(CrcOf(CrcKind::kCrc64Nvme, std::string(4096, '\xff')), 0xc0ddba7302eca3acu);
  for (const CrcKind kind : kKinds) EXPECT_EQ(CrcOf(kind, ""), 0u);
}

TEST_P(CrcTest, EveryLengthAndPlaceGivesWhatTheDefinitionGives) {
  const std::string text = Pattern(700);
  for (const CrcKind kind : kKinds) {
    for (std::size_t begin = 0; begin < 17; ++begin) {
      for (std::size_t size = 0; size < 400; size += size < 150 ? 1 : 13) {
        const auto part = std::string_view(text).substr(begin, size);
        ASSERT_EQ(CrcOf(kind, part), BitByBit(kind, part)) << begin << " " << size;
      }
    }
  }
}

TEST_P(CrcTest, PiecesGiveWhatTheWholeGives) {
  const std::string text = Pattern(1000);
  for (const CrcKind kind : kKinds) {
    for (const std::size_t piece : {1u, 7u, 63u, 64u, 65u, 200u}) {
      Crc crc(kind);
      for (std::size_t at = 0; at < text.size(); at += piece) {
        crc.Update(std::as_bytes(std::span(std::string_view(text).substr(at, piece))));
      }
      EXPECT_EQ(crc.value(), BitByBit(kind, text)) << piece;
    }
  }
}

TEST(Crc, SaysHowLongItIs) {
  EXPECT_EQ(Crc(CrcKind::kCrc32c).size(), 4u);
  EXPECT_EQ(Crc(CrcKind::kCrc64Nvme).size(), 8u);
}

}  // namespace
}  // namespace bdn::crypto
