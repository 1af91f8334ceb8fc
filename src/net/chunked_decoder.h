#pragma once
// Decodes the chunked transfer coding (RFC 9112 §7.1) of a request body, piece by piece as the
// bytes arrive. Strict: CRLF only, at most 15 hex digits, bounded extensions and trailers (both are
// checked and dropped). Fuzzed (fuzz/chunked_decoder_fuzz.cc).
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace bdn::net {

class ChunkedDecoder {
 public:
  static constexpr std::size_t kSizeLineBytesMax = 1024;
  static constexpr std::size_t kTrailerBytesMax = 8 * 1024;

  struct Step {
    std::size_t consumed = 0;  // bytes of the input that are dealt with
    std::string_view data;     // part of the input, body bytes; may be empty
  };
  // Call again with the unconsumed rest until done() or nothing is left. Consumes at least one byte
  // of a non-empty input unless done(). kInvalidArgument when malformed; do not call again then.
  Result<Step> Next(std::string_view in);
  // The last chunk and the trailers were seen; what follows belongs to the next request.
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State : std::uint8_t {
    kSize,
    kBlanks,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailer,
    kTrailerLf,
    kEndLf,
    kDone,
  };
  Status OnLineByte(char c);
  Status OnSizeByte(char c);

  State state_ = State::kSize;
  std::uint64_t left_ = 0;      // of the current chunk
  std::size_t digits_ = 0;      // of the current size
  std::size_t line_bytes_ = 0;  // of the current size line
  std::size_t trailer_bytes_ = 0;
};

}  // namespace bdn::net
