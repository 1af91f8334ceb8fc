#pragma once
// The small facts beside the objects: deployments, mirrors (which are also the job queue), volumes,
// known files, secrets, keys. Bytes of weights are never here.
//
// Implementations: SqliteMetadata (store/sqlite_metadata.h; file or in memory) and
// testing::FaultyMetadata (fails the n-th call of another one); both pass
// testing/metadata_conformance.h. The interface is narrow enough for PostgreSQL beside it.
//
// Every write is one durable transaction: after success it survives a power cut, after failure
// nothing of it is there. Times come from the caller, so tests own the clock. Thread-safe. A
// callback (ListRoots, ForgetKnownFiles) may call other functions of the same object.
// Errors of every call: kUnavailable (try again), kResourceExhausted (disk full), kCorrupt.
// Getters, deletes and changes of what is not there are kNotFound.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "store/object_store.h"

namespace bdn::store {

// What is known about one file of one source: skipping a download. Scoped to the tenant: a hit
// never crosses `scope`. `identity` is source::Pin::identity.
struct KnownFile {
  std::string identity;
  std::string path;
  std::string etag;
  std::string version;
  std::uint64_t size = 0;
  std::string content_hash;  // "sha256:<hex>": a key across sources within the scope; may be empty
  // As in a manifest entry.
  bool chunked = false;
  std::optional<crypto::Digest> digest;  // none: empty file
};

// Stopped: nobody wants it any more (see SetDeploymentActive), or its objects were collected.
enum class MirrorState : std::uint8_t { kQueued, kRunning, kDone, kFailed, kStopped };
std::string_view MirrorStateName(MirrorState state);  // "queued", "running", …

struct Progress {
  std::string phase = "queued";  // queued resolving listing fetching writing done failed
  std::uint64_t files = 0;
  std::uint64_t files_done = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_done = 0;    // fetched or reused
  std::uint64_t bytes_reused = 0;  // not fetched because they were known
  double rate = 0;                 // bytes per second, fetched, recent
  std::optional<double> eta;       // seconds
};

struct MirrorError {
  std::string code;  // name of a Code
  std::string message;
  std::string hint;
};

// One mirror: a job while it is queued or running, the record of the result after.
struct Mirror {
  std::string id;
  Scope scope;
  std::string key;     // model::MirrorKey
  std::string source;  // URI text
  std::string spec;    // JSON: the weights item with patterns and auth (secret *names* only)
  MirrorState state = MirrorState::kQueued;
  std::string pin;  // fingerprint, once resolved
  std::string pin_type;
  std::optional<crypto::Digest> manifest;
  Progress progress;
  MirrorError error;
  std::vector<std::string> warnings;
  int attempts = 0;
  std::string lease_owner;
  WallTime lease_until;
  WallTime not_before;  // a retry waits until then
  WallTime created_at;
  WallTime updated_at;
};

struct DeploymentMount {
  std::string mount_location;
  std::string source;
  std::string mirror_id;
};

struct Deployment {
  std::string id;
  std::string org;
  std::string name;
  std::string config;  // config.yaml as pushed, byte for byte
  std::vector<DeploymentMount> mounts;
  bool active = true;  // false: deactivated; its mirrors are not roots for GC
  WallTime created_at;
};

struct VolumeVersion {
  std::string ns;
  std::string volume;
  std::int64_t sequence = 0;
  crypto::Digest manifest;
  WallTime created_at;
};

struct Tag {
  std::string name;
  crypto::Digest manifest;
  WallTime updated_at;
};

struct SealedSecret {
  std::string name;    // as the user wrote it
  std::string key;     // normalised: names that differ only in non-alphanumerics are one secret
  std::string sealed;  // never leaves the process
  WallTime updated_at;
};

struct ApiKey {
  std::string id;
  std::string name;
  std::string org;
  std::string hash_hex;  // SHA-256 of the key, which is 256 random bits
  WallTime created_at;
  bool revoked = false;
};

// A key of the OIDC issuer (control/oidc_issuer.h), with its private half sealed.
struct SigningKey {
  std::string kid;
  std::string algorithm;  // "RS256", "ES256"
  std::string sealed;
  WallTime created_at;
  WallTime signs_from;
  WallTime published_until;
  friend bool operator==(const SigningKey&, const SigningKey&) = default;
};

// The training store: projects have jobs, jobs have checkpoints (docs/sources/bt.md).
struct TrainingProject {
  std::string id;
  std::string org;
  std::string name;  // unique in the organisation
  WallTime created_at;
};

struct TrainingJob {
  std::string project_id;
  std::string id;  // unique in the project; chosen by whoever trains
  WallTime created_at;
};

// A checkpoint is SYNCING until it has a manifest; from then on it never changes.
struct Checkpoint {
  std::string id;
  Scope scope;  // where its objects are
  std::string project_id;
  std::string job_id;
  std::string name;  // unique in the job; may hold '/'
  std::string type;  // "lora", "full", "whisper"
  std::string base_model;
  std::int64_t lora_rank = 0;  // 0: none
  std::uint64_t files = 0;
  std::uint64_t size_bytes = 0;
  std::optional<crypto::Digest> manifest;
  WallTime created_at;
  WallTime completed_at;
};

class Metadata {
 public:
  virtual ~Metadata() = default;

