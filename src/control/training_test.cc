#include "control/training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/testing/control_world.h"
#include "mirror/holding.h"
#include "store/gc.h"
#include "store/testing/faulty_metadata.h"

namespace bdn::control {
namespace {

using ::testing::HasSubstr;

constexpr const char* kNs = "training";

class TrainingStoreTest : public ::testing::Test, public testing::ControlWorld {
 protected:
  // A complete checkpoint whose one file "w" has that content.
  api::CheckpointBody Push(const std::string& job,
                           const std::string& name,
                           const std::string& content) {
    EXPECT_TRUE(training.EnsureProject("demo"));
    EXPECT_TRUE(training.EnsureJob("demo", job));
    EXPECT_TRUE(training.Begin("demo", job, {.name = name}));
    clock.Advance(std::chrono::seconds(1));
    const auto manifest = PutVersion(kNs, content);
    const auto done = training.Complete(ctx, "demo", job, name, manifest.ToString());
    EXPECT_TRUE(done) << (done ? "" : done.error().message());
    return done ? *done : api::CheckpointBody{};
  }
  Result<std::optional<mirror::StoredTree>> Find(const std::string& source,
                                                 const std::string& ns = kNs) {
    store::Mirror mirror;
    mirror.scope = {"default", ns};
    mirror.spec = "{\"source\":\"" + source + "\"}";
    return training.FindTree(ctx, mirror);
  }
  std::string PinOf(const std::string& source) {
    const auto found = Find(source);
    if (!found) return found.error().message();
    return *found ? (*found)->pin.fingerprint : "nothing";
  }

