#include "control/http_api.h"

#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "auth/grant.h"
#include "control/identity_routes.h"
#include "control/metrics.h"
#include "control/object_routes.h"

namespace bdn::control {
namespace {

namespace json = boost::json;
using net::ServerRequest;
using net::ServerResponse;

constexpr std::size_t kListMax = 1000;
constexpr std::size_t kListDefault = 100;
constexpr std::uint64_t kSecretBytesMax = 64 * 1024;
constexpr Duration kEventPoll = std::chrono::milliseconds(250);
constexpr int kPollsPerHeartbeat = 40;
constexpr Duration kGraceWhileMirroring = std::chrono::minutes(30);

Status SendJson(ServerResponse& response, std::string body, int status = 200) {
  return response.Send(status,
                       {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}}, body);
}

Result<json::object> JsonBody(ServerRequest& request) {
  BDN_ASSIGN(const std::string text, request.Body(api::kJsonBodyBytesMax));
  boost::system::error_code failed;
  json::parse_options options;
  options.max_depth = 16;
  json::value value = json::parse(text, failed, {}, options);
  if (failed || !value.is_object()) {
    return Error(Code::kInvalidArgument, "the body must be a JSON object");
  }
  return std::move(value.as_object());
}

Result<std::string> StringField(const json::object& body, const char* name, bool required) {
  const auto* v = body.if_contains(name);
  if (v != nullptr && v->is_string()) return std::string(v->as_string());
  if ((v == nullptr || v->is_null()) && !required) return std::string();
  return Error(Code::kInvalidArgument, fmt::format("the field '{}' must be a string", name));
}

std::string Param(const ServerRequest& request, std::string_view name) {
  return std::string(request.param(name));
}

// --- deployments ---

void AddDeployments(net::Router& router, const HttpApiDeps& deps) {
  ControlPlane& control = deps.control;
  router.Add("POST", "/v1/deployments",
             [&control](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_ASSIGN(const json::object body, JsonBody(rq));
               BDN_ASSIGN(const std::string config, StringField(body, "config", true));
               BDN_ASSIGN(const std::string name, StringField(body, "name", false));
               BDN_ASSIGN(const auto deployment, control.Push(config, name));
               return SendJson(rs, api::ToJson(deployment), 201);
             });
  router.Add("GET", "/v1/deployments", [&control](ServerRequest& rq, ServerResponse& rs) -> Status {
    std::size_t limit = kListDefault;
    if (const auto text = rq.query_param("limit")) {
      limit = static_cast<std::size_t>(std::strtoul(text->c_str(), nullptr, 10));
      if (limit == 0 || limit > kListMax) {
        return Error(Code::kInvalidArgument, fmt::format("limit must be 1 to {}", kListMax));
      }
    }
    BDN_ASSIGN(const auto rows, control.List(limit, rq.query_param("before").value_or("")));
    return SendJson(rs, api::ToJson(rows));
  });
  router.Add("GET", "/v1/deployments/{id}",
             [&control](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_ASSIGN(const auto deployment, control.Get(Param(rq, "id")));
               return SendJson(rs, api::ToJson(deployment));
             });
  router.Add("DELETE", "/v1/deployments/{id}",
             [&control](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_TRY(control.Delete(Param(rq, "id")));
               return rs.Send(204, {}, "");
             });
  for (const bool active : {true, false}) {
    router.Add("POST", active ? "/v1/deployments/{id}/activate" : "/v1/deployments/{id}/deactivate",
               [&control, active](ServerRequest& rq, ServerResponse& rs) -> Status {
                 BDN_TRY(control.SetActive(Param(rq, "id"), active));
                 BDN_ASSIGN(const auto deployment, control.Get(Param(rq, "id")));
                 return SendJson(rs, api::ToJson(deployment));
               });
  }
}

// Sends the status whenever it changed, a comment when it did not for a while, and ends when the
// deployment is settled. It looks at the row, not at a queue in memory, so every replica can serve
// it whichever one runs the mirror.
Status StreamEvents(ControlPlane& control,
                    const Wakeup& changed,
                    ServerRequest& rq,
                    ServerResponse& rs) {
  const std::string id = Param(rq, "id");
  std::uint64_t seen = changed.count();
  BDN_ASSIGN(auto deployment, control.Get(id));
  BDN_TRY(rs.Begin(200, {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}}));
  std::string last;
  int quiet = 0;
  for (;;) {
    std::string now = api::ToJson(deployment);
    if (now != last) {
      BDN_TRY(rs.Write("event: status\ndata: " + now + "\n\n"));
      last = std::move(now);
      quiet = 0;
    } else if (++quiet % kPollsPerHeartbeat == 0) {
      BDN_TRY(rs.Write(": still here\n\n"));
    }
    if (deployment.settled()) return rs.Write("event: end\ndata: {}\n\n");
    const Context& ctx = rq.context();
    changed.Sleep(ctx.clock(), ctx.stop(), seen, kEventPoll);
    if (!ctx.Check()) return {};  // the server drains
    seen = changed.count();
    auto next = control.Get(id);
    if (!next) return rs.Write("event: end\ndata: {}\n\n");
    deployment = *std::move(next);
  }
}

