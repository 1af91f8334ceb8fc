#include "control/training.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "mirror/holding.h"
#include "mirror/spec.h"
#include "model/manifest.h"
#include "source/checkpoint_ref.h"
#include "store/ids.h"

namespace bdn::control {
namespace {

constexpr std::size_t kNameBytesMax = 200;
constexpr std::array<std::string_view, 2> kLoopsKinds = {"weights", "sampler_weights"};

bool IsNameChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), IsNameChar);
}

// The names are those that a bt:// URI can say.
Status CheckProjectName(const std::string& name) {
  const bool plain =
      std::all_of(name.begin(), name.end(), [](char c) { return IsNameChar(c) || c == ' '; });
  if (plain && !name.empty() && name.size() <= kNameBytesMax) return {};
  return Error(Code::kInvalidArgument,
               fmt::format("'{:.300}' is no name of a training project: use letters, digits, "
                           "blanks, '.', '_' and '-', at most {} bytes",
                           name, kNameBytesMax));
}

Status CheckJobId(const std::string& id) {
  if (IsName(id) && id != "latest") return {};
  return Error(Code::kInvalidArgument,
               fmt::format("'{:.300}' is no id of a job: use letters, digits, '.', '_' and '-', at "
                           "most {} bytes, not 'latest'",
                           id, kNameBytesMax));
}

Status CheckCheckpointName(const std::string& name) {
  bool good = !name.empty() && name.size() <= kNameBytesMax;
  for (std::size_t at = 0; good && at <= name.size();) {
    const std::size_t end = std::min(name.find('/', at), name.size());
    good = IsName(std::string_view(name).substr(at, end - at));
    at = end + 1;
  }
  if (good) return {};
  return Error(Code::kInvalidArgument,
               fmt::format("'{:.300}' is no name of a checkpoint: use letters, digits, '.', '_', "
                           "'-' and '/' between them, at most {} bytes",
                           name, kNameBytesMax));
}

Status CheckStart(const CheckpointStart& start) {
  BDN_TRY(CheckCheckpointName(start.name));
  if (start.type != "lora" && start.type != "full" && start.type != "whisper") {
    return Error(Code::kInvalidArgument,
                 fmt::format("'{:.40}' is no type of a checkpoint: it is lora, full or whisper",
                             start.type));
  }
  if (start.base_model.size() > 500 || start.lora_rank < 0 || start.lora_rank > 65536) {
    return Error(Code::kInvalidArgument, "base_model or the rank of the adapter is out of range");
  }
  return {};
}

// "sampler_weights/step-1" is the sampler checkpoint step-1 of a loops run; other names have no
// kind.
struct LoopsParts {
  std::string kind;
  std::string name;
};
LoopsParts LoopsName(const std::string& name) {
  for (const std::string_view kind : kLoopsKinds) {
    if (name.size() > kind.size() + 1 && name.starts_with(kind) && name[kind.size()] == '/') {
      return {std::string(kind), name.substr(kind.size() + 1)};
    }
  }
  return {"", name};
}

api::TrainingProjectBody ToBody(const store::TrainingProject& project) {
  return {project.id, project.name, FormatRfc3339(project.created_at)};
}

api::CheckpointBody ToBody(const store::Checkpoint& c) {
  api::CheckpointBody body;
  body.id = c.id;
  body.name = c.name;
  body.job_id = c.job_id;
  body.project_id = c.project_id;
  body.created_at = FormatRfc3339(c.created_at);
  if (c.manifest) body.completed_at = FormatRfc3339(c.completed_at);
  body.type = c.type;
  body.base_model = c.base_model;
  body.lora_rank = c.lora_rank;
  body.size_bytes = c.size_bytes;
  body.files = c.files;
  body.sync_status = c.manifest ? api::kComplete : api::kSyncing;
  if (c.manifest) body.manifest = c.manifest->ToString();
  return body;
}

}  // namespace

