#include "cache/node_cache.h"

#include <map>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "cache/testing/version_maker.h"
#include "os/testing/memory_fs.h"

namespace bdn::cache {
namespace {

class NodeCacheTest : public ::testing::Test {
 protected:
  std::unique_ptr<NodeCache> Open(NodeCacheOptions options = {.reserve_bytes = 0}) {
    auto cache = OpenNodeCache(disk.Share(), origin, executor, clock, options);
    EXPECT_TRUE(cache) << cache.error().message();
    return *std::move(cache);
  }
  Result<std::unique_ptr<TreeLease>> Acquire(NodeCache& cache, const crypto::Digest& manifest) {
    return cache.Acquire(ctx, versions.scope(), manifest, [&](const FillProgress& p) { last = p; });
  }
  std::string Read(const crypto::Digest& manifest, const std::string& path) {
    auto text = os::ReadFile(disk, "trees/" + manifest.hex() + "/root/" + path, 1 << 20);
    return text ? *text : "error: " + text.error().message();
  }

  bdn::testing::ManualClock clock;
  const Context ctx{clock};
  store::testing::MemoryStore store{clock};
  testing::VersionMaker versions{store};
  testing::CountingReader origin{store};
  InlineExecutor executor;
  os::testing::MemoryFs disk;
  FillProgress last;
};

TEST_F(NodeCacheTest, ATreeHoldsExactlyWhatTheManifestLists) {
  const auto manifest =
      versions.Make({{"a.txt", "hello"}, {"d/e/big", std::string(1000, 'x')}, {"empty", ""}},
                    {.chunk_bytes = 64, .directory = "only", .symlink = "d/l"});
  const auto cache = Open();
  const auto lease = Acquire(*cache, manifest);
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(Read(manifest, "a.txt"), "hello");
  EXPECT_EQ(Read(manifest, "d/e/big"), std::string(1000, 'x'));
  EXPECT_EQ(Read(manifest, "empty"), "");
  EXPECT_EQ(disk.Stat("trees/" + manifest.hex() + "/root/only")->type, os::FileType::kDirectory);
  EXPECT_TRUE(disk.ReadLink("trees/" + manifest.hex() + "/root/d/l"));
  EXPECT_EQ(last.phase, "ready");
  EXPECT_EQ(last.bytes_done, 1005u);
}

TEST_F(NodeCacheTest, ASecondAcquireAndARestartFetchNothing) {
  const auto manifest =
      versions.Make({{"a", "1"}, {"b", std::string(200, 'b')}}, {.chunk_bytes = 64});
  {
    const auto cache = Open();
    ASSERT_TRUE(Acquire(*cache, manifest));
    origin.Forget();
    ASSERT_TRUE(Acquire(*cache, manifest));
  }
  const auto again = Open();
  ASSERT_TRUE(Acquire(*again, manifest));
  EXPECT_EQ(origin.gets(), 0u);
}

TEST_F(NodeCacheTest, WhatIsHereIsGivenToNoNamespaceThatDoesNotHaveIt) {
  const auto manifest = versions.Make({{"a", "1"}});
  const store::Scope other{"org", "other"};
  const auto acquire = [&](NodeCache& cache) {
    return cache.Acquire(ctx, other, manifest, [](const FillProgress&) {});
  };
  {
    const auto cache = Open();
    ASSERT_TRUE(Acquire(*cache, manifest));
    const auto refused = acquire(*cache);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kNotFound);
    // Its own version of the same content is the same tree.
    EXPECT_EQ(testing::VersionMaker(store, other).Make({{"a", "1"}}), manifest);
    origin.Forget();
    ASSERT_TRUE(acquire(*cache));
    EXPECT_EQ(origin.gets(), 1u) << "the manifest proves it";
    ASSERT_TRUE(acquire(*cache));
    EXPECT_EQ(origin.gets(), 1u);
  }
  origin.FailAfter(0);
  const auto again = Open();
  EXPECT_TRUE(acquire(*again)) << "a restart remembers it";
  EXPECT_TRUE(Acquire(*again, manifest));
}

TEST_F(NodeCacheTest, ATreeWhoseReadersAreNotKnownIsGivenAfterAskingOnly) {
  const auto manifest = versions.Make({{"a", "1"}});
  { ASSERT_TRUE(Acquire(*Open(), manifest)); }
  ASSERT_TRUE(os::WriteFileDurably(disk, "trees/" + manifest.hex() + "/readers", "../x\nnot\n"));
  origin.FailAfter(0);
  const auto cache = Open();
  EXPECT_EQ(Acquire(*cache, manifest).error().code(), Code::kUnavailable);
  origin.Forget();
  EXPECT_TRUE(Acquire(*cache, manifest));
  EXPECT_EQ(origin.gets(), 1u);
}

TEST_F(NodeCacheTest, IdenticalFilesOfTwoVersionsAreOneInodeAndFetchedOnce) {
  const auto one = versions.Make({{"w", "weights"}, {"c", "1"}});
  const auto two = versions.Make({{"other/name", "weights"}, {"c", "2"}});
  const auto cache = Open();
  ASSERT_TRUE(Acquire(*cache, one));
  origin.Forget();
  ASSERT_TRUE(Acquire(*cache, two));
  EXPECT_EQ(origin.chunk_gets(), 1u);
  EXPECT_EQ(disk.Stat("trees/" + one.hex() + "/root/w")->inode,
            disk.Stat("trees/" + two.hex() + "/root/other/name")->inode);
}

TEST_F(NodeCacheTest, AKilledFillGoesOnWithoutFetchingItsChunksAgain) {
  const auto manifest = versions.Make({{"m", versions.Noise(1000)}}, {.chunk_bytes = 100});
  {
    const auto cache = Open();
    origin.FailAfter(6);  // manifest, chunkmap, four chunks
    ASSERT_FALSE(Acquire(*cache, manifest));
  }
  origin.Forget();
  const auto again = Open();
  ASSERT_TRUE(Acquire(*again, manifest));
  EXPECT_EQ(origin.chunk_gets(), 6u);
}

TEST_F(NodeCacheTest, WhatAPowerCutTookFromAPartialFileIsFetchedAgain) {
  const std::string noise = versions.Noise(1000);
  const auto manifest = versions.Make({{"m", noise}}, {.chunk_bytes = 100});
  {
    const auto cache = Open();
    origin.FailAfter(6);
    ASSERT_FALSE(Acquire(*cache, manifest));
  }
  disk.DropUnsynced();
  origin.Forget();
  const auto again = Open();
  ASSERT_TRUE(Acquire(*again, manifest));
  EXPECT_EQ(Read(manifest, "m"), noise);
}

TEST_F(NodeCacheTest, ACompleteTreeSurvivesAPowerCut) {
  const auto manifest =
      versions.Make({{"a", "1"}, {"d/b", std::string(300, 'b')}}, {.chunk_bytes = 64});
  {
    const auto cache = Open();
    ASSERT_TRUE(Acquire(*cache, manifest));
  }
  disk.DropUnsynced();
  origin.Forget();
  const auto again = Open();
  ASSERT_TRUE(Acquire(*again, manifest));
  EXPECT_EQ(origin.gets(), 0u);
  EXPECT_EQ(Read(manifest, "d/b"), std::string(300, 'b'));
}

TEST_F(NodeCacheTest, EvictionTakesTheLeastRecentlyUsedAndSparesWhatIsLeased) {
  const auto one = versions.Make({{"f", std::string(100, '1')}});
  const auto two = versions.Make({{"f", std::string(100, '2')}});
  const auto three = versions.Make({{"f", std::string(100, '3')}});
  const auto cache = Open({.capacity_bytes = 250, .reserve_bytes = 0});
  auto held = Acquire(*cache, one);
  ASSERT_TRUE(held);
  clock.Advance(std::chrono::seconds(1));
  ASSERT_TRUE(Acquire(*cache, two));
  clock.Advance(std::chrono::seconds(1));
  const auto lease = Acquire(*cache, three);
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(Read(one, "f"), std::string(100, '1'));
  EXPECT_EQ(cache->List()->size(), 2u);
  EXPECT_FALSE(disk.Stat("trees/" + two.hex()));
}

TEST_F(NodeCacheTest, AVersionThatCannotFitFailsBeforeAByteIsFetched) {
  const auto one = versions.Make({{"f", std::string(100, '1')}});
  const auto two = versions.Make({{"f", std::string(200, '2')}});
  const auto cache = Open({.capacity_bytes = 250, .reserve_bytes = 0});
  const auto held = Acquire(*cache, one);
  ASSERT_TRUE(held);
  origin.Forget();
  const auto failed = Acquire(*cache, two);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Code::kResourceExhausted);
  EXPECT_EQ(failed.error().hint(), "stop a model that is not needed, or raise --cache-size");
  EXPECT_EQ(origin.chunk_gets(), 0u);
}