// --- volumes ---

void AddVolumes(net::Router& router, const HttpApiDeps& deps) {
  ControlPlane& control = deps.control;
  router.Add("GET", "/v1/volumes", [&control](ServerRequest&, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const auto volumes, control.ListVolumes());
    return SendJson(rs, api::ToJson(volumes));
  });
  router.Add("GET", "/v1/volumes/{namespace}/{volume}",
             [&control](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_ASSIGN(const auto versions,
                          control.ListVersions(Param(rq, "namespace"), Param(rq, "volume")));
               return SendJson(rs, api::ToJson(versions));
             });
  router.Add("POST", "/v1/volumes/{namespace}/{volume}/versions",
             [&control](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_ASSIGN(const json::object body, JsonBody(rq));
               BDN_ASSIGN(const std::string manifest, StringField(body, "manifest", true));
               BDN_ASSIGN(const std::string tag, StringField(body, "tag", false));
               BDN_ASSIGN(const auto version,
                          control.AppendVersion(rq.context(), Param(rq, "namespace"),
                                                Param(rq, "volume"), manifest, tag));
               return SendJson(rs, api::ToJson(version), 201);
             });
  router.Add("PUT", "/v1/volumes/{namespace}/{volume}/tags/{tag}",
             [&control](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_ASSIGN(const json::object body, JsonBody(rq));
               BDN_ASSIGN(const std::string manifest, StringField(body, "manifest", true));
               BDN_TRY(control.SetTag(Param(rq, "namespace"), Param(rq, "volume"), Param(rq, "tag"),
                                      manifest));
               return rs.Send(204, {}, "");
             });
  router.Add(
      "DELETE", "/v1/volumes/{namespace}/{volume}/tags/{tag}",
      [&control](ServerRequest& rq, ServerResponse& rs) -> Status {
        BDN_TRY(control.DeleteTag(Param(rq, "namespace"), Param(rq, "volume"), Param(rq, "tag")));
        return rs.Send(204, {}, "");
      });
  router.Add("GET", "/v1/resolve", [&control](ServerRequest& rq, ServerResponse& rs) -> Status {
    const auto ref = rq.query_param("ref");
    if (!ref) return Error(Code::kInvalidArgument, "the query needs ref=bdn:namespace/volume");
    BDN_ASSIGN(const auto version, control.Resolve(*ref));
    return SendJson(rs, api::ToJson(version));
  });
}

// --- secrets ---

