#include "store/object_file.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "codec/zstd.h"

namespace bdn::store {
namespace {

// The first of the sixteen magic numbers of skippable frames, little endian.
constexpr std::string_view kMagic("\x50\x2a\x4d\x18", 4);
constexpr std::string_view kTypeTextPrefix = "application/vnd.baseten.bdn.";

std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint32_t LoadLe32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) {
    value = value << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
  }
  return value;
}

// The text of the type frame that `text` begins with.
std::optional<std::string_view> FindType(std::string_view text) {
  if (text.size() < kTypeFrameHeadBytes || !text.starts_with(kMagic)) return std::nullopt;
  const std::uint32_t length = LoadLe32(text.substr(kMagic.size()));
  text.remove_prefix(kTypeFrameHeadBytes);
  if (length > kTypeTextBytesMax || length > text.size()) return std::nullopt;
  text = text.substr(0, length);
  return text.starts_with(kTypeTextPrefix) ? std::optional(text) : std::nullopt;
}

}  // namespace

Result<FileHead> ParseFileHead(std::span<const std::byte> head) {
  const auto type = FindType(AsText(head));
  if (!type) return FileHead{};
  BDN_ASSIGN(const TypedContent content, ParseContentType(*type));
  if (!content.zstd) {
    return Error(
        Code::kUnsupported,
        fmt::format("an object of type {} has a type frame, but is not compressed", *type));
  }
  return FileHead{.kind = content.kind, .zstd = true, .offset = kTypeFrameHeadBytes + type->size()};
}

Result<std::optional<std::string>> EncodeObject(ObjectKind kind, std::span<const std::byte> bytes) {
  if (kind == ObjectKind::kChunk &&
      !FindType(AsText(bytes.first(std::min(bytes.size(), kTypeFrameBytesMax))))) {
    return std::optional<std::string>();
  }
  if (bytes.size() > kCompressedObjectBytesMax) {
    return Error(Code::kResourceExhausted,
                 fmt::format("a {} of {} bytes is larger than {} bytes", KindName(kind),
                             bytes.size(), kCompressedObjectBytesMax));
  }
  const std::string type = ContentType(kind, true);
  std::string file(kMagic);
  for (std::size_t i = 0; i < 4; ++i) file += static_cast<char>(type.size() >> (8 * i) & 0xff);
  file += type;
  file += codec::ZstdCompress(AsText(bytes));
  return std::optional(std::move(file));
}

}  // namespace bdn::store
