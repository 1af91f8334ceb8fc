#include "cache/file_fill.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/guarded.h"
#include "crypto/blake3.h"

namespace bdn::cache {
namespace {

// Reading back for verification: small enough to stay in the L2 cache of a core.
constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr std::uint32_t kModeMask = 0777;

// Hashes [offset, offset + length) of a file; nullopt when it is shorter.
Result<std::optional<crypto::Digest>> HashRange(const os::File& file,
                                                std::uint64_t offset,
                                                std::uint64_t length) {
  crypto::Blake3 hash;
  std::vector<std::byte> buffer(
      static_cast<std::size_t>(std::min<std::uint64_t>(kBufferBytes, length)));
  while (length > 0) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), length));
    BDN_ASSIGN(const std::size_t got, file.ReadAt(offset, std::span(buffer).first(want)));
    if (got < want) return std::optional<crypto::Digest>();
    hash.Update(std::span(buffer).first(got));
    offset += got;
    length -= got;
  }
  return std::optional(hash.Finish());
}

// Which chunks of a partial file are there: one byte a chunk, in a file of its own, so that marking
// one is a single write that cannot tear.
class Bitmap {
 public:
  static Result<Bitmap> Open(os::Fs& fs, const std::string& path, std::size_t chunks) {
    Bitmap map;
    BDN_ASSIGN(map.file_, fs.Open(path, os::OpenMode::kCreate, 0600));
    map.marks_.assign(chunks, std::byte{0});
    BDN_TRY(map.file_->ReadAt(0, map.marks_));
    return map;
  }
  bool Has(std::size_t chunk) const { return marks_[chunk] == std::byte{1}; }
  // Thread-safe for different chunks.
  Status Mark(std::size_t chunk) {
    marks_[chunk] = std::byte{1};
    return file_->WriteAt(chunk, std::span(marks_).subspan(chunk, 1));
  }

 private:
  std::unique_ptr<os::File> file_;
  std::vector<std::byte> marks_;
};

Status FetchInto(const Context& ctx,
                 const FillTarget& target,
                 const crypto::Digest& digest,
                 os::File& file,
                 std::uint64_t offset,
                 std::uint64_t length,
                 const OnBytes& on_bytes) {
  std::uint64_t at = 0;
  BDN_TRY(target.upstream.Get(ctx, target.scope, store::ObjectKind::kChunk, digest,
                              [&](std::span<const std::byte> bytes) -> Status {
                                if (at + bytes.size() > length)
                                  return Error(Code::kCorrupt, "a chunk is too long");
                                BDN_TRY(file.WriteAt(offset + at, bytes));
                                at += bytes.size();
                                on_bytes(bytes.size(), false);
                                return {};
                              }));
  if (at != length) return Error(Code::kCorrupt, "a chunk is too short");
  return {};
}

Status Publish(const FillTarget& target,
               const std::string& from,
               const std::string& path,
               std::uint32_t mode) {
  BDN_TRY(target.fs.SetMode(from, mode & kModeMask));
  return target.fs.Rename(from, path);
}

Status FillSingle(const Context& ctx,
                  const FillTarget& target,
                  const model::ManifestEntry& entry,
                  const std::string& path,
                  const OnBytes& on_bytes) {
  const std::string temporary = "partial/tmp-" + os::RandomName();
  const Status done = [&]() -> Status {
    BDN_ASSIGN(const auto file, target.fs.Open(temporary, os::OpenMode::kCreateNew, 0600));
    if (entry.digest) {
      BDN_TRY(FetchInto(ctx, target, *entry.digest, *file, 0, entry.size, on_bytes));
    }
    return Publish(target, temporary, path, entry.mode);
  }();
  if (!done) (void)target.fs.Remove(temporary);
  return done;
}

Result<model::Chunkmap> GetChunkmap(const Context& ctx,
                                    const FillTarget& target,
                                    const model::ManifestEntry& entry) {
  BDN_ASSIGN(const std::string text,
             store::GetAll(ctx, target.upstream, target.scope, store::ObjectKind::kChunkmap,
                           *entry.digest, model::kManifestBytesMax));
  BDN_ASSIGN(model::Chunkmap map, model::ParseChunkmap(text));
  if (map.file_size != entry.size) {
    return Error(Code::kCorrupt, "the chunkmap is for a file of another size");
  }
  return map;
}

