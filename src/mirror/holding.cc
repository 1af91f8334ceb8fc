#include "mirror/holding.h"

#include <string>
#include <utility>

namespace bdn::mirror {
namespace {

// A chunkmap of the largest file that one can hold: a record is about 250 bytes.
constexpr std::uint64_t kChunkmapBytesMax = 512ull << 20;

// The text of an object; nullopt when the store does not have it whole.
Result<std::optional<std::string>> ReadText(const Context& ctx,
                                            store::ObjectStore& objects,
                                            const store::Scope& scope,
                                            store::ObjectKind kind,
                                            const crypto::Digest& digest,
                                            std::uint64_t bytes_max) {
  BDN_ASSIGN(const bool there, objects.Touch(ctx, scope, digest));
  if (!there) return std::optional<std::string>();
  auto text = store::GetAll(ctx, objects, scope, kind, digest, bytes_max);
  if (text) return std::optional<std::string>(*std::move(text));
  const Code code = text.error().code();
  if (code == Code::kNotFound || code == Code::kCorrupt) return std::optional<std::string>();
  return std::move(text).error();
}

// What a store refuses is nothing that a changed source would explain.
Error NotTheSource(Error error) {
  if (error.code() != Code::kFailedPrecondition) return error;
  return std::move(error).WithCode(Code::kInvalidArgument);
}

}  // namespace

Result<std::optional<model::Chunkmap>> ReadChunkmap(const Context& ctx,
                                                    store::ObjectStore& objects,
                                                    const store::Scope& scope,
                                                    const crypto::Digest& digest) {
  BDN_ASSIGN(const auto text, ReadText(ctx, objects, scope, store::ObjectKind::kChunkmap, digest,
                                       kChunkmapBytesMax));
  if (!text) return std::optional<model::Chunkmap>();
  auto map = model::ParseChunkmap(*text);
  if (!map) return std::optional<model::Chunkmap>();
  return std::optional<model::Chunkmap>(*std::move(map));
}

Result<std::vector<model::Chunk>> HoldChunks(const Context& ctx,
                                             store::ObjectStore& objects,
                                             const store::Scope& scope,
                                             const std::vector<model::Chunk>& chunks) {
  std::vector<crypto::Digest> digests;
  digests.reserve(chunks.size());
  for (const model::Chunk& chunk : chunks) digests.push_back(chunk.digest);
  BDN_ASSIGN(const auto missing, objects.TouchAll(ctx, scope, digests));
  if (!missing) return chunks;
  std::vector<model::Chunk> held;
  held.reserve(chunks.size());
  for (const model::Chunk& chunk : chunks) {
    BDN_ASSIGN(const bool there, objects.Touch(ctx, scope, chunk.digest));
    if (there) held.push_back(chunk);
  }
  return held;
}

Result<bool> HoldFile(const Context& ctx,
                      store::ObjectStore& objects,
                      const store::Scope& scope,
                      const FileResult& file) {
  BDN_TRY(ctx.Check());
  if (!file.digest) return true;
  if (!file.chunked) return objects.Touch(ctx, scope, *file.digest);
  BDN_ASSIGN(const auto map, ReadChunkmap(ctx, objects, scope, *file.digest));
  if (!map) return false;
  BDN_ASSIGN(const auto held, HoldChunks(ctx, objects, scope, map->chunks));
  return held.size() == map->chunks.size();
}

Result<std::optional<model::Manifest>> HoldManifest(const Context& ctx,
                                                    store::ObjectStore& objects,
                                                    const store::Scope& scope,
                                                    const crypto::Digest& digest) {
  BDN_ASSIGN(const auto text, ReadText(ctx, objects, scope, store::ObjectKind::kManifest, digest,
                                       model::kManifestBytesMax));
  if (!text) return std::optional<model::Manifest>();
  auto manifest = model::ParseManifest(*text);
  if (!manifest) return std::optional<model::Manifest>();
  std::vector<crypto::Digest> whole;  // of the files that are one object
  for (const model::ManifestEntry& entry : manifest->entries) {
    if (entry.type != model::EntryType::kFile || !entry.digest) continue;
    if (!entry.chunked) {
      whole.push_back(*entry.digest);
      continue;
    }
    const FileResult file{.chunked = true, .digest = entry.digest};
    BDN_ASSIGN(const bool there, HoldFile(ctx, objects, scope, file));
    if (!there) return std::optional<model::Manifest>();
  }
  BDN_ASSIGN(const auto missing, objects.TouchAll(ctx, scope, whole));
  if (missing) return std::optional<model::Manifest>();
  return std::optional<model::Manifest>(*std::move(manifest));
}

Status PutObject(const Context& ctx,
                 store::ObjectStore& objects,
                 const store::Scope& scope,
                 store::ObjectKind kind,
                 const crypto::Digest& digest,
                 std::span<const std::byte> bytes) {
  auto put = objects.Put(ctx, scope, kind, digest, bytes);
  return put ? Status() : NotTheSource(std::move(put).error());
}

Status PutChunks(const Context& ctx,
                 store::ObjectStore& objects,
                 const store::Scope& scope,
                 std::span<const store::ChunkBytes> chunks) {
  Status put = objects.PutChunks(ctx, scope, chunks);
  return put ? Status() : NotTheSource(std::move(put).error());
}

Status CommitChunk(const Context& ctx,
                   store::ObjectStore& objects,
                   const store::Scope& scope,
                   std::unique_ptr<store::ChunkWriter> writer,
                   const crypto::Digest& digest,
                   std::span<const std::byte> bytes) {
  if (writer) {
    auto committed = writer->Commit(ctx, digest);
    if (committed) return {};
    if (committed.error().code() != Code::kUnsupported) return std::move(committed).error();
    writer.reset();
  }
  return PutObject(ctx, objects, scope, store::ObjectKind::kChunk, digest, bytes);
}

}  // namespace bdn::mirror
