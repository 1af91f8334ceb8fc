#pragma once
// config.yaml: the weights section with every rule of docs/config.md, and the keys beside it that
// bdn uses itself. All other keys are carried untouched in `document`.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/source_uri.h"

namespace bdn::model {

inline constexpr std::size_t kConfigBytesMax = 1 << 20;

// One finding in a config file. Lines and columns count from 1; 0 where there is no place.
struct Finding {
  std::string loc;  // "weights.0.source"
  int line = 0;
  int column = 0;
  std::string message;
};

enum class AuthMethod : std::uint8_t { kNone, kCustomSecret, kAwsOidc, kGcpOidc };

struct WeightsAuth {
  AuthMethod method = AuthMethod::kNone;
  std::string auth_secret_name;  // from auth: or from the top level of the item
  std::string aws_oidc_role_arn;
  std::string aws_oidc_region;
  std::string gcp_oidc_service_account;
  std::string gcp_oidc_workload_id_provider;
};

struct WeightsSource {
  std::string source;
  SourceUri uri;
  std::string mount_location;  // as written
  std::string mount_path;      // normalised: no trailing '/', no "//", no "."
  WeightsAuth auth;
  std::optional<std::vector<std::string>> allow_patterns;
  std::optional<std::vector<std::string>> ignore_patterns;
};

// docker_server: how `bdn run` starts and watches the model's server.
struct DockerServer {
  std::string start_command;
  int server_port = 0;
  std::string predict_endpoint;
  std::string readiness_endpoint;
  std::string liveness_endpoint;
};

struct Config {
  std::string model_name;
  std::vector<WeightsSource> weights;
  // In order; booleans lower-cased, everything else as Python's str() writes it (null: "None").
  std::vector<std::pair<std::string, std::string>> environment_variables;
  std::vector<std::string> secrets;  // names
  std::optional<DockerServer> docker_server;
  // runtime.oidc.enabled: whether the running server gets an identity token; none: not said.
  std::optional<bool> runtime_oidc;
  std::string document;  // the file, byte for byte
};

struct ConfigReport {
  std::optional<Config> config;  // set when there are no errors
  std::vector<Finding> errors;
  std::vector<Finding> warnings;
};

// Never fails: what is wrong is in `errors`, all of it at once.
ConfigReport ParseConfig(std::string_view yaml);

// The mirror key: hash of source, allow_patterns and ignore_patterns; auth and mount_location are
// not in it. Lists count as sets. 64 hex digits. The tenant is part of every lookup beside it.
// Sources that are spelt differently but are the same (SourceUri::Canonical) have the same key; an
// absent allow list differs from every list; an absent ignore list equals an empty one.
std::string MirrorKey(const WeightsSource& source);

}  // namespace bdn::model
