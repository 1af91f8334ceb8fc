#include "store/object_store.h"

#include <fmt/format.h>

namespace bdn::store {
namespace {

constexpr std::string_view kTypePrefix = "application/vnd.baseten.bdn.";
constexpr std::string_view kTypeVersion = ".v1";
constexpr std::string_view kZstdSuffix = "+zstd";

}  // namespace

std::string_view KindName(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::kChunk:
      return "chunk";
    case ObjectKind::kChunkmap:
      return "chunkmap";
    case ObjectKind::kManifest:
      return "manifest";
  }
  return "unknown";
}

std::string FullKey(const Scope& scope, const crypto::Digest& digest) {
  const std::string hex = digest.hex();
  return fmt::format("bdn/{}/{}/objects/b3/{}/{}/{}", scope.org, scope.ns, hex.substr(0, 2),
                     hex.substr(2, 2), hex);
}

std::string ContentType(ObjectKind kind, bool zstd) {
  return fmt::format("{}{}{}{}", kTypePrefix, KindName(kind), kTypeVersion,
                     zstd ? kZstdSuffix : std::string_view());
}

Result<TypedContent> ParseContentType(std::string_view type) {
  for (const ObjectKind kind : {ObjectKind::kChunk, ObjectKind::kChunkmap, ObjectKind::kManifest}) {
    for (const bool zstd : {false, true}) {
      if (type == ContentType(kind, zstd)) return TypedContent{.kind = kind, .zstd = zstd};
    }
  }
  return Error(Code::kUnsupported,
               fmt::format("unknown content type \"{:.80}\" of an object; it was written by "
                           "something newer, or is not an object",
                           type));
}

Status CheckScope(const Scope& scope) {
  for (const std::string* part : {&scope.org, &scope.ns}) {
    bool ok = !part->empty() && part->size() <= kScopePartBytesMax && part->front() != '.';
    for (const char c : *part) {
      ok = ok && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-');
    }
    if (!ok) {
      return Error(Code::kInvalidArgument,
                   fmt::format("\"{:.80}\" is not the name of an organisation or namespace: use "
                               "letters, digits, '.', '_', '-', not '.' first, at most {} bytes",
                               *part, kScopePartBytesMax));
    }
  }
  return {};
}

Status ObjectStore::PutChunks(const Context& ctx,
                              const Scope& scope,
                              std::span<const ChunkBytes> chunks) {
  for (const ChunkBytes& chunk : chunks) {
    BDN_TRY(Put(ctx, scope, ObjectKind::kChunk, chunk.digest, chunk.bytes));
  }
  return {};
}

Result<std::optional<crypto::Digest>> ObjectStore::TouchAll(
    const Context& ctx, const Scope& scope, std::span<const crypto::Digest> digests) {
  for (const crypto::Digest& digest : digests) {
    BDN_ASSIGN(const bool there, Touch(ctx, scope, digest));
    if (!there) return std::optional(digest);
  }
  return std::optional<crypto::Digest>();
}

Result<bool> ObjectStore::DeleteIfOlder(const Context& ctx,
                                        const Scope& scope,
                                        const crypto::Digest& digest,
                                        WallTime before) {
  auto info = Stat(ctx, scope, digest);
  if (!info && info.error().code() == Code::kNotFound) return false;
  if (!info) return std::move(info).error();
  if (info->stored_at >= before) return false;
  BDN_TRY(Delete(ctx, scope, digest));
  return true;
}

Result<std::string> GetAll(const Context& ctx,
                           ObjectReader& store,
                           const Scope& scope,
                           ObjectKind kind,
                           const crypto::Digest& digest,
                           std::uint64_t bytes_max) {
  std::string all;
  BDN_TRY(store.Get(ctx, scope, kind, digest, [&](std::span<const std::byte> bytes) -> Status {
    if (bytes.size() > bytes_max - all.size()) {
      return Error(Code::kResourceExhausted,
                   fmt::format("{} {} is larger than the {} bytes that are allowed here",
                               KindName(kind), digest.ToString(), bytes_max));
    }
    all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }));
  return all;
}

Result<std::unique_ptr<ChunkWriter>> ObjectStore::StartChunk(const Context& ctx,
                                                             const Scope& scope,
                                                             std::uint64_t) {
  BDN_TRY(ctx.Check());
  BDN_TRY(CheckScope(scope));
  return std::unique_ptr<ChunkWriter>();
}

}  // namespace bdn::store
