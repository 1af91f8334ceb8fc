#include "control/training_routes.h"

#include <charconv>
#include <memory>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "api/types.h"
#include "auth/file_ticket.h"
#include "base/byte_budget.h"
#include "model/manifest.h"
#include "net/content_plan.h"

namespace bdn::control {
namespace {

namespace json = boost::json;
using net::ServerRequest;
using net::ServerResponse;

constexpr std::uint64_t kPageMax = 1000;
// Whole chunks that are verified before a byte of them leaves, over all downloads by URL.
constexpr std::uint64_t kDownloadBytesMax = 256ull << 20;
constexpr std::uint64_t kChunkBytesMax = 512ull << 20;
constexpr const char* kProject = "/v1/training_projects/{project}";
constexpr const char* kJob = "/v1/training_projects/{project}/jobs/{job}";
constexpr const char* kCheckpoint =
    "/v1/training_projects/{project}/jobs/{job}/checkpoints/{checkpoint}";

struct State {
  explicit State(TrainingRoutesDeps d) : deps(std::move(d)), budget(kDownloadBytesMax) {}
  const TrainingRoutesDeps deps;
  ByteBudget budget;
};
using StatePtr = std::shared_ptr<State>;

Status SendTrainingJson(ServerResponse& response, const std::string& body, int status = 200) {
  return response.Send(status,
                       {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}}, body);
}

std::string TrainingParam(const ServerRequest& request, std::string_view name) {
  return std::string(request.param(name));
}

// The object below `name`, or the body itself: both spellings are in use.
Result<json::object> BodyOf(ServerRequest& request, std::string_view name) {
  BDN_ASSIGN(const std::string text, request.Body(api::kJsonBodyBytesMax));
  boost::system::error_code failed;
  json::parse_options options;
  options.max_depth = 16;
  json::value value = json::parse(text, failed, {}, options);
  if (failed || !value.is_object()) {
    return Error(Code::kInvalidArgument, "the body must be a JSON object");
  }
  json::object& object = value.as_object();
  if (auto* inner = object.if_contains(name); inner != nullptr && inner->is_object()) {
    return std::move(inner->as_object());
  }
  return std::move(object);
}

Result<std::string> Text(const json::object& body, std::string_view name, bool required) {
  const auto* v = body.if_contains(name);
  if (v != nullptr && v->is_string()) return std::string(v->as_string());
  if ((v == nullptr || v->is_null()) && !required) return std::string();
  return Error(Code::kInvalidArgument, fmt::format("the field '{}' must be a string", name));
}

Result<std::uint64_t> Number(const ServerRequest& rq, std::string_view name, std::uint64_t other) {
  const auto text = rq.query_param(name);
  if (!text) return other;
  std::uint64_t value = 0;
  const char* end = text->data() + text->size();
  const auto [stop, failed] = std::from_chars(text->data(), end, value);
  if (failed == std::errc() && stop == end && !text->empty()) return value;
  return Error(Code::kInvalidArgument, fmt::format("{} must be a whole number", name));
}

// --- projects and jobs ---

void AddProjects(net::Router& router, const StatePtr& state) {
  TrainingStore& training = state->deps.training;
  router.Add("GET", "/v1/training_projects",
             [&training](ServerRequest&, ServerResponse& rs) -> Status {
               BDN_ASSIGN(const auto projects, training.ListProjects());
               return SendTrainingJson(rs, api::ProjectsJson(projects));
             });
  router.Add("POST", "/v1/training_projects",
             [&training](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_ASSIGN(const json::object body, BodyOf(rq, "training_project"));
               BDN_ASSIGN(const std::string name, Text(body, "name", true));
               BDN_ASSIGN(const auto project, training.EnsureProject(name));
               return SendTrainingJson(rs, api::ProjectJson(project));
             });
  router.Add("GET", kProject, [&training](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const auto project, training.GetProject(TrainingParam(rq, "project")));
    return SendTrainingJson(rs, api::ProjectJson(project));
  });
  const std::string jobs_path = std::string(kProject) + "/jobs";
  router.Add("GET", jobs_path, [&training](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const auto project, training.GetProject(TrainingParam(rq, "project")));
    BDN_ASSIGN(const auto jobs, training.ListJobs(project.id));
    return SendTrainingJson(rs, api::JobsJson(project, jobs));
  });
  router.Add("POST", jobs_path, [&training](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const json::object body, BodyOf(rq, "training_job"));
    BDN_ASSIGN(const std::string id, Text(body, "id", false));
    BDN_ASSIGN(const auto project, training.GetProject(TrainingParam(rq, "project")));
    BDN_ASSIGN(const auto job, training.EnsureJob(project.id, id));
    return SendTrainingJson(rs, api::JobJson(project, job));
  });
  router.Add("GET", kJob, [&training](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const auto project, training.GetProject(TrainingParam(rq, "project")));
    BDN_ASSIGN(const auto job, training.GetJob(project.id, TrainingParam(rq, "job")));
    return SendTrainingJson(rs, api::JobJson(project, job));
  });
  router.Add("POST", "/v1/training_jobs/search",
             [&training](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_ASSIGN(const json::object body, BodyOf(rq, "training_job"));
               BDN_ASSIGN(const std::string project, Text(body, "project_id", false));
               BDN_ASSIGN(const std::string id, Text(body, "job_id", false));
               BDN_ASSIGN(auto jobs, training.SearchJobs(id));
               std::erase_if(jobs, [&](const auto& job) {
                 return !project.empty() && job.project_id != project;
               });
               return SendTrainingJson(rs, api::JobsJson(jobs));
             });
}