  // --- deployments ---
  // Creates the deployment and, for each of `mirrors` in the same transaction: attaches to the
  // queued or running mirror of the same (scope, key) if there is one, else inserts it as queued.
  // `deployment.mounts[i]` belongs to `mirrors[i]`; mirror_id is filled in. Returns the stored row.
  // Of a new mirror id, scope, key, source, spec and created_at count. kAlreadyExists: the id.
  virtual Result<Deployment> CreateDeployment(Deployment deployment,
                                              std::vector<Mirror> mirrors) = 0;
  virtual Result<Deployment> GetDeployment(const std::string& id) = 0;
  // Newest first, at most `limit`; `before_id` (empty: from the start) continues a listing after
  // that deployment, kNotFound when it is gone.
  virtual Result<std::vector<Deployment>> ListDeployments(const std::string& org,
                                                          std::size_t limit,
                                                          const std::string& before_id) = 0;
  // Deactivating also stops the queued and running mirrors that no other active deployment uses:
  // their worker learns it from the next UpdateMirror. Activating queues again the stopped ones (or
  // attaches to the open mirror of the same key). Setting what is set already is success.
  virtual Status SetDeploymentActive(const std::string& id, bool active) = 0;
  // Stops mirrors in the same way. Finished mirrors stay, for FindDoneMirror, until GC.
  virtual Status DeleteDeployment(const std::string& id) = 0;

  // --- mirrors: the queue ---
  virtual Result<Mirror> GetMirror(const std::string& id) = 0;
  // Takes the oldest (created_at, then id) mirror that is queued with not_before passed, or running
  // under a lease that ended; it becomes running, leased to `owner`, attempts + 1. nullopt: nothing
  // to do.
  virtual Result<std::optional<Mirror>> ClaimMirror(const std::string& owner,
                                                    WallTime now,
                                                    Duration lease) = 0;
  // Heartbeat and progress in one; the lease lasts until now + lease. The four writes of a worker
  // are kFailedPrecondition when the lease is not `owner`'s any more or the mirror was stopped: it
  // then gives up without a further word. A lease that ended but was taken by nobody still counts.
  virtual Status UpdateMirror(const std::string& id,
                              const std::string& owner,
                              const Progress& progress,
                              WallTime now,
                              Duration lease) = 0;
  virtual Status SetMirrorPin(const std::string& id,
                              const std::string& owner,
                              const std::string& pin,
                              const std::string& pin_type,
                              const std::vector<std::string>& warnings) = 0;
  virtual Status FinishMirror(const std::string& id,
                              const std::string& owner,
                              const crypto::Digest& manifest,
                              const Progress& progress,
                              WallTime now) = 0;
  // Back to the queue until `not_before`, or failed for good when `retry` is false. The error stays
  // on the row until the mirror is done.
  virtual Status FailMirror(const std::string& id,
                            const std::string& owner,
                            const MirrorError& error,
                            bool retry,
                            WallTime not_before,
                            WallTime now) = 0;
  // The newest finished mirror of (scope, key), with this pin unless it is empty.
  virtual Result<std::optional<Mirror>> FindDoneMirror(const Scope& scope,
                                                       const std::string& key,
                                                       const std::string& pin) = 0;
  // Queued and running ones of every org, oldest first.
  virtual Result<std::vector<Mirror>> ListOpenMirrors() = 0;

