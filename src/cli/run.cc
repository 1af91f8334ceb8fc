#include <algorithm>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/app.h"
#include "cli/health.h"
#include "cli/identity_file.h"
#include "cli/node_call.h"
#include "cli/signals.h"
#include "mount/private_namespace.h"
#include "os/process.h"
#include "os/real_fs.h"

extern "C" char** environ;

namespace bdn::cli {
namespace {

// A version that is here already is ready within a millisecond; one that is not takes seconds.
constexpr Duration kLeasePollFirst = std::chrono::milliseconds(1);
constexpr Duration kLeasePollMax = std::chrono::milliseconds(100);

std::string DeploymentPath(const std::string& id) {
  return "/v1/deployments/" + net::PercentEncode(id);
}

// Leases on the trees that the run uses; given back when it ends.
class Leases {
 public:
  Leases(const App& app, const Connection& connection) : app_(app), connection_(connection) {}
  ~Leases() {
    // Also after Ctrl-C, so with a context of its own.
    const Context ctx = Context(app_.ctx.clock()).WithTimeout(std::chrono::seconds(5));
    for (const auto& lease : held_) {
      (void)connection_.node->Call(ctx, "DELETE", "/v1/node/leases/" + lease.id);
    }
  }

  // Waits until every tree is complete on this node; returns where each is.
  Result<std::vector<std::string>> Acquire(const api::RunBody& run) {
    for (const auto& mount : run.mounts) {
      const api::LeaseRequest request{mount.org, mount.ns, mount.manifest, ::getpid()};
      BDN_ASSIGN(const std::string body,
                 CallNode(app_.ctx, connection_, "POST", "/v1/node/leases", api::ToJson(request)));
      BDN_ASSIGN(auto lease, api::LeaseFromJson(body));
      held_.push_back(std::move(lease));
    }
    ProgressDisplay display(app_.terminal, app_.ctx.clock());
    Duration poll = kLeasePollFirst;
    for (;;) {
      bool ready = true;
      std::vector<ProgressLine> lines;
      for (std::size_t i = 0; i < held_.size(); ++i) {
        if (held_[i].state == "filling") BDN_TRY(Refresh(held_[i]));
        if (held_[i].state == "failed") {
          return api::FromErrorBody(held_[i].error.value_or(api::ErrorBody{}))
              .Context(run.mounts[i].mount_location);
        }
        ready = ready && held_[i].state == "ready";
        lines.push_back({"node cache → " + run.mounts[i].mount_location, held_[i].progress});
        if (lines.back().progress.phase.empty()) lines.back().progress.phase = "starting";
      }
      display.Show(lines, ready);
      if (ready) break;
      BDN_TRY(app_.ctx.Sleep(poll));
      poll = std::min(poll * 2, kLeasePollMax);
    }
    std::vector<std::string> paths;
    for (const auto& lease : held_) paths.push_back(lease.path);
    return paths;
  }

  std::uint64_t bytes_reused() const {
    std::uint64_t sum = 0;
    for (const auto& lease : held_) sum += lease.progress.bytes_reused;
    return sum;
  }

 private:
  Status Refresh(api::LeaseBody& lease) {
    BDN_ASSIGN(const std::string body,
               CallNode(app_.ctx, connection_, "GET", "/v1/node/leases/" + lease.id));
    BDN_ASSIGN(lease, api::LeaseFromJson(body));
    return {};
  }

  const App& app_;
  const Connection& connection_;
  std::vector<api::LeaseBody> held_;
};

// The config's secrets as files in memory, readable by this user only, gone with the run.
class SecretFiles {
 public:
  static Result<std::unique_ptr<SecretFiles>> Make(const api::RunBody& run) {
    auto files = std::unique_ptr<SecretFiles>(new SecretFiles());
    files->dir_ = "/dev/shm/bdn-run-" + os::RandomName();
    if (::mkdir(files->dir_.c_str(), 0700) != 0) {
      return Error(Code::kPermissionDenied, "cannot make " + files->dir_ + " for the secrets");
    }
    BDN_ASSIGN(const auto fs, os::OpenRealFs(files->dir_));
    for (const auto& [name, value] : run.secrets) {
      if (auto bad = os::CheckPath(name); !bad || name.find('/') != std::string::npos) {
        return Error(Code::kInvalidArgument,
                     "the secret's name '" + name + "' cannot be a file name");
      }
      BDN_TRY(os::WriteFileDurably(*fs, name, value, 0400));
    }
    return files;
  }
  ~SecretFiles() {
    if (auto fs = os::OpenRealFs(dir_)) {
      std::vector<std::string> names;
      (void)(*fs)->List("", [&](const os::DirEntry& entry) -> Status {
        names.push_back(entry.name);
        return {};
      });
      for (const auto& name : names) (void)(*fs)->Remove(name);
    }
    ::rmdir(dir_.c_str());
  }
  const std::string& dir() const { return dir_; }