  TrainingStore training{*metadata, *objects, clock, {"default", kNs}};
};

TEST_F(TrainingStoreTest, ACheckpointIsSyncingUntilEverythingBelowItsManifestIsStored) {
  ASSERT_TRUE(training.EnsureProject("demo"));
  ASSERT_TRUE(training.EnsureJob("demo", "j"));
  const auto begun = training.Begin(
      "demo", "j", {.name = "c-1", .type = "lora", .base_model = "b/m", .lora_rank = 16});
  ASSERT_TRUE(begun) << begun.error().message();
  EXPECT_EQ(begun->sync_status, "SYNCING");
  EXPECT_EQ(training.GetJob("demo", "j")->checkpoint_sync_status, "SYNCING");
  EXPECT_THAT(PinOf("bt://demo"), HasSubstr("no job of the training project"));
  EXPECT_THAT(PinOf("bt://demo@j/c-1"), HasSubstr("still SYNCING"));

  const std::string text = ManifestOf("content");
  const auto manifest = crypto::Blake3Of(text);
  const auto early = training.Complete(ctx, "demo", "j", "c-1", manifest.ToString());
  EXPECT_EQ(early.error().code(), Code::kFailedPrecondition);
  Put(kNs, store::ObjectKind::kManifest, text);
  EXPECT_EQ(training.Complete(ctx, "demo", "j", "c-1", manifest.ToString()).error().code(),
            Code::kFailedPrecondition)
      << "the chunk is missing";
  Put("ns", store::ObjectKind::kChunk, "content");
  EXPECT_EQ(training.Complete(ctx, "demo", "j", "c-1", manifest.ToString()).error().code(),
            Code::kFailedPrecondition)
      << "it is in another namespace";
  Put(kNs, store::ObjectKind::kChunk, "content");
  const auto done = training.Complete(ctx, "demo", "j", "c-1", manifest.ToString());
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->sync_status, "COMPLETE");
  EXPECT_EQ(done->size_bytes, 7u);
  EXPECT_EQ(done->files, 1u);
  EXPECT_EQ(done->lora_rank, 16);
  EXPECT_EQ(training.GetJob("demo", "j")->checkpoint_sync_status, "COMPLETED");
  EXPECT_EQ(PinOf("bt://demo"), "j/c-1@" + manifest.ToString());
}

TEST_F(TrainingStoreTest, LatestMovesAndWhatIsCompleteNeverChanges) {
  const auto first = Push("j", "c-1", "one");
  EXPECT_EQ(PinOf("bt://demo"), "j/c-1@" + first.manifest);
  const auto second = Push("j", "c-2", "two");
  EXPECT_EQ(PinOf("bt://demo"), "j/c-2@" + second.manifest);
  EXPECT_EQ(PinOf("bt://demo/c-1"), "j/c-1@" + first.manifest);
  const auto third = Push("a-later-job", "c-1", "three");
  EXPECT_EQ(PinOf("bt://demo@latest"), "a-later-job/c-1@" + third.manifest);
  EXPECT_EQ(PinOf("bt://demo@j"), "j/c-2@" + second.manifest);
  const auto other = PutVersion(kNs, "other");
  const auto refused = training.Complete(ctx, "demo", "j", "c-1", other.ToString());
  EXPECT_EQ(refused.error().code(), Code::kAlreadyExists);
  EXPECT_TRUE(training.Complete(ctx, "demo", "j", "c-1", first.manifest)) << "the same again";
}

TEST_F(TrainingStoreTest, OtherMirrorsAreNotItsBusiness) {
  Push("j", "c-1", "one");
  EXPECT_FALSE(*Find("hf://a/b"));
  EXPECT_FALSE(*Find("bt://demo", "mirrors")) << "of a training store elsewhere";
}

TEST_F(TrainingStoreTest, LoopsNamesAreCheckpointsOfTheRunsJob) {
  const auto sampler = Push("k4q95w5", "sampler_weights/step-100", "s");
  const auto trainer = Push("k4q95w5", "weights/step-100", "t");
  EXPECT_EQ(PinOf("bt://loops:k4q95w5/sampler_weights/step-100"),
            "k4q95w5/sampler_weights/step-100@" + sampler.manifest);
  EXPECT_EQ(PinOf("bt://loops:k4q95w5/weights/step-100"),
            "k4q95w5/weights/step-100@" + trainer.manifest);
  const auto by_run = Find("bt://loops:k4q95w5/weights/step-100");
  const auto by_project = Find("bt://demo@k4q95w5/weights/step-100");
  ASSERT_TRUE(by_run && *by_run && by_project && *by_project);
  EXPECT_EQ((*by_run)->pin.identity, (*by_project)->pin.identity) << "two names of one checkpoint";
  EXPECT_EQ(PinOf("bt://demo@k4q95w5/weights/step-100"),
            "k4q95w5/weights/step-100@" + trainer.manifest);
  EXPECT_THAT(PinOf("bt://loops:k4q95w5/weights/step-1"),
              HasSubstr("it has: sampler_weights/step-100"));
}

TEST_F(TrainingStoreTest, PagesGoOnAcrossCheckpointsAndShowCompleteOnesOnly) {
  for (const char* name : {"c-1", "c-2", "c-3"}) Push("j", name, name);
  ASSERT_TRUE(training.Begin("demo", "j", {.name = "c-4"}));
  const auto page = training.Files(ctx, "demo", "j", "", 1, 1);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->total, 3u);
  ASSERT_EQ(page->files.size(), 1u);
  EXPECT_EQ(page->files[0].name, "rank-0/c-2/w");
  EXPECT_EQ(page->files[0].size, 3u);
  EXPECT_EQ(training.Files(ctx, "demo", "j", "", 0, 10)->files.size(), 3u);
  EXPECT_TRUE(training.Files(ctx, "demo", "j", "", 3, 10)->files.empty());
  EXPECT_EQ(training.Files(ctx, "demo", "j", "c-3", 0, 10)->total, 1u);
  const auto id = training.GetCheckpoint("demo", "j", "c-2")->id;
  EXPECT_EQ(training.FilesById(ctx, id, 0, 10)->files.at(0).name, "rank-0/c-2/w");
  Push("run", "weights/step-1", "w");
  const auto loops = training.LoopsCheckpoints("run");
  EXPECT_EQ(training.FilesById(ctx, loops->at(0).id, 0, 10)->files.at(0).name, "rank-0/step-1/w");
  EXPECT_EQ(training.FilesById(ctx, "ckpt_nothing", 0, 10).error().code(), Code::kNotFound);
}

