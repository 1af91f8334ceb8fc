#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <sys/stat.h>

#include "cli/app.h"
#include "model/config.h"

namespace bdn::cli {
namespace {

std::vector<ProgressLine> Lines(const api::DeploymentBody& deployment) {
  std::vector<ProgressLine> lines;
  for (const auto& mount : deployment.mounts) {
    lines.push_back({mount.source + " → " + mount.mount_location, mount.progress});
  }
  return lines;
}

Result<api::DeploymentBody> GetDeployment(const App& app,
                                          const Connection& connection,
                                          const std::string& id) {
  BDN_ASSIGN(const std::string body,
             connection.control->Call(app.ctx, "GET", "/v1/deployments/" + net::PercentEncode(id)));
  return api::DeploymentFromJson(body);
}

std::string PaintStatus(const Terminal& terminal, const std::string& status) {
  if (status == "ACTIVE") return terminal.Paint(Colour::kGreen, status, false);
  if (status == "DEPLOY_FAILED") return terminal.Paint(Colour::kRed, status, false);
  return terminal.Paint(Colour::kYellow, status, false);
}

void ShowOne(const App& app, const api::DeploymentBody& d) {
  const Terminal& t = app.terminal;
  std::string text =
      fmt::format("{}  {}  {}  {}\n", d.id, d.name, PaintStatus(t, d.status), d.progress.phase);
  for (const auto& mount : d.mounts) {
    text += fmt::format("  {} → {}\n", mount.source, mount.mount_location);
    if (!mount.pin.empty()) text += fmt::format("    pinned at {}\n", mount.pin);
    text +=
        "    " +
        HeartbeatLine({mount.progress.phase == "done" ? "mirrored" : "mirror", mount.progress}) +
        "\n";
    if (!mount.manifest.empty()) text += fmt::format("    {}\n", mount.manifest);
    if (mount.error) {
      text += "    " + t.Paint(Colour::kRed, mount.error->message, false) + "\n";
      if (!mount.error->hint.empty()) text += "    " + mount.error->hint + "\n";
    }
  }
  for (const auto& warning : d.warnings) text += "  warning: " + warning + "\n";
  t.Out(text);
}

// What a person wants to know when it is over.
int ReportSettled(App& app, const api::DeploymentBody& d, MonoTime started) {
  if (app.json) {
    app.terminal.Out(api::ToJson(d) + "\n");
  } else if (d.status == "ACTIVE") {
    const auto& p = d.progress;
    const double seconds =
        std::chrono::duration<double>(app.ctx.clock().Monotonic() - started).count();
    app.terminal.Out(fmt::format(
        "{} is ready: {} in {} files, {} fetched and {} reused in {}\nstart it with: bdn run {}\n",
        d.id, FormatBytes(static_cast<double>(p.bytes)), p.files,
        FormatBytes(static_cast<double>(p.bytes - std::min(p.bytes, p.bytes_reused))),
        FormatBytes(static_cast<double>(p.bytes_reused)), FormatSeconds(seconds), d.id));
  }
  if (d.status == "ACTIVE" || d.status == "INACTIVE") return 0;
  if (!app.json) {
    for (const auto& mount : d.mounts) {
      if (!mount.error) continue;
      app.terminal.ShowError(api::FromErrorBody(*mount.error).Context(mount.source));
    }
  }
  return 1;
}

}  // namespace

Result<Connection> Connect(const App& app) {
  Connection connection;
  BDN_ASSIGN(connection.file, FindClient(app.env, app.client));
  connection.transport = MakeClientTransport(app.env.ca_file);
  const ClientFile& file = connection.file;
  connection.control = std::make_unique<api::RestClient>(*connection.transport,
                                                         api::Endpoint{file.url, file.api_key});
  const std::string& node_key = file.node_key.empty() ? file.api_key : file.node_key;
  connection.node = std::make_unique<api::RestClient>(*connection.transport,
                                                      api::Endpoint{file.node_url, node_key});
  return connection;
}

Result<std::string> ResolveDeployment(const App& app,
                                      const Connection& connection,
                                      const std::string& id_or_name) {
  if (id_or_name.starts_with("dep_")) return id_or_name;
  BDN_ASSIGN(const std::string body,
             connection.control->Call(app.ctx, "GET", "/v1/deployments?limit=1000"));
  BDN_ASSIGN(const auto deployments, api::DeploymentsFromJson(body));
  for (const auto& deployment : deployments) {
    if (deployment.name == id_or_name) return deployment.id;
  }
  return Error(Code::kNotFound, fmt::format("no deployment has the id or name '{}'", id_or_name))
      .WithHint("`bdn status` lists them");
}

Result<api::DeploymentBody> FollowDeployment(const App& app,
                                             const Connection& connection,
                                             const std::string& id) {
  BDN_ASSIGN(api::DeploymentBody latest, GetDeployment(app, connection, id));
  ProgressDisplay display(app.terminal, app.ctx.clock());
  int failures = 0;
  while (!latest.settled()) {
    display.Show(Lines(latest));
    Status streamed =
        connection.control->Events(app.ctx, "/v1/deployments/" + net::PercentEncode(id) + "/events",
                                   [&](std::string_view name, std::string_view data) {
                                     if (name == "end") return false;
                                     if (auto next = api::DeploymentFromJson(data)) {
                                       latest = *std::move(next);
                                       display.Show(Lines(latest));
                                     }
                                     return true;
                                   });
    BDN_TRY(app.ctx.Check());
    if (latest.settled()) break;
    // The stream broke: the control plane restarts, perhaps. Ask again for a while.
    constexpr int kFailuresMax = 60;
    if (++failures > kFailuresMax) return std::move(streamed).error();
    BDN_TRY(app.ctx.Sleep(std::chrono::seconds(1)));
    if (auto next = GetDeployment(app, connection, id)) {
      latest = *std::move(next);
      failures = 0;
    } else if (!next.error().retryable()) {
      return next;
    }
  }
  display.Show(Lines(latest), true);
  return latest;
}

ExitCode Push(App& app, const PushOptions& options) {
  const MonoTime started = app.ctx.clock().Monotonic();
  std::string path = options.dir;
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) path += "/config.yaml";
  BDN_ASSIGN(const std::string yaml, ReadFileOrStdin(path, model::kConfigBytesMax));
  BDN_ASSIGN(const Connection connection, Connect(app));
  boost::json::object request{{"config", yaml}};
  if (!options.name.empty()) request["name"] = options.name;
  auto answer =
      connection.control->Call(app.ctx, "POST", "/v1/deployments", boost::json::serialize(request));
  if (!answer) return std::move(answer).error().Context(path);
  BDN_ASSIGN(const api::DeploymentBody pushed, api::DeploymentFromJson(*answer));
  for (const auto& warning : pushed.warnings) app.terminal.ShowWarning(warning);
  if (!options.wait) {
    app.terminal.Out(app.json ? api::ToJson(pushed) + "\n"
                              : fmt::format("pushed {} as {}\nfollow it with: bdn watch {}\n",
                                            pushed.name.empty() ? path : pushed.name, pushed.id,
                                            pushed.id));
    return 0;
  }
  if (!app.json) app.terminal.Err("pushed " + pushed.id + "\n");
  BDN_ASSIGN(const api::DeploymentBody settled, FollowDeployment(app, connection, pushed.id));
  return ReportSettled(app, settled, started);
}

