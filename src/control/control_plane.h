#pragma once
// The control plane's decisions, without HTTP: what a push creates, what a deployment's status is,
// what a node gets to start it. Never carries the bytes of weights.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/training.h"
#include "api/types.h"
#include "auth/workload.h"
#include "base/clock.h"
#include "base/result.h"
#include "model/config.h"
#include "store/metadata.h"
#include "store/object_store.h"
#include "store/secrets.h"

namespace bdn::control {

struct ControlOptions {
  std::string org = "default";
  // Mirrored repositories rest in one namespace of the organisation, so that equal files of
  // different models are stored once.
  std::string mirror_namespace = "mirrors";
  // Where the checkpoints of our own training store are, and the versions of bt:// deployments with
  // them: they share objects. False: bt:// means the training store of somebody else.
  std::string training_namespace = std::string(api::kTrainingNamespace);
  bool own_training_store = true;
  // Called after a push has queued mirrors: this process may run them, and need not wait until it
  // looks again. From any thread; may be empty.
  std::function<void()> queued = {};
  // Whether there is an OIDC issuer, without which AWS_OIDC and GCP_OIDC sources cannot be
  // mirrored.
  bool oidc_issuer = false;
  // Teams are not told apart; what stands for one in identities.
  std::string team = "default";
};

// Thread-safe.
class ControlPlane {
 public:
  ControlPlane(store::Metadata& metadata,
               store::ObjectStore& objects,
               store::SecretVault& vault,
               const Clock& clock,
               ControlOptions options);

  // Validates `yaml` and creates the deployment with its queued mirrors; returns before any byte is
  // fetched. kInvalidArgument lists every finding with line and column.
  Result<api::DeploymentBody> Push(std::string_view yaml, std::string_view name);
  Result<api::DeploymentBody> Get(const std::string& id);
  Result<std::vector<api::DeploymentBody>> List(std::size_t limit, const std::string& before_id);
  Status SetActive(const std::string& id, bool active);
  Status Delete(const std::string& id);

  // kFailedPrecondition while mirrors run ("not startable yet: …") or after one failed (with its
  // reason). `with_secrets`: the values of the config's secrets, for a node's own key.
  Result<api::RunBody> Run(const std::string& id, bool with_secrets);

  // Whom a token of a deployment's running server is about. kFailedPrecondition for one that is
  // deactivated, or whose config turns tokens off.
  Result<auth::Workload> RunWorkload(const std::string& id);
  // The same for any type and state, to show.
  Result<auth::Workload> WorkloadOf(const std::string& id, auth::WorkloadType type);

  // With `check`, a value that is plainly meant for a provider and cannot be used is
  // kInvalidArgument (source::CheckSecret).
  Status SetSecret(const std::string& name, std::string_view value, bool check = true);
  Status DeleteSecret(const std::string& name);
  Result<std::vector<api::SecretBody>> ListSecrets();

  // Appends a version after checking that the manifest and everything it names is stored.
  Result<api::VersionBody> AppendVersion(const Context& ctx,
                                         const std::string& ns,
                                         const std::string& volume,
                                         const std::string& manifest,
                                         const std::string& tag);
  Result<std::vector<api::VolumeBody>> ListVolumes();
  Result<std::vector<api::VersionBody>> ListVersions(const std::string& ns,
                                                     const std::string& volume);
  // By "bdn:ns/vol[:tag|@digest]"; no selector means the head.
  Result<api::VersionBody> Resolve(std::string_view reference);
  Status SetTag(const std::string& ns,
                const std::string& volume,
                const std::string& tag,
                const std::string& manifest);
  Status DeleteTag(const std::string& ns, const std::string& volume, const std::string& tag);

  const ControlOptions& options() const { return options_; }

 private:
  // kNotFound also for a deployment of another organisation.
  Result<store::Deployment> Find(const std::string& id);
  Result<api::DeploymentBody> Describe(const store::Deployment& deployment);
  Status CheckStored(const Context& ctx, const store::Scope& scope, const crypto::Digest& manifest);
  std::vector<std::string> PushWarnings(const model::ConfigReport& report);
  store::Scope ScopeOf(const std::string& ns) const { return {options_.org, ns}; }

  store::Metadata& metadata_;
  store::ObjectStore& objects_;
  store::SecretVault& vault_;
  const Clock& clock_;
  const ControlOptions options_;
};

// Pure: the deployment's state from the states of its mounts.
api::DeploymentBody Summarise(api::DeploymentBody deployment,
                              bool active,
                              const std::vector<store::MirrorState>& states);

}  // namespace bdn::control
