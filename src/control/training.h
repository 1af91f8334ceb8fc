#pragma once
// The training store: what a training pushes and a deployment of bt:// takes, without HTTP
// (docs/sources/bt.md).
//
// The files of a checkpoint are objects of this origin, in a namespace of their own, under a
// manifest. A checkpoint is SYNCING while its objects are uploaded and has its manifest in one
// transaction; nothing of it is visible to a deployment before that, and nothing changes after.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/training.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/result.h"
#include "mirror/mirror.h"
#include "store/metadata.h"
#include "store/object_store.h"

namespace bdn::control {

// One file of a checkpoint, as its manifest has it.
struct CheckpointFile {
  std::string name;  // "rank-0/<checkpoint>/<path>"
  std::uint64_t size = 0;
  bool chunked = false;
  std::optional<crypto::Digest> digest;
  WallTime modified;  // when the checkpoint was completed
};
struct CheckpointFilesPage {
  store::Scope scope;
  std::vector<CheckpointFile> files;
  std::uint64_t total = 0;
};

// What a push says about a checkpoint before its files come.
struct CheckpointStart {
  std::string name;
  std::string type = "full";  // or lora, whisper
  std::string base_model;
  std::int64_t lora_rank = 0;
};

// Projects are named by name or id. Thread-safe.
class TrainingStore {
 public:
  // `scope`: where the objects of checkpoints are. All is borrowed.
  TrainingStore(store::Metadata& metadata,
                store::ObjectStore& objects,
                const Clock& clock,
                store::Scope scope);

  Result<api::TrainingProjectBody> EnsureProject(const std::string& name);
  Result<std::vector<api::TrainingProjectBody>> ListProjects();
  Result<api::TrainingProjectBody> GetProject(const std::string& project);
  // An empty id is chosen here.
  Result<api::TrainingJobBody> EnsureJob(const std::string& project, const std::string& job);
  Result<std::vector<api::TrainingJobBody>> ListJobs(const std::string& project);
  Result<api::TrainingJobBody> GetJob(const std::string& project, const std::string& job);
  // Jobs of that id in every project.
  Result<std::vector<api::TrainingJobBody>> SearchJobs(const std::string& job);

  // Makes the checkpoint, SYNCING; the one that is there when it was begun before.
  Result<api::CheckpointBody> Begin(const std::string& project,
                                    const std::string& job,
                                    const CheckpointStart& start);
  // Completes it, after checking that the manifest and everything below it is stored.
  // kFailedPrecondition: upload what is missing. kAlreadyExists: complete with other content.
  Result<api::CheckpointBody> Complete(const Context& ctx,
                                       const std::string& project,
                                       const std::string& job,
                                       const std::string& name,
                                       const std::string& manifest);
  Result<std::vector<api::CheckpointBody>> ListCheckpoints(const std::string& project,
                                                           const std::string& job);
  Result<api::CheckpointBody> GetCheckpoint(const std::string& project,
                                            const std::string& job,
                                            const std::string& name);
  // Deployments keep what they use of it; garbage collection takes the rest.
  Status Delete(const std::string& project, const std::string& job, const std::string& name);
  // Checkpoints of a loops run: those of the jobs of that id whose names begin with "weights/" or
  // "sampler_weights/".
  Result<std::vector<api::CheckpointBody>> LoopsCheckpoints(const std::string& run);

  // Regular files [offset, offset + count) of the complete checkpoints of a job, or of the one that
  // is named, oldest checkpoint first and in the order of its manifest.
  Result<CheckpointFilesPage> Files(const Context& ctx,
                                    const std::string& project,
                                    const std::string& job,
                                    const std::string& name,
                                    std::uint64_t offset,
                                    std::uint64_t count);
  // The same of one checkpoint by its id; one of a loops run goes by its name there.
  Result<CheckpointFilesPage> FilesById(const Context& ctx,
                                        const std::string& id,
                                        std::uint64_t offset,
                                        std::uint64_t count);

  // What a mirror of bt:// in this store's scope takes; nullopt for every other mirror. The pin is
  // job, checkpoint and manifest, so that `latest` of today stays what it is.
  Result<std::optional<mirror::StoredTree>> FindTree(const Context& ctx,
                                                     const store::Mirror& mirror);

 private:
  class Catalogue;
  Result<store::TrainingProject> Project(const std::string& project);
  Result<api::TrainingJobBody> Describe(const store::TrainingProject& project,
                                        const store::TrainingJob& job);
  Result<CheckpointFilesPage> PageOf(const Context& ctx,
                                     const std::vector<store::Checkpoint>& checkpoints,
                                     std::uint64_t offset,
                                     std::uint64_t count);

  store::Metadata& metadata_;
  store::ObjectStore& objects_;
  const Clock& clock_;
  const store::Scope scope_;
};

}  // namespace bdn::control
