#pragma once
// The JSON bodies of a training store: projects, their jobs, the checkpoints of a job and the files
// of those. The same shapes as hosted stores have, so that one reader serves both.
//
// Readers take answers of servers that are not ours: they ignore what they do not know, and refuse
// what they need and cannot use (kInvalidArgument with the place in the document).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bdn::api {

// The namespace of our own training store's objects: pushes upload there.
inline constexpr std::string_view kTrainingNamespace = "training";

inline constexpr std::string_view kSyncing = "SYNCING";
inline constexpr std::string_view kComplete = "COMPLETE";

struct TrainingProjectBody {
  std::string id;
  std::string name;
  std::string created_at;
};

struct TrainingJobBody {
  std::string id;
  std::string project_id;
  std::string project_name;
  std::string created_at;
  std::string checkpoint_sync_status;  // SYNCING while a checkpoint is, else COMPLETED
};

struct CheckpointBody {
  std::string id;    // of the row; loops addresses a checkpoint by it
  std::string name;  // "checkpoint_id" on the wire: the name of the directory
  std::string job_id;
  std::string project_id;
  std::string created_at;
  std::string completed_at;  // empty while it is SYNCING
  std::string type;          // lora, full, whisper
  std::string base_model;
  std::int64_t lora_rank = 0;  // 0: none
  std::uint64_t size_bytes = 0;
  std::uint64_t files = 0;
  std::string sync_status;  // empty: not said
  std::string manifest;     // "b3:…"; only our own store has it
  std::string target;       // loops: "trainer" or "sampler"
};
// Both spellings are in use: COMPLETE of a checkpoint and COMPLETED of a job.
bool IsComplete(const CheckpointBody& checkpoint);

struct CheckpointFileBody {
  std::string url;   // a bearer secret until it expires
  std::string name;  // relative_file_name: "rank-0/checkpoint-100/model.safetensors"
  std::int64_t node_rank = 0;
  std::uint64_t size_bytes = 0;
  std::string last_modified;
};
struct CheckpointFilesBody {
  std::vector<CheckpointFileBody> files;
  std::optional<std::uint64_t> next_page_token;  // an offset
  std::uint64_t total_count = 0;
};

std::string ProjectJson(const TrainingProjectBody& project);  // {"training_project":…}
std::string ProjectsJson(
    const std::vector<TrainingProjectBody>& projects);  // {"training_projects"}
std::string JobJson(const TrainingProjectBody& project, const TrainingJobBody& job);
std::string JobsJson(const TrainingProjectBody& project, const std::vector<TrainingJobBody>& jobs);
std::string JobsJson(const std::vector<TrainingJobBody>& jobs);  // of a search
std::string CheckpointJson(const CheckpointBody& checkpoint);    // {"checkpoint":…}
std::string CheckpointsJson(const TrainingJobBody& job,
                            const std::vector<CheckpointBody>& checkpoints);
std::string LoopsCheckpointsJson(const std::vector<CheckpointBody>& checkpoints);
std::string CheckpointFilesJson(const CheckpointFilesBody& page);

Result<TrainingProjectBody> ProjectFromJson(std::string_view json);
Result<std::vector<TrainingProjectBody>> ProjectsFromJson(std::string_view json);
Result<std::vector<TrainingJobBody>> JobsFromJson(std::string_view json);
Result<CheckpointBody> CheckpointFromJson(std::string_view json);
Result<std::vector<CheckpointBody>> CheckpointsFromJson(std::string_view json);
Result<CheckpointFilesBody> CheckpointFilesFromJson(std::string_view json);

}  // namespace bdn::api
