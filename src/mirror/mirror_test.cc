#include "mirror/mirror.h"

#include <gtest/gtest.h>

#include "mirror/testing/mirror_world.h"
#include "source/testing/faulty_source.h"

namespace bdn::mirror {
namespace {

using namespace bdn::mirror::testing;  // NOLINT(google-build-using-namespace): the test's own world
using source::testing::FaultySource;
using source::testing::SourceFault;

// Publishes and remembers.
Tree PublishAll(World& world, const Tree& tree) {
  for (const auto& [path, content] : tree) world.source.Publish(path, content);
  return tree;
}

TEST(Mirror, EverySizeAroundAChunkArrives) {
  World world;
  const Tree tree = PublishAll(world, {{"empty", ""},
                                       {"one", "x"},
                                       {"a/less", PatternBytes(kChunk - 1, 1)},
                                       {"a/exact", PatternBytes(kChunk, 2)},
                                       {"a/b/more", PatternBytes(kChunk + 1, 3)},
                                       {"two", PatternBytes(2 * kChunk, 4)},
                                       {"many", PatternBytes(7 * kChunk + 123, 5)}});
  const auto result = world.Mirror();
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(world.TreeOf(result->manifest) == tree);
  EXPECT_EQ(world.source.bytes_served(), SizeOf(tree));
  EXPECT_EQ(result->progress.files, 7u);
  EXPECT_EQ(result->progress.files_done, 7u);
  EXPECT_EQ(result->progress.bytes, SizeOf(tree));
  EXPECT_EQ(result->progress.bytes_done, SizeOf(tree));
  EXPECT_EQ(result->progress.bytes_reused, 0u);
  EXPECT_FALSE(result->reused_whole);
}

TEST(Mirror, RangesAreAtMostOneChunk) {
  World world;
  PublishAll(world, {{"m", PatternBytes(5 * kChunk + 1, 1)}});
  ASSERT_TRUE(world.Mirror());
  EXPECT_EQ(world.source.reads().size(), 6u);
  for (const auto& read : world.source.reads()) EXPECT_LE(read.range.size(), kChunk);
}

TEST(Mirror, ManifestSaysWhereItCameFrom) {
  World world;
  PublishAll(world, {{"m", "x"}});
  const auto result = world.Mirror();
  ASSERT_TRUE(result);
  const auto manifest =
      model::ParseManifest(world.ReadObject(store::ObjectKind::kManifest, result->manifest));
  ASSERT_TRUE(manifest);
  ASSERT_TRUE(manifest->provenance);
  EXPECT_EQ(manifest->provenance->source_uri, "hf://org/model");
  EXPECT_EQ(manifest->provenance->source_fingerprint, "rev-1");
  EXPECT_EQ(result->pin.fingerprint, "rev-1");
}

TEST(Mirror, SecondMirrorOfTheSameFilesFetchesNothing) {
  World world;
  const Tree tree = PublishAll(world, {{"m", PatternBytes(3500, 1)}, {"c", "{}"}});
  const auto first = world.Mirror();
  ASSERT_TRUE(first);
  world.source.ForgetCalls();
  const auto second = world.Mirror();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->manifest, first->manifest);
  EXPECT_EQ(world.source.bytes_served(), 0u);
  EXPECT_EQ(second->progress.bytes_reused, SizeOf(tree));
}

TEST(Mirror, OnlyTheChangedFileIsFetchedAtTheNextRevision) {
  World world;
  Tree tree =
      PublishAll(world, {{"big", PatternBytes(5500, 1)}, {"a.json", "{}"}, {"b.json", "[1]"}});
  ASSERT_TRUE(world.Mirror());
  world.source.ForgetCalls();
  world.source.Publish("b.json", tree["b.json"] = "[2]");
  const auto result = world.Mirror();
  ASSERT_TRUE(result);
  EXPECT_TRUE(world.TreeOf(result->manifest) == tree);
  ASSERT_EQ(world.source.reads().size(), 1u);
  EXPECT_EQ(world.source.reads()[0].path, "b.json");
}

TEST(Mirror, WiderPatternsFetchOnlyTheNewFiles) {
  World world;
  const Tree tree = PublishAll(
      world, {{"m.safetensors", PatternBytes(2500, 1)}, {"c.json", "{}"}, {"sub/d.json", "[]"}});
  world.weights = World::Weights({{"*.safetensors"}});
  ASSERT_TRUE(world.Mirror());
  world.source.ForgetCalls();
  world.weights = World::Weights({{"*.safetensors", "**/*.json"}});
  const auto result = world.Mirror();
  ASSERT_TRUE(result);
  EXPECT_TRUE(world.TreeOf(result->manifest) == tree);
  EXPECT_EQ(world.source.bytes_served(), 4u);
}

TEST(Mirror, PublishersHashIsAKeyAcrossSourcesOfTheScopeOnly) {
  World world;
  const std::string content = PatternBytes(3300, 1);
  world.source.Publish("m", WithSha256(content));
  ASSERT_TRUE(world.Mirror());

  MemorySource fork("memory://fork");
  fork.Publish("renamed", WithSha256(content));
  const auto forked = world.MirrorWith(fork, world.objects, *world.metadata, world.executor);
  ASSERT_TRUE(forked);
  EXPECT_EQ(fork.bytes_served(), 0u);
  EXPECT_TRUE((world.TreeOf(forked->manifest) == Tree{{"renamed", content}}));

  world.scope = {"other", "default"};
  const auto other = world.MirrorWith(fork, world.objects, *world.metadata, world.executor);
  ASSERT_TRUE(other);
  EXPECT_EQ(fork.bytes_served(), content.size());
}

TEST(Mirror, EqualFilesOfOneSourceAreFetchedOnce) {
  World world;
  const std::string content = PatternBytes(2300, 1);
  for (const char* path : {"a", "b", "c"}) world.source.Publish(path, WithSha256(content));
  world.source.Publish("small1", WithSha256("tiny"));
  world.source.Publish("small2", WithSha256("tiny"));
  for (const bool pooled : {false, true}) {
    World fresh;
    ThreadPool pool({.name = "fetch", .threads = 4});
    Executor& executor = pooled ? static_cast<Executor&>(pool) : fresh.executor;
    world.source.ForgetCalls();
    const auto result = fresh.MirrorWith(world.source, fresh.objects, *fresh.metadata, executor);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(world.source.bytes_served(), content.size() + 4);
    EXPECT_EQ(fresh.TreeOf(result->manifest).size(), 5u);
    EXPECT_EQ(result->progress.bytes_done, result->progress.bytes);
  }
}

TEST(Mirror, FilesWithoutEtagAreNeverReusedByName) {
  class NoEtags final : public source::Source {
   public:
    explicit NoEtags(MemorySource& inner) : inner_(inner) {}
    Result<source::Pin> Resolve(const Context& ctx) override { return inner_.Resolve(ctx); }
    Result<std::vector<source::RemoteFile>> List(const Context& ctx,
                                                 const source::Pin& pin) override {
      auto files = inner_.List(ctx, pin);
      real_ = *files;
      for (auto& file : *files) file.etag.clear();
      return files;
    }
    Status Read(const Context& ctx,
                const source::Pin& pin,
                const source::RemoteFile& file,
                net::ByteRange range,
                const source::ByteSink& sink) override {
      for (const auto& real : real_) {
        if (real.path == file.path) return inner_.Read(ctx, pin, real, range, sink);
      }
      return Error(Code::kNotFound, file.path);
    }

   private:
    MemorySource& inner_;
    std::vector<source::RemoteFile> real_;
  };
  World world;
  NoEtags source(world.source);
  PublishAll(world, {{"m", PatternBytes(1500, 1)}});
  ASSERT_TRUE(world.MirrorWith(source, world.objects, *world.metadata, world.executor));
  const Tree changed = PublishAll(world, {{"m", PatternBytes(1500, 2)}});
  const auto result = world.MirrorWith(source, world.objects, *world.metadata, world.executor);
  ASSERT_TRUE(result);
  EXPECT_TRUE(world.TreeOf(result->manifest) == changed);
}

TEST(Mirror, KnownFileWhoseObjectsAreGoneIsFetchedAgain) {
  World world;
  const Tree tree = PublishAll(world, {{"big", PatternBytes(4000, 1)}, {"small", "abc"}});
  const auto first = world.Mirror();
  ASSERT_TRUE(first);
  const auto manifest =
      model::ParseManifest(world.ReadObject(store::ObjectKind::kManifest, first->manifest));
  const auto map = model::ParseChunkmap(
      world.ReadObject(store::ObjectKind::kChunkmap, *manifest->entries[0].digest));
  ASSERT_TRUE(world.objects.Delete(world.ctx, world.scope, map->chunks[2].digest));
  ASSERT_TRUE(world.objects.Delete(world.ctx, world.scope, *manifest->entries[1].digest));
  world.source.ForgetCalls();
  const auto second = world.Mirror();
  ASSERT_TRUE(second);
  EXPECT_TRUE(world.TreeOf(second->manifest) == tree);
  EXPECT_EQ(world.source.bytes_served(), kChunk + 3) << "only what is missing";
}

TEST(Mirror, NothingMatchedIsAnErrorThatHelps) {
  World world;
  PublishAll(world, {{"sub/m.safetensors", "x"}});
  world.weights = World::Weights({{"*.safetensors"}});
  const auto result = world.Mirror();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kInvalidArgument);
  EXPECT_NE(result.error().message().find("No files matched"), std::string::npos);
  EXPECT_NE(result.error().message().find("listed 1 file(s): sub/m.safetensors"),
            std::string::npos);
  EXPECT_EQ(world.objects.count(), 0u);
}

