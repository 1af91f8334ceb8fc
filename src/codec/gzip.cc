#include "codec/gzip.h"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>
#include <zlib.h>

#include "base/check.h"

namespace bdn::codec {
namespace {

constexpr std::size_t kPieceBytes = 64 * 1024;
constexpr int kGzipWindowBits = 15 + 16;  // zlib's way to say: gzip headers, the largest window

}  // namespace

struct Gunzip::State {
  z_stream stream = {};
  std::uint64_t bytes_max = 0;
  std::uint64_t size = 0;
  bool between = false;  // a member has ended; what follows is another one, or nothing
  bool begun = false;
  std::array<std::byte, kPieceBytes> piece;

  // It fails for want of memory alone.
  State() { BDN_CHECK(inflateInit2(&stream, kGzipWindowBits) == Z_OK); }
  ~State() { inflateEnd(&stream); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Gunzip::Gunzip(std::uint64_t bytes_max) : state_(std::make_unique<State>()) {
  state_->bytes_max = bytes_max;
}
Gunzip::~Gunzip() = default;
Gunzip::Gunzip(Gunzip&&) noexcept = default;
Gunzip& Gunzip::operator=(Gunzip&&) noexcept = default;

Status Gunzip::Update(std::span<const std::byte> bytes, const Sink& sink) {
  State& s = *state_;
  while (!bytes.empty()) {
    if (s.between) {
      inflateReset(&s.stream);
      s.between = false;
    }
    s.begun = true;
    const std::size_t take =
        std::min<std::size_t>(bytes.size(), std::numeric_limits<uInt>::max() / 2);
    // zlib's interface has no const; it does not write to its input.
    s.stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
    s.stream.avail_in = static_cast<uInt>(take);
    int code = Z_OK;
    do {
      s.stream.next_out = reinterpret_cast<Bytef*>(s.piece.data());
      s.stream.avail_out = static_cast<uInt>(s.piece.size());
      code = inflate(&s.stream, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        return Error(Code::kCorrupt, "the gzip stream is damaged");
      }
      const std::size_t out = s.piece.size() - s.stream.avail_out;
      if (out > s.bytes_max - s.size) {
        return Error(Code::kResourceExhausted,
                     fmt::format("the gzip stream holds more than {} bytes", s.bytes_max));
      }
      s.size += out;
      if (out > 0) BDN_TRY(sink(std::span(s.piece).first(out)));
    } while (code == Z_OK && (s.stream.avail_in > 0 || s.stream.avail_out == 0));
    bytes = bytes.subspan(take - s.stream.avail_in);
    if (code == Z_STREAM_END) s.between = true;
  }
  return {};
}

Status Gunzip::Finish() const {
  if (state_->begun && state_->between) return {};
  return Error(Code::kCorrupt, "the gzip stream ends early");
}

std::uint64_t Gunzip::size() const {
  return state_->size;
}

}  // namespace bdn::codec
