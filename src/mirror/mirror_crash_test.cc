// Mirrors that die, mirrors that meet, mirrors that have little memory.
#include <atomic>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "crypto/blake3.h"
#include "mirror/hash_pump.h"
#include "mirror/mirror.h"
#include "mirror/testing/mirror_world.h"
#include "source/testing/faulty_source.h"

namespace bdn::mirror {
namespace {

using namespace bdn::mirror::testing;  // NOLINT(google-build-using-namespace): the test's own world
using source::testing::FaultySource;
using source::testing::SourceFault;

// Files of every kind, with and without a publisher's hash.
Tree PublishMixed(MemorySource& source) {
  Tree tree = {{"empty", ""},
               {"big.bin", PatternBytes(3 * kChunk + 7, 1)},
               {"hashed.bin", PatternBytes(4 * kChunk, 2)},
               {"s/one", PatternBytes(300, 3)},
               {"s/two", PatternBytes(kChunk, 4)},
               {"s/three", PatternBytes(10, 5)}};
  for (const auto& [path, content] : tree) {
    if (path == "hashed.bin" || path == "s/one") {
      source.Publish(path, WithSha256(content));
    } else {
      source.Publish(path, content);
    }
  }
  return tree;
}

// No file of which the metadata has a record may be asked for again, and no chunk of a large file
// that is in the store, nor may one of those lack its record.
void ExpectResumes(World& world, const Tree& tree) {
  const auto pin = *world.source.Resolve(world.ctx);
  const auto files = *world.source.List(world.ctx, pin);
  std::set<std::pair<std::string, std::uint64_t>> recorded;
  for (const source::RemoteFile& file : files) {
    if (*world.metadata->FindKnownFile(world.scope, KnownFileOf(pin, file))) {
      for (std::uint64_t at = 0; at < file.size; at += kChunk) recorded.insert({file.path, at});
    }
    for (std::uint64_t at = 0; file.size > kChunk && at < file.size; at += kChunk) {
      const auto digest = crypto::Blake3Of(std::string_view(tree.at(file.path)).substr(at, kChunk));
      if (world.objects.Stat(world.ctx, world.scope, digest)) recorded.insert({file.path, at});
    }
  }
  const std::uint64_t served_before = world.source.bytes_served();
  const std::size_t reads_before = world.source.reads().size();
  const auto result = world.Mirror();
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(world.TreeOf(result->manifest) == tree);
  const auto reads = world.source.reads();
  for (std::size_t i = reads_before; i < reads.size(); ++i) {
    EXPECT_EQ(recorded.count({reads[i].path, reads[i].range.begin}), 0u)
        << reads[i].path << " at " << reads[i].range.begin << " was fetched twice";
  }
  // One chunk in flight, and one batch of small files.
  EXPECT_LE(world.source.bytes_served() - served_before, SizeOf(tree));
  EXPECT_LE(world.source.bytes_served(), SizeOf(tree) + 2 * kChunk);
  EXPECT_EQ(result->progress.bytes_done, SizeOf(tree));
  for (const source::RemoteFile& file : files) {
    EXPECT_TRUE(
        world.metadata->GetPartialChunks(world.scope, PartialKey(pin, file, kChunk))->empty());
  }
}

TEST(MirrorCrash, ResumesAfterDeathAtEveryOperation) {
  int died = 0;
  for (int n = 0;; ++n) {
    SCOPED_TRACE("dies at operation " + std::to_string(n));
    World world;
    const Tree tree = PublishMixed(world.source);
    DyingProcess process(world.objects, *world.metadata, world.source, n);
    const auto first =
        world.MirrorWith(process.source(), process.objects(), process.metadata(), world.executor);
    if (!process.died()) {
      ASSERT_TRUE(first);
      break;
    }
    ASSERT_FALSE(first);
    EXPECT_EQ(first.error().code(), Code::kUnavailable);
    ExpectResumes(world, tree);
    if (HasFatalFailure()) return;
    ++died;
  }
  EXPECT_GT(died, 60);
}

TEST(MirrorCrash, ResumesAfterDeathAtEveryCallOfTheMetadata) {
  int died = 0;
  for (int n = 0;; ++n) {
    SCOPED_TRACE("dies at metadata call " + std::to_string(n));
    World world;
    const Tree tree = PublishMixed(world.source);
    DyingProcess process(world.objects, *world.metadata, world.source, DyingProcess::kNever, n);
    const auto first =
        world.MirrorWith(process.source(), process.objects(), process.metadata(), world.executor);
    if (!process.died()) {
      ASSERT_TRUE(first);
      break;
    }
    // The manifest is there but the end is not told: that, too, has to be repeated cheaply.
    ASSERT_FALSE(first);
    ExpectResumes(world, tree);
    if (HasFatalFailure()) return;
    ++died;
  }
  EXPECT_GT(died, 15);
}

TEST(MirrorCrash, SmallFilesThatWereCompleteAreNotFetchedAgainAfterAnError) {
  World world;
  for (int i = 0; i < 40; ++i) world.source.Publish("f" + std::to_string(i), "tiny");
  FaultySource faulty(world.source, {.operation = 30, .only_reads = true});
  ASSERT_FALSE(world.MirrorWith(faulty, world.objects, *world.metadata, world.executor));
  ASSERT_TRUE(world.Mirror());
  EXPECT_EQ(world.source.reads().size(), 40u);
}

TEST(MirrorCrash, FaultOfTheSourceAtEveryOperationEndsInAnErrorOrTheRightTree) {
  for (const SourceFault fault : {SourceFault::kFail, SourceFault::kFailHalf,
                                  SourceFault::kTruncate, SourceFault::kOverrun}) {
    for (int n = 0;; ++n) {
      World world;
      const Tree tree = PublishMixed(world.source);
      FaultySource faulty(world.source, {.operation = n, .fault = fault});
      const auto first = world.MirrorWith(faulty, world.objects, *world.metadata, world.executor);
      if (first) {
        EXPECT_TRUE(world.TreeOf(first->manifest) == tree);
      }
      if (!faulty.fired()) break;
      ExpectResumes(world, tree);
    }
  }
}

// A random publisher, random deaths, several threads: whatever happens, the mirror that succeeds
// shows one published state, byte for byte.
TEST(MirrorSimulation, EverySeedEndsWithAPublishedState) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::uint32_t state = seed * 747796405u;
    const auto random = [&state](std::uint32_t below) {
      state = state * 1664525u + 1013904223u;
      return (state >> 8) % below;
    };
    World world;
    ThreadPool pool({.name = "fetch", .threads = 3});
    world.options.parallel = 1 + random(5);
    world.options.memory_bytes_max = kChunk * (1 + random(4));
    std::map<std::string, Tree> states;  // by pin
    Tree tree;
    for (unsigned step = 0; step < 6; ++step) {
      for (std::uint32_t changes = 1 + random(4); changes > 0; --changes) {
        const std::string path = "d" + std::to_string(random(3)) + "/f" + std::to_string(random(4));
        const std::string content = PatternBytes(random(4 * kChunk), random(1000));
        tree[path] = content;
        random(2) == 0 ? world.source.Publish(path, content)
                       : world.source.Publish(path, WithSha256(content));
      }
      states[world.source.Resolve(world.ctx)->fingerprint] = tree;
      const bool dies = random(2) == 0;
      DyingProcess process(world.objects, *world.metadata, world.source,
                           dies ? static_cast<int>(random(80)) : DyingProcess::kNever);
      const auto result =
          world.MirrorWith(process.source(), process.objects(), process.metadata(), pool);
      if (!result) {
        EXPECT_TRUE(dies) << result.error().message();
        continue;
      }
      EXPECT_TRUE(world.TreeOf(result->manifest) == states.at(result->pin.fingerprint));
    }
  }
}