TEST(Mirror, HostileNamesAreRefusedBeforeAByteIsFetched) {
  World world;
  PublishAll(world, {{"ok", "x"}, {"../../etc/passwd", "x"}});
  const auto result = world.Mirror();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kInvalidArgument);
  EXPECT_TRUE(world.source.reads().empty());
}

// ---- content that is wrong ----------------------------------------------------------------------

TEST(MirrorVerify, WrongBytesOnceAreFetchedAgainFromScratch) {
  for (const std::size_t size : {500u, 3500u}) {
    World world;
    const std::string content = PatternBytes(size, 1);
    world.source.Publish("m", WithSha256(content));
    world.source.FlipByte("m", 120, 1);
    const auto result = world.Mirror();
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_TRUE((world.TreeOf(result->manifest) == Tree{{"m", content}}));
    EXPECT_EQ(world.source.bytes_served(), 2 * size);
    EXPECT_EQ(result->progress.bytes_done, size);
  }
}

TEST(MirrorVerify, WrongBytesTwiceAreCorruptAndInvisible) {
  for (const std::size_t size : {500u, 3500u}) {
    World world;
    world.source.Publish("dir/m", WithSha256(PatternBytes(size, 1)));
    world.source.Publish("fine", "fine");
    world.source.Damage("dir/m", 120);
    const auto result = world.Mirror();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Code::kCorrupt);
    const std::string expected = crypto::Sha256Hex(PatternBytes(size, 1));
    EXPECT_NE(result.error().message().find("dir/m"), std::string::npos);
    EXPECT_NE(result.error().message().find(expected), std::string::npos)
        << result.error().message();
    EXPECT_EQ(world.source.bytes_served(), 2 * size);
    const auto pin = world.source.Resolve(world.ctx);
    const auto files = world.source.List(world.ctx, *pin);
    EXPECT_TRUE(
        world.metadata->GetPartialChunks(world.scope, PartialKey(*pin, files->front(), kChunk))
            ->empty());
    EXPECT_FALSE(*world.metadata->FindKnownFile(world.scope, KnownFileOf(*pin, files->front())));
    EXPECT_EQ(world.source.resolves(), 2) << "ours and one of the mirror: no restart";
  }
}

