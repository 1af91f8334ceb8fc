#include "crypto/blake3.h"

#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "crypto/blake3_kernels.h"

namespace bdn::crypto {
namespace {

// The input of the published vectors: byte i is i % 251.
std::string Input(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i % 251);
  return bytes;
}

std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// Runs each test once for every kernel that this CPU has.
class Blake3Test : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const Status set = SetBlake3Kernel(GetParam());
    if (!set) GTEST_SKIP() << set.error().message();
    ASSERT_EQ(Blake3Kernel(), GetParam());
  }
  void TearDown() override { static_cast<void>(SetBlake3Kernel(initial_)); }

 private:
  const std::string initial_{Blake3Kernel()};
};
INSTANTIATE_TEST_SUITE_P(Kernels,
                         Blake3Test,
                         ::testing::Values("portable", "avx2", "avx512"),
                         [](const auto& suite) { return suite.param; });

// By the portable kernel in one Update; the vectors show that this is right.
Digest Reference(std::string_view bytes) {
  const std::string before{Blake3Kernel()};
  EXPECT_TRUE(SetBlake3Kernel("portable"));
  const Digest digest = Blake3Of(bytes);
  EXPECT_TRUE(SetBlake3Kernel(before));
  return digest;
}

TEST_P(Blake3Test, PublishedVectors) {
  std::ifstream file(BDN_CRYPTO_TESTDATA "/blake3_test_vectors.json");
  std::stringstream text;
  text << file.rdbuf();
  const auto published = boost::json::parse(text.str());
  const auto& cases = published.at("cases").as_array();
  ASSERT_EQ(cases.size(), 35U);
  for (const auto& one : cases) {
    const auto size = one.at("input_len").to_number<std::size_t>();
    const std::string input = Input(size);
    const std::string expected(one.at("hash").as_string());
    EXPECT_EQ(Blake3Of(input).hex(), expected) << size;
    Blake3 hasher;
    for (const char& c : input) hasher.Update(AsBytes({&c, 1}));
    EXPECT_EQ(hasher.Finish().hex(), expected) << size << " byte by byte";
  }
}