TEST_F(TrainingStoreTest, NamesThatNoUriCanSayAreRefused) {
  for (const char* bad : {"", "a/b", "a@b", "a:b", "a\nb", "ü"}) {
    EXPECT_EQ(training.EnsureProject(bad).error().code(), Code::kInvalidArgument) << bad;
  }
  ASSERT_TRUE(training.EnsureProject("My Model 1.0"));
  for (const char* bad : {"latest", "a b", "..", "a/b"}) {
    EXPECT_FALSE(training.EnsureJob("My Model 1.0", bad)) << bad;
  }
  EXPECT_TRUE(training.EnsureJob("My Model 1.0", "")->id.starts_with("job_"));
  ASSERT_TRUE(training.EnsureJob("My Model 1.0", "j"));
  for (const char* bad : {"", "/", "a//b", "a/", "/a", "a/../b", "a b", "a\\b"}) {
    EXPECT_FALSE(training.Begin("My Model 1.0", "j", {.name = bad})) << bad;
  }
  EXPECT_FALSE(training.Begin("My Model 1.0", "j", {.name = "c", .type = "big"}));
  EXPECT_EQ(training.Begin("My Model 1.0", "k", {.name = "c"}).error().code(), Code::kNotFound);
  EXPECT_EQ(training.Begin("nothing", "j", {.name = "c"}).error().code(), Code::kNotFound);
}

TEST_F(TrainingStoreTest, AFailureAtAnyPointLeavesACheckpointSyncingOrCompleteAndNeverBetween) {
  store::testing::FaultyMetadata faulty(*metadata);
  TrainingStore fragile(faulty, *objects, clock, {"default", kNs});
  const auto manifest = PutVersion(kNs, "content");
  const auto push = [&](TrainingStore& to, const std::string& project) -> Status {
    BDN_TRY(to.EnsureProject(project));
    BDN_TRY(to.EnsureJob(project, "j"));
    BDN_TRY(to.Begin(project, "j", {.name = "c"}));
    BDN_TRY(to.Complete(ctx, project, "j", "c", manifest.ToString()));
    return {};
  };
  for (std::uint64_t n = 0;; ++n) {
    ASSERT_LT(n, 100u);
    const std::string project = "p" + std::to_string(n);
    faulty.FailAt(n);
    const Status pushed = push(fragile, project);
    const bool failed = faulty.failures() > 0;
    faulty.Heal();
    EXPECT_EQ(pushed.has_value(), !failed) << n;
    const auto found = Find("bt://" + project + "@j/c");
    if (found) {
      EXPECT_EQ((*found)->manifest, manifest) << n;
    }
    const auto roots = [&] {
      std::size_t count = 0;
      EXPECT_TRUE(metadata->ListRoots([&](const store::Metadata::Root&) -> Status {
        ++count;
        return {};
      }));
      return count;
    };
    EXPECT_LE(roots(), 1u);
    EXPECT_TRUE(push(fragile, project)) << "the same again goes through";
    EXPECT_EQ((*Find("bt://" + project))->manifest, manifest);
    if (!failed) break;
  }
}

TEST_F(TrainingStoreTest, GarbageCollectionTakesWhatWasRemovedAndIsNotDeployed) {
  const auto kept = Push("j", "c-1", "one");
  const auto removed = Push("j", "c-2", "two");
  // A deployment of what will be removed.
  ASSERT_TRUE(
      plane->Push("model_name: m\nweights:\n  - source: bt://demo@j/c-2\n"
                  "    mount_location: /m\n",
                  ""));
  const auto mirror = Claim();
  EXPECT_EQ(mirror.scope.ns, kNs) << "shares the objects of the checkpoint";
  Finish(mirror, *crypto::ParseDigest(removed.manifest));
  const auto gone = Push("j", "c-3", "three");
  for (const char* name : {"c-2", "c-3"}) ASSERT_TRUE(training.Delete("demo", "j", name));
  EXPECT_EQ(training.Delete("demo", "j", "c-3").error().code(), Code::kNotFound);
  clock.Advance(std::chrono::hours(48));
  ASSERT_TRUE(store::CollectGarbage(ctx, *objects, *metadata, {}));
  const auto there = [&](const api::CheckpointBody& c) {
    return mirror::HoldManifest(ctx, *objects, {"default", kNs}, *crypto::ParseDigest(c.manifest))
        ->has_value();
  };
  EXPECT_TRUE(there(kept));
  EXPECT_TRUE(there(removed)) << "it is deployed";
  EXPECT_FALSE(there(gone));
}

}  // namespace
}  // namespace bdn::control