TEST_F(NodeCacheTest, ASmallDiskIsUsedButForATwentieth) {
  const auto fits = versions.Make({{"f", std::string(9000, '1')}});
  const auto not_any_more = versions.Make({{"f", std::string(400, '2')}});
  disk.SetCapacity(10'000);
  const auto cache = Open(NodeCacheOptions{});  // the default keeps a gigabyte
  const auto held = Acquire(*cache, fits);
  ASSERT_TRUE(held) << held.error().message();
  const auto failed = Acquire(*cache, not_any_more);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Code::kResourceExhausted);
  EXPECT_NE(failed.error().message().find("of which 500 stay free"), std::string::npos)
      << failed.error().message();
  EXPECT_EQ(failed.error().hint(), "stop a model that is not needed, or make room on the disk");
}

TEST_F(NodeCacheTest, ADamagedObjectNeverBecomesVisible) {
  const auto manifest = versions.Make({{"a", "good"}});
  store.Corrupt(versions.scope(), crypto::Blake3Of(std::string_view("good")));
  const auto cache = Open();
  EXPECT_EQ(Acquire(*cache, manifest).error().code(), Code::kCorrupt);
  EXPECT_FALSE(disk.Stat("trees/" + manifest.hex()));
}

TEST_F(NodeCacheTest, NamesOfOneLinkGroupAreOneInode) {
  const auto manifest = versions.Make({{"a", "same"}, {"d/b", "same"}}, {.link_group = true});
  const auto cache = Open();
  ASSERT_TRUE(Acquire(*cache, manifest));
  EXPECT_EQ(disk.Stat("trees/" + manifest.hex() + "/root/a")->inode,
            disk.Stat("trees/" + manifest.hex() + "/root/d/b")->inode);
}

