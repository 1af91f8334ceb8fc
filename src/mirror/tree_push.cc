#include "mirror/tree_push.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/guarded.h"
#include "crypto/blake3.h"
#include "model/manifest.h"

namespace bdn::mirror {
namespace {

std::string Join(const std::string& dir, const std::string& name) {
  return dir.empty() ? name : dir + "/" + name;
}

// Everything below `dir`, as manifest entries without digests.
Status Scan(const os::Fs& tree, const std::string& dir, std::vector<model::ManifestEntry>& out) {
  std::vector<os::DirEntry> found;
  BDN_TRY(tree.List(dir, [&](const os::DirEntry& entry) -> Status {
    found.push_back(entry);
    return {};
  }));
  for (const auto& item : found) {
    model::ManifestEntry entry;
    entry.path = Join(dir, item.name);
    BDN_ASSIGN(const os::FileInfo info, tree.Stat(entry.path));
    entry.mode = info.mode;
    if (out.size() >= model::kManifestEntriesMax) {
      return Error(Code::kResourceExhausted,
                   fmt::format("more than {} files", model::kManifestEntriesMax));
    }
    switch (info.type) {
      case os::FileType::kFile:
        entry.size = info.size_bytes;
        out.push_back(std::move(entry));
        break;
      case os::FileType::kSymlink: {
        entry.type = model::EntryType::kSymlink;
        entry.mode = 0777;
        BDN_ASSIGN(entry.target, tree.ReadLink(entry.path));
        // On disk an absolute target means the machine's root, not the volume's.
        if (entry.target.starts_with('/')) {
          return Error(Code::kInvalidArgument,
                       fmt::format("'{}' is a symbolic link to the absolute path '{}'; make it "
                                   "relative, or a file",
                                   entry.path, entry.target));
        }
        out.push_back(std::move(entry));
        break;
      }
      case os::FileType::kDirectory: {
        entry.type = model::EntryType::kDirectory;
        const std::string path = entry.path;
        out.push_back(std::move(entry));
        BDN_TRY(Scan(tree, path, out));
        break;
      }
      case os::FileType::kOther:
        return Error(Code::kInvalidArgument,
                     fmt::format("'{}' is neither a file, a directory nor a link", entry.path));
    }
  }
  return {};
}

class Pusher {
 public:
  Pusher(os::Fs& tree,
         const ObjectUpload& upload,
         Executor& executor,
         const std::function<void(const PushProgress&)>& report)
      : tree_(tree), upload_(upload), executor_(executor), report_(report) {}

  Result<PushedTree> Run(const Context& ctx, std::optional<model::Provenance> provenance) {
    model::Manifest manifest;
    manifest.provenance = std::move(provenance);
    BDN_TRY(Scan(tree_, "", manifest.entries));
    BDN_TRY(model::CheckTree(manifest.entries));
    std::sort(manifest.entries.begin(), manifest.entries.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
    for (const auto& entry : manifest.entries) {
      if (entry.type != model::EntryType::kFile) continue;
      manifest.total_size += entry.size;
      progress_.With([](PushProgress& p) { p.files += 1; });
    }
    Count([&](PushProgress& p) { p.bytes = manifest.total_size; });
    TaskGroup group(executor_, ctx);
    for (auto& entry : manifest.entries) {
      if (entry.type != model::EntryType::kFile) continue;
      group.Run([this, &entry](const Context& file_ctx) -> Status {
        Status done = PushFile(file_ctx, entry);
        if (!done) return std::move(done).error().Context(entry.path);
        Count([](PushProgress& p) { p.files_done += 1; });
        return {};
      });
    }
    BDN_TRY(group.Wait());
    const std::string text = model::WriteManifest(manifest);
    BDN_ASSIGN(const crypto::Digest digest, PutText(ctx, store::ObjectKind::kManifest, text));
    return PushedTree{digest, progress_.With([](PushProgress& p) { return p; })};
  }

 private:
  template <class F>
  void Count(F&& f) {
    progress_.With([&](PushProgress& p) {
      f(p);
      report_(p);
    });
  }

  Result<crypto::Digest> PutText(const Context& ctx,
                                 store::ObjectKind kind,
                                 const std::string& text) {
    const auto bytes = std::as_bytes(std::span(text));
    const crypto::Digest digest = crypto::Blake3Of(bytes);
    BDN_TRY(upload_.put(ctx, kind, digest, bytes));
    return digest;
  }

  Result<crypto::Digest> PushChunk(const Context& ctx,
                                   const os::File& file,
                                   std::uint64_t offset,
                                   std::uint64_t length) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(length));
    BDN_ASSIGN(const std::size_t got, file.ReadAt(offset, bytes));
    if (got != length)
      return Error(Code::kFailedPrecondition, "the file changed while it was read");
    const crypto::Digest digest = crypto::Blake3Of(bytes);
    BDN_ASSIGN(const bool there, upload_.has(ctx, digest));
    if (!there) BDN_TRY(upload_.put(ctx, store::ObjectKind::kChunk, digest, bytes));
    Count([&](PushProgress& p) {
      p.bytes_done += length;
      if (there) p.bytes_reused += length;
    });
    return digest;
  }

  Status PushFile(const Context& ctx, model::ManifestEntry& entry) {
    if (entry.size == 0) return {};
    BDN_ASSIGN(const auto file, tree_.Open(entry.path, os::OpenMode::kRead));
    if (entry.size <= model::kChunkBytes) {
      BDN_ASSIGN(entry.digest, PushChunk(ctx, *file, 0, entry.size));
    } else {
      model::Chunkmap map;
      map.file_size = entry.size;
      map.chunks.resize(
          static_cast<std::size_t>((entry.size + model::kChunkBytes - 1) / model::kChunkBytes));
      TaskGroup group(executor_, ctx);
      for (std::size_t i = 0; i < map.chunks.size(); ++i) {
        group.Run([&, i](const Context& chunk_ctx) -> Status {
          const std::uint64_t offset = i * model::kChunkBytes;
          const std::uint64_t length = std::min(model::kChunkBytes, entry.size - offset);
          BDN_ASSIGN(const auto digest, PushChunk(chunk_ctx, *file, offset, length));
          map.chunks[i] = {digest, offset, length};
          return {};
        });
      }
      BDN_TRY(group.Wait());
      entry.chunked = true;
      BDN_ASSIGN(entry.digest,
                 PutText(ctx, store::ObjectKind::kChunkmap, model::WriteChunkmap(map)));
    }
    BDN_ASSIGN(const os::FileInfo after, file->Info());
    if (after.size_bytes != entry.size) {
      return Error(Code::kFailedPrecondition, "the file changed while it was read; push again");
    }
    return {};
  }

  os::Fs& tree_;
  const ObjectUpload& upload_;
  Executor& executor_;
  const std::function<void(const PushProgress&)>& report_;
  Guarded<PushProgress> progress_;
};

}  // namespace

Result<PushedTree> PushTree(const Context& ctx,
                            os::Fs& tree,
                            const ObjectUpload& upload,
                            Executor& executor,
                            const std::function<void(const PushProgress&)>& progress,
                            std::optional<model::Provenance> provenance) {
  return Pusher(tree, upload, executor, progress).Run(ctx, std::move(provenance));
}

}  // namespace bdn::mirror