// --- checkpoints ---

void AddCheckpoints(net::Router& router, const StatePtr& state) {
  TrainingStore& training = state->deps.training;
  const std::string list_path = std::string(kJob) + "/checkpoints";
  router.Add("GET", list_path, [&training](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const auto job,
               training.GetJob(TrainingParam(rq, "project"), TrainingParam(rq, "job")));
    BDN_ASSIGN(const auto checkpoints, training.ListCheckpoints(job.project_id, job.id));
    return SendTrainingJson(rs, api::CheckpointsJson(job, checkpoints));
  });
  router.Add("POST", list_path, [&training](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const json::object body, BodyOf(rq, "checkpoint"));
    CheckpointStart start;
    BDN_ASSIGN(start.name, Text(body, "checkpoint_id", true));
    BDN_ASSIGN(const std::string type, Text(body, "checkpoint_type", false));
    if (!type.empty()) start.type = type;
    BDN_ASSIGN(start.base_model, Text(body, "base_model", false));
    if (const auto* lora = body.if_contains("lora_adapter_config"); lora && lora->is_object()) {
      const auto* r = lora->as_object().if_contains("r");
      if (r == nullptr || !r->is_int64()) {
        return Error(Code::kInvalidArgument, "lora_adapter_config.r must be a whole number");
      }
      start.lora_rank = r->as_int64();
    }
    BDN_ASSIGN(const auto checkpoint,
               training.Begin(TrainingParam(rq, "project"), TrainingParam(rq, "job"), start));
    return SendTrainingJson(rs, api::CheckpointJson(checkpoint));
  });
  router.Add("GET", kCheckpoint, [&training](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const auto checkpoint,
               training.GetCheckpoint(TrainingParam(rq, "project"), TrainingParam(rq, "job"),
                                      TrainingParam(rq, "checkpoint")));
    return SendTrainingJson(rs, api::CheckpointJson(checkpoint));
  });
  router.Add("POST", std::string(kCheckpoint) + "/complete",
             [&training](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_ASSIGN(const json::object body, BodyOf(rq, "checkpoint"));
               BDN_ASSIGN(const std::string manifest, Text(body, "manifest", true));
               BDN_ASSIGN(const auto checkpoint,
                          training.Complete(rq.context(), TrainingParam(rq, "project"),
                                            TrainingParam(rq, "job"),
                                            TrainingParam(rq, "checkpoint"), manifest));
               return SendTrainingJson(rs, api::CheckpointJson(checkpoint));
             });
  router.Add("DELETE", kCheckpoint, [&training](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_TRY(training.Delete(TrainingParam(rq, "project"), TrainingParam(rq, "job"),
                            TrainingParam(rq, "checkpoint")));
    return rs.Send(204, {}, "");
  });
  router.Add("GET", "/v1/loops/checkpoints",
             [&training](ServerRequest& rq, ServerResponse& rs) -> Status {
               const auto run = rq.query_param("run_id");
               if (!run) return Error(Code::kInvalidArgument, "the query needs run_id");
               BDN_ASSIGN(const auto checkpoints, training.LoopsCheckpoints(*run));
               return SendTrainingJson(rs, api::LoopsCheckpointsJson(checkpoints));
             });
}

