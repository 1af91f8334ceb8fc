#pragma once
// What every command gets: its surroundings, passed in by main.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/rest_client.h"
#include "api/types.h"
#include "base/context.h"
#include "base/result.h"
#include "cli/client.h"
#include "cli/terminal.h"

namespace bdn::cli {

struct App {
  Environment env;
  Terminal terminal;
  ClientOptions client;
  bool json = false;
  Context ctx;
};

// A control plane to talk to, with the transport that it needs.
struct Connection {
  std::unique_ptr<net::Transport> transport;
  ClientFile file;
  std::unique_ptr<api::RestClient> control;
  std::unique_ptr<api::RestClient> node;
};
Result<Connection> Connect(const App& app);

// A command's result is the process's exit code; an Error becomes its code's exit code.
using ExitCode = Result<int>;

struct PushOptions {
  std::string dir = ".";
  std::string name;
  bool wait = false;
};
ExitCode Push(App& app, const PushOptions& options);

struct StatusOptions {
  std::string id;  // empty: all
};
ExitCode ShowStatus(App& app, const StatusOptions& options);
ExitCode Watch(App& app, const std::string& id);
ExitCode Deactivate(App& app, const std::string& id, bool active);
ExitCode DeleteDeployment(App& app, const std::string& id);

struct RunOptions {
  std::string id;
  std::vector<std::string> command;  // empty: docker_server.start_command
  bool stop_when_unhealthy = false;
  std::string secrets_dir = "/secrets";
};
ExitCode Run(App& app, const RunOptions& options);

struct MountOptions {
  std::string what;    // deployment id, or bdn:ns/vol
  std::string target;  // directory; empty: the deployment's own mount locations
  bool list = false;
  bool lazy = false;
};
ExitCode Mount(App& app, const MountOptions& options);
ExitCode Unmount(App& app, const MountOptions& options);

struct ValidateOptions {
  std::string path = ".";
  bool explain = false;  // lists the sources and asks the control plane about secrets
  bool offline = false;  // nothing is contacted
  std::vector<std::string> allow_private;
};
ExitCode Validate(App& app, const ValidateOptions& options);
// Prints the JSON Schema of config.yaml, or of its weights.
ExitCode Schema(App& app, bool weights_only);
struct MatchOptions {
  std::optional<std::vector<std::string>> allow;
  std::optional<std::vector<std::string>> ignore;
  std::vector<std::string> paths;  // empty: standard input
  bool explain = false;
};
ExitCode Match(App& app, const MatchOptions& options);
struct LsOptions {
  std::string source;
  std::optional<std::vector<std::string>> allow;
  std::optional<std::vector<std::string>> ignore;
  std::vector<std::string> allow_private;
  std::string token_file;
};
ExitCode Ls(App& app, const LsOptions& options);

struct DoctorOptions {
  std::string source;  // empty: this machine
  std::vector<std::string> allow_private;
  std::string token_file;
  // With any of these the control plane looks, with what it has; nothing is tried from here.
  bool from_control_plane = false;
  std::string secret;  // name
  std::string aws_role;
  std::string aws_region;
  std::string gcp_service_account;
  std::string gcp_provider;
};
// Exits 0 when no step failed, else 1.
ExitCode DoctorSource(App& app, const DoctorOptions& options);
ExitCode DoctorMachine(App& app);

struct MigrateOptions {
  std::string dir = ".";
  bool yes = false;      // apply without asking
  bool dry_run = false;  // wins over `yes`
  bool rewrite_patterns = false;
  bool offline = false;  // no source is listed
  std::vector<std::string> allow_private;
};
// Exits: 0 done, cancelled or nothing to do; 1 refused; 2 usage; 130 Ctrl-C.
ExitCode Migrate(App& app, const MigrateOptions& options);

struct SecretOptions {
  std::string name;
  std::string file = "-";
  bool no_check = false;  // store whatever it is, byte for byte
};
ExitCode SecretSet(App& app, const SecretOptions& options);
ExitCode SecretLs(App& app);
ExitCode SecretRm(App& app, const std::string& name);

struct KeyOptions {
  std::string name;  // or id, to revoke
  bool node = false;
};
ExitCode KeyCreate(App& app, const KeyOptions& options);
ExitCode KeyLs(App& app);
ExitCode KeyRm(App& app, const std::string& id);

struct VolumeOptions {
  std::string dir;
  std::string ref;
  std::string tag;
};
ExitCode VolumePush(App& app, const VolumeOptions& options);
ExitCode VolumeLs(App& app);
ExitCode VolumeShow(App& app, const std::string& ref);
ExitCode VolumeTag(App& app, const VolumeOptions& options);
ExitCode Pull(App& app, const VolumeOptions& options);

struct CheckpointOptions {
  std::string dir;
  std::string project;
  std::string job;
  std::string name;  // empty: that of the directory
  std::string type;  // empty: lora for an adapter, else full
  std::string base_model;
  std::int64_t rank = 0;
  bool watch = false;
  std::string complete_marker;
  double quiet_seconds = 10;
  std::string ref;
};
ExitCode CheckpointPush(App& app, const CheckpointOptions& options);
ExitCode CheckpointLs(App& app, const CheckpointOptions& options);
ExitCode CheckpointShow(App& app, const std::string& ref);
ExitCode CheckpointRm(App& app, const std::string& ref);
struct OidcShowOptions {
  std::string deployment;  // empty: an example
};
ExitCode OidcShow(App& app, const OidcShowOptions& options);
struct OidcRotateOptions {
  bool revoke = false;
  std::int64_t lead_seconds = 86'400;
};
ExitCode OidcRotate(App& app, const OidcRotateOptions& options);
struct OidcExportOptions {
  std::string dir;
  bool without_certificates = false;
};
ExitCode OidcExport(App& app, const OidcExportOptions& options);

struct GcOptions {
  bool dry_run = false;
  std::optional<std::int64_t> grace_seconds;
};
ExitCode Gc(App& app, const GcOptions& options);

struct ServeOptions {
  bool control = true;
  bool agent = true;
  std::string data;
  std::string listen = "127.0.0.1:7070";
  std::vector<std::string> allow_private;
  std::string hf_endpoint;
  std::string bt_endpoint;
  std::string public_url;
  std::string master_key_file;
  std::string tls_certificate;
  std::string tls_key;
  std::string oidc_issuer;  // empty: BDN_OIDC_ISSUER, else none
  std::string oidc_audience;
  std::string oidc_algorithm = "RS256";
  int oidc_token_seconds = 3600;
  std::uint64_t cache_bytes = 0;
  std::uint64_t memory_bytes = 512ull << 20;
  int parallel = 8;
  int mirrors = 2;
  bool verbose = false;
};
ExitCode Serve(App& app, const ServeOptions& options);

// Waits until the deployment is settled, showing its mirrors; shared by push, watch and run.
Result<api::DeploymentBody> FollowDeployment(const App& app,
                                             const Connection& connection,
                                             const std::string& id);
// The id, or the newest deployment of that name.
Result<std::string> ResolveDeployment(const App& app,
                                      const Connection& connection,
                                      const std::string& id_or_name);

}  // namespace bdn::cli
