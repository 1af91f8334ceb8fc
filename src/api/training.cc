#include "api/training.h"

#include <utility>

#include <boost/json.hpp>

#include "codec/json.h"

namespace bdn::api {
namespace {

namespace json = boost::json;
using codec::JsonView;

constexpr std::size_t kTrainingJsonBytesMax = 64u << 20;

// --- writing ---

json::object Write(const TrainingProjectBody& p) {
  return {{"id", p.id}, {"name", p.name}, {"created_at", p.created_at}};
}

json::object Write(const TrainingJobBody& j) {
  return {{"id", j.id},
          {"created_at", j.created_at},
          {"training_project_id", j.project_id},
          {"training_project", json::object{{"id", j.project_id}, {"name", j.project_name}}},
          {"checkpoint_sync_status", j.checkpoint_sync_status}};
}

json::value TextOrNull(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::object Write(const CheckpointBody& c) {
  return {{"id", c.id},
          {"checkpoint_id", c.name},
          {"created_at", c.created_at},
          {"completed_at", TextOrNull(c.completed_at)},
          {"checkpoint_type", c.type},
          {"base_model", TextOrNull(c.base_model)},
          {"lora_adapter_config",
           c.lora_rank > 0 ? json::value(json::object{{"r", c.lora_rank}}) : json::value(nullptr)},
          {"size_bytes", c.size_bytes},
          {"file_count", c.files},
          {"sync_status", c.sync_status},
          {"training_job_id", c.job_id},
          {"training_project_id", c.project_id},
          {"manifest", TextOrNull(c.manifest)}};
}

template <class T>
json::array WriteAll(const std::vector<T>& items) {
  json::array array;
  for (const auto& item : items) array.push_back(Write(item));
  return array;
}

// --- reading ---

Result<json::value> Parse(std::string_view text) {
  return codec::ParseJson(text, {.bytes_max = kTrainingJsonBytesMax, .depth_max = 16});
}

Result<TrainingProjectBody> ReadProject(const JsonView& from) {
  TrainingProjectBody p;
  BDN_ASSIGN(p.id, from.String("id"));
  BDN_ASSIGN(p.name, from.StringOr("name", ""));
  BDN_ASSIGN(p.created_at, from.StringOr("created_at", ""));
  return p;
}

Result<TrainingJobBody> ReadJob(const JsonView& from) {
  TrainingJobBody j;
  BDN_ASSIGN(j.id, from.String("id"));
  BDN_ASSIGN(j.created_at, from.StringOr("created_at", ""));
  BDN_ASSIGN(j.project_id, from.StringOr("training_project_id", ""));
  BDN_ASSIGN(j.checkpoint_sync_status, from.StringOr("checkpoint_sync_status", ""));
  BDN_ASSIGN(const auto project, from.Find("training_project"));
  if (project) {
    if (j.project_id.empty()) {
      BDN_ASSIGN(j.project_id, project->StringOr("id", ""));
    }
    BDN_ASSIGN(j.project_name, project->StringOr("name", ""));
  }
  return j;
}

Result<CheckpointBody> ReadCheckpoint(const JsonView& from) {
  CheckpointBody c;
  BDN_ASSIGN(c.id, from.StringOr("id", ""));
  BDN_ASSIGN(c.name, from.String("checkpoint_id"));
  BDN_ASSIGN(c.created_at, from.StringOr("created_at", ""));
  BDN_ASSIGN(c.completed_at, from.StringOr("completed_at", ""));
  BDN_ASSIGN(c.type, from.StringOr("checkpoint_type", ""));
  BDN_ASSIGN(c.base_model, from.StringOr("base_model", ""));
  BDN_ASSIGN(const auto lora, from.Find("lora_adapter_config"));
  if (lora) {
    BDN_ASSIGN(c.lora_rank, lora->IntOr("r", 0));
  }
  BDN_ASSIGN(c.size_bytes, from.UintOr("size_bytes", 0));
  BDN_ASSIGN(c.files, from.UintOr("file_count", 0));
  BDN_ASSIGN(c.sync_status, from.StringOr("sync_status", ""));
  BDN_ASSIGN(c.job_id, from.StringOr("training_job_id", ""));
  if (c.job_id.empty()) {
    BDN_ASSIGN(c.job_id, from.StringOr("run_id", ""));
  }
  BDN_ASSIGN(c.project_id, from.StringOr("training_project_id", ""));
  BDN_ASSIGN(c.manifest, from.StringOr("manifest", ""));
  BDN_ASSIGN(c.target, from.StringOr("target", ""));
  return c;
}

Result<CheckpointFileBody> ReadFile(const JsonView& from) {
  CheckpointFileBody f;
  BDN_ASSIGN(f.url, from.String("url"));
  BDN_ASSIGN(f.name, from.String("relative_file_name"));
  BDN_ASSIGN(f.node_rank, from.IntOr("node_rank", 0));
  BDN_ASSIGN(f.size_bytes, from.Uint("size_bytes"));
  BDN_ASSIGN(f.last_modified, from.StringOr("last_modified", ""));
  return f;
}

template <class T>
Result<std::vector<T>> ReadList(std::string_view text,
                                std::string_view name,
                                Result<T> (*read)(const JsonView&)) {
  BDN_ASSIGN(const json::value root, Parse(text));
  BDN_ASSIGN(const JsonView list, JsonView(root).Get(name));
  BDN_ASSIGN(const std::vector<JsonView> items, list.Items());
  std::vector<T> out;
  out.reserve(items.size());
  for (const JsonView& item : items) {
    BDN_ASSIGN(T one, read(item));
    out.push_back(std::move(one));
  }
  return out;
}

template <class T>
Result<T> ReadOne(std::string_view text,
                  std::string_view name,
                  Result<T> (*read)(const JsonView&)) {
  BDN_ASSIGN(const json::value root, Parse(text));
  BDN_ASSIGN(const JsonView item, JsonView(root).Get(name));
  return read(item);
}

}  // namespace

bool IsComplete(const CheckpointBody& checkpoint) {
  return checkpoint.sync_status == kComplete || checkpoint.sync_status == "COMPLETED";
}

std::string ProjectJson(const TrainingProjectBody& project) {
  return json::serialize(json::object{{"training_project", Write(project)}});
}

std::string ProjectsJson(const std::vector<TrainingProjectBody>& projects) {
  return json::serialize(json::object{{"training_projects", WriteAll(projects)}});
}

std::string JobJson(const TrainingProjectBody& project, const TrainingJobBody& job) {
  return json::serialize(
      json::object{{"training_project", Write(project)}, {"training_job", Write(job)}});
}

std::string JobsJson(const TrainingProjectBody& project, const std::vector<TrainingJobBody>& jobs) {
  return json::serialize(
      json::object{{"training_project", Write(project)}, {"training_jobs", WriteAll(jobs)}});
}

std::string JobsJson(const std::vector<TrainingJobBody>& jobs) {
  return json::serialize(json::object{{"training_jobs", WriteAll(jobs)}});
}

std::string CheckpointJson(const CheckpointBody& checkpoint) {
  return json::serialize(json::object{{"checkpoint", Write(checkpoint)}});
}

std::string CheckpointsJson(const TrainingJobBody& job,
                            const std::vector<CheckpointBody>& checkpoints) {
  return json::serialize(
      json::object{{"training_job", Write(job)}, {"checkpoints", WriteAll(checkpoints)}});
}

std::string LoopsCheckpointsJson(const std::vector<CheckpointBody>& checkpoints) {
  json::array array;
  for (const auto& checkpoint : checkpoints) {
    json::object one = Write(checkpoint);
    one["run_id"] = checkpoint.job_id;
    one["target"] = checkpoint.target;
    array.push_back(std::move(one));
  }
  return json::serialize(json::object{{"checkpoints", std::move(array)}});
}

std::string CheckpointFilesJson(const CheckpointFilesBody& page) {
  json::array urls;
  for (const auto& f : page.files) {
    urls.push_back(json::object{{"url", f.url},
                                {"relative_file_name", f.name},
                                {"node_rank", f.node_rank},
                                {"size_bytes", f.size_bytes},
                                {"last_modified", f.last_modified}});
  }
  return json::serialize(
      json::object{{"presigned_urls", std::move(urls)},
                   {"next_page_token", page.next_page_token ? json::value(*page.next_page_token)
                                                            : json::value(nullptr)},
                   {"total_count", page.total_count}});
}

Result<TrainingProjectBody> ProjectFromJson(std::string_view text) {
  return ReadOne(text, "training_project", &ReadProject);
}

Result<std::vector<TrainingProjectBody>> ProjectsFromJson(std::string_view text) {
  return ReadList(text, "training_projects", &ReadProject);
}

Result<std::vector<TrainingJobBody>> JobsFromJson(std::string_view text) {
  return ReadList(text, "training_jobs", &ReadJob);
}

Result<CheckpointBody> CheckpointFromJson(std::string_view text) {
  return ReadOne(text, "checkpoint", &ReadCheckpoint);
}

Result<std::vector<CheckpointBody>> CheckpointsFromJson(std::string_view text) {
  return ReadList(text, "checkpoints", &ReadCheckpoint);
}

Result<CheckpointFilesBody> CheckpointFilesFromJson(std::string_view text) {
  BDN_ASSIGN(const json::value root, Parse(text));
  const JsonView view(root);
  CheckpointFilesBody page;
  BDN_ASSIGN(page.files, ReadList(text, "presigned_urls", &ReadFile));
  BDN_ASSIGN(const auto next, view.Find("next_page_token"));
  if (next) {
    BDN_ASSIGN(page.next_page_token, next->AsUint());
  }
  BDN_ASSIGN(page.total_count, view.UintOr("total_count", page.files.size()));
  return page;
}

}  // namespace bdn::api