  // --- known files ---
  // The known file with the identity, path, etag, version and size of `like`. Never a hit when etag
  // and version are both empty: then nothing says that the content is the same.
  virtual Result<std::optional<KnownFile>> FindKnownFile(const Scope& scope,
                                                         const KnownFile& like) = 0;
  // By content hash within the scope ("sha256:…"); an empty hash is never a hit.
  virtual Result<std::optional<KnownFile>> FindFileByHash(const Scope& scope,
                                                          const std::string& content_hash,
                                                          std::uint64_t size) = 0;
  // Replaces rows of the same identity, path, etag, version and size.
  virtual Status PutKnownFiles(const Scope& scope, const std::vector<KnownFile>& files) = 0;
  // Forgets, in one pass, everything that promises an object which `is_gone` (GC, before it deletes
  // the object): known files, finished mirrors that no active deployment uses (they become stopped,
  // without a manifest), and volume versions that are neither head nor tagged. Returns how many
  // rows. `is_gone` is asked many times per digest, and must only look it up.
  virtual Result<std::uint64_t> ForgetKnownFiles(
      const std::function<bool(const Scope&, const crypto::Digest&)>& is_gone) = 0;

  // --- chunks written by a mirror that is not finished: roots for GC and the resume record ---
  // (scope, file identity key) → offset and digest of each chunk that is, or is about to be,
  // stored. Putting an offset again replaces it.
  virtual Status PutPartialChunk(const Scope& scope,
                                 const std::string& file_key,
                                 std::uint64_t offset,
                                 std::uint64_t length,
                                 const crypto::Digest& digest,
                                 WallTime now) = 0;
  struct PartialChunk {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    crypto::Digest digest;
  };
  // By offset; empty when there is nothing.
  virtual Result<std::vector<PartialChunk>> GetPartialChunks(const Scope& scope,
                                                             const std::string& file_key) = 0;
  // Dropping what is not there is success.
  virtual Status DropPartialChunks(const Scope& scope, const std::string& file_key) = 0;
  // Files whose newest partial chunk was put before `before` lose all of them (their mirror will
  // not come back). Returns how many chunks.
  virtual Result<std::uint64_t> ExpirePartialChunks(WallTime before) = 0;

  // --- volumes ---
  // Appends a version (sequence = head + 1) and moves `tag` to it when it is not empty, in one
  // transaction. Pushing the head's digest again returns the head.
  virtual Result<VolumeVersion> AppendVersion(const Scope& scope,
                                              const std::string& volume,
                                              const crypto::Digest& manifest,
                                              const std::string& tag,
                                              WallTime now) = 0;
  // Lists are by name; versions are newest first.
  virtual Result<std::vector<std::string>> ListVolumes(const Scope& scope) = 0;
  virtual Result<std::vector<std::string>> ListNamespaces(const std::string& org) = 0;
  virtual Result<std::vector<VolumeVersion>> ListVersions(const Scope& scope,
                                                          const std::string& volume) = 0;
  virtual Result<std::vector<Tag>> ListTags(const Scope& scope, const std::string& volume) = 0;
  // kNotFound when no version of the volume has this manifest.
  virtual Status SetTag(const Scope& scope,
                        const std::string& volume,
                        const std::string& tag,
                        const crypto::Digest& manifest,
                        WallTime now) = 0;
  virtual Status DeleteTag(const Scope& scope,
                           const std::string& volume,
                           const std::string& tag) = 0;