// A file system whose inodes take few names.
class FewLinksFs final : public os::Fs {
 public:
  FewLinksFs(std::unique_ptr<os::Fs> inner, std::uint64_t links_max)
      : inner_(std::move(inner)), links_max_(links_max) {}
  Status Link(std::string_view from, std::string_view to) override {
    BDN_ASSIGN(const auto info, inner_->Stat(from));
    if (info.links >= links_max_) return Error(Code::kResourceExhausted, "EMLINK");
    return inner_->Link(from, to);
  }
  Result<std::unique_ptr<os::File>> Open(std::string_view path,
                                         os::OpenMode mode,
                                         std::uint32_t permissions) override {
    return inner_->Open(path, mode, permissions);
  }
  Result<os::FileInfo> Stat(std::string_view path) const override { return inner_->Stat(path); }
  Status MakeDir(std::string_view path, std::uint32_t permissions) override {
    return inner_->MakeDir(path, permissions);
  }
  Status Remove(std::string_view path) override { return inner_->Remove(path); }
  Status RemoveDir(std::string_view path) override { return inner_->RemoveDir(path); }
  Status Rename(std::string_view from, std::string_view to) override {
    return inner_->Rename(from, to);
  }
  Status Symlink(std::string_view target, std::string_view path) override {
    return inner_->Symlink(target, path);
  }
  Result<std::string> ReadLink(std::string_view path) const override {
    return inner_->ReadLink(path);
  }
  Status SetMode(std::string_view path, std::uint32_t permissions) override {
    return inner_->SetMode(path, permissions);
  }
  Status SetModified(std::string_view path, WallTime time) override {
    return inner_->SetModified(path, time);
  }
  Status List(std::string_view path,
              const std::function<Status(const os::DirEntry&)>& visit) const override {
    return inner_->List(path, visit);
  }
  Status SyncDir(std::string_view path) override { return inner_->SyncDir(path); }
  Status SyncAll() override { return inner_->SyncAll(); }
  Result<os::DiskSpace> Space() const override { return inner_->Space(); }
  std::string HostPath(std::string_view path) const override { return inner_->HostPath(path); }

 private:
  const std::unique_ptr<os::Fs> inner_;
  const std::uint64_t links_max_;
};

