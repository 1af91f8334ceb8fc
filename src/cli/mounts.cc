#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/app.h"
#include "cli/node_call.h"

namespace bdn::cli {
namespace {

struct Wanted {
  std::string org;
  std::string ns;
  std::string manifest;
  std::string target;
};

// A deployment's mounts at their own locations, or one volume version at the target.
Result<std::vector<Wanted>> WhatToMount(const App& app,
                                        const Connection& connection,
                                        const MountOptions& options) {
  if (options.what.starts_with("bdn:")) {
    BDN_ASSIGN(const std::string body,
               connection.control->Call(app.ctx, "GET",
                                        "/v1/resolve?ref=" + net::PercentEncode(options.what)));
    BDN_ASSIGN(const auto version, api::VersionFromJson(body));
    return std::vector<Wanted>{
        {"default", version.ns, version.manifest, AbsolutePath(options.target)}};
  }
  BDN_ASSIGN(const std::string id, ResolveDeployment(app, connection, options.what));
  BDN_ASSIGN(const std::string body,
             connection.control->Call(app.ctx, "GET",
                                      "/v1/deployments/" + net::PercentEncode(id) + "/run"));
  BDN_ASSIGN(const auto run, api::RunFromJson(body));
  if (!options.target.empty() && run.mounts.size() != 1) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} has {} mounts; leave the target out to use their own locations",
                             id, run.mounts.size()));
  }
  std::vector<Wanted> wanted;
  for (const auto& m : run.mounts) {
    wanted.push_back({m.org, m.ns, m.manifest,
                      options.target.empty() ? m.mount_location : AbsolutePath(options.target)});
  }
  return wanted;
}

ExitCode ListMounts(App& app, const Connection& connection) {
  BDN_ASSIGN(const std::string body, CallNode(app.ctx, connection, "GET", "/v1/node/mounts"));
  if (app.json) {
    app.terminal.Out(body + "\n");
    return 0;
  }
  BDN_ASSIGN(const auto mounts, api::NodeMountsFromJson(body));
  Table table({"TARGET", "MANIFEST", "STATE"});
  for (const auto& m : mounts) table.Row({m.target, m.manifest, m.state});
  app.terminal.Out(mounts.empty() ? "nothing is mounted\n" : table.Text(app.terminal));
  return 0;
}

}  // namespace

ExitCode Mount(App& app, const MountOptions& options) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  if (options.list) return ListMounts(app, connection);
  BDN_ASSIGN(const auto wanted, WhatToMount(app, connection, options));
  std::vector<std::string> done;
  for (const auto& w : wanted) {
    api::NodeMountBody request;
    request.org = w.org;
    request.ns = w.ns;
    request.manifest = w.manifest;
    request.target = w.target;
    auto mounted = CallNode(app.ctx, connection, "POST", "/v1/node/mounts", api::ToJson(request));
    if (!mounted) {
      // All of a deployment's mounts, or none.
      for (const auto& target : done) {
        (void)connection.node->Call(app.ctx, "DELETE",
                                    "/v1/node/mounts?target=" + net::PercentEncode(target));
      }
      return std::move(mounted).error().Context(w.target);
    }
    done.push_back(w.target);
    app.terminal.Out(app.json ? *mounted + "\n"
                              : fmt::format("{} is at {}\n", w.manifest, w.target));
  }
  return 0;
}

ExitCode Unmount(App& app, const MountOptions& options) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  std::string target = AbsolutePath(options.target);
  while (target.size() > 1 && target.ends_with('/')) target.pop_back();
  BDN_TRY(CallNode(
      app.ctx, connection, "DELETE",
      "/v1/node/mounts?target=" + net::PercentEncode(target) + (options.lazy ? "&lazy=1" : "")));
  app.terminal.Out("unmounted " + target + "\n");
  return 0;
}

}  // namespace bdn::cli
