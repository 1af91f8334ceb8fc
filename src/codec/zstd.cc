#include "codec/zstd.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <zstd.h>

#include "base/check.h"

namespace bdn::codec {
namespace {

constexpr int kLevel = 3;  // the library's default: past it manifests hardly shrink
constexpr std::size_t kFirstOutputBytes = 256u << 10;

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

std::string ZstdCompress(std::string_view bytes) {
  const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  BDN_CHECK(context != nullptr);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, 1);
  std::string frame(ZSTD_compressBound(bytes.size()), '\0');
  const std::size_t size =
      ZSTD_compress2(context.get(), frame.data(), frame.size(), bytes.data(), bytes.size());
  BDN_CHECK(!ZSTD_isError(size));
  frame.resize(size);
  return frame;
}

Result<std::string> ZstdDecompress(std::string_view frames, std::size_t bytes_max) {
  if (frames.empty()) return Error(Code::kCorrupt, "zstd: no data");
  const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  BDN_CHECK(context != nullptr);
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);

  std::string bytes;
  std::size_t filled = 0;
  ZSTD_inBuffer in{frames.data(), frames.size(), 0};
  std::size_t wanted = 1;  // 0 exactly at the end of a frame
  while (true) {
    if (filled == bytes.size()) {
      // One byte over the limit is room enough to see that there is more.
      const std::size_t room = bytes_max == SIZE_MAX ? bytes_max : bytes_max + 1;
      bytes.resize(std::min(room, std::max(kFirstOutputBytes, bytes.size() * 2)));
    }
    ZSTD_outBuffer out{bytes.data() + filled, bytes.size() - filled, 0};
    const std::size_t before = in.pos;
    wanted = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(wanted)) {
      return Error(Code::kCorrupt, fmt::format("zstd: {}", ZSTD_getErrorName(wanted)));
    }
    filled += out.pos;
    if (filled > bytes_max) {
      return Error(
          Code::kResourceExhausted,
          fmt::format("zstd: the content is longer than the limit of {} bytes", bytes_max));
    }
    if (wanted == 0 && in.pos == in.size) break;
    if (in.pos == in.size && in.pos == before && out.pos == 0) {
      return Error(Code::kCorrupt, "zstd: the data ends inside a frame");
    }
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace bdn::codec
