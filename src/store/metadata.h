#pragma once
// The small facts beside the objects: deployments, mirrors (which are also the job queue), volumes,
// known files, secrets, keys. Bytes of weights are never here.
//
// Implementations: SqliteMetadata (store/sqlite_metadata.h; file or in memory) and
// testing::FaultyMetadata (fails the n-th call of another one); both pass
// testing/metadata_conformance.h. The interface is narrow enough for PostgreSQL beside it.
//
// Every write is one durable transaction. Times come from the caller, so tests own the clock.
// Errors: kNotFound, kAlreadyExists, kFailedPrecondition (a lease that was lost), kUnavailable,
// kResourceExhausted (disk full), kCorrupt.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
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

enum class MirrorState : std::uint8_t { kQueued, kRunning, kDone, kFailed, kStopped };

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

class Metadata {
 public:
  virtual ~Metadata() = default;

  // --- deployments ---
  // Creates the deployment and, for each of `mirrors` in the same transaction: attaches to the
  // queued or running mirror of the same (scope, key) if there is one, else inserts it as queued.
  // `deployment.mounts[i]` belongs to `mirrors[i]`; mirror_id is filled in. Returns the stored row.
  virtual Result<Deployment> CreateDeployment(Deployment deployment,
                                              std::vector<Mirror> mirrors) = 0;
  virtual Result<Deployment> GetDeployment(const std::string& id) = 0;
  // Newest first; `before_id` continues a listing.
  virtual Result<std::vector<Deployment>> ListDeployments(const std::string& org,
                                                          std::size_t limit,
                                                          const std::string& before_id) = 0;
  virtual Status SetDeploymentActive(const std::string& id, bool active) = 0;
  virtual Status DeleteDeployment(const std::string& id) = 0;

  // --- mirrors: the queue ---
  virtual Result<Mirror> GetMirror(const std::string& id) = 0;
  // Takes the oldest mirror that is queued with not_before passed, or running under a lease that
  // ended; it becomes running, leased to `owner`, attempts + 1. nullopt: nothing to do.
  virtual Result<std::optional<Mirror>> ClaimMirror(const std::string& owner,
                                                    WallTime now,
                                                    Duration lease) = 0;
  // Heartbeat and progress in one; kFailedPrecondition when the lease is not `owner`'s any more.
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
  // Back to the queue until `not_before`, or failed for good when `retry` is false.
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
  // Queued and running ones of an org, oldest first.
  virtual Result<std::vector<Mirror>> ListOpenMirrors() = 0;

  // --- known files ---
  virtual Result<std::optional<KnownFile>> FindKnownFile(const Scope& scope,
                                                         const KnownFile& like) = 0;
  // By content hash within the scope ("sha256:…").
  virtual Result<std::optional<KnownFile>> FindFileByHash(const Scope& scope,
                                                          const std::string& content_hash,
                                                          std::uint64_t size) = 0;
  virtual Status PutKnownFiles(const Scope& scope, const std::vector<KnownFile>& files) = 0;
  // Forgets every known file of the scope whose digest `is_gone` (GC), in one pass.
  virtual Result<std::uint64_t> ForgetKnownFiles(
      const std::function<bool(const Scope&, const crypto::Digest&)>& is_gone) = 0;

  // --- chunks written by a mirror that is not finished: roots for GC and the resume record ---
  // (mirror, file identity key) → offset and digest of each stored chunk.
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
  virtual Result<std::vector<PartialChunk>> GetPartialChunks(const Scope& scope,
                                                             const std::string& file_key) = 0;
  virtual Status DropPartialChunks(const Scope& scope, const std::string& file_key) = 0;
  // Partial chunks touched before `before` are forgotten (their mirror will not come back).
  virtual Result<std::uint64_t> ExpirePartialChunks(WallTime before) = 0;

  // --- volumes ---
  // Appends a version (sequence = head + 1) and moves `tag` to it when it is not empty, in one
  // transaction. Pushing the head's digest again returns the head.
  virtual Result<VolumeVersion> AppendVersion(const Scope& scope,
                                              const std::string& volume,
                                              const crypto::Digest& manifest,
                                              const std::string& tag,
                                              WallTime now) = 0;
  virtual Result<std::vector<std::string>> ListVolumes(const Scope& scope) = 0;
  virtual Result<std::vector<std::string>> ListNamespaces(const std::string& org) = 0;
  virtual Result<std::vector<VolumeVersion>> ListVersions(const Scope& scope,
                                                          const std::string& volume) = 0;
  virtual Result<std::vector<Tag>> ListTags(const Scope& scope, const std::string& volume) = 0;
  virtual Status SetTag(const Scope& scope,
                        const std::string& volume,
                        const std::string& tag,
                        const crypto::Digest& manifest,
                        WallTime now) = 0;
  virtual Status DeleteTag(const Scope& scope,
                           const std::string& volume,
                           const std::string& tag) = 0;

  // --- secrets, keys, settings ---
  virtual Status PutSecret(const std::string& org, const SealedSecret& secret) = 0;
  virtual Result<SealedSecret> GetSecret(const std::string& org, const std::string& key) = 0;
  virtual Result<std::vector<SealedSecret>> ListSecrets(const std::string& org) = 0;
  virtual Status DeleteSecret(const std::string& org, const std::string& key) = 0;
  virtual Status PutApiKey(const ApiKey& key) = 0;
  virtual Result<std::vector<ApiKey>> ListApiKeys() = 0;
  virtual Result<ApiKey> FindApiKey(const std::string& hash_hex) = 0;
  virtual Status RevokeApiKey(const std::string& id) = 0;
  virtual Result<std::optional<std::string>> GetSetting(const std::string& name) = 0;
  virtual Status PutSetting(const std::string& name, const std::string& value) = 0;

  // --- garbage collection: what must stay ---
  struct Root {
    Scope scope;
    crypto::Digest digest;
    bool manifest = false;  // false: a single chunk or chunkmap
  };
  // Manifests of active deployments' finished mirrors, of volume heads and tags, and partial
  // chunks.
  virtual Status ListRoots(const std::function<Status(const Root&)>& visit) = 0;
};

// Names that differ only in characters that are not letters or digits name the same secret:
// "hf_access_token" == "hf-access-token". Lower case.
std::string SecretKey(const std::string& name);

}  // namespace bdn::store
