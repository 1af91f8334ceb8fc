// Fills, evictions and leases at the same time.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "cache/node_cache.h"
#include "cache/testing/version_maker.h"
#include "os/testing/memory_fs.h"

namespace bdn::cache {
namespace {

class NodeCacheRace : public ::testing::Test {
 protected:
  std::unique_ptr<NodeCache> Open(NodeCacheOptions options = {.reserve_bytes = 0}) {
    auto cache = OpenNodeCache(disk.Share(), origin, pool, RealClock(), options);
    EXPECT_TRUE(cache) << cache.error().message();
    return *std::move(cache);
  }
  Result<std::unique_ptr<TreeLease>> Acquire(NodeCache& cache, const crypto::Digest& manifest) {
    return cache.Acquire(ctx, versions.scope(), manifest, [](const FillProgress&) {});
  }
  std::string Read(const crypto::Digest& manifest, const std::string& path) {
    auto text = os::ReadFile(disk, "trees/" + manifest.hex() + "/root/" + path, 1 << 20);
    return text ? *text : "error: " + text.error().message();
  }
  static void InParallel(const std::vector<std::function<void()>>& work) {
    std::vector<std::jthread> threads;
    for (const auto& one : work) threads.emplace_back(one);
  }

  const Context ctx{RealClock()};
  store::testing::MemoryStore store{RealClock()};
  testing::VersionMaker versions{store};
  testing::CountingReader origin{store};
  ThreadPool pool{{.name = "fetch", .threads = 4}};
  os::testing::MemoryFs disk;
};

TEST_F(NodeCacheRace, OneVersionAskedForByManyIsFetchedOnce) {
  const auto manifest =
      versions.Make({{"a", versions.Noise(1000)}, {"b", "small"}}, {.chunk_bytes = 100});
  const auto cache = Open();
  const auto take = [&] { EXPECT_TRUE(Acquire(*cache, manifest)); };
  InParallel({take, take, take, take});
  EXPECT_EQ(origin.chunk_gets(), 11u);
}

TEST_F(NodeCacheRace, AFileOfTwoVersionsIsFetchedOnce) {
  const std::string shared = versions.Noise(1000);
  const auto one = versions.Make({{"w", shared}, {"x", "1"}}, {.chunk_bytes = 100});
  const auto two = versions.Make({{"v", shared}, {"y", "2"}}, {.chunk_bytes = 100});
  const auto cache = Open();
  origin.Close();
  std::jthread opener([&] {
    origin.AwaitReader();
    origin.Open();
  });
  InParallel(
      {[&] { EXPECT_TRUE(Acquire(*cache, one)); }, [&] { EXPECT_TRUE(Acquire(*cache, two)); }});
  EXPECT_EQ(origin.chunk_gets(), 12u);
  EXPECT_EQ(disk.Stat("trees/" + one.hex() + "/root/w")->inode,
            disk.Stat("trees/" + two.hex() + "/root/v")->inode);
}

TEST_F(NodeCacheRace, OneContentInTwoModesIsTwoFilesFilledAtOnce) {
  const std::string shared = versions.Noise(1000);
  const auto one = versions.Make({{"w", shared}}, {.chunk_bytes = 100, .mode = 0644});
  const auto two = versions.Make({{"w", shared}}, {.chunk_bytes = 100, .mode = 0755});
  for (int round = 0; round < 20; ++round) {
    const auto cache = Open();
    InParallel(
        {[&] { EXPECT_TRUE(Acquire(*cache, one)); }, [&] { EXPECT_TRUE(Acquire(*cache, two)); }});
    EXPECT_EQ(Read(one, "w"), shared);
    EXPECT_EQ(Read(two, "w"), shared);
    EXPECT_EQ(disk.Stat("trees/" + one.hex() + "/root/w")->mode, 0644u);
    EXPECT_EQ(disk.Stat("trees/" + two.hex() + "/root/w")->mode, 0755u);
    ASSERT_TRUE(cache->Evict(UINT64_MAX, false));
  }
}

TEST_F(NodeCacheRace, EvictionSparesWhatARunningFillHasSoFar) {
  const std::string noise = versions.Noise(1000);
  const auto shared = versions.Make({{"s", "shared"}});
  const auto manifest = versions.Make({{"s", "shared"}, {"w", noise}}, {.chunk_bytes = 100});
  const auto cache = Open();
  ASSERT_TRUE(Acquire(*cache, shared));
  origin.Close();
  std::jthread filler([&] { EXPECT_TRUE(Acquire(*cache, manifest)); });
  origin.AwaitReader();
  ASSERT_TRUE(cache->Evict(UINT64_MAX, false));
  EXPECT_TRUE(cache->List()->empty());
  origin.Open();
  filler.join();
  EXPECT_EQ(Read(manifest, "w"), noise);
  EXPECT_EQ(Read(manifest, "s"), "shared");
  EXPECT_EQ(cache->Usage()->used_bytes, 1006u);
}

TEST_F(NodeCacheRace, EvictionAndAcquireInAnyOrderNeverShowAHalfTree) {
  std::vector<crypto::Digest> made;
  std::vector<std::string> contents;
  for (int i = 0; i < 3; ++i) {
    contents.push_back(versions.Noise(300));
    made.push_back(versions.Make({{"common", "in all of them"}, {"d/w", contents.back()}},
                                 {.chunk_bytes = 64}));
  }
  const auto cache = Open({.capacity_bytes = 1400, .reserve_bytes = 0});
  const auto reader = [&](std::size_t first) {
    for (std::size_t i = 0; i < 60; ++i) {
      const std::size_t which = (first + i) % made.size();
      const auto lease = Acquire(*cache, made[which]);
      ASSERT_TRUE(lease) << lease.error().message();
      EXPECT_EQ(Read(made[which], "d/w"), contents[which]);
      EXPECT_EQ(Read(made[which], "common"), "in all of them");
    }
  };
  std::atomic<int> reading = 2;
  const auto evictor = [&] {
    while (reading > 0) EXPECT_TRUE(cache->Evict(UINT64_MAX, false));
  };
  const auto until_read = [&](std::size_t first) {
    reader(first);
    --reading;
  };
  InParallel({[&] { until_read(0); }, [&] { until_read(1); }, evictor, evictor});
  ASSERT_TRUE(cache->Evict(UINT64_MAX, false));
  EXPECT_TRUE(cache->List()->empty());
  EXPECT_EQ(cache->Usage()->used_bytes, 0u);
  EXPECT_EQ(cache->Usage()->reserved_bytes, 0u);
}

TEST_F(NodeCacheRace, FillsThatBothFindADamagedFileBothEndWithAGoodOne) {
  const auto one = versions.Make({{"w", "weights"}, {"x", "1"}});
  const auto two = versions.Make({{"v", "weights"}, {"y", "2"}});
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    os::testing::MemoryFs fresh;
    {
      // What a power cut leaves of a file whose name was durable and whose content was not.
      const auto hex = crypto::Blake3Of(std::string_view("weights")).hex();
      ASSERT_TRUE(os::MakeDirs(fresh, "files/" + hex.substr(0, 2)));
      ASSERT_TRUE(os::WriteFileDurably(fresh, "files/" + hex.substr(0, 2) + "/" + hex + ".644",
                                       round % 2 == 0 ? "" : "weightz"));
    }
    auto cache = OpenNodeCache(fresh.Share(), origin, pool, RealClock(), {.reserve_bytes = 0});
    ASSERT_TRUE(cache);
    InParallel(
        {[&] { EXPECT_TRUE(Acquire(**cache, one)); }, [&] { EXPECT_TRUE(Acquire(**cache, two)); }});
    EXPECT_EQ(*os::ReadFile(fresh, "trees/" + one.hex() + "/root/w", 100), "weights");
    EXPECT_EQ(*os::ReadFile(fresh, "trees/" + two.hex() + "/root/v", 100), "weights");
    EXPECT_EQ((*cache)->Usage()->used_bytes, 9u);
  }
}

TEST_F(NodeCacheRace, ALeaseOutlivesTheCacheHandle) {
  const auto manifest = versions.Make({{"a", "1"}});
  std::unique_ptr<TreeLease> lease;
  {
    const auto cache = Open();
    lease = *Acquire(*cache, manifest);
  }
  EXPECT_EQ(lease->manifest(), manifest);
  lease.reset();
}

TEST_F(NodeCacheRace, ACancelledFillLeavesTheOtherAskerItsTree) {
  const auto manifest = versions.Make({{"a", versions.Noise(500)}}, {.chunk_bytes = 100});
  const auto cache = Open();
  origin.Close();
  std::stop_source stop;
  std::jthread leader([&] {
    const auto lease = cache->Acquire(ctx.WithStop(stop.get_token()), versions.scope(), manifest,
                                      [](const FillProgress&) {});
    ASSERT_FALSE(lease);
    EXPECT_EQ(lease.error().code(), Code::kCancelled);
  });
  origin.AwaitReader();
  std::jthread other([&] { EXPECT_TRUE(Acquire(*cache, manifest)); });
  stop.request_stop();
  leader.join();
  origin.Open();
  other.join();
  EXPECT_EQ(cache->Usage()->reserved_bytes, 0u);
}

TEST_F(NodeCacheRace, AVersionOfFiveThousandFilesIsWhole) {
  std::vector<std::pair<std::string, std::string>> files;
  for (int i = 0; i < 5000; ++i) {
    const std::string name = std::to_string(i);
    files.emplace_back("d" + std::to_string(i % 50) + "/f" + name, "content " + name);
  }
  const auto manifest = versions.Make(files);
  const auto cache = Open();
  ASSERT_TRUE(Acquire(*cache, manifest));
  for (const auto& [path, content] : files) ASSERT_EQ(Read(manifest, path), content);
  EXPECT_EQ(origin.chunk_gets(), 5000u);
}

}  // namespace
}  // namespace bdn::cache
