#include "source/checkpoint_ref.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"

namespace bdn::source {
namespace {

using ::testing::HasSubstr;

class FakeCatalogue final : public CheckpointCatalogue {
 public:
  Result<std::vector<api::TrainingProjectBody>> Projects(const Context&) override {
    return projects;
  }
  Result<std::vector<api::TrainingJobBody>> Jobs(const Context&, const std::string& p) override {
    return jobs[p];
  }
  Result<std::vector<api::CheckpointBody>> Checkpoints(const Context&,
                                                       const std::string&,
                                                       const std::string& job) override {
    return checkpoints[job];
  }
  Result<std::vector<api::CheckpointBody>> LoopsCheckpoints(const Context&,
                                                            const std::string& run) override {
    return loops[run];
  }

  std::vector<api::TrainingProjectBody> projects = {{"p1", "demo", ""}, {"demo2", "other", ""}};
  std::map<std::string, std::vector<api::TrainingJobBody>> jobs;
  std::map<std::string, std::vector<api::CheckpointBody>> checkpoints;
  std::map<std::string, std::vector<api::CheckpointBody>> loops;
};

class CheckpointRefTest : public ::testing::Test {
 protected:
  static api::TrainingJobBody Job(const std::string& id, const std::string& at) {
    api::TrainingJobBody job;
    job.id = id;
    job.created_at = at;
    return job;
  }
  static api::CheckpointBody Checkpoint(const std::string& name,
                                        const std::string& at,
                                        const std::string& status = "COMPLETE") {
    api::CheckpointBody c;
    c.name = name;
    c.created_at = at;
    c.sync_status = status;
    return c;
  }
  // "job/checkpoint", or the error.
  std::string Resolve(const std::string& text) {
    const auto uri = model::ParseSourceUri(text);
    if (!uri) return uri.error().message();
    const auto found = ResolveCheckpoint(ctx_, catalogue_, *uri);
    if (found) return found->job_id + "/" + found->name;
    EXPECT_EQ(found.error().code(), Code::kNotFound);
    return found.error().message();
  }

