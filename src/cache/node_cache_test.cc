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
  EXPECT_EQ(origin.chunk_gets(), 0u);
}

TEST_F(NodeCacheTest, ADamagedObjectNeverBecomesVisible) {
  const auto manifest = versions.Make({{"a", "good"}});
  store.Corrupt(versions.scope(), crypto::Blake3Of(std::string_view("good")));
  const auto cache = Open();
  EXPECT_EQ(Acquire(*cache, manifest).error().code(), Code::kCorrupt);
  EXPECT_FALSE(disk.Stat("trees/" + manifest.hex()));
}

}  // namespace
}  // namespace bdn::cache
