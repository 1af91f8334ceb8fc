// Chunkmaps: what parses has no gap, and its canonical text is stable.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "model/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto chunkmap =
      bdn::model::ParseChunkmap(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!chunkmap) return 0;
  std::uint64_t end = 0;
  for (const bdn::model::Chunk& chunk : chunkmap->chunks) {
    BDN_CHECK(chunk.offset == end && chunk.length > 0);
    end += chunk.length;
  }
  BDN_CHECK(end == chunkmap->file_size);
  const std::string text = bdn::model::WriteChunkmap(*chunkmap);
  const auto again = bdn::model::ParseChunkmap(text);
  BDN_CHECK(again.has_value());
  BDN_CHECK(bdn::model::WriteChunkmap(*again) == text);
  return 0;
}
