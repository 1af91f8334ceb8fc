#pragma once
// How one object lies in a file (docs/formats/directory-store.md): a raw chunk as its own bytes,
// anything else as a *type frame* followed by zstd frames. The type frame is a skippable frame of
// RFC 8878 §3.1.2 that holds the content type, so every zstd decoder reads past it and
// `zstd -dc FILE | b3sum` gives the object's name.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/object_store.h"

namespace bdn::store {

inline constexpr std::size_t kTypeFrameHeadBytes = 8;  // magic and length
inline constexpr std::size_t kTypeTextBytesMax = 128;
// What has to be read of a file to know what it holds.
inline constexpr std::size_t kTypeFrameBytesMax = kTypeFrameHeadBytes + kTypeTextBytesMax;
// Uncompressed bytes of an object that rests compressed, as it is handled in memory.
inline constexpr std::uint64_t kCompressedObjectBytesMax = 512ull << 20;

struct FileHead {
  ObjectKind kind = ObjectKind::kChunk;
  bool zstd = false;
  std::uint64_t offset = 0;  // where the stored bytes begin
};

// What a file that begins with `head` (kTypeFrameBytesMax bytes, or the whole file) holds.
// kUnsupported: a type frame with a type that is not ours to read.
Result<FileHead> ParseFileHead(std::span<const std::byte> head);

// What goes into the file. nullopt: `bytes` as they are. Chunks rest raw, but for one whose own
// bytes would be read as a type frame.
// kResourceExhausted over kCompressedObjectBytesMax.
Result<std::optional<std::string>> EncodeObject(ObjectKind kind, std::span<const std::byte> bytes);

}  // namespace bdn::store