TEST(MirrorVerify, AHashThatTheListingDoesNotTellIsAskedForOnceAndChecked) {
  for (const std::size_t size : {500u, 3500u}) {
    World world;
    const std::string content = PatternBytes(size, 1);
    MemorySource::File file = WithSha256(content);
    file.hash_by_describe = true;
    world.source.Publish("m", file);
    world.source.FlipByte("m", 120, 1);
    const auto result = world.Mirror();
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_TRUE((world.TreeOf(result->manifest) == Tree{{"m", content}}));
    EXPECT_EQ(world.source.bytes_served(), 2 * size);
    EXPECT_EQ(world.source.describes(), 1);

    ASSERT_TRUE(world.Mirror());
    EXPECT_EQ(world.source.describes(), 1) << "nothing is asked of a file that is known";

    MemorySource fork("memory://fork");
    fork.Publish("renamed", file);
    ASSERT_TRUE(world.MirrorWith(fork, world.objects, *world.metadata, world.executor));
    EXPECT_EQ(fork.describes(), 1);
    EXPECT_EQ(fork.bytes_served(), 0u) << "the content is here already";
  }
}

TEST(MirrorVerify, DamagedStoredChunkIsFoundByTheHashOfAResumedFile) {
  World world;
  const std::string content = PatternBytes(5 * kChunk, 1);
  world.source.Publish("m", WithSha256(content));
  FaultySource faulty(world.source, {.operation = 4, .fault = SourceFault::kFailHalf});
  ASSERT_FALSE(world.MirrorWith(faulty, world.objects, *world.metadata, world.executor));
  const auto pin = world.source.Resolve(world.ctx);
  const auto files = world.source.List(world.ctx, *pin);
  const auto partial =
      world.metadata->GetPartialChunks(world.scope, PartialKey(*pin, files->front(), kChunk));
  ASSERT_EQ(partial->size(), 2u);
  world.objects.Corrupt(world.scope, (*partial)[0].digest);
  const auto result = world.Mirror();
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE((world.TreeOf(result->manifest) == Tree{{"m", content}}));
  EXPECT_EQ(result->progress.bytes_done, content.size());
}

