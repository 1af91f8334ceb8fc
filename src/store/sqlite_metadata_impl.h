#pragma once
// The class behind OpenSqliteMetadata, split over four .cc files: jobs (deployments and mirrors),
// files (known files, partial chunks, roots), names (volumes, secrets, keys, settings) and
// training.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/metadata.h"
#include "store/sqlite.h"

namespace bdn::store {

class SqliteMetadata final : public Metadata {
 public:
  SqliteMetadata(std::unique_ptr<Db> writer, std::vector<std::unique_ptr<Db>> readers);

  Result<Deployment> CreateDeployment(Deployment deployment, std::vector<Mirror> mirrors) override;
  Result<Deployment> GetDeployment(const std::string& id) override;
  Result<std::vector<Deployment>> ListDeployments(const std::string& org,
                                                  std::size_t limit,
                                                  const std::string& before_id) override;
  Status SetDeploymentActive(const std::string& id, bool active) override;
  Status DeleteDeployment(const std::string& id) override;

  Result<Mirror> GetMirror(const std::string& id) override;
  Result<std::optional<Mirror>> ClaimMirror(const std::string& owner,
                                            WallTime now,
                                            Duration lease) override;
  Status UpdateMirror(const std::string& id,
                      const std::string& owner,
                      const Progress& progress,
                      WallTime now,
                      Duration lease) override;
  Status SetMirrorPin(const std::string& id,
                      const std::string& owner,
                      const std::string& pin,
                      const std::string& pin_type,
                      const std::vector<std::string>& warnings) override;
  Status FinishMirror(const std::string& id,
                      const std::string& owner,
                      const crypto::Digest& manifest,
                      const Progress& progress,
                      WallTime now) override;
  Status FailMirror(const std::string& id,
                    const std::string& owner,
                    const MirrorError& error,
                    bool retry,
                    WallTime not_before,
                    WallTime now) override;
  Result<std::optional<Mirror>> FindDoneMirror(const Scope& scope,
                                               const std::string& key,
                                               const std::string& pin) override;
  Result<std::vector<Mirror>> ListOpenMirrors() override;

  Result<std::optional<KnownFile>> FindKnownFile(const Scope& scope,
                                                 const KnownFile& like) override;
  Result<std::optional<KnownFile>> FindFileByHash(const Scope& scope,
                                                  const std::string& content_hash,
                                                  std::uint64_t size) override;
  Status PutKnownFiles(const Scope& scope, const std::vector<KnownFile>& files) override;
  Result<std::uint64_t> ForgetKnownFiles(
      const std::function<bool(const Scope&, const crypto::Digest&)>& is_gone) override;

  Status PutPartialChunk(const Scope& scope,
                         const std::string& file_key,
                         std::uint64_t offset,
                         std::uint64_t length,
                         const crypto::Digest& digest,
                         WallTime now) override;
  Result<std::vector<PartialChunk>> GetPartialChunks(const Scope& scope,
                                                     const std::string& file_key) override;
  Status DropPartialChunks(const Scope& scope, const std::string& file_key) override;
  Result<std::uint64_t> ExpirePartialChunks(WallTime before) override;

  Result<VolumeVersion> AppendVersion(const Scope& scope,
                                      const std::string& volume,
                                      const crypto::Digest& manifest,
                                      const std::string& tag,
                                      WallTime now) override;
  Result<std::vector<std::string>> ListVolumes(const Scope& scope) override;
  Result<std::vector<std::string>> ListNamespaces(const std::string& org) override;
  Result<std::vector<VolumeVersion>> ListVersions(const Scope& scope,
                                                  const std::string& volume) override;
  Result<std::vector<Tag>> ListTags(const Scope& scope, const std::string& volume) override;
  Status SetTag(const Scope& scope,
                const std::string& volume,
                const std::string& tag,
                const crypto::Digest& manifest,
                WallTime now) override;
  Status DeleteTag(const Scope& scope, const std::string& volume, const std::string& tag) override;

  Result<TrainingProject> EnsureTrainingProject(const TrainingProject& project) override;
  Result<std::vector<TrainingProject>> ListTrainingProjects(const std::string& org) override;
  Result<TrainingJob> EnsureTrainingJob(const TrainingJob& job) override;
  Result<std::vector<TrainingJob>> ListTrainingJobs(const std::string& project_id) override;
  Result<Checkpoint> BeginCheckpoint(const Checkpoint& checkpoint) override;
  Result<Checkpoint> CompleteCheckpoint(const Checkpoint& checkpoint) override;
  Result<std::vector<Checkpoint>> ListCheckpoints(const std::string& project_id,
                                                  const std::string& job_id) override;
  Result<std::vector<Checkpoint>> ListOpenCheckpoints() override;
  Status DeleteCheckpoint(const std::string& project_id,
                          const std::string& job_id,
                          const std::string& name) override;

  Status PutSecret(const std::string& org, const SealedSecret& secret) override;
  Result<SealedSecret> GetSecret(const std::string& org, const std::string& key) override;
  Result<std::vector<SealedSecret>> ListSecrets(const std::string& org) override;
  Status DeleteSecret(const std::string& org, const std::string& key) override;
  Status PutApiKey(const ApiKey& key) override;
  Result<std::vector<ApiKey>> ListApiKeys() override;
  Result<ApiKey> FindApiKey(const std::string& hash_hex) override;
  Status RevokeApiKey(const std::string& id) override;
  Result<std::optional<std::string>> GetSetting(const std::string& name) override;
  Status PutSetting(const std::string& name, const std::string& value) override;
  Result<std::vector<SigningKey>> ListSigningKeys() override;
  Status ReplaceSigningKeys(const std::vector<SigningKey>& expected,
                            const std::vector<SigningKey>& keys) override;

  Status ListRoots(const std::function<Status(const Root&)>& visit) override;

 private:
  using Work = std::function<Status(Db&)>;
  // One durable transaction.
  Status Write(const Work& work);
  // One snapshot.
  Status Read(const Work& work);

  DbPool writer_;   // one connection
  DbPool readers_;  // none in memory, where a second connection would be a second database
  const bool shares_connection_;
};

}  // namespace bdn::store