// --- listings of files ---

std::string BaseUrl(const TrainingRoutesDeps& deps, const ServerRequest& rq) {
  if (!deps.public_url.empty()) return deps.public_url;
  return fmt::format("{}://{}", deps.tls ? "https" : "http", rq.host());
}

Status SendPage(
    const State& state,
    const ServerRequest& rq,
    ServerResponse& rs,
    const std::function<Result<CheckpointFilesPage>(std::uint64_t, std::uint64_t)>& get) {
  BDN_ASSIGN(const std::uint64_t count, Number(rq, "page_size", kPageMax));
  BDN_ASSIGN(const std::uint64_t offset, Number(rq, "page_token", 0));
  if (count == 0 || count > kPageMax) {
    return Error(Code::kInvalidArgument, fmt::format("page_size must be 1 to {}", kPageMax));
  }
  BDN_ASSIGN(const CheckpointFilesPage page, get(offset, count));
  const std::string base = BaseUrl(state.deps, rq);
  const WallTime until = state.deps.clock.Now() + auth::kFileTicketLife;
  api::CheckpointFilesBody body;
  body.total_count = page.total;
  if (offset + page.files.size() < page.total && !page.files.empty()) {
    body.next_page_token = offset + page.files.size();
  }
  for (const auto& file : page.files) {
    const std::string ticket = auth::SignFileTicket(
        state.deps.ticket_key,
        {page.scope.org, page.scope.ns, file.digest, file.chunked, file.size, until});
    body.files.push_back({fmt::format("{}{}?ticket={}", base, kTrainingFilesPath, ticket),
                          file.name, 0, file.size, FormatRfc3339(file.modified)});
  }
  return SendTrainingJson(rs, api::CheckpointFilesJson(body));
}

void AddFileLists(net::Router& router, const StatePtr& state) {
  router.Add("GET", std::string(kJob) + "/checkpoint_files",
             [state](ServerRequest& rq, ServerResponse& rs) -> Status {
               return SendPage(*state, rq, rs, [&](std::uint64_t offset, std::uint64_t count) {
                 return state->deps.training.Files(
                     rq.context(), TrainingParam(rq, "project"), TrainingParam(rq, "job"),
                     rq.query_param("checkpoint_id").value_or(""), offset, count);
               });
             });
  router.Add("GET", "/v1/loops/checkpoints/{id}/files",
             [state](ServerRequest& rq, ServerResponse& rs) -> Status {
               return SendPage(*state, rq, rs, [&](std::uint64_t offset, std::uint64_t count) {
                 return state->deps.training.FilesById(rq.context(), TrainingParam(rq, "id"),
                                                       offset, count);
               });
             });
}

// --- the files themselves ---

