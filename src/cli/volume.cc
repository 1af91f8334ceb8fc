#include <boost/json.hpp>
#include <fmt/format.h>
#include <sys/stat.h>

#include "base/executor.h"
#include "cache/node_cache.h"
#include "cli/app.h"
#include "cli/object_upload.h"
#include "mirror/tree_push.h"
#include "model/volume_ref.h"
#include "net/http.h"
#include "os/real_fs.h"
#include "store/remote_reader.h"

namespace bdn::cli {
namespace {

Result<api::VersionBody> ResolveRef(const App& app,
                                    const Connection& connection,
                                    const std::string& ref) {
  BDN_TRY(model::ParseVolumeRef(ref));
  BDN_ASSIGN(
      const std::string body,
      connection.control->Call(app.ctx, "GET", "/v1/resolve?ref=" + net::PercentEncode(ref)));
  return api::VersionFromJson(body);
}

std::string VolumePath(const std::string& ns, const std::string& volume) {
  return "/v1/volumes/" + net::PercentEncode(ns) + "/" + net::PercentEncode(volume);
}

}  // namespace

ExitCode VolumePush(App& app, const VolumeOptions& options) {
  BDN_ASSIGN(const model::VolumeRef ref, model::ParseVolumeRef(options.ref));
  if (!ref.digest_prefix.empty()) {
    return Error(Code::kInvalidArgument, "push to a volume or a tag, not to a digest");
  }
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const auto tree, os::OpenRealFs(AbsolutePath(options.dir)));
  ThreadPool pool({.name = "push", .threads = kUploadsParallel});
  ProgressDisplay display(app.terminal, app.ctx.clock());
  BDN_ASSIGN(const auto pushed,
             mirror::PushTree(app.ctx, *tree, UploadTo(*connection.control, ref.ns), pool,
                              ShowPush(display, app.ctx.clock(), options.dir)));
  boost::json::object request{{"manifest", pushed.manifest.ToString()}};
  if (!ref.tag.empty()) request["tag"] = ref.tag;
  BDN_ASSIGN(const std::string body,
             connection.control->Call(app.ctx, "POST", VolumePath(ref.ns, ref.volume) + "/versions",
                                      boost::json::serialize(request)));
  display.Finish();
  if (app.json) {
    app.terminal.Out(body + "\n");
    return 0;
  }
  BDN_ASSIGN(const auto version, api::VersionFromJson(body));
  const auto& p = pushed.progress;
  app.terminal.Out(fmt::format(
      "bdn:{}/{} version {} is {}\n{} in {} files, {} were there already\n", version.ns,
      version.volume, version.sequence, version.manifest, FormatBytes(static_cast<double>(p.bytes)),
      p.files, FormatBytes(static_cast<double>(p.bytes_reused))));
  return 0;
}

ExitCode VolumeLs(App& app) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const std::string body, connection.control->Call(app.ctx, "GET", "/v1/volumes"));
  if (app.json) {
    app.terminal.Out(body + "\n");
    return 0;
  }
  BDN_ASSIGN(const auto volumes, api::VolumesFromJson(body));
  Table table({"VOLUME", "VERSIONS", "HEAD"});
  for (const auto& v : volumes) {
    table.Row({"bdn:" + v.ns + "/" + v.volume, std::to_string(v.versions), v.head});
  }
  app.terminal.Out(volumes.empty() ? "no volumes; push one with: bdn volume push DIR bdn:ns/name\n"
                                   : table.Text(app.terminal));
  return 0;
}

ExitCode VolumeShow(App& app, const std::string& text) {
  BDN_ASSIGN(const model::VolumeRef ref, model::ParseVolumeRef(text));
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const std::string body,
             connection.control->Call(app.ctx, "GET", VolumePath(ref.ns, ref.volume)));
  if (app.json) {
    app.terminal.Out(body + "\n");
    return 0;
  }
  BDN_ASSIGN(const auto versions, api::VersionsFromJson(body));
  Table table({"VERSION", "MANIFEST", "TAGS", "CREATED"});
  for (const auto& v : versions) {
    std::string tags;
    for (const auto& tag : v.tags) tags += (tags.empty() ? "" : ", ") + tag;
    table.Row({std::to_string(v.sequence), v.manifest, tags, v.created_at});
  }
  app.terminal.Out(table.Text(app.terminal));
  return 0;
}

ExitCode VolumeTag(App& app, const VolumeOptions& options) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const api::VersionBody version, ResolveRef(app, connection, options.ref));
  BDN_TRY(connection.control->Call(
      app.ctx, "PUT",
      VolumePath(version.ns, version.volume) + "/tags/" + net::PercentEncode(options.tag),
      boost::json::serialize(boost::json::object{{"manifest", version.manifest}})));
  app.terminal.Out(fmt::format("bdn:{}/{}:{} is {}\n", version.ns, version.volume, options.tag,
                               version.manifest));
  return 0;
}

// A pull is a node cache of one version beside the target, whose tree then becomes the target: the
// same verification and the same resume after a kill.
ExitCode Pull(App& app, const VolumeOptions& options) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const api::VersionBody version, ResolveRef(app, connection, options.ref));
  BDN_ASSIGN(const crypto::Digest manifest, crypto::ParseDigest(version.manifest));
  std::string dir = AbsolutePath(options.dir);
  while (dir.size() > 1 && dir.ends_with('/')) dir.pop_back();
  struct stat info {};
  if (::stat(dir.c_str(), &info) == 0 && ::rmdir(dir.c_str()) != 0) {
    return Error(Code::kAlreadyExists, dir + " is there and not empty")
        .WithHint("name a new or an empty directory");
  }
  const std::string work = dir + ".bdn-pull";
  {
    BDN_ASSIGN(auto fs, os::OpenOrMakeRealFs(work));
    const std::string key = connection.file.api_key;
    const auto reader = store::MakeRemoteReader(
        *connection.transport,
        [key](const Context&, const store::Scope&, bool) { return Result<std::string>(key); },
        [] { return 0.5; }, {.base_url = connection.control->endpoint().url});
    ThreadPool pool({.name = "pull", .threads = kUploadsParallel});
    BDN_ASSIGN(const auto cache,
               cache::OpenNodeCache(std::move(fs), *reader, pool, app.ctx.clock(), {}));
    ProgressDisplay display(app.terminal, app.ctx.clock());
    BDN_ASSIGN(
        const auto lease,
        cache->Acquire(app.ctx, {kOrg, version.ns}, manifest, [&](const cache::FillProgress& p) {
          api::ProgressBody body{p.phase,      p.files,        p.files_done, p.bytes,
                                 p.bytes_done, p.bytes_reused, p.rate,       {}};
          display.Show({{options.ref, body}});
        }));
    if (::rename(lease->path().c_str(), dir.c_str()) != 0) {
      return Error(Code::kFailedPrecondition, "cannot move the files to " + dir);
    }
  }
  {
    BDN_ASSIGN(auto fs, os::OpenRealFs(work));
    for (const char* part : {"files", "partial", "trees"}) BDN_TRY(os::RemoveTree(*fs, part));
  }
  ::rmdir(work.c_str());
  app.terminal.Out(app.json ? api::ToJson(version) + "\n"
                            : fmt::format("{} is in {}\n", version.manifest, dir));
  return 0;
}

}  // namespace bdn::cli
