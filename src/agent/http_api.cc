#include "agent/http_api.h"

#include <boost/json.hpp>

namespace bdn::agent {
namespace {

namespace json = boost::json;
using net::ServerRequest;
using net::ServerResponse;

Status SendJson(ServerResponse& response, std::string body, int status = 200) {
  return response.Send(status,
                       {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}}, body);
}

// The directories that lead to a mount target, as far as they were made for it.
class TargetDirs {
 public:
  explicit TargetDirs(os::Fs& host) : host_(host) {}
  Status Make(const std::string& path) {
    for (std::size_t slash = 0; slash != std::string::npos;) {
      slash = path.find('/', slash);
      const std::string dir = path.substr(0, slash);
      if (slash != std::string::npos) ++slash;
      const Status made = host_.MakeDir(dir);
      if (made) {
        made_.push_back(dir);
      } else if (made.error().code() != Code::kAlreadyExists) {
        Undo();
        return made;
      }
    }
    BDN_ASSIGN(const os::FileInfo info, host_.Stat(path));
    if (info.type == os::FileType::kDirectory) return {};
    return Error(Code::kFailedPrecondition, "/" + path + " is not a directory");
  }
  // What is not empty any more stays.
  void Undo() {
    for (auto dir = made_.rbegin(); dir != made_.rend(); ++dir) (void)host_.RemoveDir(*dir);
    made_.clear();
  }

 private:
  os::Fs& host_;
  std::vector<std::string> made_;
};

Status MountAndReport(NodeAgent& agent, os::Fs& host, ServerRequest& rq, ServerResponse& rs) {
  BDN_ASSIGN(const std::string text, rq.Body(api::kJsonBodyBytesMax));
  BDN_ASSIGN(const api::NodeMountBody wanted, api::NodeMountFromJson(text));
  BDN_TRY(CheckMountTarget(wanted.target));
  TargetDirs dirs(host);
  BDN_TRY(dirs.Make(wanted.target.substr(1)));
  const auto mount = agent.Mount(rq.context(), {wanted.org, wanted.ns}, wanted.manifest,
                                 wanted.target, [](const api::ProgressBody&) {});
  if (!mount) {
    dirs.Undo();
    return mount.error();
  }
  return SendJson(rs, api::ToJson(*mount), 201);
}

Status ListCache(cache::NodeCache& cache, ServerResponse& rs) {
  BDN_ASSIGN(const auto trees, cache.List());
  json::array rows;
  for (const auto& tree : trees) {
    rows.push_back(json::object{{"manifest", tree.manifest.ToString()},
                                {"bytes", tree.bytes},
                                {"files", tree.files},
                                {"last_used", FormatRfc3339(tree.last_used)},
                                {"leases", tree.leases}});
  }
  return SendJson(rs, json::serialize(json::object{{"trees", std::move(rows)}}));
}

Status Evict(cache::NodeCache& cache, ServerRequest& rq, ServerResponse& rs) {
  BDN_ASSIGN(const std::string text, rq.Body(api::kJsonBodyBytesMax));
  boost::system::error_code failed;
  const json::value body = json::parse(text, failed);
  if (failed || !body.is_object() || !body.as_object().contains("bytes")) {
    return Error(Code::kInvalidArgument, "the body must be {\"bytes\":N,\"dry_run\":bool}");
  }
  const auto bytes = body.at("bytes").to_number<std::uint64_t>(failed);
  if (failed) return Error(Code::kInvalidArgument, "bytes must be a whole number");
  const auto* dry = body.as_object().if_contains("dry_run");
  if (dry != nullptr && !dry->is_bool()) {
    return Error(Code::kInvalidArgument, "dry_run must be true or false");
  }
  const bool dry_run = dry != nullptr && dry->as_bool();
  BDN_ASSIGN(const std::uint64_t freed, cache.Evict(bytes, dry_run));
  return SendJson(rs, json::serialize(json::object{{"freed", freed}, {"dry_run", dry_run}}));
}

}  // namespace

void AddNodeRoutes(net::Router& router, NodeAgent& agent, cache::NodeCache& cache, os::Fs& host) {
  router.Add("POST", "/v1/node/leases", [&agent](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const std::string text, rq.Body(api::kJsonBodyBytesMax));
    BDN_ASSIGN(const auto request, api::LeaseRequestFromJson(text));
    BDN_ASSIGN(const auto lease, agent.StartLease(request));
    return SendJson(rs, api::ToJson(lease), 202);
  });
  router.Add("GET", "/v1/node/leases/{id}",
             [&agent](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_ASSIGN(const auto lease, agent.GetLease(std::string(rq.param("id"))));
               return SendJson(rs, api::ToJson(lease));
             });
  router.Add("DELETE", "/v1/node/leases/{id}",
             [&agent](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_TRY(agent.DropLease(std::string(rq.param("id"))));
               return rs.Send(204, {}, "");
             });
  router.Add("GET", "/v1/node/mounts", [&agent](ServerRequest&, ServerResponse& rs) {
    return SendJson(rs, api::ToJson(agent.ListMounts()));
  });
  router.Add("POST", "/v1/node/mounts", [&agent, &host](ServerRequest& rq, ServerResponse& rs) {
    return MountAndReport(agent, host, rq, rs);
  });
  router.Add("DELETE", "/v1/node/mounts",
             [&agent](ServerRequest& rq, ServerResponse& rs) -> Status {
               const auto target = rq.query_param("target");
               if (!target) return Error(Code::kInvalidArgument, "the query needs target=/path");
               BDN_TRY(agent.Unmount(*target, rq.query_param("lazy") == "1"));
               return rs.Send(204, {}, "");
             });
  router.Add("GET", "/v1/node/cache",
             [&cache](ServerRequest&, ServerResponse& rs) { return ListCache(cache, rs); });
  router.Add("POST", "/v1/node/evict",
             [&cache](ServerRequest& rq, ServerResponse& rs) { return Evict(cache, rq, rs); });
}

}  // namespace bdn::agent
