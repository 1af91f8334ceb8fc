#pragma once
// A Metadata that counts every call and fails the n-th one, before the inner one sees it. Borrows
// the inner one. Thread-safe when it is.
#include <atomic>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "store/metadata.h"

namespace bdn::store::testing {

class FaultyMetadata final : public Metadata {
 public:
  explicit FaultyMetadata(Metadata& inner) : inner_(inner) {}

  // The n-th call from now on fails (0: the next), and every later one when `all_later`.
  void FailAt(std::uint64_t n, bool all_later = false, Code code = Code::kUnavailable) {
    code_ = code;
    all_later_ = all_later;
    failures_ = 0;
    fail_at_ = calls_ + n;
  }
  void Heal() { fail_at_ = std::numeric_limits<std::uint64_t>::max(); }
  std::uint64_t failures() const { return failures_; }  // since FailAt
  std::uint64_t calls() const { return calls_; }

  Result<Deployment> CreateDeployment(Deployment d, std::vector<Mirror> m) override {
    BDN_TRY(Count());
    return inner_.CreateDeployment(std::move(d), std::move(m));
  }
  Result<Deployment> GetDeployment(const std::string& id) override {
    BDN_TRY(Count());
    return inner_.GetDeployment(id);
  }
  Result<std::vector<Deployment>> ListDeployments(const std::string& org,
                                                  std::size_t limit,
                                                  const std::string& before_id) override {
    BDN_TRY(Count());
    return inner_.ListDeployments(org, limit, before_id);
  }
  Status SetDeploymentActive(const std::string& id, bool active) override {
    BDN_TRY(Count());
    return inner_.SetDeploymentActive(id, active);
  }
  Status DeleteDeployment(const std::string& id) override {
    BDN_TRY(Count());
    return inner_.DeleteDeployment(id);
  }
  Result<Mirror> GetMirror(const std::string& id) override {
    BDN_TRY(Count());
    return inner_.GetMirror(id);
  }
  Result<std::optional<Mirror>> ClaimMirror(const std::string& owner,
                                            WallTime now,
                                            Duration lease) override {
    BDN_TRY(Count());
    return inner_.ClaimMirror(owner, now, lease);
  }
  Status UpdateMirror(const std::string& id,
                      const std::string& owner,
                      const Progress& progress,
                      WallTime now,
                      Duration lease) override {
    BDN_TRY(Count());
    return inner_.UpdateMirror(id, owner, progress, now, lease);
  }
  Status SetMirrorPin(const std::string& id,
                      const std::string& owner,
                      const std::string& pin,
                      const std::string& pin_type,
                      const std::vector<std::string>& warnings) override {
    BDN_TRY(Count());
    return inner_.SetMirrorPin(id, owner, pin, pin_type, warnings);
  }
  Status FinishMirror(const std::string& id,
                      const std::string& owner,
                      const crypto::Digest& manifest,
                      const Progress& progress,
                      WallTime now) override {
    BDN_TRY(Count());
    return inner_.FinishMirror(id, owner, manifest, progress, now);
  }
  Status FailMirror(const std::string& id,
                    const std::string& owner,
                    const MirrorError& error,
                    bool retry,
                    WallTime not_before,
                    WallTime now) override {
    BDN_TRY(Count());
    return inner_.FailMirror(id, owner, error, retry, not_before, now);
  }
  Result<std::optional<Mirror>> FindDoneMirror(const Scope& scope,
                                               const std::string& key,
                                               const std::string& pin) override {
    BDN_TRY(Count());
    return inner_.FindDoneMirror(scope, key, pin);
  }
  Result<std::vector<Mirror>> ListOpenMirrors() override {
    BDN_TRY(Count());
    return inner_.ListOpenMirrors();
  }
  Result<std::optional<KnownFile>> FindKnownFile(const Scope& scope,
                                                 const KnownFile& like) override {
    BDN_TRY(Count());
    return inner_.FindKnownFile(scope, like);
  }
  Result<std::optional<KnownFile>> FindFileByHash(const Scope& scope,
                                                  const std::string& content_hash,
                                                  std::uint64_t size) override {
    BDN_TRY(Count());
    return inner_.FindFileByHash(scope, content_hash, size);
  }
  Status PutKnownFiles(const Scope& scope, const std::vector<KnownFile>& files) override {
    BDN_TRY(Count());
    return inner_.PutKnownFiles(scope, files);
  }
  Result<std::uint64_t> ForgetKnownFiles(
      const std::function<bool(const Scope&, const crypto::Digest&)>& is_gone) override {
    BDN_TRY(Count());
    return inner_.ForgetKnownFiles(is_gone);
  }
  Status PutPartialChunk(const Scope& scope,
                         const std::string& file_key,
                         std::uint64_t offset,
                         std::uint64_t length,
                         const crypto::Digest& digest,
                         WallTime now) override {
    BDN_TRY(Count());
    return inner_.PutPartialChunk(scope, file_key, offset, length, digest, now);
  }
  Result<std::vector<PartialChunk>> GetPartialChunks(const Scope& scope,
                                                     const std::string& file_key) override {
    BDN_TRY(Count());
    return inner_.GetPartialChunks(scope, file_key);
  }
  Status DropPartialChunks(const Scope& scope, const std::string& file_key) override {
    BDN_TRY(Count());
    return inner_.DropPartialChunks(scope, file_key);
  }
  Result<std::uint64_t> ExpirePartialChunks(WallTime before) override {
    BDN_TRY(Count());
    return inner_.ExpirePartialChunks(before);
  }
  Result<VolumeVersion> AppendVersion(const Scope& scope,
                                      const std::string& volume,
                                      const crypto::Digest& manifest,
                                      const std::string& tag,
                                      WallTime now) override {
    BDN_TRY(Count());
    return inner_.AppendVersion(scope, volume, manifest, tag, now);
  }
  Result<std::vector<std::string>> ListVolumes(const Scope& scope) override {
    BDN_TRY(Count());
    return inner_.ListVolumes(scope);
  }
  Result<std::vector<std::string>> ListNamespaces(const std::string& org) override {
    BDN_TRY(Count());
    return inner_.ListNamespaces(org);
  }
  Result<std::vector<VolumeVersion>> ListVersions(const Scope& scope,
                                                  const std::string& volume) override {
    BDN_TRY(Count());
    return inner_.ListVersions(scope, volume);
  }
  Result<std::vector<Tag>> ListTags(const Scope& scope, const std::string& volume) override {
    BDN_TRY(Count());
    return inner_.ListTags(scope, volume);
  }
  Status SetTag(const Scope& scope,
                const std::string& volume,
                const std::string& tag,
                const crypto::Digest& manifest,
                WallTime now) override {
    BDN_TRY(Count());
    return inner_.SetTag(scope, volume, tag, manifest, now);
  }
  Status DeleteTag(const Scope& scope, const std::string& volume, const std::string& tag) override {
    BDN_TRY(Count());
    return inner_.DeleteTag(scope, volume, tag);
  }
  Status PutSecret(const std::string& org, const SealedSecret& secret) override {
    BDN_TRY(Count());
    return inner_.PutSecret(org, secret);
  }
  Result<SealedSecret> GetSecret(const std::string& org, const std::string& key) override {
    BDN_TRY(Count());
    return inner_.GetSecret(org, key);
  }
  Result<std::vector<SealedSecret>> ListSecrets(const std::string& org) override {
    BDN_TRY(Count());
    return inner_.ListSecrets(org);
  }
  Status DeleteSecret(const std::string& org, const std::string& key) override {
    BDN_TRY(Count());
    return inner_.DeleteSecret(org, key);
  }
  Status PutApiKey(const ApiKey& key) override {
    BDN_TRY(Count());
    return inner_.PutApiKey(key);
  }
  Result<std::vector<ApiKey>> ListApiKeys() override {
    BDN_TRY(Count());
    return inner_.ListApiKeys();
  }
  Result<ApiKey> FindApiKey(const std::string& hash_hex) override {
    BDN_TRY(Count());
    return inner_.FindApiKey(hash_hex);
  }
  Status RevokeApiKey(const std::string& id) override {
    BDN_TRY(Count());
    return inner_.RevokeApiKey(id);
  }
  Result<std::optional<std::string>> GetSetting(const std::string& name) override {
    BDN_TRY(Count());
    return inner_.GetSetting(name);
  }
  Status PutSetting(const std::string& name, const std::string& value) override {
    BDN_TRY(Count());
    return inner_.PutSetting(name, value);
  }
  Result<std::vector<SigningKey>> ListSigningKeys() override {
    BDN_TRY(Count());
    return inner_.ListSigningKeys();
  }
  Status ReplaceSigningKeys(const std::vector<SigningKey>& expected,
                            const std::vector<SigningKey>& keys) override {
    BDN_TRY(Count());
    return inner_.ReplaceSigningKeys(expected, keys);
  }
  Result<TrainingProject> EnsureTrainingProject(const TrainingProject& project) override {
    BDN_TRY(Count());
    return inner_.EnsureTrainingProject(project);
  }
  Result<std::vector<TrainingProject>> ListTrainingProjects(const std::string& org) override {
    BDN_TRY(Count());
    return inner_.ListTrainingProjects(org);
  }
  Result<TrainingJob> EnsureTrainingJob(const TrainingJob& job) override {
    BDN_TRY(Count());
    return inner_.EnsureTrainingJob(job);
  }
  Result<std::vector<TrainingJob>> ListTrainingJobs(const std::string& project_id) override {
    BDN_TRY(Count());
    return inner_.ListTrainingJobs(project_id);
  }
  Result<Checkpoint> BeginCheckpoint(const Checkpoint& checkpoint) override {
    BDN_TRY(Count());
    return inner_.BeginCheckpoint(checkpoint);
  }
  Result<Checkpoint> CompleteCheckpoint(const Checkpoint& checkpoint) override {
    BDN_TRY(Count());
    return inner_.CompleteCheckpoint(checkpoint);
  }
  Result<std::vector<Checkpoint>> ListCheckpoints(const std::string& project_id,
                                                  const std::string& job_id) override {
    BDN_TRY(Count());
    return inner_.ListCheckpoints(project_id, job_id);
  }
  Result<std::vector<Checkpoint>> ListOpenCheckpoints() override {
    BDN_TRY(Count());
    return inner_.ListOpenCheckpoints();
  }
  Status DeleteCheckpoint(const std::string& project_id,
                          const std::string& job_id,
                          const std::string& name) override {
    BDN_TRY(Count());
    return inner_.DeleteCheckpoint(project_id, job_id, name);
  }
  Status ListRoots(const std::function<Status(const Root&)>& visit) override {
    BDN_TRY(Count());
    return inner_.ListRoots(visit);
  }

 private:
  Status Count() {
    const std::uint64_t call = calls_++;
    if (call == fail_at_ || (all_later_ && call > fail_at_)) {
      ++failures_;
      return Error(code_, "a failure that the test asked for");
    }
    return {};
  }

  Metadata& inner_;
  std::atomic<std::uint64_t> calls_ = 0;
  std::atomic<std::uint64_t> failures_ = 0;
  std::atomic<std::uint64_t> fail_at_ = std::numeric_limits<std::uint64_t>::max();
  std::atomic<bool> all_later_ = false;
  std::atomic<Code> code_ = Code::kUnavailable;
};

}  // namespace bdn::store::testing