TEST(MirrorVerify, ShortAndLongAnswersOfASourceAreErrors) {
  for (const SourceFault fault : {SourceFault::kTruncate, SourceFault::kOverrun}) {
    World world;
    PublishAll(world, {{"m", PatternBytes(2500, 1)}});
    FaultySource faulty(world.source, {.operation = 3, .fault = fault});
    const auto result = world.MirrorWith(faulty, world.objects, *world.metadata, world.executor);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Code::kCorrupt);
    EXPECT_NE(result.error().message().find("m: the source sent"), std::string::npos);
  }
}

TEST(MirrorVerify, EmptyFileWithTheWrongHashIsCorrupt) {
  World world;
  auto file = WithSha256("something");
  file.content.clear();
  world.source.Publish("empty", file);
  const auto result = world.Mirror();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kCorrupt);
}

TEST(MirrorVerify, PointerInsteadOfContentIsRefused) {
  World world;
  const std::string content = PatternBytes(5000, 1);
  auto file = WithSha256(content);
  file.content =
      "version https://git-lfs.github.com/spec/v1\noid sha256:" + file.hash + "\nsize 5000\n";
  world.source.Publish("m.safetensors", file);
  const auto result = world.Mirror();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kCorrupt);
  EXPECT_NE(result.error().message().find("pointer"), std::string::npos)
      << result.error().message();
}

// ---- a source that changes ----------------------------------------------------------------------

TEST(MirrorChange, ChangeWhileFetchingStartsAgainAndEndsWithTheNewTree) {
  World world;
  Tree tree = PublishAll(world, {{"a", PatternBytes(2500, 1)}, {"b", PatternBytes(2500, 2)}});
  int reads = 0;
  world.source.OnRead([&](const Context&, const MemorySource::ReadCall&) -> Status {
    if (++reads == 5) world.source.Publish("b", tree["b"] = PatternBytes(2500, 3));
    return {};
  });
  std::vector<std::string> pins;
  Mirrorer mirrorer(world.objects, *world.metadata, world.executor, world.options);
  const auto result =
      mirrorer.Run(world.ctx, world.source, {.scope = world.scope, .weights = world.weights},
                   [&](const source::Pin& pin) -> Status {
                     pins.push_back(pin.fingerprint);
                     return {};
                   },
                   {});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(world.TreeOf(result->manifest) == tree);
  EXPECT_EQ(pins, (std::vector<std::string>{"rev-2", "rev-3"}));
  EXPECT_EQ(result->pin.fingerprint, "rev-3");
}

