#include "api/training.h"

#include <gtest/gtest.h>

namespace bdn::api {
namespace {

TEST(TrainingBodies, ComeBackAsTheyWereWritten) {
  CheckpointBody c;
  c.id = "ckpt_1";
  c.name = "sampler_weights/step-1";
  c.job_id = "run";
  c.project_id = "prj_1";
  c.created_at = "2026-11-23T03:44:41Z";
  c.type = "lora";
  c.lora_rank = 8;
  c.size_bytes = 1ull << 60;
  c.sync_status = kSyncing;
  c.target = "sampler";
  const auto back = CheckpointsFromJson(LoopsCheckpointsJson({c}));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->at(0).name, c.name);
  EXPECT_EQ(back->at(0).size_bytes, c.size_bytes);
  EXPECT_EQ(back->at(0).lora_rank, 8);
  EXPECT_EQ(back->at(0).target, "sampler");
  EXPECT_EQ(back->at(0).job_id, "run");
  EXPECT_FALSE(IsComplete(back->at(0)));
  const CheckpointFilesBody page{
      .files = {{"http://h/x?s", "rank-0/c/w", 3, 9, "2026-11-23T03:44:41Z"}},
      .next_page_token = 1000,
      .total_count = 1001};
  const auto files = CheckpointFilesFromJson(CheckpointFilesJson(page));
  ASSERT_TRUE(files);
  EXPECT_EQ(files->files.at(0).node_rank, 3);
  EXPECT_EQ(files->next_page_token, 1000u);
  EXPECT_EQ(files->total_count, 1001u);
}

TEST(TrainingBodies, BothSpellingsAreCompleteAndNothingElseIs) {
  CheckpointBody c;
  for (const char* good : {"COMPLETE", "COMPLETED"}) {
    c.sync_status = good;
    EXPECT_TRUE(IsComplete(c)) << good;
  }
  for (const char* bad : {"", "SYNCING", "complete", "FAILED"}) {
    c.sync_status = bad;
    EXPECT_FALSE(IsComplete(c)) << bad;
  }
}

TEST(TrainingBodies, ForeignAnswersMayLackAndAddFieldsButNotWhatIsNeeded) {
  const auto jobs = JobsFromJson(R"({"training_jobs":[{"id":"j","current_status":"X",)"
                                 R"("training_project":{"id":"p","name":"n"}}]})");
  ASSERT_TRUE(jobs);
  EXPECT_EQ(jobs->at(0).project_id, "p");
  EXPECT_TRUE(CheckpointsFromJson(
      R"({"checkpoints":[{"checkpoint_id":"c","base_model":null,"lora_adapter_config":null}]})"));
  for (const char* bad :
       {"", "[]", "{}", R"({"checkpoints":{}})", R"({"checkpoints":[1]})",
        R"({"checkpoints":[{"size_bytes":1}]})", R"({"checkpoints":[{"checkpoint_id":7}]})",
        R"({"checkpoints":[{"checkpoint_id":"c","size_bytes":-1}]})"}) {
    EXPECT_FALSE(CheckpointsFromJson(bad)) << bad;
  }
  for (const char* bad :
       {R"({"presigned_urls":[{"url":"u","size_bytes":1}]})",
        R"({"presigned_urls":[{"url":"u","relative_file_name":"f"}]})",
        R"({"presigned_urls":[],"next_page_token":"x"})", R"({"total_count":1})"}) {
    EXPECT_FALSE(CheckpointFilesFromJson(bad)) << bad;
  }
}

}  // namespace
}  // namespace bdn::api
