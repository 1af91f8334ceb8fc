#include <optional>
#include <thread>

#include <boost/json.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/http_api.h"
#include "agent/node_agent.h"
#include "auth/grant.h"
#include "base/executor.h"
#include "base/log.h"
#include "cli/app.h"
#include "cli/operator_network.h"
#include "cli/user_client_file.h"
#include "control/doctor_route.h"
#include "control/http_api.h"
#include "control/mirror_sources.h"
#include "crypto/hash.h"
#include "mirror/worker.h"
#include "mount/system_mounter.h"
#include "net/curl_transport.h"
#include "net/server.h"
#include "os/real_fs.h"
#include "os/unique_fd.h"
#include "store/api_keys.h"
#include "store/directory_store.h"
#include "store/remote_reader.h"
#include "store/secrets.h"
#include "store/sqlite_metadata.h"

namespace bdn::cli {
namespace {

constexpr Duration kReapEvery = std::chrono::seconds(5);
constexpr std::string_view kSystemOrg = "_system";

// One process a data directory: two would fight over leases and temporary files.
Result<os::UniqueFd> LockDataDir(const std::string& data) {
  const std::string path = data + "/lock";
  os::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd.get() < 0) {
    return Error(Code::kPermissionDenied, "cannot write in " + data)
        .WithHint("name another directory with --data");
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error(Code::kFailedPrecondition, "another bdn runs on the data directory " + data)
        .WithHint("stop it, or name another directory with --data");
  }
  return fd;
}

// --- the control plane's parts, in the order in which they depend on each other ---

struct ControlRole {
  std::unique_ptr<store::Metadata> metadata;
  std::unique_ptr<store::ObjectStore> objects;
  std::optional<store::SecretVault> vault;
  std::unique_ptr<net::Transport> upstream;
  source::RateLimiters limiters;
  Wakeup mirror_changed;
  std::unique_ptr<ThreadPool> fetchers;
  std::unique_ptr<mirror::Mirrorer> mirrorer;
  std::unique_ptr<mirror::MirrorWorker> worker;
  std::unique_ptr<control::ControlPlane> plane;
  std::unique_ptr<control::TrainingStore> training;
  std::unique_ptr<control::OidcIssuer> oidc;
  std::optional<control::HttpApiDeps> api;
  std::optional<control::DoctorRouteDeps> doctor;
  std::jthread worker_thread;
};

double RandomUnit() {
  const std::string bytes = crypto::RandomBytes(4);
  std::uint32_t number = 0;
  for (const char c : bytes) number = number << 8 | static_cast<unsigned char>(c);
  return static_cast<double>(number) / 4294967296.0;
}

// A random value that all replicas share and a restart keeps.
Result<std::string> SystemSecret(store::SecretVault& vault, const std::string& name) {
  auto value = vault.Get(std::string(kSystemOrg), name);
  if (value || value.error().code() != Code::kNotFound) return value;
  const std::string fresh = crypto::RandomBytes(32);
  BDN_TRY(vault.Set(std::string(kSystemOrg), name, fresh));
  return fresh;
}

Status OpenStores(const App& app, const ServeOptions& o, ControlRole& role) {
  BDN_ASSIGN(role.metadata, store::OpenSqliteMetadata(o.data + "/bdn.db"));
  BDN_ASSIGN(auto origin, os::OpenOrMakeRealFs(o.data + "/origin"));
  BDN_ASSIGN(role.objects, store::OpenDirectoryStore(std::move(origin), app.ctx.clock()));
  std::string key_file = o.master_key_file.empty() ? app.env.master_key_file : o.master_key_file;
  if (key_file.empty()) key_file = o.data + "/master.key";
  key_file = AbsolutePath(key_file);
  const std::size_t slash = key_file.rfind('/');
  BDN_ASSIGN(auto key_dir, os::OpenOrMakeRealFs(
                               slash == std::string::npos ? "." : key_file.substr(0, slash + 1)));
  BDN_ASSIGN(std::string key, store::LoadOrCreateMasterKey(*key_dir, key_file.substr(slash + 1)));
  role.vault.emplace(*role.metadata, app.ctx.clock(), std::move(key));
  // The database is in our locked directory: whoever ran mirrors there before is dead.
  return mirror::RequeueMirrorsOfDeadWorkers(*role.metadata, app.ctx.clock().Now());
}

// Where the operator named an issuer: its keys, and tokens for mirrors.
Status StartIssuer(const App& app, const ServeOptions& o, ControlRole& role) {
  control::OidcOptions options;
  options.issuer = o.oidc_issuer.empty() ? app.env.oidc_issuer : o.oidc_issuer;
  if (options.issuer.empty()) return {};
  options.audience = o.oidc_audience.empty() ? app.env.oidc_audience : o.oidc_audience;
  options.algorithm = o.oidc_algorithm == "ES256" ? crypto::SignatureAlgorithm::kEs256
                                                  : crypto::SignatureAlgorithm::kRs256;
  options.token_life = std::chrono::seconds(o.oidc_token_seconds);
  auto issuer = control::OidcIssuer::Make(*role.metadata, *role.vault, app.ctx.clock(), options);
  if (!issuer) return std::move(issuer).error().Context("--oidc-issuer");
  role.oidc = *std::move(issuer);
  return {};
}

Status StartControl(const App& app, const ServeOptions& o, ControlRole& role) {
  BDN_TRY(OpenStores(app, o, role));
  BDN_TRY(StartIssuer(app, o, role));
  const std::string endpoint = o.hf_endpoint.empty() ? app.env.hf_endpoint : o.hf_endpoint;
  BDN_ASSIGN(role.upstream, MakeSourceTransport(o.allow_private, app.env, endpoint));
  role.fetchers = std::make_unique<ThreadPool>(
      ThreadPool::Options{.name = "fetch", .threads = static_cast<std::size_t>(o.parallel)});
  role.mirrorer = std::make_unique<mirror::Mirrorer>(
      *role.objects, *role.metadata, *role.fetchers,
      mirror::MirrorerOptions{.parallel = static_cast<std::size_t>(o.parallel),
                              .memory_bytes_max = o.memory_bytes});
  const source::SourceEnvironment sources{.transport = *role.upstream,
                                          .limiters = role.limiters,
                                          .hf_endpoint = endpoint,
                                          .s3_endpoint = app.env.s3_endpoint,
                                          .r2_endpoint = app.env.r2_endpoint,
                                          .cw_endpoint = app.env.cw_endpoint,
                                          .sts_endpoint = app.env.sts_endpoint,
                                          .azure_endpoint = app.env.azure_endpoint,
                                          .azure_authority = app.env.azure_authority,
                                          .google_endpoint = app.env.google_endpoint,
                                          .bt_endpoint = app.env.bt_endpoint,
                                          .bt_key = app.env.bt_api_key,
                                          .random = &RandomUnit};
  const control::ControlOptions names{.own_training_store = app.env.bt_endpoint.empty(),
                                      .queued = [&role] { role.worker->Wake(); },
                                      .oidc_issuer = role.oidc != nullptr};
  role.training =
      std::make_unique<control::TrainingStore>(*role.metadata, *role.objects, app.ctx.clock(),
                                               store::Scope{names.org, names.training_namespace});
  const std::string owner = fmt::format("pid-{}-{}", ::getpid(), os::RandomName());
  role.worker = std::make_unique<mirror::MirrorWorker>(
      *role.metadata, *role.mirrorer, app.ctx.clock(),
      [&role, sources](const Context&, const store::Mirror& mirror) {
        return control::MakeMirrorSource(mirror, *role.vault, sources,
                                         {role.oidc.get(), role.plane->options().team});
      },
      [&role](const std::string&) { role.mirror_changed.Wake(); },
      mirror::MirrorWorkerOptions{.owner = owner,
                                  .jobs = static_cast<std::size_t>(o.mirrors),
                                  .lease = std::chrono::seconds(10),
                                  .heartbeat = std::chrono::milliseconds(500),
                                  .poll = std::chrono::milliseconds(250),
                                  .find_stored =
                                      [&role](const Context& ctx, const store::Mirror& mirror) {
                                        return role.training->FindTree(ctx, mirror);
                                      },
                                  .random = &RandomUnit});
  role.plane = std::make_unique<control::ControlPlane>(*role.metadata, *role.objects, *role.vault,
                                                       app.ctx.clock(), names);
  BDN_ASSIGN(std::string grant_key, SystemSecret(*role.vault, "grant_key"));
  role.doctor.emplace(control::DoctorRouteDeps{
      .upstream = *role.upstream,
      .environment =
          [&app, &role, endpoint](net::Transport& transport) {
            source::SourceEnvironment environment =
                MakeSourceEnvironment(app.env, transport, role.limiters);
            environment.hf_endpoint = endpoint;
            environment.random = &RandomUnit;
            return environment;
          },
      .vault = *role.vault,
      .org = role.plane->options().org,
      .identity = [&role]() -> auth::IdentityTokens* {
        if (!role.oidc) return nullptr;
        const control::ControlOptions& plane = role.plane->options();
        return &role.oidc->TokensOf({.org = plane.org, .team = plane.team});
      }});
  role.api.emplace(control::HttpApiDeps{*role.plane, *role.metadata, *role.objects, app.ctx.clock(),
                                        std::move(grant_key), role.mirror_changed,
                                        role.training.get(), o.public_url,
                                        !o.tls_certificate.empty(), role.oidc.get()});
  role.worker_thread =
      std::jthread([&role](std::stop_token stop) { role.worker->Run(std::move(stop)); });
  return {};
}

// The keys of this machine's user and node: those of the last start while they are still good.
Result<ClientFile> LocalClient(const App& app,
                               const ServeOptions& o,
                               ControlRole& role,
                               const std::string& url) {
  ClientFile client;
  if (auto text = ReadFileOrStdin(o.data + "/client.json", 64 * 1024)) {
    if (auto old = ClientFileFromJson(*text)) client = *std::move(old);
  }
  client.url = url;
  client.node_url = o.agent ? url : "";
  const std::string node_name = std::string(control::kNodeKeyPrefix) + "local";
  for (auto& [key, name] : {std::pair<std::string*, std::string>{&client.api_key, "local"},
                            std::pair<std::string*, std::string>{&client.node_key, node_name}}) {
    if (!key->empty() && store::VerifyApiKey(*role.metadata, *key)) continue;
    BDN_ASSIGN(const store::NewApiKey fresh,
               store::CreateApiKey(*role.metadata, role.plane->options().org, name,
                                   app.ctx.clock().Now()));
    *key = fresh.text;
  }
  BDN_TRY(WritePrivateFile(o.data + "/client.json", ToJson(client)));
  return client;
}

// --- the node's parts ---

struct AgentRole {
  std::unique_ptr<net::Transport> transport;
  std::unique_ptr<api::RestClient> control;
  std::unique_ptr<store::ObjectReader> remote;
  std::unique_ptr<ThreadPool> fetchers;
  std::unique_ptr<ThreadPool> fillers;
  std::unique_ptr<mount::Mounter> mounter;
  std::unique_ptr<os::Fs> state;
  std::unique_ptr<os::Fs> host;
  std::unique_ptr<cache::NodeCache> cache;
  std::unique_ptr<agent::NodeAgent> agent;
  std::jthread reaper;
};

// Grants by namespace, asked for again shortly before they end.
class GrantKeeper {
 public:
  GrantKeeper(const api::RestClient& control, const Clock& clock)
      : control_(control), clock_(clock) {}