// ---- two at once --------------------------------------------------------------------------------

TEST(MirrorTogether, TwoMirrorsOfTheSameFilesFetchEachByteOnce) {
  World world;
  Tree tree = PublishMixed(world.source);
  for (int i = 0; i < 30; ++i) {
    const std::string path = "many/" + std::to_string(i);
    world.source.Publish(path, tree[path] = PatternBytes(100 + static_cast<std::size_t>(i), 9));
  }
  ThreadPool pool({.name = "fetch", .threads = 4});
  Mirrorer mirrorer(world.objects, *world.metadata, pool, world.options);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      const auto result = mirrorer.Run(world.ctx, world.source,
                                       {.scope = world.scope, .weights = world.weights}, {}, {});
      ASSERT_TRUE(result) << result.error().message();
      EXPECT_TRUE(world.TreeOf(result->manifest) == tree);
      EXPECT_EQ(result->progress.bytes_done, SizeOf(tree));
    });
  }
  threads.clear();
  EXPECT_EQ(world.source.bytes_served(), SizeOf(tree));
}

TEST(MirrorTogether, WhoWaitsTakesOverWhenTheFirstFails) {
  World world;
  world.source.Publish("m", PatternBytes(3 * kChunk, 1));
  ThreadPool pool({.name = "fetch", .threads = 4});
  Mirrorer mirrorer(world.objects, *world.metadata, pool, world.options);
  const MirrorRequest request{.scope = world.scope, .weights = world.weights};
  std::stop_source stop_first;
  Guarded<bool> reading(false);
  Guarded<bool> held(true);
  world.source.OnRead([&](const Context& ctx, const MemorySource::ReadCall&) -> Status {
    reading.Change([](bool& r) { r = true; });
    held.Wait(ctx.stop(), [](bool h) { return !h; });
    return ctx.Check();
  });
  std::jthread first([&] {
    const auto result =
        mirrorer.Run(world.ctx.WithStop(stop_first.get_token()), world.source, request, {}, {});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Code::kCancelled);
  });
  reading.Wait([](bool r) { return r; });
  std::jthread second([&] {
    const auto result = mirrorer.Run(world.ctx, world.source, request, {}, {});
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(world.TreeOf(result->manifest).size(), 1u);
  });
  stop_first.request_stop();
  first.join();
  held.Change([](bool& h) { h = false; });
}