 private:
  SecretFiles() = default;
  std::string dir_;
};

std::vector<std::string> ChildEnvironment(const api::RunBody& run, const IdentityFile* identity) {
  std::map<std::string, std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    const std::string name(text.substr(0, equals));
    // Our own credentials are not the model's.
    if (name == "BDN_API_KEY" || equals == std::string_view::npos) continue;
    all[name] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : run.environment) all[name] = value;
  if (identity != nullptr) all["BDN_IDENTITY_TOKEN_FILE"] = identity->path();
  std::vector<std::string> out;
  for (const auto& [name, value] : all) out.push_back(name + "=" + value);
  return out;
}

Result<std::vector<std::string>> CommandOf(const api::RunBody& run, const RunOptions& options) {
  if (!options.command.empty()) return options.command;
  if (!run.start_command.empty())
    return std::vector<std::string>{"/bin/sh", "-c", run.start_command};
  return Error(Code::kInvalidArgument, "the config has no docker_server.start_command")
      .WithHint("give a command: bdn run " + run.deployment_id + " -- COMMAND…");
}

// Waits for the mirror where that is not over, saying so.
Status WaitForMirror(App& app, const Connection& connection, const std::string& id) {
  BDN_ASSIGN(const std::string body, connection.control->Call(app.ctx, "GET", DeploymentPath(id)));
  BDN_ASSIGN(const auto now, api::DeploymentFromJson(body));
  if (now.settled()) return {};  // a failure is explained by the next call
  app.terminal.Err(
      fmt::format("waiting for the weights of {}: they are still being mirrored\n", id));
  BDN_TRY(FollowDeployment(app, connection, id));
  return {};
}

// The secrets need the node's own key; with a user's key the server starts without them.
Result<api::RunBody> GetRun(App& app, const Connection& connection, const std::string& id) {
  const ClientFile& file = connection.file;
  const std::string& key = file.node_key.empty() ? file.api_key : file.node_key;
  const api::RestClient control(*connection.transport, {file.url, key});
  BDN_ASSIGN(const std::string body, control.Call(app.ctx, "GET", DeploymentPath(id) + "/run"));
  BDN_ASSIGN(api::RunBody run, api::RunFromJson(body));
  for (const auto& name : run.secret_names) {
    const bool there = std::any_of(run.secrets.begin(), run.secrets.end(),
                                   [&](const auto& secret) { return secret.first == name; });
    if (!there) {
      app.terminal.ShowWarning("secret '" + name +
                               "' is not set or this key may not read it; the "
                               "server starts without it");
    }
  }
  return run;
}

// The run's own identity, where an issuer is set up and the config does not turn it off. It needs
// the node's key, as the secrets do.
Result<std::unique_ptr<IdentityFile>> GetIdentity(App& app,
                                                  const Connection& connection,
                                                  const std::string& id) {
  if (connection.file.node_key.empty()) return std::unique_ptr<IdentityFile>();
  const api::Endpoint endpoint{connection.file.url, connection.file.node_key};
  auto made = IdentityFile::Make(
      app.ctx,
      [&transport = *connection.transport, endpoint,
       id](const Context& ctx) -> Result<api::IdentityTokenBody> {
        const api::RestClient control(transport, endpoint);
        BDN_ASSIGN(const std::string body,
                   control.Call(ctx, "POST", DeploymentPath(id) + "/identity-token", "{}"));
        return api::IdentityTokenFromJson(body);
      });
  if (made) return made;
  const Code code = made.error().code();
  // No issuer, turned off, or a control plane that does not know of tokens.
  if (code == Code::kFailedPrecondition || code == Code::kNotFound) {
    return std::unique_ptr<IdentityFile>();
  }
  return std::move(made).error().Context("the run's identity token");
}

struct Started {
  os::Child child;
  MonoTime at;
};

int Supervise(App& app, const RunOptions& options, const api::RunBody& run, Started& started) {
  os::Child& child = started.child;
  SignalForward forward([&child](int number) { (void)child.Signal(number); }, child.own_group());
  std::jthread health;
  if (options.command.empty() && run.server_port > 0) {
    health = std::jthread([&](std::stop_token stop) {
      WatchHealth(Context(app.ctx.clock(), std::move(stop)), app.terminal, run, started.at, [&] {
        if (options.stop_when_unhealthy) (void)child.Signal(SIGTERM);
      });
    });
  }
  const auto ended = child.Wait();
  // What the shell left behind would keep the port and the mounts.
  if (child.own_group()) ::kill(-child.pid(), SIGKILL);
  if (!ended) {
    app.terminal.ShowError(ended.error());
    return FactsOf(ended.error().code()).exit_code;
  }
  return ended->shell_code();
}

}  // namespace

