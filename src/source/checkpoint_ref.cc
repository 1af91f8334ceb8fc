#include "source/checkpoint_ref.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "cloud/hugging_face_hub.h"

namespace bdn::source {
namespace {

constexpr std::size_t kNamesShownMax = 10;
constexpr std::size_t kJobsAskedMax = 100;  // of a project, for `latest`
constexpr std::string_view kLatest = "latest";

template <class T, class F>
std::string Names(const std::vector<T>& items, F&& name_of) {
  std::string text;
  // The newest are at the end, and the most likely to be meant.
  const std::size_t shown = std::min(items.size(), kNamesShownMax);
  for (std::size_t i = items.size() - shown; i < items.size(); ++i) {
    text += (text.empty() ? "" : ", ") + cloud::Printable(name_of(items[i]), 100);
  }
  if (text.empty()) return "none";
  return items.size() > shown ? "…, " + text : text;
}

// Oldest first; entries of the same age stay in the order of the list, and all of them do when one
// has no age that can be read.
template <class T>
void SortByAge(std::vector<T>& items) {
  std::vector<std::pair<WallTime, std::size_t>> order;
  for (const T& item : items) {
    const auto time = ParseRfc3339(item.created_at);
    if (!time) return;
    order.emplace_back(*time, order.size());
  }
  std::sort(order.begin(), order.end());
  std::vector<T> sorted;
  sorted.reserve(items.size());
  for (const auto& [time, index] : order) sorted.push_back(std::move(items[index]));
  items = std::move(sorted);
}

Error StillSyncing(const std::string& where) {
  return Error(Code::kNotFound,
               fmt::format("{} is still SYNCING: it is uploaded while the training goes on, and "
                           "cannot be mirrored before it is complete",
                           where))
      .WithHint("deploy again once `bdn checkpoint ls` shows it as COMPLETE");
}

std::string ListHint(const std::string& project) {
  const std::string_view quote = project.find(' ') == std::string::npos ? "" : "'";
  return fmt::format("`bdn checkpoint ls --project {0}{1}{0}` shows what it has", quote, project);
}

// The named one, or the newest that is complete; nullopt when the newest is asked for and there is
// none.
Result<std::optional<api::CheckpointBody>> Pick(std::vector<api::CheckpointBody> checkpoints,
                                                const std::string& job,
                                                const std::string& name) {
  SortByAge(checkpoints);
  std::optional<api::CheckpointBody> found;
  bool syncing = false;
  for (auto& checkpoint : checkpoints) {
    if (!name.empty() && checkpoint.name != name) continue;
    if (api::IsComplete(checkpoint)) {
      found = checkpoint;
    } else {
      syncing = true;
    }
  }
  if (found || name.empty()) return found;
  if (syncing) return StillSyncing(fmt::format("checkpoint '{}' of the job '{}'", name, job));
  return Error(Code::kNotFound,
               fmt::format("the job '{}' has no checkpoint '{}'; it has: {}", job, name,
                           Names(checkpoints, [](const auto& c) { return c.name; })));
}

Result<api::CheckpointBody> ResolveLoops(const Context& ctx,
                                         CheckpointCatalogue& catalogue,
                                         const model::SourceUri& uri) {
  const auto slash = uri.path.find('/');
  const std::string_view target = LoopsTarget(std::string_view(uri.path).substr(0, slash));
  const std::string name = uri.path.substr(slash + 1);
  BDN_ASSIGN(const auto checkpoints, catalogue.LoopsCheckpoints(ctx, uri.bucket));
  const auto is_it = [&](const api::CheckpointBody& checkpoint) {
    return checkpoint.name == name && checkpoint.target == target;
  };
  const auto found = std::find_if(checkpoints.begin(), checkpoints.end(), is_it);
  if (found != checkpoints.end()) {
    if (std::count_if(found, checkpoints.end(), is_it) > 1) {
      return Error(Code::kInvalidArgument,
                   fmt::format("more than one loops run '{}' has a {} checkpoint '{}'", uri.bucket,
                               target, name))
          .WithHint("name it by its project: bt://project@run/weights/name");
    }
    if (!found->sync_status.empty() && !api::IsComplete(*found)) {
      return StillSyncing(fmt::format("checkpoint '{}' of the loops run '{}'", name, uri.bucket));
    }
    api::CheckpointBody taken = *found;
    if (taken.job_id.empty()) taken.job_id = uri.bucket;
    return taken;
  }
  return Error(
      Code::kNotFound,
      fmt::format("the loops run '{}' has no {} checkpoint '{}'; it has: {}", uri.bucket, target,
                  name, Names(checkpoints, [](const auto& c) { return QualifiedName(c); })));
}

Result<api::TrainingProjectBody> FindProject(const Context& ctx,
                                             CheckpointCatalogue& catalogue,
                                             const std::string& name) {
  BDN_ASSIGN(const auto projects, catalogue.Projects(ctx));
  for (const auto& project : projects) {
    if (project.name == name) return project;
  }
  for (const auto& project : projects) {
    if (project.id == name) return project;
  }
  return Error(Code::kNotFound, fmt::format("there is no training project '{}'; there is: {}", name,
                                            Names(projects, [](const auto& p) { return p.name; })));
}

}  // namespace

std::string_view LoopsTarget(std::string_view kind) {
  return kind == "sampler_weights" ? "sampler" : "trainer";
}

std::string QualifiedName(const api::CheckpointBody& checkpoint) {
  if (checkpoint.target.empty()) return checkpoint.name;
  return (checkpoint.target == "sampler" ? "sampler_weights/" : "weights/") + checkpoint.name;
}

Result<api::CheckpointBody> ResolveCheckpoint(const Context& ctx,
                                              CheckpointCatalogue& catalogue,
                                              const model::SourceUri& uri) {
  if (uri.loops) return ResolveLoops(ctx, catalogue, uri);
  BDN_ASSIGN(const auto project, FindProject(ctx, catalogue, uri.bucket));
  BDN_ASSIGN(auto jobs, catalogue.Jobs(ctx, project.id));
  const auto in_job = [&](const api::TrainingJobBody& job,
                          const std::string& name) -> Result<std::optional<api::CheckpointBody>> {
    BDN_ASSIGN(auto checkpoints, catalogue.Checkpoints(ctx, project.id, job.id));
    BDN_ASSIGN(auto picked, Pick(std::move(checkpoints), job.id, name));
    if (picked) {
      picked->project_id = project.id;
      picked->job_id = job.id;
    }
    return picked;
  };
  if (uri.revision != kLatest) {
    const auto job =
        std::find_if(jobs.begin(), jobs.end(), [&](const auto& j) { return j.id == uri.revision; });
    if (job == jobs.end()) {
      return Error(Code::kNotFound,
                   fmt::format("the training project '{}' has no job '{}'; it has: {}", uri.bucket,
                               uri.revision, Names(jobs, [](const auto& j) { return j.id; })));
    }
    BDN_ASSIGN(auto picked, in_job(*job, uri.path));
    if (picked) return *std::move(picked);
    return Error(Code::kNotFound,
                 fmt::format("the job '{}' of the training project '{}' has no complete "
                             "checkpoint yet",
                             uri.revision, uri.bucket))
        .WithHint(ListHint(uri.bucket));
  }
  SortByAge(jobs);
  std::size_t asked = 0;
  for (auto job = jobs.rbegin(); job != jobs.rend() && asked < kJobsAskedMax; ++job, ++asked) {
    BDN_ASSIGN(auto newest, in_job(*job, ""));
    if (!newest) continue;  // it has just begun: the one before still is the latest
    if (uri.path.empty()) return *std::move(newest);
    BDN_ASSIGN(auto picked, in_job(*job, uri.path));
    return *std::move(picked);
  }
  return Error(Code::kNotFound, fmt::format("no job of the training project '{}' has a complete "
                                            "checkpoint yet",
                                            uri.bucket))
      .WithHint(ListHint(uri.bucket));
}

}  // namespace bdn::source
