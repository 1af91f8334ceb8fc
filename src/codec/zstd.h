#pragma once
// Zstandard (RFC 8878) of whole objects in memory. Manifests and chunkmaps rest compressed; chunks
// of weights do not.
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bdn::codec {

// Frames that ask for a larger window are refused: a decoder has to reserve it before it knows
// whether the frame is honest. 128 MiB is what the zstd program itself accepts by default.
inline constexpr int kZstdWindowLogMax = 27;

// One frame that carries its content size and checksum. The same bytes and library version give the
// same frame.
std::string ZstdCompress(std::string_view bytes);

// Any number of frames one after the other, skippable frames among them. Memory grows with what
// really comes out, never with what a header claims.
//
// Errors: kCorrupt for anything that is not complete, valid frames; kResourceExhausted when the
// content is longer than `bytes_max`.
Result<std::string> ZstdDecompress(std::string_view frames, std::size_t bytes_max);

}  // namespace bdn::codec
