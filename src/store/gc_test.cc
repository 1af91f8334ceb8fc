#include "store/gc.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "crypto/blake3.h"
#include "model/manifest.h"
#include "store/sqlite_metadata.h"
#include "store/testing/faulty_metadata.h"
#include "store/testing/faulty_store.h"
#include "store/testing/memory_store.h"

namespace bdn::store {
namespace {

using namespace std::chrono_literals;
using bdn::testing::ManualClock;
using crypto::Digest;
using testing::FaultyMetadata;
using testing::FaultyStore;
using testing::MemoryStore;

// A small file of one chunk and a large file of `chunks` chunks, all of them different for each
// `name`.
struct Tree {
  Digest manifest;
  Digest small;
  Digest chunkmap;
  std::vector<Digest> chunks;
};

class GcTest : public ::testing::Test {
 protected:
  Digest Put(ObjectKind kind, const std::string& text) {
    const Digest digest = crypto::Blake3Of(text);
    EXPECT_TRUE(objects_.Put(ctx_, scope_, kind, digest, std::as_bytes(std::span(text))));
    return digest;
  }
  Tree PutTree(const std::string& name, std::size_t chunks = 2) {
    Tree tree;
    model::Chunkmap map;
    for (std::size_t i = 0; i < chunks; ++i) {
      const std::string text = name + " chunk " + std::to_string(i);
      tree.chunks.push_back(Put(ObjectKind::kChunk, text));
      map.chunks.push_back(
          {.digest = tree.chunks.back(), .offset = map.file_size, .length = text.size()});
      map.file_size += text.size();
    }
    tree.chunkmap = Put(ObjectKind::kChunkmap, model::WriteChunkmap(map));
    tree.small = Put(ObjectKind::kChunk, name + " small");
    model::Manifest manifest;
    model::ManifestEntry large;
    large.path = "large";
    large.size = map.file_size;
    large.chunked = true;
    large.digest = tree.chunkmap;
    model::ManifestEntry small;
    small.path = "small";
    small.size = name.size() + 6;
    small.digest = tree.small;
    manifest.entries = {large, small};
    manifest.total_size = large.size + small.size;
    tree.manifest = Put(ObjectKind::kManifest, model::WriteManifest(manifest));
    return tree;
  }
  bool IsWhole(const Tree& tree) {
    bool whole = Has(tree.manifest) && Has(tree.small) && Has(tree.chunkmap);
    for (const Digest& chunk : tree.chunks) whole = whole && Has(chunk);
    return whole;
  }
  bool Has(const Digest& digest) { return objects_.Stat(ctx_, scope_, digest).has_value(); }
  void PutKnown(const std::string& path, const Digest& digest, bool chunked) {
    KnownFile file = Known(path);
    file.digest = digest;
    file.chunked = chunked;
    EXPECT_TRUE(metadata_->PutKnownFiles(scope_, {file}));
  }
  static KnownFile Known(const std::string& path) {
    KnownFile file;
    file.identity = "i";
    file.path = path;
    file.etag = "e";
    return file;
  }
  GcReport Collect(const GcOptions& options = {}) {
    auto report = CollectGarbage(ctx_, objects_, *metadata_, options);
    EXPECT_TRUE(report) << report.error().message();
    return report ? *std::move(report) : GcReport{};
  }

