#include "net/chunked_decoder.h"

#include <algorithm>

namespace bdn::net {
namespace {

constexpr std::size_t kSizeDigitsMax = 15;  // below 2^60

Error Malformed(const char* what) {
  return Error(Code::kInvalidArgument, std::string("malformed chunked body: ") + what);
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsTextByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return c == '\t' || (byte >= 0x20 && byte != 0x7f);
}

}  // namespace

Status ChunkedDecoder::OnSizeByte(char c) {
  if (++line_bytes_ > kSizeLineBytesMax) return Malformed("a size line is too long");
  if (state_ == State::kSize) {
    if (const int value = HexValue(c); value >= 0) {
      if (++digits_ > kSizeDigitsMax) return Malformed("a chunk size has too many digits");
      left_ = left_ * 16 + static_cast<std::uint64_t>(value);
      return {};
    }
    if (digits_ == 0) return Malformed("a chunk has no size");
  }
  if (state_ != State::kExtension) {
    // RFC 9112 §7.1.1: "size", then CRLF or blanks and ';'.
    if (c == ' ' || c == '\t') {
      state_ = State::kBlanks;
      return {};
    }
    if (c == ';') {
      state_ = State::kExtension;
      return {};
    }
    if (state_ == State::kBlanks || c != '\r') return Malformed("a chunk size is not hexadecimal");
  }
  if (c == '\r') {
    state_ = State::kSizeLf;
    return {};
  }
  if (!IsTextByte(c)) return Malformed("a chunk extension holds a control character");
  return {};
}

Status ChunkedDecoder::OnLineByte(char c) {
  switch (state_) {
    case State::kSize:
    case State::kBlanks:
    case State::kExtension:
      return OnSizeByte(c);
    case State::kSizeLf:
      if (c != '\n') return Malformed("a size line does not end in CRLF");
      state_ = left_ == 0 ? State::kTrailerStart : State::kData;
      return {};
    case State::kDataCr:
      if (c != '\r') return Malformed("a chunk is longer than its size");
      state_ = State::kDataLf;
      return {};
    case State::kDataLf:
      if (c != '\n') return Malformed("a chunk does not end in CRLF");
      state_ = State::kSize;
      digits_ = 0;
      line_bytes_ = 0;
      return {};
    case State::kTrailerStart:
    case State::kTrailer:
      if (++trailer_bytes_ > kTrailerBytesMax) return Malformed("the trailers are too long");
      if (c == '\r') {
        state_ = state_ == State::kTrailerStart ? State::kEndLf : State::kTrailerLf;
        return {};
      }
      if (!IsTextByte(c)) return Malformed("a trailer holds a control character");
      state_ = State::kTrailer;
      return {};
    case State::kTrailerLf:
      if (c != '\n') return Malformed("a trailer does not end in CRLF");
      state_ = State::kTrailerStart;
      return {};
    case State::kEndLf:
      if (c != '\n') return Malformed("it does not end in CRLF");
      state_ = State::kDone;
      return {};
    case State::kData:
    case State::kDone:
      break;
  }
  return {};
}

Result<ChunkedDecoder::Step> ChunkedDecoder::Next(std::string_view in) {
  Step step;
  while (step.consumed < in.size() && state_ != State::kDone) {
    if (state_ == State::kData) {
      const std::size_t take =
          static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size() - step.consumed));
      step.data = in.substr(step.consumed, take);
      step.consumed += take;
      left_ -= take;
      if (left_ == 0) state_ = State::kDataCr;
      return step;
    }
    BDN_TRY(OnLineByte(in[step.consumed]));
    step.consumed += 1;
  }
  return step;
}

}  // namespace bdn::net