void AddSecrets(net::Router& router, const HttpApiDeps& deps) {
  ControlPlane& control = deps.control;
  router.Add("GET", "/v1/secrets", [&control](ServerRequest&, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const auto secrets, control.ListSecrets());
    return SendJson(rs, api::ToJson(secrets));
  });
  router.Add("PUT", "/v1/secrets/{name}",
             [&control](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_ASSIGN(const std::string value, rq.Body(kSecretBytesMax));
               const bool check = rq.query_param("check").value_or("true") != "false";
               BDN_TRY(control.SetSecret(Param(rq, "name"), value, check));
               return rs.Send(204, {}, "");
             });
  router.Add("DELETE", "/v1/secrets/{name}",
             [&control](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_TRY(control.DeleteSecret(Param(rq, "name")));
               return rs.Send(204, {}, "");
             });
}

// --- API keys ---

api::KeyBody ToBody(const store::ApiKey& key) {
  return {key.id, key.name, FormatRfc3339(key.created_at), key.revoked, ""};
}

void AddKeys(net::Router& router, const HttpApiDeps& deps) {
  router.Add("GET", "/v1/keys", [&deps](ServerRequest&, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const auto rows, deps.metadata.ListApiKeys());
    std::vector<api::KeyBody> bodies;
    for (const auto& row : rows) bodies.push_back(ToBody(row));
    return SendJson(rs, api::ToJson(bodies));
  });
  router.Add("POST", "/v1/keys", [&deps](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const json::object body, JsonBody(rq));
    BDN_ASSIGN(const std::string name, StringField(body, "name", true));
    if (name.empty()) return Error(Code::kInvalidArgument, "a key needs a name");
    BDN_ASSIGN(const auto made, store::CreateApiKey(deps.metadata, deps.control.options().org, name,
                                                    deps.clock.Now()));
    api::KeyBody key = ToBody(made.row);
    key.text = made.text;
    return SendJson(rs, api::ToJson(key), 201);
  });
  router.Add("DELETE", "/v1/keys/{id}", [&deps](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_TRY(deps.metadata.RevokeApiKey(Param(rq, "id")));
    return rs.Send(204, {}, "");
  });
}

std::string_view BearerOf(const ServerRequest& request) {
  constexpr std::string_view kBearer = "Bearer ";
  const auto header = request.headers().Get("Authorization");
  if (header && header->starts_with(kBearer)) return header->substr(kBearer.size());
  return request.headers().Get("X-Api-Key").value_or("");
}

void AddRuns(net::Router& router, const HttpApiDeps& deps) {
  router.Add("GET", "/v1/deployments/{id}/run",
             [&deps](ServerRequest& rq, ServerResponse& rs) -> Status {
               BDN_ASSIGN(const auto key, store::VerifyApiKey(deps.metadata, BearerOf(rq)));
               BDN_ASSIGN(const auto run,
                          deps.control.Run(Param(rq, "id"), key.name.starts_with(kNodeKeyPrefix)));
               return SendJson(rs, api::ToJson(run));
             });
  router.Add("POST", "/v1/grants", [&deps](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const json::object body, JsonBody(rq));
    BDN_ASSIGN(const std::string ns, StringField(body, "namespace", true));
    const auth::Grant grant{deps.control.options().org, ns, deps.clock.Now() + auth::kGrantLife};
    BDN_TRY(store::CheckScope({grant.org, grant.ns}));
    return SendJson(rs,
                    json::serialize(json::object{{"token", auth::SignGrant(deps.grant_key, grant)},
                                                 {"org", grant.org},
                                                 {"namespace", grant.ns},
                                                 {"expires_at", FormatRfc3339(grant.expires_at)}}));
  });
  router.Add("POST", "/v1/gc", [&deps](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const json::object body, JsonBody(rq));
    store::GcOptions options;
    // A word that is not understood must not delete.
    if (const auto* v = body.if_contains("dry_run")) {
      if (!v->is_bool()) return Error(Code::kInvalidArgument, "dry_run must be true or false");
      options.dry_run = v->as_bool();
    }
    if (const auto* v = body.if_contains("grace_seconds")) {
      constexpr std::int64_t kGraceSecondsMax = 10ll * 366 * 86'400;  // ten years
      if (!v->is_int64() || v->as_int64() < 0 || v->as_int64() > kGraceSecondsMax) {
        return Error(Code::kInvalidArgument, "grace_seconds must be a whole number, 0 or more");
      }
      options.grace = std::chrono::seconds(v->as_int64());
    }
    // Complete files of a mirror that is not finished are protected by their age alone.
    // So are the objects of a checkpoint that is being pushed.
    BDN_ASSIGN(const auto open, deps.metadata.ListOpenMirrors());
    BDN_ASSIGN(const auto syncing, deps.metadata.ListOpenCheckpoints());
    if (!open.empty() || !syncing.empty())
      options.grace = std::max<Duration>(options.grace, kGraceWhileMirroring);
    BDN_ASSIGN(const auto report,
               store::CollectGarbage(rq.context(), deps.objects, deps.metadata, options));
    return SendJson(rs, api::ToJson(api::GcBody{options.dry_run, report.scanned, report.kept,
                                                report.deleted, report.bytes}));
  });
}

}  // namespace

