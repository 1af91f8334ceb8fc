#include "control/identity_routes.h"

#include <string>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "api/identity.h"
#include "auth/oidc_documents.h"
#include "codec/json.h"
#include "source/source_factory.h"
#include "store/api_keys.h"

namespace bdn::control {
namespace {

namespace json = boost::json;
using net::ServerRequest;
using net::ServerResponse;

constexpr std::size_t kBodyBytesMax = 64u << 10;
constexpr std::string_view kSubjectFormat =
    "v=1:org=<org>:team=<team>:model=<model>:deployment=<deployment>:environment=<environment>:"
    "type=model_build|model_container";

std::string PublicPath(const HttpApiDeps& deps, std::string_view rest) {
  const std::string path =
      deps.oidc == nullptr ? std::string() : auth::IssuerPath(deps.oidc->options().issuer);
  return path + std::string(rest);
}

Result<OidcIssuer*> Issuer(const HttpApiDeps& deps) {
  if (deps.oidc == nullptr) return source::NoIssuer();
  return deps.oidc;
}

std::string_view KeyOf(const ServerRequest& request) {
  constexpr std::string_view kBearer = "Bearer ";
  const auto header = request.headers().Get("Authorization");
  if (header && header->starts_with(kBearer)) return header->substr(kBearer.size());
  return request.headers().Get("X-Api-Key").value_or("");
}

Result<bool> IsNode(const HttpApiDeps& deps, const ServerRequest& request) {
  BDN_ASSIGN(const auto key, store::VerifyApiKey(deps.metadata, KeyOf(request)));
  return key.name.starts_with(kNodeKeyPrefix);
}

// An object, or nothing at all.
Result<json::value> OptionalBody(ServerRequest& request) {
  BDN_ASSIGN(const std::string text, request.Body(kBodyBytesMax));
  if (text.empty()) return json::value(json::object());
  BDN_ASSIGN(json::value value, codec::ParseJson(text, {.bytes_max = kBodyBytesMax}));
  if (value.is_object()) return value;
  return Error(Code::kInvalidArgument, "the body must be a JSON object");
}

Status SendPublic(ServerResponse& response, std::string_view body) {
  return response.Send(
      200, {{"Content-Type", "application/json"}, {"Cache-Control", "public, max-age=3600"}}, body);
}

Status SendPrivate(ServerResponse& response, std::string_view body) {
  return response.Send(200, {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}},
                       body);
}

Result<api::OidcBody> Describe(const HttpApiDeps& deps, const std::string& deployment) {
  BDN_ASSIGN(OidcIssuer* const issuer, Issuer(deps));
  const ControlOptions& control = deps.control.options();
  auth::Workload mirror{.org = control.org,
                        .team = control.team,
                        .model = "my-model",
                        .deployment = "dep_0123456789abcdef"};
  if (!deployment.empty()) {
    BDN_ASSIGN(mirror, deps.control.WorkloadOf(deployment, auth::WorkloadType::kModelBuild));
  }
  auth::Workload run = mirror;
  run.type = auth::WorkloadType::kModelContainer;
  api::OidcBody body;
  body.issuer = issuer->options().issuer;
  body.audience = issuer->options().audience;
  body.org = control.org;
  body.team = control.team;
  body.token_seconds = issuer->options().token_life / std::chrono::seconds(1);
  body.subject_format = kSubjectFormat;
  body.model = mirror.model;
  BDN_ASSIGN(body.mirror_subject, auth::SubjectOf(mirror));
  BDN_ASSIGN(body.run_subject, auth::SubjectOf(run));
  BDN_ASSIGN(const auto keys, issuer->Keys());
  const WallTime now = deps.clock.Now();
  for (const auto& info : keys) {
    const bool forever = info.key.published_until == kPublishedForEver;
    body.keys.push_back(
        {.kid = info.key.kid,
         .algorithm = info.key.algorithm,
         .state = info.signs ? "signs" : (info.key.signs_from > now ? "next" : "old"),
         .signs_from = FormatRfc3339(info.key.signs_from),
         .published_until = forever ? "" : FormatRfc3339(info.key.published_until),
         .thumbprint = info.thumbprint});
  }
  return body;
}

Status Rotate(const HttpApiDeps& deps, ServerRequest& rq, ServerResponse& rs) {
  BDN_ASSIGN(OidcIssuer* const issuer, Issuer(deps));
  BDN_ASSIGN(const bool node, IsNode(deps, rq));
  if (node) {
    return Error(Code::kPermissionDenied,
                 "a node's key may not rotate the keys of the OIDC issuer");
  }
  BDN_ASSIGN(const json::value body, OptionalBody(rq));
  const codec::JsonView view(body);
  BDN_ASSIGN(const bool revoke, view.BoolOr("revoke", false));
  constexpr std::int64_t kLeadDefault = kKeyLeadDefault / std::chrono::seconds(1);
  BDN_ASSIGN(const std::int64_t lead, view.IntOr("lead_seconds", kLeadDefault));
  constexpr std::int64_t kLeadMax = kKeyLeadMax / std::chrono::seconds(1);
  if (lead < 0 || lead > kLeadMax) {
    return Error(Code::kInvalidArgument, fmt::format("lead_seconds must be 0 to {}", kLeadMax));
  }
  BDN_TRY(issuer->Rotate(std::chrono::seconds(lead), revoke));
  BDN_ASSIGN(const api::OidcBody now, Describe(deps, ""));
  return SendPrivate(rs, api::ToJson(now));
}

Status GiveToken(const HttpApiDeps& deps, ServerRequest& rq, ServerResponse& rs) {
  BDN_ASSIGN(const bool node, IsNode(deps, rq));
  if (!node) {
    return Error(Code::kPermissionDenied, "identity tokens of running servers are for nodes only")
        .WithHint("Use a key that `bdn key create NAME --node` made.");
  }
  BDN_ASSIGN(OidcIssuer* const issuer, Issuer(deps));
  BDN_ASSIGN(const auth::Workload workload, deps.control.RunWorkload(std::string(rq.param("id"))));
  BDN_ASSIGN(const json::value body, OptionalBody(rq));
  BDN_ASSIGN(const std::string audience, codec::JsonView(body).StringOr("audience", ""));
  BDN_ASSIGN(OidcIssuer::Token token, issuer->Mint(workload, audience));
  return SendPrivate(
      rs, api::ToJson(api::IdentityTokenBody{.token = std::move(token.text),
                                             .issuer = issuer->options().issuer,
                                             .audience = token.audience,
                                             .subject = token.subject,
                                             .expires_at = FormatRfc3339(token.expires_at)}));
}

}  // namespace

