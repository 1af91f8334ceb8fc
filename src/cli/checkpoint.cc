#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/app.h"
#include "cli/checkpoint_push.h"
#include "cli/object_upload.h"
#include "codec/json.h"
#include "mirror/tree_watch.h"
#include "model/source_uri.h"
#include "net/http.h"
#include "os/real_fs.h"
#include "source/checkpoint_ref.h"

namespace bdn::cli {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kAdapterConfigBytesMax = 1 << 20;
constexpr std::string_view kProjects = "/v1/training_projects";

std::string ProjectPath(const std::string& project) {
  return std::string(kProjects) + "/" + net::PercentEncode(project);
}

std::string JobPath(const std::string& project, const std::string& job) {
  return ProjectPath(project) + "/jobs/" + net::PercentEncode(job);
}

// What the options do not say about an adapter, its own configuration does (PEFT's file).
struct Adapter {
  bool is = false;
  std::string base_model;
  std::int64_t rank = 0;
};

Adapter ReadAdapter(const os::Fs& dir) {
  Adapter adapter;
  const auto text = os::ReadFile(dir, "adapter_config.json", kAdapterConfigBytesMax);
  if (!text) return adapter;
  adapter.is = true;
  const auto config = codec::ParseJson(*text);
  if (!config || !config->is_object()) return adapter;
  const codec::JsonView view(*config);
  adapter.base_model = view.StringOr("base_model_name_or_path", "").value_or("");
  adapter.rank = view.IntOr("r", 0).value_or(0);
  return adapter;
}

// What is there, if it may become a checkpoint at all: looked at before anything is made on the
// control plane, which would keep it.
Result<mirror::TreeSnapshot> LookAt(const os::Fs& tree,
                                    const std::string& dir,
                                    const std::string& marker) {
  BDN_ASSIGN(auto found, mirror::TakeSnapshot(tree, ""));
  if (!marker.empty() && !found.Has(marker)) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("{} is not complete: it has no {}", dir, marker));
  }
  const bool files = std::any_of(found.entries.begin(), found.entries.end(), [](const auto& entry) {
    return entry.type == os::FileType::kFile;
  });
  if (files) return found;
  return Error(Code::kInvalidArgument,
               "a checkpoint needs at least one file, and " + dir + " has none")
      .WithHint("name the directory that the training writes the checkpoint to");
}

// The lists of the control plane, for the rules that resolve bt:// references.
class ControlCatalogue final : public source::CheckpointCatalogue {
 public:
  explicit ControlCatalogue(const Connection& connection) : control_(*connection.control) {}

  Result<std::vector<api::TrainingProjectBody>> Projects(const Context& ctx) override {
    BDN_ASSIGN(const std::string body, control_.Call(ctx, "GET", kProjects));
    return api::ProjectsFromJson(body);
  }
  Result<std::vector<api::TrainingJobBody>> Jobs(const Context& ctx,
                                                 const std::string& project) override {
    BDN_ASSIGN(const std::string body, control_.Call(ctx, "GET", ProjectPath(project) + "/jobs"));
    return api::JobsFromJson(body);
  }
  Result<std::vector<api::CheckpointBody>> Checkpoints(const Context& ctx,
                                                       const std::string& project,
                                                       const std::string& job) override {
    BDN_ASSIGN(const std::string body,
               control_.Call(ctx, "GET", JobPath(project, job) + "/checkpoints"));
    return api::CheckpointsFromJson(body);
  }
  Result<std::vector<api::CheckpointBody>> LoopsCheckpoints(const Context& ctx,
                                                            const std::string& run) override {
    BDN_ASSIGN(
        const std::string body,
        control_.Call(ctx, "GET", "/v1/loops/checkpoints?run_id=" + net::PercentEncode(run)));
    return api::CheckpointsFromJson(body);
  }

 private:
  const api::RestClient& control_;
};

