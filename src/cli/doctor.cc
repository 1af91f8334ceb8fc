// bdn doctor: what a source needs and does not get, call by call.
#include "source/doctor.h"

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/app.h"
#include "cli/doctor_report.h"
#include "cli/operator_network.h"
#include "model/source_uri.h"

namespace bdn::cli {
namespace {

constexpr std::size_t kDoctorSecretBytesMax = 64 * 1024;

std::string PaintState(const Terminal& terminal, source::StepState state) {
  const Colour colour = state == source::StepState::kOk       ? Colour::kGreen
                        : state == source::StepState::kFailed ? Colour::kRed
                                                              : Colour::kDim;
  // Padded before it is painted, so that colours do not count as columns.
  return terminal.Paint(colour, fmt::format("{:<8}", source::StepStateName(state)), false);
}

void ShowReport(const App& app, const source::DoctorReport& report) {
  const Terminal& terminal = app.terminal;
  std::string text;
  for (const source::DoctorStep& step : report.steps) {
    text += fmt::format("{:<12} {} {}\n", step.name, PaintState(terminal, step.state), step.detail);
    if (!step.fix.empty()) text += fmt::format("{:<12} {:<8} {}\n", "", "", "→ " + step.fix);
  }
  terminal.Out(text);
  for (const auto& warning : report.warnings) terminal.ShowWarning(warning);
}

bool IsForControlPlane(const DoctorOptions& o) {
  return o.from_control_plane || !o.secret.empty() || !o.aws_role.empty() ||
         !o.aws_region.empty() || !o.gcp_service_account.empty() || !o.gcp_provider.empty();
}

// The auth section of config.yaml that the options stand for.
boost::json::object AuthOf(const DoctorOptions& o) {
  boost::json::object auth;
  const auto put = [&](const char* name, const std::string& value) {
    if (!value.empty()) auth[name] = value;
  };
  put("auth_secret_name", o.secret);
  put("aws_oidc_role_arn", o.aws_role);
  put("aws_oidc_region", o.aws_region);
  put("gcp_oidc_service_account", o.gcp_service_account);
  put("gcp_oidc_workload_id_provider", o.gcp_provider);
  if (auth.empty()) return auth;
  const bool aws = !o.aws_role.empty() || !o.aws_region.empty();
  const bool gcp = !o.gcp_service_account.empty() || !o.gcp_provider.empty();
  auth["auth_method"] = aws ? "AWS_OIDC" : gcp ? "GCP_OIDC" : "CUSTOM_SECRET";
  return auth;
}

Result<source::DoctorReport> AskControlPlane(const App& app, const DoctorOptions& options) {
  if (!options.token_file.empty()) {
    return Error(Code::kInvalidArgument,
                 "--token-file is for trying from here, and --secret, --aws-… and --gcp-… are for "
                 "trying from the control plane: give one of them");
  }
  boost::json::object body{{"source", options.source}};
  if (auto auth = AuthOf(options); !auth.empty()) body["auth"] = std::move(auth);
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const std::string answer,
             connection.control->Call(app.ctx, "POST", "/v1/doctor", boost::json::serialize(body)));
  return source::DoctorReportFromJson(answer);
}

Result<source::DoctorReport> LookFromHere(const App& app,
                                          const model::SourceUri& uri,
                                          const DoctorOptions& options) {
  source::SourceCredentials credentials;
  if (!options.token_file.empty()) {
    BDN_ASSIGN(credentials.secret, ReadFileOrStdin(options.token_file, kDoctorSecretBytesMax));
  } else if (uri.scheme == model::Scheme::kHf && !app.env.hf_token.empty()) {
    credentials.secret = app.env.hf_token;
  }
  // The training store is the control plane's own where no other is named.
  const bool own_store = uri.scheme == model::Scheme::kBt && app.env.bt_endpoint.empty();
  std::unique_ptr<net::Transport> transport;
  ClientFile client;
  if (own_store) {
    BDN_ASSIGN(client, FindClient(app.env, app.client));
    transport = MakeClientTransport(app.env.ca_file);
  } else {
    BDN_ASSIGN(transport, MakeSourceTransport(options.allow_private, app.env, app.env.hf_endpoint));
  }
  source::RecordingTransport recorder(*transport);
  source::RateLimiters limiters;
  source::SourceEnvironment environment = MakeSourceEnvironment(app.env, recorder, limiters);
  environment.retry.backoff.attempts_max = 2;
  if (own_store) {
    environment.bt_endpoint = client.url;
    if (!credentials.secret) credentials.secret = client.api_key;
  }
  source::DoctorReport report = source::Diagnose(app.ctx, uri, credentials, environment, recorder);
  BDN_TRY(app.ctx.Check());
  return report;
}

}  // namespace

ExitCode DoctorSource(App& app, const DoctorOptions& options) {
  if (options.source.empty()) return DoctorMachine(app);
  BDN_ASSIGN(const model::SourceUri uri, model::ParseSourceUri(options.source));
  BDN_ASSIGN(const source::DoctorReport report, IsForControlPlane(options)
                                                    ? AskControlPlane(app, options)
                                                    : LookFromHere(app, uri, options));
  return ShowDoctorReport(app, report);
}

ExitCode ShowDoctorReport(App& app, const source::DoctorReport& report) {
  if (app.json) {
    app.terminal.Out(source::ToJson(report) + "\n");
  } else {
    ShowReport(app, report);
  }
  return report.ok() ? 0 : 1;
}

}  // namespace bdn::cli
