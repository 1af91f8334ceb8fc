#pragma once
// The JSON bodies of bdn's REST API as values (docs/openapi.json is held against them by a test).
// Readers ignore fields they do not know and take defaults for absent ones, so that clients and
// servers of neighbouring versions understand each other.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bdn::api {

inline constexpr std::uint64_t kJsonBodyBytesMax = 8ull << 20;

// An Error on the wire: {"code","message","hint"}.
struct ErrorBody {
  std::string code;
  std::string message;
  std::string hint;
};
ErrorBody ToErrorBody(const Error& error);
Error FromErrorBody(const ErrorBody& body);

struct ProgressBody {
  std::string phase;  // queued resolving listing fetching writing done failed
  std::uint64_t files = 0;
  std::uint64_t files_done = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_reused = 0;
  double rate = 0;            // bytes per second
  std::optional<double> eta;  // seconds
};

struct MountBody {
  std::string mount_location;
  std::string source;
  std::string mirror_id;
  std::string pin;
  std::string manifest;  // "b3:…" once the mirror is complete
  ProgressBody progress;
  std::optional<ErrorBody> error;
};

// status is a name of the deployment states that existing clients know: DEPLOYING while mirrors
// run, ACTIVE when every mount is complete, DEPLOY_FAILED, INACTIVE.
struct DeploymentBody {
  std::string id;
  std::string name;
  std::string status;
  ProgressBody progress;  // summed over the mounts
  std::optional<ErrorBody> error;
  std::vector<std::string> warnings;
  std::vector<MountBody> mounts;
  std::string created_at;
  bool settled() const { return status != "DEPLOYING"; }
};

std::string ToJson(const DeploymentBody& body);
Result<DeploymentBody> DeploymentFromJson(std::string_view json);
// {"deployments":[…]}
std::string ToJson(const std::vector<DeploymentBody>& bodies);
Result<std::vector<DeploymentBody>> DeploymentsFromJson(std::string_view json);

// What a node needs to start a deployment: GET /v1/deployments/{id}/run.
struct RunMount {
  std::string mount_location;
  std::string org;
  std::string ns;
  std::string manifest;
};
struct RunBody {
  std::string deployment_id;
  std::string name;
  std::vector<RunMount> mounts;
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::pair<std::string, std::string>> secrets;  // only for a node's own key
  std::vector<std::string> secret_names;
  std::string start_command;
  int server_port = 0;
  std::string readiness_endpoint;
  std::string liveness_endpoint;
};
std::string ToJson(const RunBody& body);
Result<RunBody> RunFromJson(std::string_view json);

struct SecretBody {
  std::string name;
  std::string updated_at;
};
std::string ToJson(const std::vector<SecretBody>& bodies);  // {"secrets":[…]}
Result<std::vector<SecretBody>> SecretsFromJson(std::string_view json);

// A key without its secret half; `text` only in the answer that makes it.
struct KeyBody {
  std::string id;
  std::string name;
  std::string created_at;
  bool revoked = false;
  std::string text;
};
std::string ToJson(const KeyBody& body);
Result<KeyBody> KeyFromJson(std::string_view json);
std::string ToJson(const std::vector<KeyBody>& bodies);  // {"keys":[…]}
Result<std::vector<KeyBody>> KeysFromJson(std::string_view json);

struct VersionBody {
  std::string ns;
  std::string volume;
  std::int64_t sequence = 0;
  std::string manifest;
  std::string created_at;
  std::vector<std::string> tags;
};
std::string ToJson(const VersionBody& body);
Result<VersionBody> VersionFromJson(std::string_view json);
std::string ToJson(const std::vector<VersionBody>& bodies);  // {"versions":[…]}
Result<std::vector<VersionBody>> VersionsFromJson(std::string_view json);

struct VolumeBody {
  std::string ns;
  std::string volume;
  std::int64_t versions = 0;
  std::string head;
};
std::string ToJson(const std::vector<VolumeBody>& bodies);  // {"volumes":[…]}
Result<std::vector<VolumeBody>> VolumesFromJson(std::string_view json);

struct GcBody {
  bool dry_run = false;
  std::uint64_t scanned = 0;
  std::uint64_t kept = 0;
  std::uint64_t deleted = 0;
  std::uint64_t bytes = 0;
};
std::string ToJson(const GcBody& body);
Result<GcBody> GcFromJson(std::string_view json);

// One tree on a node, being filled or complete.
struct LeaseBody {
  std::string id;
  std::string state;  // filling ready failed
  std::string manifest;
  std::string path;  // of the tree, when ready
  ProgressBody progress;
  std::optional<ErrorBody> error;
};
std::string ToJson(const LeaseBody& body);
Result<LeaseBody> LeaseFromJson(std::string_view json);

// What keeps a lease: the process that runs on it (pid and its start time), or a host mount.
struct LeaseRequest {
  std::string org;
  std::string ns;
  std::string manifest;
  std::int64_t pid = 0;
};
std::string ToJson(const LeaseRequest& body);
Result<LeaseRequest> LeaseRequestFromJson(std::string_view json);

struct NodeMountBody {
  std::string id;
  std::string target;
  std::string org;
  std::string ns;
  std::string manifest;
  std::string state;  // filling ready failed
  ProgressBody progress;
  std::optional<ErrorBody> error;
};
std::string ToJson(const NodeMountBody& body);
Result<NodeMountBody> NodeMountFromJson(std::string_view json);
std::string ToJson(const std::vector<NodeMountBody>& bodies);  // {"mounts":[…]}
Result<std::vector<NodeMountBody>> NodeMountsFromJson(std::string_view json);

// {"error":{…}} of any failed answer; a body that is none becomes an Error from the status alone.
Error ErrorFromAnswer(int http_status, std::string_view body);
std::string ErrorAnswer(const ErrorBody& body);

}  // namespace bdn::api