  // --- the training store ---
  // The project of that name; `project` is inserted when there is none.
  virtual Result<TrainingProject> EnsureTrainingProject(const TrainingProject& project) = 0;
  // Oldest first, as all lists of the training store.
  virtual Result<std::vector<TrainingProject>> ListTrainingProjects(const std::string& org) = 0;
  // kNotFound: the project.
  virtual Result<TrainingJob> EnsureTrainingJob(const TrainingJob& job) = 0;
  virtual Result<std::vector<TrainingJob>> ListTrainingJobs(const std::string& project_id) = 0;
  // Inserts the checkpoint, or gives the one of the same project, job and name: as it is when it is
  // complete, else with type, base model and rank of `checkpoint`. kNotFound: the job.
  virtual Result<Checkpoint> BeginCheckpoint(const Checkpoint& checkpoint) = 0;
  // Gives the checkpoint its manifest, files, size and completed_at. Again with the same manifest:
  // the row as it is. kAlreadyExists: it is complete with another one.
  virtual Result<Checkpoint> CompleteCheckpoint(const Checkpoint& checkpoint) = 0;
  virtual Result<std::vector<Checkpoint>> ListCheckpoints(const std::string& project_id,
                                                          const std::string& job_id) = 0;
  // Those that are not complete, of every org.
  virtual Result<std::vector<Checkpoint>> ListOpenCheckpoints() = 0;
  virtual Status DeleteCheckpoint(const std::string& project_id,
                                  const std::string& job_id,
                                  const std::string& name) = 0;

  // --- secrets, keys, settings ---
  // Replaces the secret of the same key.
  virtual Status PutSecret(const std::string& org, const SealedSecret& secret) = 0;
  virtual Result<SealedSecret> GetSecret(const std::string& org, const std::string& key) = 0;
  virtual Result<std::vector<SealedSecret>> ListSecrets(const std::string& org) = 0;
  virtual Status DeleteSecret(const std::string& org, const std::string& key) = 0;
  // kAlreadyExists: the id or the hash.
  virtual Status PutApiKey(const ApiKey& key) = 0;
  virtual Result<std::vector<ApiKey>> ListApiKeys() = 0;
  // A revoked key is kNotFound.
  virtual Result<ApiKey> FindApiKey(const std::string& hash_hex) = 0;
  virtual Status RevokeApiKey(const std::string& id) = 0;
  virtual Result<std::optional<std::string>> GetSetting(const std::string& name) = 0;
  virtual Status PutSetting(const std::string& name, const std::string& value) = 0;
  // By signs_from, then kid.
  virtual Result<std::vector<SigningKey>> ListSigningKeys() = 0;
  // Replaces all of them where they are still `expected`, as ListSigningKeys gave them;
  // kFailedPrecondition when somebody else changed them meanwhile.
  virtual Status ReplaceSigningKeys(const std::vector<SigningKey>& expected,
                                    const std::vector<SigningKey>& keys) = 0;

  // --- garbage collection: what must stay ---
  struct Root {
    Scope scope;
    crypto::Digest digest;
    bool manifest = false;  // false: a single chunk
  };
  // Manifests of active deployments' finished mirrors, of volume heads and tags, of complete
  // checkpoints, and partial chunks; each (scope, digest, manifest) once. All of them come from one
  // snapshot, taken before the first visit.
  virtual Status ListRoots(const std::function<Status(const Root&)>& visit) = 0;
};

// Names that differ only in characters that are not letters or digits name the same secret:
// "hf_access_token" == "hf-access-token". Lower case.
std::string SecretKey(const std::string& name);

}  // namespace bdn::store
