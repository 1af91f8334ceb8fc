// Every operation of the disk fails once; and the machine dies at every operation.
#include <map>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "cache/node_cache.h"
#include "cache/testing/version_maker.h"
#include "os/testing/faulty_fs.h"
#include "os/testing/memory_fs.h"

namespace bdn::cache {
namespace {

using os::testing::FaultyFs;
using os::testing::MemoryFs;
using Files = std::map<std::string, std::string>;

constexpr std::uint64_t kChunk = 100;

class NodeCacheFaults : public ::testing::Test {
 protected:
  NodeCacheFaults() {
    Add({{"a.txt", "small"}, {"b/c.txt", "other"}, {"b/d/same", "small"}, {"big", Noise(450)}});
    Add({{"a.txt", "small"}, {"second", Noise(350)}});
  }

  std::string Noise(std::size_t n) { return versions.Noise(n); }
  void Add(const Files& files) {
    const auto digest = versions.Make({files.begin(), files.end()},
                                      {.chunk_bytes = kChunk, .directory = "only", .symlink = "l"});
    made.emplace_back(digest, files);
  }

  // Fits either version, not both.
  static constexpr NodeCacheOptions kOptions{.capacity_bytes = 600, .reserve_bytes = 0};

  Result<std::unique_ptr<NodeCache>> Open(std::unique_ptr<os::Fs> fs) {
    return OpenNodeCache(std::move(fs), origin, executor, clock, kOptions);
  }
  Result<std::unique_ptr<TreeLease>> Acquire(NodeCache& cache, std::size_t version) {
    clock.Advance(std::chrono::seconds(1));
    return cache.Acquire(ctx, versions.scope(), made[version].first, [](const FillProgress&) {});
  }
  // Opens, acquires both (the second evicts the first), and the first again.
  Status RunAll(std::unique_ptr<os::Fs> fs) {
    BDN_ASSIGN(const auto cache, Open(std::move(fs)));
    for (const std::size_t version : {0U, 1U, 0U}) BDN_TRY(Acquire(*cache, version));
    return {};
  }

  static bool Exists(const os::Fs& fs, const std::string& path) {
    return fs.Stat(path).has_value();
  }
  // A tree with a marker holds exactly what was made.
  void ExpectWholeTrees(os::Fs& fs) {
    for (const auto& [digest, files] : made) {
      const std::string dir = "trees/" + digest.hex();
      if (!Exists(fs, dir + "/manifest")) continue;
      for (const auto& [path, content] : files) {
        const auto got = os::ReadFile(fs, dir + "/root/" + path, 1 << 20);
        ASSERT_TRUE(got) << got.error().message();
        EXPECT_EQ(*got, content) << path;
        EXPECT_EQ(fs.Stat(dir + "/root/" + path)->mode, 0644u);
      }
      EXPECT_TRUE(Exists(fs, dir + "/root/only"));
      EXPECT_TRUE(fs.ReadLink(dir + "/root/l"));
    }
  }
  static std::uint64_t BytesBelow(os::Fs& fs, const std::string& dir, bool marks) {
    std::uint64_t bytes = 0;
    (void)fs.List(dir, [&](const os::DirEntry& entry) -> Status {
      const std::string path = dir + "/" + entry.name;
      if (entry.type == os::FileType::kDirectory) {
        bytes += BytesBelow(fs, path, marks);
      } else if (entry.name.ends_with(".marks") == marks) {
        bytes += fs.Stat(path)->size_bytes;
      }
      return {};
    });
    return bytes;
  }
  void ExpectBooksAreTrue(NodeCache& cache, os::Fs& fs) {
    const auto usage = cache.Usage();
    ASSERT_TRUE(usage);
    EXPECT_EQ(usage->used_bytes, BytesBelow(fs, "files", false));
    EXPECT_EQ(usage->partial_bytes, BytesBelow(fs, "partial", false));
    EXPECT_EQ(usage->reserved_bytes, 0u);
  }
  // Opening leaves nothing that nobody can name.
  void ExpectNoLitter(NodeCache& cache, os::Fs& fs) {
    ASSERT_TRUE(fs.List("partial", [&](const os::DirEntry& entry) -> Status {
      EXPECT_FALSE(entry.name.starts_with("tmp-")) << entry.name;
      if (entry.name.ends_with(".marks")) {
        EXPECT_TRUE(Exists(fs, "partial/" + entry.name.substr(0, entry.name.size() - 6)));
      }
      return {};
    }));
    std::size_t trees = 0;
    ASSERT_TRUE(fs.List("trees", [&](const os::DirEntry& entry) -> Status {
      ++trees;
      EXPECT_TRUE(Exists(fs, "trees/" + entry.name + "/manifest"));
      return {};
    }));
    EXPECT_EQ(cache.List()->size(), trees);
  }
  void ExpectAllWorks(os::Fs& disk) {
    const auto cache = Open(std::make_unique<FaultyFs>(disk));
    ASSERT_TRUE(cache) << cache.error().message();
    ExpectNoLitter(**cache, disk);
    ExpectBooksAreTrue(**cache, disk);
    for (const std::size_t version : {0U, 1U}) {
      const auto lease = Acquire(**cache, version);
      ASSERT_TRUE(lease) << lease.error().message();
      EXPECT_TRUE(Exists(disk, "trees/" + made[version].first.hex() + "/manifest"));
      ExpectWholeTrees(disk);
      ExpectBooksAreTrue(**cache, disk);
    }
  }