  bdn::testing::ManualClock clock_;
  const Context ctx_{clock_};
  FakeCatalogue catalogue_;
};

TEST_F(CheckpointRefTest, LatestIsTheNewestCompleteOneByAgeNotByPlace) {
  catalogue_.jobs["p1"] = {Job("new", "2026-02-01T00:00:00Z"), Job("old", "2026-01-01T00:00:00Z")};
  catalogue_.checkpoints["new"] = {Checkpoint("c-9", "2026-02-03T00:00:00Z"),
                                   Checkpoint("c-10", "2026-02-04T00:00:00+00:00"),
                                   Checkpoint("c-1", "2026-02-02T00:00:00.5Z"),
                                   Checkpoint("c-11", "2026-02-05T00:00:00Z", "SYNCING")};
  catalogue_.checkpoints["old"] = {Checkpoint("c-500", "2026-03-01T00:00:00Z")};
  EXPECT_EQ(Resolve("bt://demo"), "new/c-10");
  EXPECT_EQ(Resolve("bt://demo@latest"), "new/c-10");
  EXPECT_EQ(Resolve("bt://demo/c-9"), "new/c-9");
  EXPECT_EQ(Resolve("bt://demo@old"), "old/c-500");
  EXPECT_EQ(Resolve("bt://demo@old/c-500"), "old/c-500");
  EXPECT_EQ(Resolve("bt://p1"), "new/c-10") << "by id";
}

TEST_F(CheckpointRefTest, OfTheSameAgeTheLaterInTheListIsTheNewer) {
  catalogue_.jobs["p1"] = {Job("a", ""), Job("b", "")};
  catalogue_.checkpoints["b"] = {Checkpoint("c-2", "2026-01-01T00:00:00Z"),
                                 Checkpoint("c-1", "2026-01-01T00:00:00Z", "COMPLETED")};
  EXPECT_EQ(Resolve("bt://demo"), "b/c-1");
}

TEST_F(CheckpointRefTest, AJobThatHasJustBegunIsNotTheLatest) {
  catalogue_.jobs["p1"] = {Job("old", "2026-01-01T00:00:00Z"), Job("new", "2026-02-01T00:00:00Z")};
  catalogue_.checkpoints["old"] = {Checkpoint("c-1", "2026-01-01T00:00:00Z")};
  catalogue_.checkpoints["new"] = {Checkpoint("c-1", "2026-02-01T00:00:00Z", "SYNCING")};
  EXPECT_EQ(Resolve("bt://demo"), "old/c-1");
  EXPECT_EQ(Resolve("bt://demo/c-1"), "old/c-1");
  EXPECT_THAT(Resolve("bt://demo@new"), HasSubstr("has no complete checkpoint yet"));
}

TEST_F(CheckpointRefTest, ASyncingCheckpointIsRefusedByName) {
  catalogue_.jobs["p1"] = {Job("j", "")};
  for (const char* status : {"SYNCING", "", "something new"}) {
    catalogue_.checkpoints["j"] = {Checkpoint("c", "", status)};
    EXPECT_THAT(Resolve("bt://demo@j/c"), HasSubstr("still SYNCING")) << status;
    EXPECT_THAT(Resolve("bt://demo"), HasSubstr("no job of the training project 'demo'"));
  }
}

TEST_F(CheckpointRefTest, WhereNothingIsCompleteTheHintListsTheProject) {
  catalogue_.projects = {{"p1", "demo", ""}, {"p2", "my model", ""}};
  catalogue_.jobs["p1"] = {Job("j", "")};
  const std::pair<const char*, const char*> cases[] = {
      {"bt://demo", "`bdn checkpoint ls --project demo`"},
      {"bt://demo@j", "`bdn checkpoint ls --project demo`"},
      {"bt://my model", "`bdn checkpoint ls --project 'my model'`"}};
  for (const auto& [source, hint] : cases) {
    const auto uri = model::ParseSourceUri(source);
    ASSERT_TRUE(uri) << source;
    const auto found = ResolveCheckpoint(ctx_, catalogue_, *uri);
    ASSERT_FALSE(found) << source;
    EXPECT_THAT(found.error().hint(), HasSubstr(hint)) << source;
  }
}

TEST_F(CheckpointRefTest, ErrorsNameWhatThereIs) {
  EXPECT_EQ(Resolve("bt://nothing"),
            "there is no training project 'nothing'; there is: demo, other");
  catalogue_.jobs["p1"] = {Job("j1", ""), Job("j2", "")};
  EXPECT_EQ(Resolve("bt://demo@j3"), "the training project 'demo' has no job 'j3'; it has: j1, j2");
  catalogue_.checkpoints["j1"] = {Checkpoint("a", ""), Checkpoint("b", "")};
  EXPECT_EQ(Resolve("bt://demo@j1/c"), "the job 'j1' has no checkpoint 'c'; it has: a, b");
  EXPECT_EQ(Resolve("bt://demo/c"), "the job 'j1' has no checkpoint 'c'; it has: a, b");
}

TEST_F(CheckpointRefTest, LoopsFindsTheTargetOfTheRun) {
  auto sampler = Checkpoint("step-1", "", "");
  sampler.target = "sampler";
  auto trainer = Checkpoint("step-2", "", "COMPLETE");
  trainer.target = "trainer";
  catalogue_.loops["k4"] = {sampler, trainer};
  EXPECT_EQ(Resolve("bt://loops:k4/sampler_weights/step-1"), "k4/step-1");
  EXPECT_EQ(Resolve("bt://loops:k4/weights/step-2"), "k4/step-2");
  EXPECT_THAT(Resolve("bt://loops:k4/weights/step-1"),
              HasSubstr("has no trainer checkpoint 'step-1'; it has: sampler_weights/step-1"));
  EXPECT_EQ(QualifiedName(sampler), "sampler_weights/step-1");
  EXPECT_EQ(QualifiedName(trainer), "weights/step-2");
  EXPECT_EQ(QualifiedName(Checkpoint("step-3", "", "")), "step-3");
  catalogue_.loops["two"] = {sampler, sampler};
  const auto uri = model::ParseSourceUri("bt://loops:two/sampler_weights/step-1");
  EXPECT_EQ(ResolveCheckpoint(ctx_, catalogue_, *uri).error().code(), Code::kInvalidArgument);
  catalogue_.loops["k4"][1].sync_status = "SYNCING";
  EXPECT_THAT(Resolve("bt://loops:k4/weights/step-2"), HasSubstr("still SYNCING"));
}

}  // namespace
}  // namespace bdn::source