ExitCode Run(App& app, const RunOptions& options) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const std::string id, ResolveDeployment(app, connection, options.id));
  const MonoTime asked = app.ctx.clock().Monotonic();
  const auto seconds_since = [&](MonoTime from) {
    return std::chrono::duration<double>(app.ctx.clock().Monotonic() - from).count();
  };
  BDN_TRY(WaitForMirror(app, connection, id));
  BDN_ASSIGN(const api::RunBody run, GetRun(app, connection, id));
  BDN_ASSIGN(const auto command, CommandOf(run, options));
  const double mirrored = seconds_since(asked);

  const MonoTime filling = app.ctx.clock().Monotonic();
  Leases leases(app, connection);
  BDN_ASSIGN(const auto trees, leases.Acquire(run));
  const double filled = seconds_since(filling);

  const MonoTime mounting = app.ctx.clock().Monotonic();
  std::vector<mount::TreeMount> mounts;
  for (std::size_t i = 0; i < trees.size(); ++i) {
    mounts.push_back({trees[i], run.mounts[i].mount_location});
  }
  std::unique_ptr<SecretFiles> secrets;
  if (!run.secrets.empty()) {
    BDN_ASSIGN(secrets, SecretFiles::Make(run));
    mounts.push_back({secrets->dir(), options.secrets_dir});
  }
  BDN_ASSIGN(const std::unique_ptr<IdentityFile> identity, GetIdentity(app, connection, id));
  BDN_ASSIGN(mount::NamespacePlan plan, mount::PlanNamespaceHere(mounts));
  os::SpawnOptions spawn;
  spawn.argv = command;
  spawn.environment = ChildEnvironment(run, identity.get());
  // A shell between us and the server must not keep the server from hearing a signal, so a start
  // command gets a process group, and the group gets the signals. A command of the user's own stays
  // in the terminal's foreground.
  spawn.own_process_group = options.command.empty();
  spawn.in_child = [&plan]() noexcept {
    // Killed without a chance to clean up, we take the command along: its lease ends with us.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    return mount::EnterNamespace(plan);
  };
  auto child = os::Spawn(std::move(spawn));
  if (!child) return std::move(child).error().Context("start " + command.front());
  if (identity) identity->KeepFresh(app.ctx);
  app.terminal.Err(
      fmt::format("bdn: {} mount{} ready: mirror {}, node cache {} ({} reused), mounts and "
                  "start {}\n",
                  run.mounts.size(), run.mounts.size() == 1 ? "" : "s", FormatSeconds(mirrored),
                  FormatSeconds(filled), FormatBytes(static_cast<double>(leases.bytes_reused())),
                  FormatSeconds(seconds_since(mounting))));
  Started started{*std::move(child), app.ctx.clock().Monotonic()};
  return Supervise(app, options, run, started);
}

}  // namespace bdn::cli