  bdn::testing::ManualClock clock;
  const Context ctx{clock};
  store::testing::MemoryStore store{clock};
  testing::VersionMaker versions{store};
  testing::CountingReader origin{store};
  InlineExecutor executor;
  std::vector<std::pair<crypto::Digest, Files>> made;
};

TEST_F(NodeCacheFaults, APowerCutAtAnyOperationLeavesWholeTreesAndARetryThatWorks) {
  for (std::uint64_t n = 0;; ++n) {
    SCOPED_TRACE("operation " + std::to_string(n));
    MemoryFs disk;
    FaultyFs faulty(disk);
    faulty.FailAt(n, {.torn_bytes = 3, .all_later = true});
    const Status ran = RunAll(faulty.Share());
    const bool done = faulty.failures() == 0;
    EXPECT_TRUE(ran || !done);
    ExpectWholeTrees(disk);
    disk.DropUnsynced();
    ExpectWholeTrees(disk);
    ExpectAllWorks(disk);
    if (done || HasFatalFailure()) break;
  }
}

TEST_F(NodeCacheFaults, AKillAtAnyOperationCostsNoChunkThatWasWhole) {
  const std::size_t chunks = 2 + 5;  // of the first version: two small files, five chunks
  for (std::uint64_t n = 0;; ++n) {
    SCOPED_TRACE("operation " + std::to_string(n));
    MemoryFs disk;
    FaultyFs faulty(disk);
    faulty.FailAt(n, {.torn_bytes = 3, .all_later = true});
    {
      auto cache = Open(faulty.Share());
      if (cache) (void)Acquire(**cache, 0);
    }
    const bool done = faulty.failures() == 0;
    std::size_t whole = 0;
    (void)disk.List("partial", [&](const os::DirEntry& entry) -> Status {
      if (!entry.name.ends_with(".marks")) return {};
      if (!Exists(disk, "partial/" + entry.name.substr(0, entry.name.size() - 6))) return {};
      const std::string marks = *os::ReadFile(disk, "partial/" + entry.name, 100);
      for (const char mark : marks) whole += mark == 1;
      return {};
    });
    (void)disk.List("files", [&](const os::DirEntry& shard) {
      return disk.List("files/" + shard.name, [&](const os::DirEntry& entry) -> Status {
        whole += entry.name.ends_with(".map") ? 5 : 1;
        return {};
      });
    });
    origin.Forget();
    const auto again = Open(disk.Share());
    ASSERT_TRUE(again);
    ASSERT_TRUE(Acquire(**again, 0));
    EXPECT_EQ(origin.chunk_gets(), chunks - whole);
    ExpectWholeTrees(disk);
    if (done || HasFatalFailure()) break;
  }
}

TEST_F(NodeCacheFaults, AnErrorOfAnyOperationLeavesTrueBooksAndARetryThatWorks) {
  for (const Code code : {Code::kUnavailable, Code::kResourceExhausted}) {
    for (std::uint64_t n = 0;; ++n) {
      SCOPED_TRACE("operation " + std::to_string(n));
      MemoryFs disk;
      FaultyFs faulty(disk);
      faulty.FailAt(n, {.code = code, .torn_bytes = 3});
      auto cache = Open(faulty.Share());
      if (!cache) cache = Open(faulty.Share());
      ASSERT_TRUE(cache) << cache.error().message();
      for (const std::size_t version : {0U, 1U, 0U}) {
        auto lease = Acquire(**cache, version);
        ExpectWholeTrees(disk);
        ExpectBooksAreTrue(**cache, disk);
        if (!lease) lease = Acquire(**cache, version);
        ASSERT_TRUE(lease) << lease.error().message();
        ExpectWholeTrees(disk);
        ExpectBooksAreTrue(**cache, disk);
      }
      const bool done = faulty.failures() == 0;
      faulty.Heal();
      cache->reset();
      ExpectAllWorks(disk);
      if (done || HasFatalFailure()) break;
    }
  }
}

TEST_F(NodeCacheFaults, AFullDiskFailsTheFillAndRoomHealsIt) {
  for (std::uint64_t room = 0; room < 4000; room += 37) {
    MemoryFs disk;
    disk.SetCapacity(room == 0 ? 1 : room);
    auto cache = Open(disk.Share());
    ASSERT_TRUE(cache);
    const auto lease = Acquire(**cache, 0);
    EXPECT_TRUE(lease || lease.error().code() == Code::kResourceExhausted);
    ExpectWholeTrees(disk);
    ExpectBooksAreTrue(**cache, disk);
    disk.SetCapacity(0);
    ASSERT_TRUE(Acquire(**cache, 0));
    ExpectWholeTrees(disk);
  }
}

}  // namespace
}  // namespace bdn::cache