// The lists of this store, for source::ResolveCheckpoint.
class TrainingStore::Catalogue final : public source::CheckpointCatalogue {
 public:
  explicit Catalogue(TrainingStore& store) : store_(store) {}
  Result<std::vector<api::TrainingProjectBody>> Projects(const Context& /*ctx*/) override {
    return store_.ListProjects();
  }
  Result<std::vector<api::TrainingJobBody>> Jobs(const Context& /*ctx*/,
                                                 const std::string& project) override {
    return store_.ListJobs(project);
  }
  Result<std::vector<api::CheckpointBody>> Checkpoints(const Context& /*ctx*/,
                                                       const std::string& project,
                                                       const std::string& job) override {
    return store_.ListCheckpoints(project, job);
  }
  Result<std::vector<api::CheckpointBody>> LoopsCheckpoints(const Context& /*ctx*/,
                                                            const std::string& run) override {
    return store_.LoopsCheckpoints(run);
  }

 private:
  TrainingStore& store_;
};

TrainingStore::TrainingStore(store::Metadata& metadata,
                             store::ObjectStore& objects,
                             const Clock& clock,
                             store::Scope scope)
    : metadata_(metadata), objects_(objects), clock_(clock), scope_(std::move(scope)) {}

// ---- projects and jobs --------------------------------------------------------------------------

Result<store::TrainingProject> TrainingStore::Project(const std::string& project) {
  BDN_ASSIGN(const auto rows, metadata_.ListTrainingProjects(scope_.org));
  for (const auto& row : rows) {
    if (row.name == project) return row;
  }
  for (const auto& row : rows) {
    if (row.id == project) return row;
  }
  return Error(Code::kNotFound, fmt::format("there is no training project '{:.300}'", project))
      .WithHint("`bdn checkpoint ls` lists projects with their checkpoints");
}

Result<api::TrainingProjectBody> TrainingStore::EnsureProject(const std::string& name) {
  BDN_TRY(CheckProjectName(name));
  const WallTime now = clock_.Now();
  BDN_ASSIGN(const auto row,
             metadata_.EnsureTrainingProject({store::NewId("prj", now), scope_.org, name, now}));
  return ToBody(row);
}

Result<std::vector<api::TrainingProjectBody>> TrainingStore::ListProjects() {
  BDN_ASSIGN(const auto rows, metadata_.ListTrainingProjects(scope_.org));
  std::vector<api::TrainingProjectBody> bodies;
  for (const auto& row : rows) bodies.push_back(ToBody(row));
  return bodies;
}

Result<api::TrainingProjectBody> TrainingStore::GetProject(const std::string& project) {
  BDN_ASSIGN(const auto row, Project(project));
  return ToBody(row);
}

Result<api::TrainingJobBody> TrainingStore::EnsureJob(const std::string& project,
                                                      const std::string& job) {
  BDN_ASSIGN(const auto row, Project(project));
  const WallTime now = clock_.Now();
  const std::string id = job.empty() ? store::NewId("job", now) : job;
  BDN_TRY(CheckJobId(id));
  BDN_TRY(metadata_.EnsureTrainingJob({row.id, id, now}));
  return GetJob(row.id, id);
}

Result<api::TrainingJobBody> TrainingStore::Describe(const store::TrainingProject& project,
                                                     const store::TrainingJob& job) {
  BDN_ASSIGN(const auto checkpoints, metadata_.ListCheckpoints(project.id, job.id));
  const bool syncing = std::any_of(checkpoints.begin(), checkpoints.end(),
                                   [](const auto& c) { return !c.manifest; });
  return api::TrainingJobBody{job.id, project.id, project.name, FormatRfc3339(job.created_at),
                              syncing ? std::string(api::kSyncing) : "COMPLETED"};
}

Result<std::vector<api::TrainingJobBody>> TrainingStore::ListJobs(const std::string& project) {
  BDN_ASSIGN(const auto owner, Project(project));
  BDN_ASSIGN(const auto rows, metadata_.ListTrainingJobs(owner.id));
  std::vector<api::TrainingJobBody> bodies;
  for (const auto& row : rows) {
    BDN_ASSIGN(auto body, Describe(owner, row));
    bodies.push_back(std::move(body));
  }
  return bodies;
}

Result<api::TrainingJobBody> TrainingStore::GetJob(const std::string& project,
                                                   const std::string& job) {
  BDN_ASSIGN(const auto owner, Project(project));
  BDN_ASSIGN(const auto rows, metadata_.ListTrainingJobs(owner.id));
  for (const auto& row : rows) {
    if (row.id == job) return Describe(owner, row);
  }
  return Error(Code::kNotFound,
               fmt::format("the training project '{:.300}' has no job '{:.300}'", project, job));
}