TEST(MirrorChange, SourceThatNeverRestsIsAClearError) {
  World world;
  PublishAll(world, {{"a", PatternBytes(2500, 1)}});
  unsigned seed = 1;
  world.source.OnRead([&](const Context&, const MemorySource::ReadCall&) -> Status {
    world.source.Publish("a", PatternBytes(2500, ++seed));
    return {};
  });
  const auto result = world.Mirror();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(result.error().message().find("kept changing"), std::string::npos);
  EXPECT_FALSE(result.error().hint().empty());
  EXPECT_EQ(world.source.resolves(), 3);
}

TEST(MirrorChange, ErrorOfTheCallerIsNotAChangedSource) {
  World world;
  PublishAll(world, {{"a", PatternBytes(2500, 1)}});
  Mirrorer mirrorer(world.objects, *world.metadata, world.executor, world.options);
  const MirrorRequest request{.scope = world.scope, .weights = world.weights};
  const auto lost = [](const auto&) -> Status {
    return Error(Code::kFailedPrecondition, "lease lost");
  };
  const auto by_pin = mirrorer.Run(world.ctx, world.source, request, lost, {});
  ASSERT_FALSE(by_pin);
  EXPECT_EQ(by_pin.error().message(), "lease lost");
  EXPECT_EQ(world.source.resolves(), 1);
  const auto by_progress = mirrorer.Run(world.ctx, world.source, request, {}, lost);
  ASSERT_FALSE(by_progress);
  EXPECT_EQ(by_progress.error().message(), "lease lost");
  EXPECT_EQ(world.source.resolves(), 1) << "told before it resolved";
}

// ---- progress and the end of patience -----------------------------------------------------------

TEST(MirrorProgress, GoesThroughThePhasesAndCountsEveryByte) {
  World world;
  const Tree tree = PublishAll(world, {{"a", PatternBytes(2500, 1)}, {"b", "x"}});
  world.options.progress_interval = Duration(0);
  std::vector<std::string> phases;
  std::uint64_t last = 0;
  world.source.OnRead([&](const Context&, const MemorySource::ReadCall&) -> Status {
    world.clock.Advance(std::chrono::seconds(1));
    return {};
  });
  double rate = 0;
  const auto result = world.Mirror([&](const store::Progress& progress) -> Status {
    if (phases.empty() || phases.back() != progress.phase) phases.push_back(progress.phase);
    EXPECT_GE(progress.bytes_done, last);
    EXPECT_LE(progress.bytes_done, SizeOf(tree));
    last = progress.bytes_done;
    rate = std::max(rate, progress.rate);
    return {};
  });
  ASSERT_TRUE(result);
  EXPECT_EQ(phases, (std::vector<std::string>{"resolving", "listing", "fetching", "writing"}));
  EXPECT_EQ(last, SizeOf(tree));
  EXPECT_GT(rate, 100);
  EXPECT_LT(rate, 2000);
}

TEST(MirrorCancel, StopEndsAStalledMirrorAndKeepsWhatIsComplete) {
  World world;
  PublishAll(world, {{"a", PatternBytes(6500, 1)}});
  std::stop_source stop;
  world.source.OnRead([&](const Context& ctx, const MemorySource::ReadCall& call) -> Status {
    if (call.range.begin < 3000) return {};
    stop.request_stop();
    Guarded<bool> never(false);
    never.Wait(ctx.stop(), [](bool done) { return done; });
    return ctx.Check();
  });
  ThreadPool pool({.name = "fetch", .threads = 4});
  Mirrorer mirrorer(world.objects, *world.metadata, pool, world.options);
  const auto result = mirrorer.Run(world.ctx.WithStop(stop.get_token()), world.source,
                                   {.scope = world.scope, .weights = world.weights}, {}, {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace bdn::mirror
