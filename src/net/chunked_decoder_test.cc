#include "net/chunked_decoder.h"

#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace bdn::net {
namespace {

struct Decoded {
  std::string body;
  std::string rest;
  bool done = false;
};

// Feeds `wire` in pieces of `step` bytes; nullopt when it is refused.
std::optional<Decoded> Decode(const std::string& wire, std::size_t step) {
  ChunkedDecoder decoder;
  Decoded out;
  std::size_t at = 0;
  std::size_t end = 0;
  while (end < wire.size() && !decoder.done()) {
    end = std::min(end + step, wire.size());
    while (at < end && !decoder.done()) {
      const auto did = decoder.Next(std::string_view(wire).substr(at, end - at));
      if (!did) return std::nullopt;
      EXPECT_GT(did->consumed, 0u);
      out.body += did->data;
      at += did->consumed;
    }
  }
  out.rest = wire.substr(at);
  out.done = decoder.done();
  return out;
}

TEST(ChunkedDecoder, GivesTheSameBytesHoweverTheyArrive) {
  const std::string wire =
      "5\r\nhello\r\n00A;ext=\"v\"\r\n, world...\r\n1 ; x\r\n!\r\n0\r\nDigest: x\r\nB:\r\n\r\nGET "
      "/";
  for (std::size_t step = 1; step <= wire.size(); ++step) {
    const auto out = Decode(wire, step);
    ASSERT_TRUE(out) << step;
    EXPECT_TRUE(out->done);
    EXPECT_EQ(out->body, "hello, world...!");
    EXPECT_EQ(out->rest, "GET /");
  }
}

TEST(ChunkedDecoder, IsNotDoneBeforeTheLastByte) {
  const std::string wire = "1\r\na\r\n0\r\n\r\n";
  for (std::size_t size = 0; size < wire.size(); ++size) {
    const auto out = Decode(wire.substr(0, size), 3);
    ASSERT_TRUE(out);
    EXPECT_FALSE(out->done) << size;
  }
}

TEST(ChunkedDecoder, RefusesWhatAnotherParserMightRepair) {
  const std::vector<std::string> cases = {
      "\r\n",
      "g\r\n",
      "0x5\r\nhello\r\n",
      "-1\r\n",
      "+5\r\nhello\r\n",
      " 5\r\nhello\r\n",
      "5 \r\nhello\r\n",
      "5 0\r\nhello\r\n",
      "5\nhello\r\n0\r\n\r\n",
      "5\rhello",
      "5\r\nhelloX\r\n",
      "5\r\nhello\n0\r\n\r\n",
      "5\r\nhello\rX",
      "5;a\x01\r\n",
      "5;a\nb\r\n",
      "1234567890abcdef\r\n",
      ";a\r\n",
      "0\r\n\n",
      "0\r\nA: b\n\r\n",
      "0\r\nA\rb",
      "0\r\n\rX",
      "5;" + std::string(2000, 'a') + "\r\n",
      "0\r\nA: " + std::string(9000, 'a') + "\r\n\r\n",
  };
  for (const std::string& wire : cases) EXPECT_FALSE(Decode(wire, 7)) << wire.substr(0, 40);
}

}  // namespace
}  // namespace bdn::net