void AddControlRoutes(net::Router& router, const HttpApiDeps& deps) {
  router.Add("GET", "/healthz",
             [](ServerRequest&, ServerResponse& rs) { return SendJson(rs, R"({"ok":true})"); });
  router.Add("GET", "/readyz", [&deps](ServerRequest&, ServerResponse& rs) -> Status {
    BDN_TRY(deps.metadata.GetSetting("ready-probe"));
    return SendJson(rs, R"({"ok":true})");
  });
  router.Add("GET", "/metrics", [&deps](ServerRequest&, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const std::string text, RenderMetrics(deps.metadata, deps.control));
    return rs.Send(200, {{"Content-Type", "text/plain; version=0.0.4"}}, text);
  });
  AddDeployments(router, deps);
  router.Add("GET", "/v1/deployments/{id}/events", [&deps](ServerRequest& rq, ServerResponse& rs) {
    return StreamEvents(deps.control, deps.mirror_changed, rq, rs);
  });
  AddVolumes(router, deps);
  AddSecrets(router, deps);
  AddKeys(router, deps);
  AddRuns(router, deps);
  AddIdentityRoutes(router, deps);
  AddObjectRoutes(router, deps.objects, deps.control.options().org);
  if (deps.training != nullptr) {
    AddTrainingRoutes(router, {*deps.training, deps.objects, deps.clock, deps.grant_key,
                               deps.public_url, deps.tls});
  }
}

void AddAuthentication(net::Router& router, const HttpApiDeps& deps) {
  router.Before([&deps](ServerRequest& rq) -> Status {
    const std::string_view path = rq.path();
    if (path == "/healthz" || path == "/readyz" || path == "/metrics") return {};
    if (path == kTrainingFilesPath) return {};  // its handler checks the ticket in the query
    if (IsPublicIdentityPath(deps, path)) return {};
    const std::string_view token = BearerOf(rq);
    if (path.starts_with("/bdn/") && token.starts_with("bdng1.")) {
      BDN_ASSIGN(const auth::Grant grant,
                 auth::VerifyGrant(deps.grant_key, token, deps.clock.Now()));
      const bool reads = rq.method() == "GET" || rq.method() == "HEAD";
      if (reads && path.starts_with(fmt::format("/bdn/{}/{}/", grant.org, grant.ns))) return {};
      return Error(Code::kPermissionDenied,
                   "the grant is for another namespace, or for reading only");
    }
    if (token.empty()) {
      return Error(Code::kUnauthenticated, "no API key")
          .WithHint("send it as `Authorization: Bearer KEY`");
    }
    BDN_ASSIGN(const auto key, store::VerifyApiKey(deps.metadata, token));
    if (key.org == deps.control.options().org) return {};
    return Error(Code::kPermissionDenied, "the API key is of another organisation");
  });
}

}  // namespace bdn::control
