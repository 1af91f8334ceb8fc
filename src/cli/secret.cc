#include <boost/json.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "cli/app.h"
#include "model/secret_name.h"
#include "source/secret_check.h"

namespace bdn::cli {
namespace {
constexpr std::size_t kSecretBytesMax = 64 * 1024;
}

ExitCode SecretSet(App& app, const SecretOptions& options) {
  BDN_TRY(model::CheckSecretName(options.name));
  if (options.file == "-" && isatty(STDIN_FILENO) == 1) {
    app.terminal.Err("type the value, then Ctrl-D on a line of its own:\n");
  }
  BDN_ASSIGN(std::string value, ReadFileOrStdin(options.file, kSecretBytesMax));
  std::string query = "?check=false";
  if (!options.no_check) {
    BDN_ASSIGN(source::CheckedSecret checked, source::CheckSecret(options.name, value));
    for (const auto& note : checked.notes) app.terminal.ShowWarning(note);
    value = std::move(checked.value);
    query.clear();
  }
  if (value.empty()) {
    return Error(Code::kInvalidArgument, "the value is empty; give it on standard input or --file");
  }
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_TRY(connection.control->Call(app.ctx, "PUT",
                                   "/v1/secrets/" + net::PercentEncode(options.name) + query,
                                   std::move(value), "application/octet-stream"));
  app.terminal.Out("set " + options.name + "\n");
  return 0;
}

ExitCode SecretLs(App& app) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const std::string body, connection.control->Call(app.ctx, "GET", "/v1/secrets"));
  if (app.json) {
    app.terminal.Out(body + "\n");
    return 0;
  }
  BDN_ASSIGN(const auto secrets, api::SecretsFromJson(body));
  Table table({"NAME", "SET AT"});
  for (const auto& secret : secrets) table.Row({secret.name, secret.updated_at});
  app.terminal.Out(secrets.empty() ? "no secrets\n" : table.Text(app.terminal));
  return 0;
}

ExitCode SecretRm(App& app, const std::string& name) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_TRY(connection.control->Call(app.ctx, "DELETE", "/v1/secrets/" + net::PercentEncode(name)));
  app.terminal.Out("removed " + name + "\n");
  return 0;
}

ExitCode KeyCreate(App& app, const KeyOptions& options) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  const std::string name = (options.node ? "node:" : "") + options.name;
  BDN_ASSIGN(const std::string body,
             connection.control->Call(app.ctx, "POST", "/v1/keys",
                                      boost::json::serialize(boost::json::object{{"name", name}})));
  BDN_ASSIGN(const api::KeyBody key, api::KeyFromJson(body));
  app.terminal.Err("the key is shown this once; who holds it may use this control plane\n");
  app.terminal.Out((app.json ? body : key.text) + "\n");
  return 0;
}

ExitCode KeyLs(App& app) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const std::string body, connection.control->Call(app.ctx, "GET", "/v1/keys"));
  if (app.json) {
    app.terminal.Out(body + "\n");
    return 0;
  }
  BDN_ASSIGN(const auto keys, api::KeysFromJson(body));
  Table table({"ID", "NAME", "CREATED", "STATE"});
  for (const auto& key : keys) {
    table.Row({key.id, key.name, key.created_at, key.revoked ? "revoked" : "active"});
  }
  app.terminal.Out(table.Text(app.terminal));
  return 0;
}

ExitCode KeyRm(App& app, const std::string& id) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_TRY(connection.control->Call(app.ctx, "DELETE", "/v1/keys/" + net::PercentEncode(id)));
  app.terminal.Out("revoked " + id + "\n");
  return 0;
}

ExitCode Gc(App& app, const GcOptions& options) {
  BDN_ASSIGN(const Connection connection, Connect(app));
  boost::json::object request{{"dry_run", options.dry_run}};
  if (options.grace_seconds) request["grace_seconds"] = *options.grace_seconds;
  BDN_ASSIGN(const std::string body,
             connection.control->Call(app.ctx, "POST", "/v1/gc", boost::json::serialize(request)));
  if (app.json) {
    app.terminal.Out(body + "\n");
    return 0;
  }
  BDN_ASSIGN(const auto report, api::GcFromJson(body));
  app.terminal.Out(fmt::format(
      "{} {} of {} objects, {}; {} stay\n", report.dry_run ? "would delete" : "deleted",
      report.deleted, report.scanned, FormatBytes(static_cast<double>(report.bytes)), report.kept));
  return 0;
}

}  // namespace bdn::cli
