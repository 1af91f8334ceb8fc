#pragma once
// Everything a mirror needs, in memory, and the means to let it die at any operation.
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/executor.h"
#include "base/testing/manual_clock.h"
#include "crypto/hash.h"
#include "mirror/mirror.h"
#include "mirror/plan.h"
#include "source/testing/memory_source.h"
#include "source/testing/pattern_bytes.h"
#include "store/sqlite_metadata.h"
#include "store/testing/faulty_metadata.h"
#include "store/testing/memory_store.h"

namespace bdn::mirror::testing {

using source::testing::MemorySource;
using source::testing::PatternBytes;
using Tree = std::map<std::string, std::string>;

inline constexpr std::uint64_t kChunk = 1000;  // bytes; small, so that small files have many

inline std::uint64_t SizeOf(const Tree& tree) {
  std::uint64_t bytes = 0;
  for (const auto& [path, content] : tree) bytes += content.size();
  return bytes;
}

inline MemorySource::File WithSha256(std::string content) {
  MemorySource::File file;
  file.hash_kind = source::ContentHash::kSha256;
  file.hash = crypto::Sha256Hex(content);
  file.content = std::move(content);
  return file;
}

// A process that dies: operation `dies_at` of store and source together, or call `metadata_dies_at`
// of the metadata, fails, and everything after it. What was durable before stays in the borrowed
// inner ones.
class DyingProcess {
 public:
  static constexpr int kNever = 1 << 30;

  DyingProcess(store::ObjectStore& objects,
               store::Metadata& metadata,
               source::Source& source,
               int dies_at,
               int metadata_dies_at = kNever)
      : metadata_(metadata), dies_at_(dies_at), objects_(*this, objects), source_(*this, source) {
    if (metadata_dies_at != kNever) {
      metadata_.FailAt(static_cast<std::uint64_t>(metadata_dies_at), true);
    }
  }

  store::ObjectStore& objects() { return objects_; }
  store::Metadata& metadata() { return metadata_; }
  source::Source& source() { return source_; }
  bool died() const {
    return metadata_.failures() > 0 || operations_.With([](const int& n) { return n; }) > dies_at_;
  }

 private:
  Status Count() {
    const bool alive = operations_.With([&](int& n) { return n++ < dies_at_; });
    if (alive) return {};
    metadata_.FailAt(0, true);
    return Error(Code::kUnavailable, "the process died");
  }

  class Objects final : public store::ObjectStore {
   public:
    Objects(DyingProcess& process, store::ObjectStore& inner) : process_(process), inner_(inner) {}
    Status Get(const Context& ctx,
               const store::Scope& scope,
               store::ObjectKind kind,
               const crypto::Digest& digest,
               const store::ByteSink& sink) override {
      BDN_TRY(process_.Count());
      return inner_.Get(ctx, scope, kind, digest, sink);
    }
    Result<bool> Put(const Context& ctx,
                     const store::Scope& scope,
                     store::ObjectKind kind,
                     const crypto::Digest& digest,
                     std::span<const std::byte> bytes) override {
      BDN_TRY(process_.Count());
      auto put = inner_.Put(ctx, scope, kind, digest, bytes);
      BDN_TRY(process_.Count());  // or right after it was durable
      return put;
    }
    Result<bool> Touch(const Context& ctx,
                       const store::Scope& scope,
                       const crypto::Digest& digest) override {
      BDN_TRY(process_.Count());
      return inner_.Touch(ctx, scope, digest);
    }
    Result<store::ObjectInfo> Stat(const Context& ctx,
                                   const store::Scope& scope,
                                   const crypto::Digest& digest) override {
      BDN_TRY(process_.Count());
      return inner_.Stat(ctx, scope, digest);
    }
    Result<store::OpenObject> Open(const Context& ctx,
                                   const store::Scope& scope,
                                   const crypto::Digest& digest) override {
      return inner_.Open(ctx, scope, digest);
    }
    Status List(const Context& ctx,
                const std::function<Status(const store::Scope&, const store::ObjectInfo&)>& visit)
        override {
      return inner_.List(ctx, visit);
    }
    Status Delete(const Context& ctx,
                  const store::Scope& scope,
                  const crypto::Digest& digest) override {
      return inner_.Delete(ctx, scope, digest);
    }
    Result<std::uint64_t> Sweep(const Context& ctx, Duration age, bool dry_run) override {
      return inner_.Sweep(ctx, age, dry_run);
    }