  Result<std::string> Get(const Context& ctx, const store::Scope& scope, bool refresh) {
    const WallTime now = clock_.Now();
    const auto held = grants_.With([&](auto& grants) -> std::optional<std::string> {
      const auto it = grants.find(scope);
      if (refresh || it == grants.end() || it->second.until <= now) return std::nullopt;
      return it->second.token;
    });
    if (held) return *held;
    BDN_ASSIGN(const std::string body,
               control_.Call(ctx, "POST", "/v1/grants",
                             boost::json::serialize(boost::json::object{{"namespace", scope.ns}})));
    boost::system::error_code failed;
    const auto json = boost::json::parse(body, failed);
    const auto* token =
        failed || !json.is_object() ? nullptr : json.as_object().if_contains("token");
    if (token == nullptr || !token->is_string()) {
      return Error(Code::kUnavailable, "the control plane sent no grant");
    }
    const Held fresh{std::string(token->as_string()), now + auth::kGrantLife / 2};
    grants_.With([&](auto& grants) { grants[scope] = fresh; });
    return fresh.token;
  }

 private:
  struct Held {
    std::string token;
    WallTime until;
  };
  const api::RestClient& control_;
  const Clock& clock_;
  Guarded<std::map<store::Scope, Held>> grants_;
};

Status StartAgent(const App& app,
                  const ServeOptions& o,
                  store::ObjectReader& upstream,
                  AgentRole& role) {
  BDN_ASSIGN(auto cache_dir, os::OpenOrMakeRealFs(o.data + "/cache"));
  BDN_ASSIGN(role.state, os::OpenOrMakeRealFs(o.data + "/agent"));
  BDN_ASSIGN(role.host, os::OpenRealFs("/"));
  role.fetchers = std::make_unique<ThreadPool>(
      ThreadPool::Options{.name = "node-fetch", .threads = static_cast<std::size_t>(o.parallel)});
  role.fillers = std::make_unique<ThreadPool>(ThreadPool::Options{.name = "fill", .threads = 16});
  role.mounter = mount::MakeSystemMounter();
  BDN_ASSIGN(role.cache, cache::OpenNodeCache(std::move(cache_dir), upstream, *role.fetchers,
                                              app.ctx.clock(), {.capacity_bytes = o.cache_bytes}));
  BDN_ASSIGN(role.agent,
             agent::NodeAgent::Open({*role.cache, *role.mounter, *role.state, *role.fillers,
                                     app.ctx.clock(), agent::SystemProcesses()}));
  role.reaper = std::jthread([&role, &app](std::stop_token stop) {
    NameThisThread("reaper");
    while (app.ctx.clock().SleepFor(stop, kReapEvery)) role.agent->ReapLeases();
  });
  return {};
}

Result<std::unique_ptr<net::Server>> Listen(const ServeOptions& o, net::Router router) {
  net::ServerOptions options;
  options.name = "http";
  options.listen = o.listen;
  options.workers = 64;  // a watcher or an upload holds one
  if (!o.tls_certificate.empty()) {
    options.tls = net::TlsOptions{o.tls_certificate, o.tls_key, ""};
  }
  return net::StartServer(std::move(options), std::move(router));
}

bool IsLoopback(const std::string& listen) {
  return listen.starts_with("127.") || listen.starts_with("[::1]") ||
         listen.starts_with("localhost:") || listen.starts_with("unix:");
}

void WaitForStop(const App& app) {
  Guarded<bool> never(false);
  never.Wait(app.ctx.stop(), [](bool& done) { return done; });
}

// --- the three ways to serve ---

ExitCode ServeWithControl(App& app, const ServeOptions& o) {
  ControlRole control;
  BDN_TRY(StartControl(app, o, control));
  AgentRole agent;
  net::Router router;
  control::AddControlRoutes(router, *control.api);
  control::AddDoctorRoute(router, *control.doctor);
  if (o.agent) {
    BDN_TRY(StartAgent(app, o, *control.objects, agent));
    agent::AddNodeRoutes(router, *agent.agent, *agent.cache, *agent.host);
  }
  control::AddAuthentication(router, *control.api);
  BDN_ASSIGN(const auto server, Listen(o, std::move(router)));
  BDN_ASSIGN(const ClientFile client, LocalClient(app, o, control, server->base_url()));
  const auto claimed = UserClientFile::Claim(app, client, o.data);
  app.terminal.Out(fmt::format("bdn is ready at {} (data in {})\n", client.url, o.data));
  WaitForStop(app);
  log::Info("stopping: waiting for requests in flight, mirrors go back to the queue");
  control.worker_thread.request_stop();
  server->Stop();
  return 0;
}

ExitCode ServeAgentOnly(App& app, const ServeOptions& o) {
  BDN_ASSIGN(ClientFile file, FindClient(app.env, app.client));
  AgentRole role;
  role.transport = MakeClientTransport(app.env.ca_file);
  const std::string& key = file.node_key.empty() ? file.api_key : file.node_key;
  role.control = std::make_unique<api::RestClient>(*role.transport, api::Endpoint{file.url, key});
  GrantKeeper grants(*role.control, app.ctx.clock());
  role.remote =
      store::MakeRemoteReader(*role.transport,
                              [&grants](const Context& ctx, const store::Scope& scope,
                                        bool refresh) { return grants.Get(ctx, scope, refresh); },
                              &RandomUnit, {.base_url = role.control->endpoint().url});
  BDN_TRY(StartAgent(app, o, *role.remote, role));
  net::Router router;
  router.Add("GET", "/healthz", [](net::ServerRequest&, net::ServerResponse& rs) {
    return rs.Send(200, {{"Content-Type", "application/json"}}, R"({"ok":true})");
  });
  agent::AddNodeRoutes(router, *role.agent, *role.cache, *role.host);
  // Whoever holds the node's key may use the node.
  router.Before([&key](net::ServerRequest& rq) -> Status {
    if (rq.path() == "/healthz") return {};
    const auto header = rq.headers().Get("Authorization");
    if (header && crypto::EqualConstantTime(*header, "Bearer " + key)) return {};
    return Error(Code::kUnauthenticated, "the node's key is needed");
  });
  BDN_ASSIGN(const auto server, Listen(o, std::move(router)));
  file.node_url = server->base_url();
  BDN_TRY(WritePrivateFile(o.data + "/client.json", ToJson(file)));
  app.terminal.Out(fmt::format("bdn agent is ready at {} for {} (data in {})\n", file.node_url,
                               file.url, o.data));
  WaitForStop(app);
  server->Stop();
  return 0;
}

}  // namespace

ExitCode Serve(App& app, const ServeOptions& given) {
  ServeOptions o = given;
  if (!o.bt_endpoint.empty()) app.env.bt_endpoint = o.bt_endpoint;
  o.data = AbsolutePath(o.data.empty() ? DefaultDataDir(app.env) : o.data);
  log::SetLevel(o.verbose ? log::Level::kDebug : log::Level::kInfo);
  if (!o.tls_certificate.empty() && o.tls_key.empty()) {
    return Error(Code::kInvalidArgument, "--tls-certificate needs --tls-key");
  }
  if (!IsLoopback(o.listen) && o.tls_certificate.empty()) {
    app.terminal.ShowWarning("listening on " + o.listen +
                             " without TLS: keys and weights are readable on that network");
  }
  BDN_ASSIGN(const auto made, os::OpenOrMakeRealFs(o.data));
  // Absolute from here on: mounts and other processes need it.
  o.data = made->HostPath("");
  BDN_ASSIGN(const os::UniqueFd lock, LockDataDir(o.data));
  BDN_TRY(os::RemoveTemporaries(*made, ""));
  return o.control ? ServeWithControl(app, o) : ServeAgentOnly(app, o);
}

}  // namespace bdn::cli