  const Scope scope_{.org = "org", .ns = "ns"};
  ManualClock clock_;
  const Context ctx_{clock_};
  MemoryStore objects_{clock_};
  const std::unique_ptr<Metadata> metadata_ = *OpenSqliteMetadata(":memory:");
};

TEST_F(GcTest, KeepsWhatRootsReachAndDeletesTheRest) {
  const Tree head = PutTree("head");
  const Tree gone = PutTree("gone");
  const Tree tagged = PutTree("tagged");
  ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", tagged.manifest, "keep", clock_.Now()));
  ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", gone.manifest, "", clock_.Now()));
  ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", head.manifest, "", clock_.Now()));
  PutKnown("large", gone.chunkmap, true);
  PutKnown("kept", head.small, false);
  clock_.Advance(25h);

  const GcReport dry = Collect({.dry_run = true});
  EXPECT_EQ(objects_.count(), 15u);
  EXPECT_EQ(dry.items.size(), 5u);
  const GcReport report = Collect();
  EXPECT_EQ(report.scanned, 15u);
  EXPECT_EQ(report.kept, 10u);
  EXPECT_EQ(report.deleted, 5u);
  EXPECT_EQ(report.bytes, dry.bytes);
  EXPECT_GT(report.bytes, 0u);
  EXPECT_EQ(report.forgotten_rows, 2u);  // the known file and the version
  EXPECT_TRUE(IsWhole(head));
  EXPECT_TRUE(IsWhole(tagged));
  EXPECT_FALSE(Has(gone.manifest) || Has(gone.chunkmap) || Has(gone.chunks[0]));
  EXPECT_FALSE(*metadata_->FindKnownFile(scope_, Known("large")));
  EXPECT_TRUE(*metadata_->FindKnownFile(scope_, Known("kept")));
  EXPECT_EQ(Collect().deleted, 0u);
}

TEST_F(GcTest, SparesTheYoungAndWhatTheyName) {
  const Tree tree = PutTree("tree");
  clock_.Advance(25h);
  ASSERT_TRUE(*objects_.Touch(ctx_, scope_, tree.chunkmap));
  const GcReport report = Collect();
  EXPECT_EQ(report.deleted, 2u);  // manifest and small file; not the chunks of the chunkmap
  EXPECT_TRUE(Has(tree.chunks[0]) && Has(tree.chunks[1]) && Has(tree.chunkmap));
  clock_.Advance(25h);
  EXPECT_EQ(Collect().deleted, 3u);
}

TEST_F(GcTest, SparesWhatIsNotOlderThanAMirrorUnderWay) {
  Mirror mirror;
  mirror.id = "m1";
  mirror.scope = scope_;
  mirror.key = "k";
  mirror.created_at = clock_.Now();
  Deployment deployment;
  deployment.id = "d1";
  deployment.mounts.resize(1);
  ASSERT_TRUE(metadata_->CreateDeployment(deployment, {mirror}));
  ASSERT_TRUE(*metadata_->ClaimMirror("w", clock_.Now(), 1h));
  PutTree("reused");
  clock_.Advance(100h);
  EXPECT_EQ(Collect().deleted, 0u);
  ASSERT_TRUE(metadata_->FailMirror("m1", "w", {}, false, {}, clock_.Now()));
  EXPECT_EQ(Collect().deleted, 5u);
}

TEST_F(GcTest, PartialChunksAreRootsUntilTheyExpire) {
  const Digest chunk = Put(ObjectKind::kChunk, "partial");
  ASSERT_TRUE(metadata_->PutPartialChunk(scope_, "f", 0, 7, chunk, clock_.Now()));
  clock_.Advance(25h);
  EXPECT_EQ(Collect().deleted, 0u);
  clock_.Advance(8 * 24h);
  EXPECT_EQ(Collect({.dry_run = true}).expired_partials, 0u);
  EXPECT_EQ(Collect().expired_partials, 1u);
  EXPECT_EQ(Collect().deleted, 1u);
  EXPECT_FALSE(Has(chunk));
}

TEST_F(GcTest, ScopesAreCollectedApart) {
  const Tree tree = PutTree("tree");
  const std::string text = "tree small";
  const Scope other{.org = "org2", .ns = "ns"};
  ASSERT_TRUE(objects_.Put(ctx_, other, ObjectKind::kChunk, crypto::Blake3Of(text),
                           std::as_bytes(std::span(text))));
  ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", tree.manifest, "", clock_.Now()));
  clock_.Advance(25h);
  EXPECT_EQ(Collect().deleted, 1u);
  EXPECT_TRUE(IsWhole(tree));
}

TEST_F(GcTest, ARootThatCannotBeReadStopsEverything) {
  const Tree tree = PutTree("tree");
  PutTree("garbage");
  ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", tree.manifest, "", clock_.Now()));
  clock_.Advance(25h);
  const auto before = objects_.count();
  for (const Digest& victim : {tree.chunkmap, tree.manifest}) {
    objects_.Corrupt(scope_, victim);
    auto refused = CollectGarbage(ctx_, objects_, *metadata_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
    EXPECT_FALSE(refused.error().hint().empty());
    EXPECT_EQ(objects_.count(), before);
  }
  ASSERT_TRUE(objects_.Delete(ctx_, scope_, tree.manifest));
  EXPECT_FALSE(CollectGarbage(ctx_, objects_, *metadata_));
  EXPECT_EQ(objects_.count(), before - 1);
}

// Every call of the stores fails once. What is in use is whole; what metadata promises is whole;
// the next run completes.
TEST_F(GcTest, WhateverFailsNothingInUseOrPromisedIsLost) {
  for (const bool in_metadata : {false, true}) {
    for (std::uint64_t n = 0;; ++n) {
      const std::string id = (in_metadata ? "m" : "s") + std::to_string(n);
      const Tree used = PutTree("used " + id);
      const Tree gone = PutTree("gone " + id);
      ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", used.manifest, "", clock_.Now()));
      PutKnown("known" + id, gone.chunkmap, true);
      clock_.Advance(25h);
      FaultyStore objects(objects_);
      FaultyMetadata metadata(*metadata_);
      if (in_metadata) {
        metadata.FailAt(n);
      } else {
        objects.FailAt(n);
      }
      const auto report = CollectGarbage(ctx_, objects, metadata);
      const bool done = objects.failures() + metadata.failures() == 0;
      EXPECT_EQ(report.has_value(), done);
      EXPECT_TRUE(IsWhole(used));
      if (*metadata_->FindKnownFile(scope_, Known("known" + id))) {
        EXPECT_TRUE(Has(gone.chunkmap) && Has(gone.chunks[0]) && Has(gone.chunks[1])) << id;
      }
      Collect();
      EXPECT_TRUE(IsWhole(used));
      EXPECT_FALSE(Has(gone.manifest) || Has(gone.chunkmap) || Has(gone.chunks[0]));
      if (done) break;
      ASSERT_LT(n, 2000u);
    }
  }
}

// A store that does something before the n-th call, as another thread might.
class InterruptedStore final : public ObjectStore {
 public:
  InterruptedStore(ObjectStore& inner, std::uint64_t at, std::function<void()> interrupt)
      : inner_(inner), left_(at), interrupt_(std::move(interrupt)) {}
  Status Get(const Context& ctx,
             const Scope& scope,
             ObjectKind kind,
             const Digest& digest,
             const ByteSink& sink) override {
    Step();
    return inner_.Get(ctx, scope, kind, digest, sink);
  }
  Result<bool> Put(const Context& ctx,
                   const Scope& scope,
                   ObjectKind kind,
                   const Digest& digest,
                   std::span<const std::byte> bytes) override {
    Step();
    return inner_.Put(ctx, scope, kind, digest, bytes);
  }
  Result<bool> Touch(const Context& ctx, const Scope& scope, const Digest& digest) override {
    Step();
    return inner_.Touch(ctx, scope, digest);
  }
  Result<ObjectInfo> Stat(const Context& ctx, const Scope& scope, const Digest& digest) override {
    Step();
    return inner_.Stat(ctx, scope, digest);
  }
  Result<OpenObject> Open(const Context& ctx, const Scope& scope, const Digest& digest) override {
    Step();
    return inner_.Open(ctx, scope, digest);
  }
  Status List(const Context& ctx,
              const std::function<Status(const Scope&, const ObjectInfo&)>& visit) override {
    Step();
    return inner_.List(ctx, visit);
  }
  Status Delete(const Context& ctx, const Scope& scope, const Digest& digest) override {
    Step();
    return inner_.Delete(ctx, scope, digest);
  }
  Result<bool> DeleteIfOlder(const Context& ctx,
                             const Scope& scope,
                             const Digest& digest,
                             WallTime before) override {
    Step();
    return inner_.DeleteIfOlder(ctx, scope, digest, before);
  }
  Result<std::uint64_t> Sweep(const Context& ctx, Duration age, bool dry_run) override {
    Step();
    return inner_.Sweep(ctx, age, dry_run);
  }
  bool interrupted() const { return interrupted_; }

 private:
  void Step() {
    if (left_-- == 0) {
      interrupted_ = true;
      interrupt_();
    }
  }
  ObjectStore& inner_;
  std::uint64_t left_;
  std::function<void()> interrupt_;
  bool interrupted_ = false;
};

// A mirror that finds its file known and touches it, or a push that touches its manifest, between
// any two steps of GC: what it was told is there stays, with everything below it.
TEST_F(GcTest, WhoeverTouchesAtWhateverStepMayRelyOnWhatIsBelow) {
  for (const bool whole_tree : {false, true}) {
    for (std::uint64_t n = 0;; ++n) {
      const Tree tree = PutTree("tree " + std::to_string(n) + (whole_tree ? "w" : "f"));
      PutKnown("f", tree.chunkmap, true);
      clock_.Advance(25h);
      bool promised = false;
      InterruptedStore store(objects_, n, [&] {
        const bool known = metadata_->FindKnownFile(scope_, Known("f"))->has_value();
        if (whole_tree) {
          promised = *objects_.Touch(ctx_, scope_, tree.manifest);
        } else if (known) {
          promised = *objects_.Touch(ctx_, scope_, tree.chunkmap);
        }
      });
      ASSERT_TRUE(CollectGarbage(ctx_, store, *metadata_));
      if (promised && whole_tree) {
        EXPECT_TRUE(IsWhole(tree)) << n;
      } else if (promised) {
        EXPECT_TRUE(Has(tree.chunkmap) && Has(tree.chunks[0]) && Has(tree.chunks[1])) << n;
      }
      if (!store.interrupted()) break;
      ASSERT_LT(n, 1000u);
    }
  }
}

// A tag that is set between any two steps of GC keeps its version, or is refused.
TEST_F(GcTest, AVersionThatIsTaggedMeanwhileStays) {
  for (std::uint64_t n = 0;; ++n) {
    const std::string name = "v" + std::to_string(n);
    const Tree old = PutTree("old " + name);
    const Tree head = PutTree("head " + name);
    ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", old.manifest, "", clock_.Now()));
    ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", head.manifest, "", clock_.Now()));
    clock_.Advance(25h);
    bool tagged = false;
    InterruptedStore store(objects_, n, [&] {
      tagged = metadata_->SetTag(scope_, "v", "t", old.manifest, clock_.Now()).has_value();
    });
    ASSERT_TRUE(CollectGarbage(ctx_, store, *metadata_));
    EXPECT_EQ(IsWhole(old), tagged && store.interrupted()) << n;
    EXPECT_TRUE(IsWhole(head));
    if (!store.interrupted()) break;
    if (tagged) {
      ASSERT_TRUE(metadata_->DeleteTag(scope_, "v", "t"));
    }
    ASSERT_LT(n, 1000u);
  }
}

TEST_F(GcTest, MirrorsOnOtherThreadsLoseNothing) {
  const Tree tree = PutTree("tree", 20);
  std::atomic<bool> stop = false;
  std::jthread collector([&] {
    while (!stop) {
      clock_.Advance(25h);
      EXPECT_TRUE(CollectGarbage(ctx_, objects_, *metadata_));
    }
  });
  // One round of a mirror: put the chunks again, then the chunkmap that names them, then the
  // version, and look.
  const auto mirror = [&](int round) {
    const std::string name = "tree " + std::to_string(round);
    Mirror row;
    row.id = "m" + std::to_string(round);
    row.scope = scope_;
    row.key = "k" + std::to_string(round);
    row.created_at = clock_.Now();
    Deployment deployment;
    deployment.id = "d" + std::to_string(round);
    deployment.mounts.resize(1);
    ASSERT_TRUE(metadata_->CreateDeployment(deployment, {row}));
    ASSERT_TRUE(*metadata_->ClaimMirror("w", clock_.Now(), 1h));
  };
  for (int round = 0; round < 5; ++round) {
    mirror(round);
    const Tree mine = PutTree("tree " + std::to_string(round), 20);
    ASSERT_TRUE(
        metadata_->FinishMirror("m" + std::to_string(round), "w", mine.manifest, {}, clock_.Now()));
    EXPECT_TRUE(IsWhole(mine)) << round;
  }
  stop = true;
}

TEST_F(GcTest, WorkIsLinearInObjects) {
  const auto calls = [&](std::size_t chunks) {
    const Tree used = PutTree("used " + std::to_string(chunks), chunks);
    PutTree("garbage " + std::to_string(chunks), chunks);
    EXPECT_TRUE(metadata_->AppendVersion(scope_, "v", used.manifest, "", clock_.Now()));
    clock_.Advance(25h);
    FaultyStore counted(objects_);
    EXPECT_TRUE(CollectGarbage(ctx_, counted, *metadata_));
    return counted.calls();
  };
  const std::uint64_t small = calls(100);
  const std::uint64_t large = calls(400);
  EXPECT_LT(large, 8 * small);  // the first tree is garbage of the second run
  EXPECT_LT(large, 2 * 400 + 200);
}

}  // namespace
}  // namespace bdn::store
