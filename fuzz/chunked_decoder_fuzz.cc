// The chunked decoder never crashes and decodes the same however the bytes arrive. The first byte
// of the input is the size of the pieces.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/chunked_decoder.h"

namespace {

struct Outcome {
  std::string body;
  std::size_t used = 0;
  bool done = false;
};

std::optional<Outcome> Decode(std::string_view wire, std::size_t piece) {
  bdn::net::ChunkedDecoder decoder;
  Outcome out;
  while (out.used < wire.size() && !decoder.done()) {
    std::string_view in = wire.substr(out.used, piece);
    while (!in.empty() && !decoder.done()) {
      const auto step = decoder.Next(in);
      if (!step) return std::nullopt;
      BDN_CHECK(step->consumed > 0 && step->consumed <= in.size());
      out.body += step->data;
      out.used += step->consumed;
      in.remove_prefix(step->consumed);
    }
  }
  out.done = decoder.done();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = Decode(wire, wire.size() + 1);
  const auto pieces = Decode(wire, data[0] % 16 + 1u);
  BDN_CHECK(whole.has_value() == pieces.has_value());
  if (!whole) return 0;
  BDN_CHECK(whole->body == pieces->body);
  BDN_CHECK(whole->used == pieces->used && whole->done == pieces->done);
  return 0;
}