bool IsPublicIdentityPath(const HttpApiDeps& deps, std::string_view path) {
  return path == PublicPath(deps, auth::kDiscoveryPath) ||
         path == PublicPath(deps, auth::kJwksPath);
}

void AddIdentityRoutes(net::Router& router, const HttpApiDeps& deps) {
  router.Add("GET", PublicPath(deps, auth::kDiscoveryPath),
             [&deps](ServerRequest&, ServerResponse& rs) -> Status {
               BDN_ASSIGN(OidcIssuer* const issuer, Issuer(deps));
               return SendPublic(rs, issuer->Discovery());
             });
  router.Add("GET", PublicPath(deps, auth::kJwksPath),
             [&deps](ServerRequest&, ServerResponse& rs) -> Status {
               BDN_ASSIGN(OidcIssuer* const issuer, Issuer(deps));
               BDN_ASSIGN(const std::string keys, issuer->Jwks());
               return SendPublic(rs, keys);
             });
  router.Add("GET", "/v1/oidc", [&deps](ServerRequest& rq, ServerResponse& rs) -> Status {
    BDN_ASSIGN(const auto body, Describe(deps, rq.query_param("deployment").value_or("")));
    return SendPrivate(rs, api::ToJson(body));
  });
  router.Add("POST", "/v1/oidc/rotate",
             [&deps](ServerRequest& rq, ServerResponse& rs) { return Rotate(deps, rq, rs); });
  router.Add("POST", "/v1/deployments/{id}/identity-token",
             [&deps](ServerRequest& rq, ServerResponse& rs) { return GiveToken(deps, rq, rs); });
}

}  // namespace bdn::control