// "bt://project@job/checkpoint", also without its scheme.
Result<model::SourceUri> ParseRef(const std::string& text) {
  BDN_ASSIGN(model::SourceUri uri,
             model::ParseSourceUri(text.find("://") == std::string::npos ? "bt://" + text : text));
  if (uri.scheme == model::Scheme::kBt) return uri;
  return Error(Code::kInvalidArgument, "'" + text + "' is no checkpoint")
      .WithHint("name it as bt://project@job/checkpoint; `bdn checkpoint ls` shows them");
}

// As a deployment's config names it.
std::string SourceOf(const std::string& project, const api::CheckpointBody& c) {
  return fmt::format("bt://{}@{}/{}", project, c.job_id, c.name);
}

json::object RowJson(const api::TrainingProjectBody& project, const api::CheckpointBody& c) {
  return {{"project", project.name},
          {"training_project_id", project.id},
          {"training_job_id", c.job_id},
          {"checkpoint_id", c.name},
          {"source", SourceOf(project.name, c)},
          {"checkpoint_type", c.type},
          {"base_model", c.base_model.empty() ? json::value(nullptr) : json::value(c.base_model)},
          {"sync_status", c.sync_status},
          {"size_bytes", c.size_bytes},
          {"file_count", c.files},
          {"created_at", c.created_at},
          {"manifest", c.manifest.empty() ? json::value(nullptr) : json::value(c.manifest)}};
}

}  // namespace

std::string CheckpointPath(const std::string& job_path, const std::string& name) {
  return job_path + "/checkpoints/" + net::PercentEncode(name);
}

CheckpointPusher::CheckpointPusher(const App& app,
                                   const Connection& connection,
                                   const CheckpointOptions& options)
    : app_(app),
      connection_(connection),
      options_(options),
      pool_({.name = "push", .threads = kUploadsParallel}) {}

Status CheckpointPusher::Open() {
  const json::object project{{"training_project", json::object{{"name", options_.project}}}};
  BDN_ASSIGN(const std::string made,
             connection_.control->Call(app_.ctx, "POST", kProjects, json::serialize(project)));
  BDN_ASSIGN(const auto body, api::ProjectFromJson(made));
  const json::object job{{"training_job", json::object{{"id", options_.job}}}};
  BDN_TRY(connection_.control->Call(app_.ctx, "POST", ProjectPath(body.id) + "/jobs",
                                    json::serialize(job)));
  job_path_ = JobPath(body.id, options_.job);
  return {};
}

Result<PushedCheckpoint> CheckpointPusher::Push(const std::string& dir, const std::string& name) {
  BDN_ASSIGN(const auto tree, os::OpenRealFs(dir));
  BDN_ASSIGN(const auto before, LookAt(*tree, dir, options_.complete_marker));
  const Adapter adapter = ReadAdapter(*tree);
  std::string type = options_.type;
  if (type.empty()) type = adapter.is || options_.rank > 0 ? "lora" : "full";
  json::object start{{"checkpoint_id", name}, {"checkpoint_type", type}};
  const std::string base = options_.base_model.empty() ? adapter.base_model : options_.base_model;
  if (!base.empty()) start["base_model"] = base;
  const std::int64_t rank = options_.rank > 0 ? options_.rank : adapter.rank;
  if (type == "lora" && rank > 0) start["lora_adapter_config"] = json::object{{"r", rank}};
  BDN_TRY(connection_.control->Call(app_.ctx, "POST", job_path_ + "/checkpoints",
                                    json::serialize(start)));

  ProgressDisplay display(app_.terminal, app_.ctx.clock());
  const std::string id = options_.job + "/" + name;
  BDN_ASSIGN(
      const auto pushed,
      mirror::PushTree(
          app_.ctx, *tree, UploadTo(*connection_.control, std::string(api::kTrainingNamespace)),
          pool_, ShowPush(display, app_.ctx.clock(), name),
          model::Provenance{.source_uri = fmt::format("bt://{}@{}", options_.project, id),
                            .source_fingerprint = id,
                            .source_fingerprint_type = "checkpoint"}));
  // Every file was read as one version only if nothing differs now.
  const auto after = mirror::TakeSnapshot(*tree, "");
  if (!after || *after != before) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("{} changed while it was pushed; nothing of it is visible", dir))
        .WithHint("push again when the training has finished writing it");
  }
  BDN_ASSIGN(const std::string body,
             connection_.control->Call(
                 app_.ctx, "POST", CheckpointPath(job_path_, name) + "/complete",
                 json::serialize(json::object{{"manifest", pushed.manifest.ToString()}})));
  display.Finish();
  BDN_ASSIGN(auto checkpoint, api::CheckpointFromJson(body));
  return PushedCheckpoint{std::move(checkpoint), pushed.progress};
}

