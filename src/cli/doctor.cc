// bdn doctor: what a source needs and does not get, call by call.
#include "source/doctor.h"

#include <fmt/format.h>

#include "cli/app.h"
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

}  // namespace

ExitCode DoctorSource(App& app, const DoctorOptions& options) {
  BDN_ASSIGN(const model::SourceUri uri, model::ParseSourceUri(options.source));
  source::SourceCredentials credentials;
  if (!options.token_file.empty()) {
    BDN_ASSIGN(credentials.secret, ReadFileOrStdin(options.token_file, kDoctorSecretBytesMax));
  } else if (uri.scheme == model::Scheme::kHf && !app.env.hf_token.empty()) {
    credentials.secret = app.env.hf_token;
  }
  BDN_ASSIGN(const auto transport,
             MakeSourceTransport(options.allow_private, app.env, app.env.hf_endpoint));
  source::RecordingTransport recorder(*transport);
  source::RateLimiters limiters;
  source::SourceEnvironment environment = MakeSourceEnvironment(app.env, recorder, limiters);
  environment.retry.backoff.attempts_max = 2;
  const source::DoctorReport report =
      source::Diagnose(app.ctx, uri, credentials, environment, recorder);
  BDN_TRY(app.ctx.Check());
  if (app.json) {
    app.terminal.Out(source::ToJson(report) + "\n");
  } else {
    ShowReport(app, report);
  }
  return report.ok() ? 0 : 1;
}

}  // namespace bdn::cli