ExitCode ShowStatus(App& app, const StatusOptions& options) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  if (!options.id.empty()) {
    BDN_ASSIGN(const std::string id, ResolveDeployment(app, connection, options.id));
    BDN_ASSIGN(const auto deployment, GetDeployment(app, connection, id));
    if (app.json) {
      app.terminal.Out(api::ToJson(deployment) + "\n");
    } else {
      ShowOne(app, deployment);
    }
    return 0;
  }
  BDN_ASSIGN(const std::string body, connection.control->Call(app.ctx, "GET", "/v1/deployments"));
  if (app.json) {
    app.terminal.Out(body + "\n");
    return 0;
  }
  BDN_ASSIGN(const auto deployments, api::DeploymentsFromJson(body));
  if (deployments.empty()) {
    app.terminal.Out("no deployments; push one with: bdn push DIR\n");
    return 0;
  }
  Table table({"ID", "NAME", "STATUS", "PHASE", "FILES", "SIZE", "DONE", "CREATED"});
  for (const auto& d : deployments) {
    const auto& p = d.progress;
    table.Row({d.id, d.name, d.status, p.phase, std::to_string(p.files),
               FormatBytes(static_cast<double>(p.bytes)),
               FormatBytes(static_cast<double>(p.bytes_done)), d.created_at});
  }
  app.terminal.Out(table.Text(app.terminal));
  return 0;
}

ExitCode Watch(App& app, const std::string& id_or_name) {
  const MonoTime started = app.ctx.clock().Monotonic();
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const std::string id, ResolveDeployment(app, connection, id_or_name));
  BDN_ASSIGN(const auto settled, FollowDeployment(app, connection, id));
  return ReportSettled(app, settled, started);
}

ExitCode Deactivate(App& app, const std::string& id_or_name, bool active) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const std::string id, ResolveDeployment(app, connection, id_or_name));
  BDN_TRY(connection.control->Call(
      app.ctx, "POST",
      "/v1/deployments/" + net::PercentEncode(id) + (active ? "/activate" : "/deactivate")));
  app.terminal.Out(id + (active ? " is active\n" : " is inactive\n"));
  return 0;
}

ExitCode DeleteDeployment(App& app, const std::string& id) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_TRY(connection.control->Call(app.ctx, "DELETE", "/v1/deployments/" + net::PercentEncode(id)));
  app.terminal.Out("deleted " + id + "\n");
  return 0;
}

}  // namespace bdn::cli
