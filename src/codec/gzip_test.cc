#include "codec/gzip.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <zlib.h>

namespace bdn::codec {
namespace {

std::string Compress(std::string_view text) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, static_cast<uLong>(text.size())) + 32, '\0');
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

// What comes out when the stream arrives in pieces of `piece` bytes.
Result<std::string> Decompress(std::string_view stream,
                               std::size_t piece,
                               std::uint64_t bytes_max = 1 << 30) {
  Gunzip gunzip(bytes_max);
  std::string out;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    BDN_TRY(gunzip.Update(std::as_bytes(std::span(stream.substr(at, piece))),
                          [&](std::span<const std::byte> bytes) {
                            out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                            return Status();
                          }));
  }
  BDN_TRY(gunzip.Finish());
  EXPECT_EQ(gunzip.size(), out.size());
  return out;
}

std::string Text(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) text += std::to_string(i * i) + ",";
  return text;
}

TEST(Gunzip, GivesTheContentHoweverTheStreamIsCut) {
  const std::string text = Text(300'000);
  const std::string stream = Compress(text);
  for (const std::size_t piece : {1u, 7u, 4096u, 1u << 20}) {
    const auto out = Decompress(stream, piece);
    ASSERT_TRUE(out) << out.error().message();
    EXPECT_EQ(*out, text);
  }
  EXPECT_EQ(*Decompress(Compress(""), 3), "");
}

TEST(Gunzip, MembersFollowOneAnother) {
  const auto out = Decompress(Compress("one ") + Compress("") + Compress("two"), 5);
  ASSERT_TRUE(out) << out.error().message();
  EXPECT_EQ(*out, "one two");
}

TEST(Gunzip, EveryCutAndAnotherByteAnywhereAreCorruptOrTheSame) {
  const std::string text = Text(2000);
  const std::string stream = Compress(text);
  for (std::size_t n = 0; n < stream.size(); ++n) {
    const auto out = Decompress(stream.substr(0, n), 100);
    ASSERT_FALSE(out) << n;
    EXPECT_EQ(out.error().code(), Code::kCorrupt);
  }
  for (std::size_t n = 0; n < stream.size(); ++n) {
    std::string other = stream;
    other[n] = static_cast<char>(other[n] ^ 0x40);
    const auto out = Decompress(other, 100);
    if (out) {
      EXPECT_EQ(*out, text) << n << ": only fields without meaning may differ";
    }
  }
  EXPECT_FALSE(Decompress(stream + "x", 100)) << "something behind the stream";
  EXPECT_FALSE(Decompress("not gzip at all", 100));
}

TEST(Gunzip, ABombEndsAtTheLimit) {
  const std::string stream = Compress(std::string(50 << 20, '\0'));
  ASSERT_LT(stream.size(), 100'000u);
  Gunzip gunzip(1 << 20);
  std::uint64_t passed = 0;
  const Status status =
      gunzip.Update(std::as_bytes(std::span(stream)), [&](std::span<const std::byte> bytes) {
        passed += bytes.size();
        return Status();
      });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kResourceExhausted);
  EXPECT_LE(passed, 1u << 20);
  EXPECT_EQ(*Decompress(Compress(std::string(1 << 20, 'x')), 100, 1 << 20),
            std::string(1 << 20, 'x'));
}

}  // namespace
}  // namespace bdn::codec