TEST_F(NodeCacheTest, AFileWithMoreNamesThanAnInodeTakesIsCopied) {
  std::vector<std::pair<std::string, std::string>> files;
  for (int i = 0; i < 20; ++i) files.emplace_back("d/" + std::to_string(i), "license");
  const auto manifest = versions.Make(files);
  for (const std::uint64_t links_max : {2u, 3u, 7u}) {
    SCOPED_TRACE(links_max);
    os::testing::MemoryFs fresh;
    auto cache = OpenNodeCache(std::make_unique<FewLinksFs>(fresh.Share(), links_max), origin,
                               executor, clock, {.reserve_bytes = 0});
    ASSERT_TRUE(cache);
    const auto lease = Acquire(**cache, manifest);
    ASSERT_TRUE(lease) << lease.error().message();
    for (const auto& [path, content] : files) {
      const auto read = os::ReadFile(fresh, "trees/" + manifest.hex() + "/root/" + path, 100);
      EXPECT_EQ(*read, content);
    }
    std::size_t left = 0;
    ASSERT_TRUE(fresh.List("partial", [&](const os::DirEntry&) -> Status {
      ++left;
      return {};
    }));
    EXPECT_EQ(left, 0u);
  }
}

TEST_F(NodeCacheTest, AChunkAndAChunkmapOfOneDigestAreTwoFiles) {
  const std::string noise = versions.Noise(200);
  const auto big = versions.Make({{"w", noise}}, {.chunk_bytes = 100});
  // Somebody's file happens to be the text of that chunkmap, in another namespace.
  model::Chunkmap map{.file_size = 200, .chunks = {}};
  for (std::uint64_t at : {0u, 100u}) {
    map.chunks.push_back({crypto::Blake3Of(noise.substr(at, 100)), at, 100});
  }
  const std::string text = model::WriteChunkmap(map);
  const store::Scope other{"org", "elsewhere"};
  const auto put = [&](store::ObjectKind kind, const std::string& bytes) {
    const auto digest = crypto::Blake3Of(bytes);
    EXPECT_TRUE(store.Put(ctx, other, kind, digest, std::as_bytes(std::span(bytes))));
    return digest;
  };
  model::Manifest manifest;
  manifest.entries.push_back(
      {.path = "w", .size = text.size(), .digest = put(store::ObjectKind::kChunk, text)});
  const auto small = put(store::ObjectKind::kManifest, model::WriteManifest(manifest));
  const auto cache = Open();
  const auto one = Acquire(*cache, big);
  ASSERT_TRUE(one);
  const auto two = cache->Acquire(ctx, other, small, [](const FillProgress&) {});
  ASSERT_TRUE(two) << two.error().message();
  EXPECT_EQ(Read(big, "w"), noise);
  EXPECT_EQ(Read(small, "w"), text);
}

TEST_F(NodeCacheTest, WhatAFailedFillLeftGivesWayWhenItsBytesAreNeeded) {
  const auto broken = versions.Make({{"m", versions.Noise(400)}}, {.chunk_bytes = 100});
  const auto wanted = versions.Make({{"n", versions.Noise(300)}}, {.chunk_bytes = 100});
  const auto cache = Open({.capacity_bytes = 500, .reserve_bytes = 0});
  origin.FailAfter(4);
  ASSERT_FALSE(Acquire(*cache, broken));
  EXPECT_EQ(cache->Usage()->partial_bytes, 400u);
  origin.Forget();
  const auto lease = Acquire(*cache, wanted);
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(cache->Usage()->partial_bytes, 0u);
  EXPECT_EQ(*cache->Evict(1, true), 0u);
}

TEST_F(NodeCacheTest, WhatAFailedFillLeftCountsForItsNextAttempt) {
  const auto manifest = versions.Make({{"m", versions.Noise(400)}}, {.chunk_bytes = 100});
  disk.SetCapacity(20'000);
  const auto cache = Open({.capacity_bytes = 450, .reserve_bytes = 0});
  origin.FailAfter(4);  // manifest, chunkmap, two chunks
  ASSERT_FALSE(Acquire(*cache, manifest));
  origin.Forget();
  ASSERT_TRUE(Acquire(*cache, manifest));
  EXPECT_EQ(origin.chunk_gets(), 2u);
}

TEST_F(NodeCacheTest, ATreeWithADamagedMarkerIsMadeAgain) {
  const auto manifest = versions.Make({{"a", "1"}});
  ASSERT_TRUE(Acquire(*Open(), manifest));
  ASSERT_TRUE(disk.CorruptByte("trees/" + manifest.hex() + "/manifest", 5));
  const auto cache = Open();
  EXPECT_TRUE(cache->List()->empty());  // damaged for good: made again
  ASSERT_TRUE(Acquire(*cache, manifest));
  EXPECT_EQ(Read(manifest, "a"), "1");
}

}  // namespace
}  // namespace bdn::cache