   private:
    DyingProcess& process_;
    store::ObjectStore& inner_;
  };

  class Source final : public source::Source {
   public:
    Source(DyingProcess& process, source::Source& inner) : process_(process), inner_(inner) {}
    Result<source::Pin> Resolve(const Context& ctx) override {
      BDN_TRY(process_.Count());
      return inner_.Resolve(ctx);
    }
    Result<std::vector<source::RemoteFile>> List(const Context& ctx,
                                                 const source::Pin& pin) override {
      BDN_TRY(process_.Count());
      return inner_.List(ctx, pin);
    }
    Status Read(const Context& ctx,
                const source::Pin& pin,
                const source::RemoteFile& file,
                net::ByteRange range,
                const source::ByteSink& sink) override {
      BDN_TRY(process_.Count());
      return inner_.Read(ctx, pin, file, range, [&](std::span<const std::byte> piece) -> Status {
        BDN_TRY(process_.Count());
        return sink(piece);
      });
    }

   private:
    DyingProcess& process_;
    source::Source& inner_;
  };

  store::testing::FaultyMetadata metadata_;
  const int dies_at_;
  Guarded<int> operations_{0};
  Objects objects_;
  Source source_;
};

struct World {
  World() {
    auto opened = store::OpenSqliteMetadata(":memory:", {});
    if (opened) metadata = *std::move(opened);
    options.chunk_bytes = kChunk;
    options.parallel = 4;
    options.memory_bytes_max = 16 * kChunk;
    weights = Weights(std::nullopt);
  }

  static model::WeightsSource Weights(std::optional<std::vector<std::string>> allow) {
    model::WeightsSource weights;
    weights.source = "hf://org/model";
    weights.uri = *model::ParseSourceUri(weights.source);
    weights.allow_patterns = std::move(allow);
    return weights;
  }

  Result<MirrorResult> Mirror(const ProgressSink& progress = {}) {
    return MirrorWith(source, objects, *metadata, executor, progress);
  }
  Result<MirrorResult> MirrorWith(source::Source& from,
                                  store::ObjectStore& to,
                                  store::Metadata& facts,
                                  Executor& fetchers,
                                  const ProgressSink& progress = {}) {
    Mirrorer mirrorer(to, facts, fetchers, options);
    return mirrorer.Run(ctx, from, {.scope = scope, .weights = weights}, {}, progress);
  }

  std::string ReadObject(store::ObjectKind kind, const crypto::Digest& digest) {
    auto text = store::GetAll(ctx, objects, scope, kind, digest, 1 << 30);
    EXPECT_TRUE(text) << (text ? "" : text.error().message());
    return text ? *text : std::string();
  }
  std::string ReadFile(const FileResult& file) {
    if (!file.digest) return {};
    if (!file.chunked) return ReadObject(store::ObjectKind::kChunk, *file.digest);
    auto map = model::ParseChunkmap(ReadObject(store::ObjectKind::kChunkmap, *file.digest));
    EXPECT_TRUE(map) << (map ? "" : map.error().message());
    std::string bytes;
    if (!map) return bytes;
    for (const model::Chunk& chunk : map->chunks) {
      bytes += ReadObject(store::ObjectKind::kChunk, chunk.digest);
    }
    return bytes;
  }
  // What a reader of the version sees.
  Tree TreeOf(const crypto::Digest& manifest) {
    Tree tree;
    auto parsed = model::ParseManifest(ReadObject(store::ObjectKind::kManifest, manifest));
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message());
    if (!parsed) return tree;
    for (const model::ManifestEntry& entry : parsed->entries) {
      if (entry.type != model::EntryType::kFile) continue;
      tree[entry.path] = ReadFile({.chunked = entry.chunked, .digest = entry.digest});
      EXPECT_EQ(tree[entry.path].size(), entry.size) << entry.path;
    }
    return tree;
  }

  bdn::testing::ManualClock clock;
  Context ctx{clock};
  InlineExecutor executor;
  store::testing::MemoryStore objects{clock};
  std::unique_ptr<store::Metadata> metadata;
  MemorySource source{"memory://source", 256};
  store::Scope scope{"org", "default"};
  MirrorerOptions options;
  model::WeightsSource weights;
};

}  // namespace bdn::mirror::testing
