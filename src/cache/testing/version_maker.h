#pragma once
// Versions of volumes for tests of what reads them, and a reader that counts and breaks.
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/context.h"
#include "base/guarded.h"
#include "crypto/blake3.h"
#include "model/manifest.h"
#include "store/object_store.h"
#include "store/testing/memory_store.h"

namespace bdn::cache::testing {

struct VersionOptions {
  std::uint64_t chunk_bytes = model::kChunkBytes;
  std::string directory = {};  // an empty directory of that name
  std::string symlink = {};    // a link of that name to "." of its directory
  std::uint32_t mode = 0644;
  bool link_group = false;  // all files, which then have one content, are names of one file
};

class VersionMaker {
 public:
  explicit VersionMaker(store::ObjectStore& store, store::Scope scope = {"org", "ns"})
      : store_(store), scope_(std::move(scope)) {}
  const store::Scope& scope() const { return scope_; }

  // Bytes without repetition: every chunk differs.
  std::string Noise(std::size_t bytes) {
    std::string out(bytes, '\0');
    for (auto& c : out) {
      seed_ = seed_ * 6364136223846793005ull + 1442695040888963407ull;
      c = static_cast<char>(seed_ >> 56);
    }
    return out;
  }

  crypto::Digest Make(const std::vector<std::pair<std::string, std::string>>& files,
                      const VersionOptions& options = {}) {
    model::Manifest manifest;
    for (const auto& [path, content] : files) {
      manifest.entries.push_back(AddFile(path, content, options));
      manifest.total_size += content.size();
    }
    if (!options.directory.empty()) {
      manifest.entries.push_back(
          {.type = model::EntryType::kDirectory, .path = options.directory, .mode = 0755});
    }
    if (!options.symlink.empty()) {
      manifest.entries.push_back({.type = model::EntryType::kSymlink,
                                  .path = options.symlink,
                                  .mode = 0777,
                                  .target = "."});
    }
    return Put(store::ObjectKind::kManifest, model::WriteManifest(manifest));
  }

 private:
  model::ManifestEntry AddFile(const std::string& path,
                               const std::string& content,
                               const VersionOptions& options) {
    model::ManifestEntry entry{.path = path, .mode = options.mode, .size = content.size()};
    if (options.link_group) entry.link_group = 1;
    if (content.empty()) return entry;
    if (content.size() <= options.chunk_bytes) {
      entry.digest = Put(store::ObjectKind::kChunk, content);
      return entry;
    }
    model::Chunkmap map{.file_size = content.size(), .chunks = {}};
    for (std::uint64_t at = 0; at < content.size(); at += options.chunk_bytes) {
      const std::string piece = content.substr(at, options.chunk_bytes);
      map.chunks.push_back({Put(store::ObjectKind::kChunk, piece), at, piece.size()});
    }
    entry.chunked = true;
    entry.digest = Put(store::ObjectKind::kChunkmap, model::WriteChunkmap(map));
    return entry;
  }

  crypto::Digest Put(store::ObjectKind kind, const std::string& bytes) {
    const auto digest = crypto::Blake3Of(bytes);
    const Context ctx(RealClock());
    (void)store_.Put(ctx, scope_, kind, digest, std::as_bytes(std::span(bytes)));
    return digest;
  }

  store::ObjectStore& store_;
  const store::Scope scope_;
  std::uint64_t seed_ = 1;
};

// Passes on, counts, and fails every read after the n-th when told to.
class CountingReader final : public store::ObjectReader {
 public:
  explicit CountingReader(store::ObjectReader& inner) : inner_(inner) {}
  Status Get(const Context& ctx,
             const store::Scope& scope,
             store::ObjectKind kind,
             const crypto::Digest& digest,
             const store::ByteSink& sink) override {
    if (left_.fetch_sub(1) <= 0) return Error(Code::kUnavailable, "the tier above is gone");
    const bool held = gate_.With([](const Gate& g) { return g.closed; });
    if (held && kind == store::ObjectKind::kChunk) {
      gate_.Change([](Gate& g) { g.waiting += 1; });
      gate_.Wait(ctx.stop(), [](Gate& g) { return !g.closed; });
      BDN_TRY(ctx.Check());
    }
    ++gets_;
    if (kind == store::ObjectKind::kChunk) ++chunk_gets_;
    return inner_.Get(ctx, scope, kind, digest, sink);
  }
  // Until Open, reads of chunks wait.
  void Close() {
    gate_.With([](Gate& g) { g = {.closed = true, .waiting = 0}; });
  }
  void Open() {
    gate_.Change([](Gate& g) { g.closed = false; });
  }
  void AwaitReader() {
    gate_.Wait([](Gate& g) { return g.waiting > 0; });
  }
  void FailAfter(std::int64_t reads) { left_ = reads; }
  // Counts from zero again and fails no more.
  void Forget() {
    left_ = INT64_MAX;
    gets_ = 0;
    chunk_gets_ = 0;
  }
  std::uint64_t gets() const { return gets_; }
  std::uint64_t chunk_gets() const { return chunk_gets_; }

 private:
  struct Gate {
    bool closed = false;
    int waiting = 0;
  };
  store::ObjectReader& inner_;
  Guarded<Gate> gate_;
  std::atomic<std::int64_t> left_ = INT64_MAX;
  std::atomic<std::uint64_t> gets_ = 0;
  std::atomic<std::uint64_t> chunk_gets_ = 0;
};

}  // namespace bdn::cache::testing