// A fill that failed between setting the mode and the rename leaves a file that its owner may not
// write any more.
Result<std::unique_ptr<os::File>> OpenPartial(os::Fs& fs, const std::string& path) {
  auto file = fs.Open(path, os::OpenMode::kCreate, 0600);
  if (file || file.error().code() != Code::kPermissionDenied) return file;
  BDN_TRY(fs.SetMode(path, 0600));
  return fs.Open(path, os::OpenMode::kCreate, 0600);
}

Status FillChunked(const Context& ctx,
                   const FillTarget& target,
                   const model::ManifestEntry& entry,
                   const std::string& path,
                   const OnBytes& on_bytes,
                   const std::function<void()>& on_allocated) {
  BDN_ASSIGN(const model::Chunkmap map, GetChunkmap(ctx, target, entry));
  const std::string partial = PartialName(entry);
  const std::string marks = partial + std::string(kMarksSuffix);
  BDN_ASSIGN(const auto file, OpenPartial(target.fs, partial));
  // Reserves the blocks: a full disk shows now, not at the last chunk.
  BDN_TRY(file->Allocate(entry.size));
  on_allocated();
  BDN_ASSIGN(Bitmap bitmap, Bitmap::Open(target.fs, marks, map.chunks.size()));
  TaskGroup group(target.executor, ctx);
  for (std::size_t i = 0; i < map.chunks.size(); ++i) {
    group.Run([&, i](const Context& task_ctx) -> Status {
      const model::Chunk& chunk = map.chunks[i];
      if (bitmap.Has(i)) {
        BDN_ASSIGN(const auto digest, HashRange(*file, chunk.offset, chunk.length));
        if (digest == chunk.digest) {
          on_bytes(chunk.length, true);
          return {};
        }
      }
      BDN_TRY(
          FetchInto(task_ctx, target, chunk.digest, *file, chunk.offset, chunk.length, on_bytes));
      return bitmap.Mark(i);
    });
  }
  BDN_TRY(group.Wait());
  BDN_TRY(file->Sync());
  BDN_TRY(Publish(target, partial, path, entry.mode));
  (void)target.fs.Remove(marks);  // without its file it means nothing; the next opening removes it
  return {};
}

}  // namespace

std::string CacheFileName(const model::ManifestEntry& entry) {
  const std::string hex = entry.digest.value_or(crypto::Digest{}).hex();
  return fmt::format("{}/{}.{:03o}{}", hex.substr(0, 2), hex, entry.mode & kModeMask,
                     entry.chunked ? ".map" : "");
}

std::string PartialName(const model::ManifestEntry& entry) {
  return fmt::format("partial/{}.{:03o}", entry.digest.value_or(crypto::Digest{}).hex(),
                     entry.mode & kModeMask);
}

Status FillFile(const Context& ctx,
                const FillTarget& target,
                const model::ManifestEntry& entry,
                const std::string& path,
                const OnBytes& on_bytes,
                const std::function<void()>& on_allocated) {
  Status done = entry.chunked ? FillChunked(ctx, target, entry, path, on_bytes, on_allocated)
                              : FillSingle(ctx, target, entry, path, on_bytes);
  if (!done) return std::move(done).error().Context(entry.path);
  return {};
}

Status CheckWholeFile(os::Fs& fs, const std::string& path, const model::ManifestEntry& entry) {
  BDN_ASSIGN(const auto file, fs.Open(path, os::OpenMode::kRead));
  BDN_ASSIGN(const auto info, file->Info());
  if (info.size_bytes == entry.size) {
    if (!entry.digest) return {};
    BDN_ASSIGN(const auto digest, HashRange(*file, 0, entry.size));
    if (digest == *entry.digest) return {};
  }
  return Error(Code::kCorrupt, "a cached file does not match its name");
}

}  // namespace bdn::cache