void PrintPushed(const App& app, const CheckpointOptions& options, const PushedCheckpoint& pushed) {
  const mirror::PushProgress& p = pushed.progress;
  if (app.json) {
    json::object row =
        RowJson({pushed.checkpoint.project_id, options.project, ""}, pushed.checkpoint);
    row["bytes_reused"] = p.bytes_reused;
    app.terminal.Out(json::serialize(row) + "\n");
    return;
  }
  app.terminal.Out(fmt::format("bt://{}@{}/{} is {}\n{} in {} files, {} were there already\n",
                               options.project, options.job, pushed.checkpoint.name,
                               pushed.checkpoint.sync_status,
                               FormatBytes(static_cast<double>(p.bytes)), p.files,
                               FormatBytes(static_cast<double>(p.bytes_reused))));
}

ExitCode CheckpointPush(App& app, const CheckpointOptions& options) {
  if (options.watch) return WatchCheckpoints(app, options);
  BDN_ASSIGN(const Connection connection, Connect(app));
  std::string dir = AbsolutePath(options.dir);
  while (dir.size() > 1 && (dir.ends_with('/') || dir.ends_with("/."))) dir.pop_back();
  const std::string name = options.name.empty() ? dir.substr(dir.rfind('/') + 1) : options.name;
  BDN_ASSIGN(const auto tree, os::OpenRealFs(dir));
  BDN_TRY(LookAt(*tree, dir, options.complete_marker));
  CheckpointPusher pusher(app, connection, options);
  BDN_TRY(pusher.Open());
  BDN_ASSIGN(const auto pushed, pusher.Push(dir, name));
  PrintPushed(app, options, pushed);
  return 0;
}

ExitCode CheckpointLs(App& app, const CheckpointOptions& options) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  ControlCatalogue catalogue(connection);
  BDN_ASSIGN(const auto projects, catalogue.Projects(app.ctx));
  Table table({"SOURCE", "TYPE", "BASE MODEL", "SIZE", "STATUS", "CREATED"});
  json::array rows;
  bool known = options.project.empty();
  for (const auto& project : projects) {
    if (!options.project.empty() && project.name != options.project &&
        project.id != options.project) {
      continue;
    }
    known = true;
    BDN_ASSIGN(const auto jobs, catalogue.Jobs(app.ctx, project.id));
    for (const auto& job : jobs) {
      BDN_ASSIGN(const auto checkpoints, catalogue.Checkpoints(app.ctx, project.id, job.id));
      for (const auto& c : checkpoints) {
        rows.push_back(RowJson(project, c));
        table.Row({SourceOf(project.name, c), c.type, c.base_model.empty() ? "-" : c.base_model,
                   api::IsComplete(c) ? FormatBytes(static_cast<double>(c.size_bytes)) : "-",
                   c.sync_status, c.created_at});
      }
    }
  }
  if (!known) {
    return Error(Code::kNotFound, "there is no training project '" + options.project + "'")
        .WithHint("`bdn checkpoint ls` without --project lists all");
  }
  if (app.json) {
    app.terminal.Out(json::serialize(json::object{{"checkpoints", std::move(rows)}}) + "\n");
    return 0;
  }
  app.terminal.Out(rows.empty() ? "no checkpoints; push one with: bdn checkpoint push DIR "
                                  "--project NAME --job ID\n"
                                : table.Text(app.terminal));
  return 0;
}