// ---- memory -------------------------------------------------------------------------------------

TEST(MirrorMemory, OneChunkOfMemoryIsEnoughForEverything) {
  World world;
  world.options.memory_bytes_max = kChunk;
  world.options.parallel = 8;
  const Tree tree = PublishMixed(world.source);
  ThreadPool pool({.name = "fetch", .threads = 8});
  Mirrorer mirrorer(world.objects, *world.metadata, pool, world.options);
  for (int mirrors = 0; mirrors < 2; ++mirrors) {
    const auto result = mirrorer.Run(world.ctx, world.source,
                                     {.scope = world.scope, .weights = world.weights}, {}, {});
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_TRUE(world.TreeOf(result->manifest) == tree);
  }
  EXPECT_EQ(world.source.concurrent_reads_max(), 1) << "every read holds its memory";
}

TEST(MirrorMemory, ReadsAtOnceNeverHoldMoreThanTheBudget) {
  World world;
  world.options.memory_bytes_max = 3 * kChunk;
  world.options.parallel = 8;
  const std::string content = PatternBytes(40 * kChunk, 1);
  world.source.Publish("m", WithSha256(content));
  // The first chunk is slow: all others come before it.
  std::atomic<int> others = 0;
  world.source.OnRead([&](const Context& ctx, const MemorySource::ReadCall& call) -> Status {
    if (call.range.begin > 0) {
      others += 1;
      return {};
    }
    while (others < 39) {
      BDN_TRY(ctx.Check());
      std::this_thread::yield();
    }
    return {};
  });
  ThreadPool pool({.name = "fetch", .threads = 8});
  Mirrorer mirrorer(world.objects, *world.metadata, pool, world.options);
  const auto result = mirrorer.Run(world.ctx, world.source,
                                   {.scope = world.scope, .weights = world.weights}, {}, {});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE((world.TreeOf(result->manifest) == Tree{{"m", content}}));
  EXPECT_LE(world.source.concurrent_reads_max(), 3);
  EXPECT_EQ(world.source.bytes_served(), content.size());
}