TEST_P(Blake3Test, AgreesWithPortableAtEveryLengthToTwentyThousand) {
  // Each block and chunk border with its neighbours, and a sample of all the rest.
  const std::string input = Input(20'000);
  for (std::size_t size = 0; size <= input.size(); ++size) {
    if (size > 200 && size % 64 > 1 && size % 64 < 63 && size % 13 != 0) continue;
    const auto bytes = std::string_view(input).substr(0, size);
    ASSERT_EQ(Blake3Of(bytes), Reference(bytes)) << size;
  }
}

TEST_P(Blake3Test, AgreesWithPortableAroundBatchBorders) {
  const std::string input = Input((2 << 20) + 5000);
  for (const std::size_t chunks :
       {17U, 31U, 33U, 255U, 511U, 512U, 513U, 1023U, 1024U, 1025U, 2047U}) {
    for (const int extra : {-1, 0, 1, 64, 777}) {
      const auto bytes = std::string_view(input).substr(
          0, static_cast<std::size_t>(static_cast<int>(chunks * blake3::kChunkBytes) + extra));
      ASSERT_EQ(Blake3Of(bytes), Reference(bytes)) << chunks << " chunks and " << extra;
    }
  }
}

TEST_P(Blake3Test, AnySplitIntoUpdatesGivesTheSame) {
  const std::string input = Input(3 << 20);
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const std::size_t size = random() % (round % 3 == 0 ? input.size() : 40'000);
    const std::size_t piece_max = std::size_t{1} << (1 + random() % 21);
    Blake3 hasher;
    for (std::size_t done = 0; done < size;) {
      const std::size_t step = std::min<std::size_t>(size - done, random() % piece_max);
      hasher.Update(AsBytes(input).subspan(done, step));
      done += step;
    }
    const auto bytes = std::string_view(input).substr(0, size);
    ASSERT_EQ(hasher.Finish(), Reference(bytes)) << "size " << size << ", round " << round;
  }
}

TEST_P(Blake3Test, FinishMidwayChangesNothing) {
  const std::string input = Input(40'000);
  Blake3 hasher;
  for (std::size_t done = 0; done < input.size(); done += 512) {
    const auto bytes = std::string_view(input).substr(0, done);
    ASSERT_EQ(hasher.Finish(), Reference(bytes)) << done;
    hasher.Update(AsBytes(input).subspan(done, std::min<std::size_t>(512, input.size() - done)));
  }
  EXPECT_EQ(hasher.Finish(), Reference(input));
}

TEST_P(Blake3Test, InputNeedsNoAlignment) {
  const std::string input = Input(70'000);
  for (std::size_t offset = 0; offset < 65; ++offset) {
    const auto bytes = std::string_view(input).substr(offset, 64 * 1024 + 100);
    ASSERT_EQ(Blake3Of(bytes), Reference(std::string(bytes))) << offset;
  }
}

// The last byte of the input is the last of its allocation, so that a sanitizer sees a read beyond.
TEST_P(Blake3Test, ReadsNothingBeyondTheInput) {
  for (std::size_t chunks = 1; chunks <= 40; ++chunks) {
    const std::vector<std::byte> input(chunks * blake3::kChunkBytes, std::byte{1});
    ASSERT_EQ(Blake3Of(input), Reference(std::string(input.size(), '\1'))) << chunks;
  }
}

TEST_P(Blake3Test, KernelsAgreeAtEveryCountAndAtLargeCounters) {
  constexpr std::size_t kMax = 140;  // two full sets of the widest kernel's lanes and the rest
  const auto& portable = blake3::PortableKernel();
  const blake3::Kernel* kernel = &portable;
  if (GetParam() == "avx2") kernel = blake3::Avx2Kernel();
  if (GetParam() == "avx512") kernel = blake3::Avx512Kernel();
  const std::string input = Input(kMax * blake3::kChunkBytes);
  const auto* data = reinterpret_cast<const std::uint8_t*>(input.data());
  for (const std::uint64_t counter : {0ULL, 0xffff'fff8ULL, 0xffff'ffffULL, 0x123'4567'89abULL}) {
    for (std::size_t count = 0; count <= kMax; ++count) {
      std::vector<blake3::Word> expected(kMax * blake3::kCvWords, 0xaaaa'aaaa);
      std::vector<blake3::Word> got = expected;
      portable.chunks(data, count, counter, expected.data());
      kernel->chunks(data, count, counter, got.data());
      ASSERT_EQ(got, expected) << count << " chunks at " << counter;
      portable.parents(expected.data(), count / 2, expected.data());
      kernel->parents(got.data(), count / 2, got.data());
      ASSERT_EQ(got, expected) << count / 2 << " parents";
    }
    for (blake3::Word size = 0; size <= blake3::kBlockBytes; ++size) {
      auto expected = blake3::kIv;
      auto got = blake3::kIv;
      portable.compress(expected.data(), data + size, size, counter, size);
      kernel->compress(got.data(), data + size, size, counter, size);
      ASSERT_EQ(got, expected) << "block of " << size << " at " << counter;
    }
  }
}

TEST_P(Blake3Test, ResetStartsAnew) {
  Blake3 hasher;
  hasher.Update(AsBytes(Input(5000)));
  hasher.Reset();
  EXPECT_EQ(hasher.Finish(), Blake3Of(std::string_view()));
  hasher.Update(AsBytes("abc"));
  EXPECT_EQ(hasher.Finish().hex(),
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
}

TEST_P(Blake3Test, MovesWithItsStream) {
  Blake3 first;
  first.Update(AsBytes("a"));
  Blake3 second = std::move(first);
  second.Update(AsBytes("bc"));
  EXPECT_EQ(second.Finish(), Blake3Of("abc"));
}

TEST(Blake3Kernels, UnknownNameIsRefusedAndChangesNothing) {
  const std::string before{Blake3Kernel()};
  const Status set = SetBlake3Kernel("mmx");
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Blake3Kernel(), before);
}

}  // namespace
}  // namespace bdn::crypto