// The chunks of the file: of one that is a single chunk, that.
Result<std::vector<model::Chunk>> ChunksOf(const Context& ctx,
                                           store::ObjectStore& objects,
                                           const auth::FileTicket& ticket) {
  if (!ticket.digest) return std::vector<model::Chunk>();
  if (!ticket.chunked) {
    return std::vector<model::Chunk>{{*ticket.digest, 0, ticket.size}};
  }
  BDN_ASSIGN(const std::string text,
             store::GetAll(ctx, objects, {ticket.org, ticket.ns}, store::ObjectKind::kChunkmap,
                           *ticket.digest, model::kManifestBytesMax));
  BDN_ASSIGN(model::Chunkmap map, model::ParseChunkmap(text));
  if (map.file_size != ticket.size) return Error(Code::kCorrupt, "the chunkmap has another size");
  return std::move(map.chunks);
}

Status SendChunks(State& state,
                  const Context& ctx,
                  const auth::FileTicket& ticket,
                  net::ByteRange range,
                  ServerResponse& rs) {
  BDN_ASSIGN(const auto chunks, ChunksOf(ctx, state.deps.objects, ticket));
  for (const auto& chunk : chunks) {
    const std::uint64_t end = chunk.offset + chunk.length;
    if (end <= range.begin || chunk.offset >= range.end) continue;
    BDN_ASSIGN(const auto lease, state.budget.Acquire(ctx, chunk.length));
    // Whole and verified before anything of it leaves.
    BDN_ASSIGN(const std::string bytes,
               store::GetAll(ctx, state.deps.objects, {ticket.org, ticket.ns},
                             store::ObjectKind::kChunk, chunk.digest, kChunkBytesMax));
    if (bytes.size() != chunk.length) return Error(Code::kCorrupt, "a chunk has another length");
    const std::uint64_t from = std::max(range.begin, chunk.offset) - chunk.offset;
    const std::uint64_t to = std::min(range.end, end) - chunk.offset;
    BDN_TRY(rs.Write(std::string_view(bytes).substr(static_cast<std::size_t>(from),
                                                    static_cast<std::size_t>(to - from))));
  }
  return {};
}

Status SendFile(State& state, ServerRequest& rq, ServerResponse& rs) {
  const std::string text = rq.query_param("ticket").value_or("");
  BDN_ASSIGN(const auth::FileTicket ticket,
             auth::VerifyFileTicket(state.deps.ticket_key, text, state.deps.clock.Now()));
  const std::string etag =
      fmt::format("\"{}\"", ticket.digest ? ticket.digest->ToString() : "empty");
  net::Headers headers{{"Cache-Control", "private, no-store"},
                       {"Accept-Ranges", "bytes"},
                       {"Content-Type", "application/octet-stream"}};
  if (ticket.size == 0) return rs.SendBytes(std::move(headers), "", {.etag = etag});
  const net::ContentPlan plan = net::PlanContent(rq.method(), rq.headers(), etag, ticket.size);
  headers.Set("ETag", etag);
  if (plan.status == 304) return rs.Send(304, std::move(headers), "");
  if (plan.status == 412) {
    return Error(Code::kFailedPrecondition, "the entity tag does not match");
  }
  if (plan.status == 416) {
    headers.Set("Content-Range", fmt::format("bytes */{}", ticket.size));
    return rs.Send(416, std::move(headers), "");
  }
  if (plan.status == 206) {
    headers.Set("Content-Range",
                fmt::format("bytes {}-{}/{}", plan.range.begin, plan.range.end - 1, ticket.size));
  }
  headers.Set("Content-Length", std::to_string(plan.range.size()));
  if (rq.method() == "HEAD") return rs.Send(plan.status, std::move(headers), "");
  BDN_TRY(rs.Begin(plan.status, std::move(headers)));
  return SendChunks(state, rq.context(), ticket, plan.range, rs);
}

}  // namespace

void AddTrainingRoutes(net::Router& router, const TrainingRoutesDeps& deps) {
  const auto state = std::make_shared<State>(deps);
  AddProjects(router, state);
  AddCheckpoints(router, state);
  AddFileLists(router, state);
  router.Add("GET", kTrainingFilesPath,
             [state](ServerRequest& rq, ServerResponse& rs) { return SendFile(*state, rq, rs); });
}

}  // namespace bdn::control
