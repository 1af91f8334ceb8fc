#include "codec/zstd.h"

#include <string>

#include <gtest/gtest.h>

namespace bdn::codec {
namespace {

std::string Skippable(std::string_view payload) {
  // RFC 8878 §3.1.2: magic 0x184D2A50, little-endian length, payload.
  std::string frame("\x50\x2a\x4d\x18", 4);
  frame += static_cast<char>(payload.size());
  frame += std::string(3, '\0');
  frame += payload;
  return frame;
}

TEST(Zstd, RoundTrips) {
  for (const std::size_t size : {0u, 1u, 1000u, 3'000'000u}) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(i * i >> 3);
    const auto back = ZstdDecompress(ZstdCompress(bytes), size);
    ASSERT_TRUE(back) << size << back.error().message();
    EXPECT_EQ(*back, bytes);
  }
}

TEST(Zstd, AcceptsSeveralFramesAndSkippableOnes) {
  const std::string frames = Skippable("note") + ZstdCompress("one ") + Skippable("") +
                             ZstdCompress("two") + Skippable("x");
  const auto back = ZstdDecompress(frames, 100);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(*back, "one two");
}

TEST(Zstd, RefusesContentOverTheLimit) {
  const std::string bomb = ZstdCompress(std::string(64u << 20, '\0'));
  EXPECT_LT(bomb.size(), 16u << 10);
  const auto refused = ZstdDecompress(bomb, (64u << 20) - 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  EXPECT_FALSE(ZstdDecompress(bomb, 0));
  EXPECT_TRUE(ZstdDecompress(bomb, 64u << 20));
}

TEST(Zstd, RefusesEveryTruncationAndEveryFlippedByte) {
  std::string bytes;
  for (int i = 0; i < 200; ++i) bytes += static_cast<char>(i * 37);
  const std::string frame = ZstdCompress(bytes);
  for (std::size_t size = 0; size < frame.size(); ++size) {
    const auto cut = ZstdDecompress(std::string_view(frame).substr(0, size), 1000);
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().code(), Code::kCorrupt);
  }
  for (std::size_t i = 0; i < frame.size(); ++i) {
    std::string damaged = frame;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    const auto result = ZstdDecompress(damaged, 1000);
    // A changed header may still decode to the same content; it never decodes to another.
    EXPECT_EQ(result.value_or(bytes), bytes) << i;
  }
  EXPECT_FALSE(ZstdDecompress("not zstd at all", 1000));
}

}  // namespace
}  // namespace bdn::codec
