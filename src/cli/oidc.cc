// bdn oidc: look at the issuer, rotate its keys, write its documents for another web server.
#include <boost/json.hpp>
#include <fmt/format.h>

#include "api/identity.h"
#include "auth/oidc_documents.h"
#include "cli/app.h"
#include "cli/oidc_guide.h"
#include "os/real_fs.h"

namespace bdn::cli {
namespace {

namespace json = boost::json;

std::string KeyTable(const App& app, const api::OidcBody& oidc) {
  Table table({"KEY", "ALGORITHM", "STATE", "SIGNS FROM", "PUBLISHED UNTIL"});
  for (const auto& key : oidc.keys) {
    table.Row({key.kid, key.algorithm, key.state, key.signs_from,
               key.published_until.empty() ? "-" : key.published_until});
  }
  return table.Text(app.terminal);
}

// What has no path of its own in the API: documents as verifiers see them.
Result<std::string> PublicDocument(const App& app,
                                   const Connection& connection,
                                   const std::string& issuer,
                                   std::string_view path) {
  return connection.control->Call(app.ctx, "GET", auth::IssuerPath(issuer) + std::string(path));
}

// Google's form for a pasted key set takes the plain members only.
Result<std::string> WithoutCertificates(const std::string& text) {
  boost::system::error_code failed;
  json::value document = json::parse(text, failed);
  auto* keys =
      failed || !document.is_object() ? nullptr : document.get_object().if_contains("keys");
  if (keys == nullptr || !keys->is_array()) {
    return Error(Code::kInternal, "the control plane's key set has no keys");
  }
  for (auto& key : keys->get_array()) {
    if (key.is_object()) key.get_object().erase("x5c");
  }
  return json::serialize(document);
}

}  // namespace

ExitCode OidcShow(App& app, const OidcShowOptions& options) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  std::string path = "/v1/oidc";
  if (!options.deployment.empty()) {
    BDN_ASSIGN(const std::string id, ResolveDeployment(app, connection, options.deployment));
    path += "?deployment=" + net::PercentEncode(id);
  }
  BDN_ASSIGN(const std::string body, connection.control->Call(app.ctx, "GET", path));
  BDN_ASSIGN(const api::OidcBody oidc, api::OidcFromJson(body));
  if (app.json) {
    boost::system::error_code failed;
    json::value out = json::parse(body, failed);
    if (failed || !out.is_object()) return Error(Code::kInternal, "the answer is no JSON object");
    out.get_object()["aws"] = json::object{{"create_provider", AwsProviderCommand(oidc)},
                                           {"trust_policy", AwsTrustPolicy(oidc)}};
    out.get_object()["gcp"] =
        json::object{{"attribute_condition", GcpCondition(oidc)}, {"commands", GcpCommands(oidc)}};
    app.terminal.Out(json::serialize(out) + "\n");
    return 0;
  }
  app.terminal.Out(fmt::format(
      "issuer    {}\naudience  {}\ntokens    live {} s\nsubject   {}\n"
      "{}\n  mirrors  {}\n  servers  {}\n\n{}\n{}",
      oidc.issuer, oidc.audience, oidc.token_seconds, oidc.subject_format,
      options.deployment.empty() ? "for example:" : "of this deployment:", oidc.mirror_subject,
      oidc.run_subject, KeyTable(app, oidc), OidcGuide(oidc)));
  return 0;
}

ExitCode OidcRotate(App& app, const OidcRotateOptions& options) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  const json::object request{{"revoke", options.revoke}, {"lead_seconds", options.lead_seconds}};
  BDN_ASSIGN(const std::string body, connection.control->Call(app.ctx, "POST", "/v1/oidc/rotate",
                                                              json::serialize(request)));
  BDN_ASSIGN(const api::OidcBody oidc, api::OidcFromJson(body));
  app.terminal.Out(app.json ? body + "\n" : KeyTable(app, oidc));
  if (options.revoke) {
    app.terminal.Err(
        "all earlier keys are gone; verifiers that keep a copy of the key set may trust them for "
        "as "
        "long as they keep it, mostly an hour, at most a day\n");
  }
  return 0;
}

ExitCode OidcExport(App& app, const OidcExportOptions& options) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const std::string body, connection.control->Call(app.ctx, "GET", "/v1/oidc"));
  BDN_ASSIGN(const api::OidcBody oidc, api::OidcFromJson(body));
  BDN_ASSIGN(const std::string discovery,
             PublicDocument(app, connection, oidc.issuer, auth::kDiscoveryPath));
  BDN_ASSIGN(std::string keys, PublicDocument(app, connection, oidc.issuer, auth::kJwksPath));
  if (options.without_certificates) {
    BDN_ASSIGN(keys, WithoutCertificates(keys));
  }
  const std::string dir = AbsolutePath(options.dir);
  BDN_ASSIGN(const auto fs, os::OpenOrMakeRealFs(dir));
  BDN_TRY(os::MakeDirs(*fs, ".well-known", false));
  const auto write = [&](std::string_view path, const std::string& text) {
    return os::WriteFileDurably(*fs, path.substr(1), text + "\n", 0644);
  };
  // Keys first: who follows the discovery document must find them.
  BDN_TRY(write(auth::kJwksPath, keys));
  BDN_TRY(write(auth::kDiscoveryPath, discovery));
  app.terminal.Out(
      fmt::format("wrote {0}{1} and {0}{2}\nserve them at {3}{1} and {3}{2} as "
                  "application/json, and write them again after each rotation\n",
                  dir, auth::kDiscoveryPath, auth::kJwksPath, oidc.issuer));
  return 0;
}

}  // namespace bdn::cli