TEST(MirrorMemory, SmallFilesAreFetchedSideBySide) {
  World world;
  world.options.parallel = 4;
  for (int i = 0; i < 64; ++i) world.source.Publish("f" + std::to_string(i), "tiny");
  Guarded<int> arrived(0);
  world.source.OnRead([&](const Context& ctx, const MemorySource::ReadCall&) -> Status {
    arrived.Change([](int& n) { n += 1; });
    arrived.Wait(ctx.stop(), [](int n) { return n >= 4; });  // only together
    return ctx.Check();
  });
  ThreadPool pool({.name = "fetch", .threads = 4});
  const auto result = world.MirrorWith(world.source, world.objects, *world.metadata, pool);
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(world.source.reads().size(), 64u);
  EXPECT_GE(world.source.concurrent_reads_max(), 4);
}

// ---- what is old --------------------------------------------------------------------------------

TEST(MirrorHold, ObjectThatVanishedWhileTheMirrorRanIsFetchedAgain) {
  World world;
  Tree tree = {{"a", PatternBytes(2 * kChunk, 1)}, {"b", "x"}};
  for (const auto& [path, content] : tree) world.source.Publish(path, content);
  bool once = true;
  world.source.OnRead([&](const Context&, const MemorySource::ReadCall& call) -> Status {
    if (call.path != "b" || !std::exchange(once, false)) return {};
    world.clock.Advance(std::chrono::hours(1));  // a long mirror, a bold collector
    std::vector<crypto::Digest> all;
    BDN_TRY(world.objects.List(world.ctx, [&](const auto&, const auto& info) -> Status {
      all.push_back(info.digest);
      return {};
    }));
    return world.objects.Delete(world.ctx, world.scope, all.front());
  });
  const auto result = world.Mirror();
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(world.TreeOf(result->manifest) == tree);
  EXPECT_EQ(world.source.resolves(), 2);
}

TEST(MirrorHold, HoldTellsWhetherAVersionIsComplete) {
  World world;
  const Tree tree = PublishMixed(world.source);
  const auto result = world.Mirror();
  ASSERT_TRUE(result);
  Mirrorer mirrorer(world.objects, *world.metadata, world.executor, world.options);
  const auto held = mirrorer.Hold(world.ctx, world.scope, result->manifest);
  ASSERT_TRUE(held && *held);
  EXPECT_EQ((*held)->bytes, SizeOf(tree));
  EXPECT_EQ((*held)->files, tree.size());
  std::vector<crypto::Digest> all;
  ASSERT_TRUE(world.objects.List(world.ctx, [&](const auto&, const auto& info) -> Status {
    all.push_back(info.digest);
    return {};
  }));
  for (const crypto::Digest& digest : all) {
    World other;
    PublishMixed(other.source);
    ASSERT_TRUE(other.Mirror());
    ASSERT_TRUE(other.objects.Delete(other.ctx, other.scope, digest));
    Mirrorer again(other.objects, *other.metadata, other.executor, other.options);
    const auto missing = again.Hold(other.ctx, other.scope, result->manifest);
    ASSERT_TRUE(missing);
    EXPECT_FALSE(missing->has_value()) << digest.ToString();
  }
}

}  // namespace
}  // namespace bdn::mirror