Result<std::vector<api::TrainingJobBody>> TrainingStore::SearchJobs(const std::string& job) {
  BDN_ASSIGN(const auto projects, metadata_.ListTrainingProjects(scope_.org));
  std::vector<api::TrainingJobBody> found;
  for (const auto& project : projects) {
    BDN_ASSIGN(const auto rows, metadata_.ListTrainingJobs(project.id));
    for (const auto& row : rows) {
      if (!job.empty() && row.id != job) continue;
      BDN_ASSIGN(auto body, Describe(project, row));
      found.push_back(std::move(body));
    }
  }
  return found;
}

// ---- checkpoints --------------------------------------------------------------------------------

Result<api::CheckpointBody> TrainingStore::Begin(const std::string& project,
                                                 const std::string& job,
                                                 const CheckpointStart& start) {
  BDN_TRY(CheckStart(start));
  BDN_ASSIGN(const auto owner, Project(project));
  store::Checkpoint row;
  row.created_at = clock_.Now();
  row.id = store::NewId("ckpt", row.created_at);
  row.scope = scope_;
  row.project_id = owner.id;
  row.job_id = job;
  row.name = start.name;
  row.type = start.type;
  row.base_model = start.base_model;
  row.lora_rank = start.lora_rank;
  BDN_ASSIGN(const auto stored, metadata_.BeginCheckpoint(row));
  return ToBody(stored);
}

Result<api::CheckpointBody> TrainingStore::Complete(const Context& ctx,
                                                    const std::string& project,
                                                    const std::string& job,
                                                    const std::string& name,
                                                    const std::string& manifest) {
  BDN_ASSIGN(const auto owner, Project(project));
  store::Checkpoint row;
  row.project_id = owner.id;
  row.job_id = job;
  row.name = name;
  BDN_ASSIGN(row.manifest, crypto::ParseDigest(manifest));
  // Looking renews the age of every object, so that no collection takes one before the row is
  // there.
  BDN_ASSIGN(const auto held, mirror::HoldManifest(ctx, objects_, scope_, *row.manifest));
  if (!held) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("{}, or something that it names, is not stored", manifest))
        .WithHint("push the checkpoint again: only what is missing is uploaded");
  }
  for (const auto& entry : held->entries) {
    if (entry.type == model::EntryType::kFile) row.files += 1;
  }
  if (row.files == 0) return Error(Code::kInvalidArgument, "a checkpoint needs at least one file");
  row.size_bytes = held->total_size;
  row.completed_at = clock_.Now();
  auto stored = metadata_.CompleteCheckpoint(row);
  if (stored) return ToBody(*stored);
  Error error = std::move(stored).error();
  if (error.code() != Code::kAlreadyExists) return error;
  return std::move(error).WithHint("push it under another name, or `bdn checkpoint rm` it first");
}

Result<std::vector<api::CheckpointBody>> TrainingStore::ListCheckpoints(const std::string& project,
                                                                        const std::string& job) {
  BDN_ASSIGN(const auto owner, GetJob(project, job));
  BDN_ASSIGN(const auto rows, metadata_.ListCheckpoints(owner.project_id, job));
  std::vector<api::CheckpointBody> bodies;
  for (const auto& row : rows) bodies.push_back(ToBody(row));
  return bodies;
}

Result<api::CheckpointBody> TrainingStore::GetCheckpoint(const std::string& project,
                                                         const std::string& job,
                                                         const std::string& name) {
  BDN_ASSIGN(const auto checkpoints, ListCheckpoints(project, job));
  for (const auto& one : checkpoints) {
    if (one.name == name) return one;
  }
  return Error(Code::kNotFound,
               fmt::format("the job '{:.300}' has no checkpoint '{:.300}'", job, name));
}

Status TrainingStore::Delete(const std::string& project,
                             const std::string& job,
                             const std::string& name) {
  BDN_ASSIGN(const auto owner, Project(project));
  return metadata_.DeleteCheckpoint(owner.id, job, name);
}