ExitCode CheckpointShow(App& app, const std::string& ref) {
  BDN_ASSIGN(const model::SourceUri uri, ParseRef(ref));
  BDN_ASSIGN(const Connection connection, Connect(app));
  ControlCatalogue catalogue(connection);
  BDN_ASSIGN(auto found, source::ResolveCheckpoint(app.ctx, catalogue, uri));
  found.name = source::QualifiedName(found);
  BDN_ASSIGN(const auto projects, catalogue.Projects(app.ctx));
  const auto project = std::find_if(projects.begin(), projects.end(),
                                    [&](const auto& p) { return p.id == found.project_id; });
  const std::string project_name = project == projects.end() ? found.project_id : project->name;
  std::vector<api::CheckpointFileBody> files;
  for (std::uint64_t next = 0;;) {
    // Of one checkpoint, whichever form named it: its id is the same in both lists.
    BDN_ASSIGN(const std::string body,
               connection.control->Call(
                   app.ctx, "GET",
                   fmt::format("/v1/loops/checkpoints/{}/files?page_token={}", found.id, next)));
    BDN_ASSIGN(const auto page, api::CheckpointFilesFromJson(body));
    files.insert(files.end(), page.files.begin(), page.files.end());
    if (!page.next_page_token || *page.next_page_token <= next) break;
    next = *page.next_page_token;
  }
  const auto path_of = [&](const api::CheckpointFileBody& file) {
    // A checkpoint of a loops run is listed by its name there, without "weights/" in front.
    for (const std::string& name : {found.name, found.name.substr(found.name.find('/') + 1)}) {
      const std::string front = "rank-0/" + name + "/";
      if (file.name.starts_with(front)) return file.name.substr(front.size());
    }
    return file.name;
  };
  if (app.json) {
    json::array list;
    for (const auto& file : files) {
      list.push_back(json::object{{"path", path_of(file)}, {"size", file.size_bytes}});
    }
    json::object row = RowJson({found.project_id, project_name, ""}, found);
    row["files"] = std::move(list);
    app.terminal.Out(json::serialize(row) + "\n");
    return 0;
  }
  std::string text = fmt::format(
      "source      {}\njob         {}\ncheckpoint  {}\ntype        {}\nbase model  {}\n"
      "status      {}\ncreated     {}\nmanifest    {}\n",
      SourceOf(project_name, found), found.job_id, found.name, found.type,
      found.base_model.empty() ? "-" : found.base_model, found.sync_status, found.created_at,
      found.manifest);
  for (const auto& file : files) {
    text += fmt::format("{:>10}  {}\n", FormatBytes(static_cast<double>(file.size_bytes)),
                        path_of(file));
  }
  app.terminal.Out(text);
  return 0;
}

ExitCode CheckpointRm(App& app, const std::string& ref) {
  BDN_ASSIGN(const model::SourceUri uri, ParseRef(ref));
  if (uri.loops || uri.revision == "latest" || uri.path.empty()) {
    return Error(Code::kInvalidArgument, "to remove a checkpoint, name its job and itself")
        .WithHint("bdn checkpoint rm bt://project@job/checkpoint");
  }
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_TRY(connection.control->Call(app.ctx, "DELETE",
                                   CheckpointPath(JobPath(uri.bucket, uri.revision), uri.path)));
  app.terminal.Out(fmt::format("bt://{}@{}/{} is removed; deployments keep what they use\n",
                               uri.bucket, uri.revision, uri.path));
  return 0;
}

}  // namespace bdn::cli