Result<std::vector<api::CheckpointBody>> TrainingStore::LoopsCheckpoints(const std::string& run) {
  BDN_ASSIGN(const auto jobs, SearchJobs(run));
  std::vector<api::CheckpointBody> found;
  for (const auto& job : jobs) {
    BDN_ASSIGN(const auto rows, metadata_.ListCheckpoints(job.project_id, job.id));
    for (const auto& row : rows) {
      const LoopsParts parts = LoopsName(row.name);
      if (parts.kind.empty()) continue;
      api::CheckpointBody body = ToBody(row);
      body.name = parts.name;
      body.target = source::LoopsTarget(parts.kind);
      found.push_back(std::move(body));
    }
  }
  return found;
}

// ---- files --------------------------------------------------------------------------------------

Result<CheckpointFilesPage> TrainingStore::PageOf(const Context& ctx,
                                                  const std::vector<store::Checkpoint>& checkpoints,
                                                  std::uint64_t offset,
                                                  std::uint64_t count) {
  CheckpointFilesPage page{.scope = scope_, .files = {}, .total = 0};
  for (const auto& checkpoint : checkpoints) {
    if (!checkpoint.manifest) continue;
    // The row says how many there are, so that a page reads the manifests that it shows only.
    const std::uint64_t first = page.total;
    page.total += checkpoint.files;
    if (page.total <= offset || page.files.size() >= count) continue;
    BDN_ASSIGN(const std::string text,
               store::GetAll(ctx, objects_, scope_, store::ObjectKind::kManifest,
                             *checkpoint.manifest, model::kManifestBytesMax));
    BDN_ASSIGN(const model::Manifest manifest, model::ParseManifest(text));
    std::uint64_t at = first;
    for (const auto& entry : manifest.entries) {
      if (entry.type != model::EntryType::kFile) continue;
      if (at++ < offset) continue;
      if (page.files.size() >= count) break;
      page.files.push_back({fmt::format("rank-0/{}/{}", checkpoint.name, entry.path), entry.size,
                            entry.chunked, entry.digest, checkpoint.completed_at});
    }
  }
  return page;
}

Result<CheckpointFilesPage> TrainingStore::Files(const Context& ctx,
                                                 const std::string& project,
                                                 const std::string& job,
                                                 const std::string& name,
                                                 std::uint64_t offset,
                                                 std::uint64_t count) {
  BDN_ASSIGN(const auto owner, GetJob(project, job));
  BDN_ASSIGN(auto rows, metadata_.ListCheckpoints(owner.project_id, job));
  if (!name.empty()) std::erase_if(rows, [&](const auto& row) { return row.name != name; });
  return PageOf(ctx, rows, offset, count);
}

Result<CheckpointFilesPage> TrainingStore::FilesById(const Context& ctx,
                                                     const std::string& id,
                                                     std::uint64_t offset,
                                                     std::uint64_t count) {
  BDN_ASSIGN(const auto jobs, SearchJobs(""));
  for (const auto& job : jobs) {
    BDN_ASSIGN(const auto rows, metadata_.ListCheckpoints(job.project_id, job.id));
    for (store::Checkpoint row : rows) {
      if (row.id != id) continue;
      row.name = LoopsName(row.name).name;
      return PageOf(ctx, {row}, offset, count);
    }
  }
  return Error(Code::kNotFound, fmt::format("there is no checkpoint of the id '{:.100}'", id));
}

// ---- mirrors ------------------------------------------------------------------------------------

Result<std::optional<mirror::StoredTree>> TrainingStore::FindTree(const Context& ctx,
                                                                  const store::Mirror& mirror) {
  if (mirror.scope != scope_) return std::optional<mirror::StoredTree>();
  BDN_ASSIGN(const model::WeightsSource weights, mirror::SpecFromJson(mirror.spec));
  if (weights.uri.scheme != model::Scheme::kBt) return std::optional<mirror::StoredTree>();
  Catalogue catalogue(*this);
  BDN_ASSIGN(const auto found, source::ResolveCheckpoint(ctx, catalogue, weights.uri));
  mirror::StoredTree tree;
  BDN_ASSIGN(tree.manifest, crypto::ParseDigest(found.manifest));
  const std::string name = source::QualifiedName(found);
  tree.pin.fingerprint = fmt::format("{}/{}@{}", found.job_id, name, found.manifest);
  tree.pin.fingerprint_type = "checkpoint";
  tree.pin.identity = fmt::format("bt://{}@{}/{}", found.project_id, found.job_id, name);
  return std::optional(std::move(tree));
}

}  // namespace bdn::control
