#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <sys/stat.h>

#include "cli/app.h"
#include "cli/source_lister.h"
#include "model/config.h"
#include "model/explain.h"
#include "model/schema.h"
#include "model/validate_report.h"

namespace bdn::cli {
namespace {

using model::SecretState;
using model::SourceExplanation;

// A control plane that is there answers at once.
constexpr Duration kSecretsMax = std::chrono::seconds(5);

// The file that a directory argument means, with the hint that a .yml deserves.
Result<std::string> ConfigPath(const std::string& path) {
  if (path == "-") return path;  // standard input
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return Error(Code::kNotFound, "there is no " + path);
  if (!S_ISDIR(info.st_mode)) return path;
  const std::string yaml = path + "/config.yaml";
  if (::stat(yaml.c_str(), &info) == 0) return yaml;
  if (::stat((path + "/config.yml").c_str(), &info) == 0) {
    return Error(Code::kNotFound, "there is no " + yaml + ", but a config.yml")
        .WithHint("rename it to config.yaml");
  }
  return Error(Code::kNotFound, "there is no " + yaml);
}

// The names of the secrets that are set; an error says why they are not known.
Result<std::set<std::string>> SecretNames(const App& app, const ValidateOptions& options) {
  if (options.offline) return Error(Code::kCancelled, "nothing is contacted (--offline)");
  BDN_ASSIGN(const Connection connection, Connect(app));
  BDN_ASSIGN(const std::string body,
             connection.control->Call(app.ctx.WithTimeout(kSecretsMax), "GET", "/v1/secrets"));
  BDN_ASSIGN(const auto secrets, api::SecretsFromJson(body));
  std::set<std::string> names;
  for (const auto& secret : secrets) names.insert(secret.name);
  return names;
}

void ExplainSecret(const model::WeightsSource& weights,
                   const Result<std::set<std::string>>& names,
                   SourceExplanation& out) {
  const std::string& name = weights.auth.auth_secret_name;
  if (name.empty()) return;
  if (names) {
    out.secret = names->contains(name) ? SecretState::kSet : SecretState::kNotSet;
    return;
  }
  out.secret = SecretState::kUnknown;
  out.secret_unknown = names.error().message();
}

void ExplainFiles(const model::WeightsSource& weights,
                  const Result<SourceListing>& listing,
                  SourceExplanation& out) {
  if (!listing) {
    const std::string& hint = listing.error().hint();
    out.not_listed = listing.error().message() + (hint.empty() ? "" : ". " + hint);
    return;
  }
  out.warnings = listing->pin.warnings;
  if (listing->pin.fingerprint_type == "git-commit") out.commit = listing->pin.fingerprint;
  std::vector<model::ListedFile> files;
  for (const auto& file : listing->files) files.push_back({file.path, file.size});
  // The patterns of a valid config parse.
  const auto patterns = model::PatternSet::Parse(weights.allow_patterns, weights.ignore_patterns);
  if (patterns) out.selection = model::CheckSelection(*patterns, files);
}

std::vector<SourceExplanation> Explain(App& app,
                                       const ValidateOptions& options,
                                       const model::Config& config) {
  const bool secrets =
      std::any_of(config.weights.begin(), config.weights.end(),
                  [](const model::WeightsSource& w) { return !w.auth.auth_secret_name.empty(); });
  const Result<std::set<std::string>> names =
      secrets ? SecretNames(app, options) : std::set<std::string>();
  const Result<SourceListing> offline = Error(Code::kCancelled, "nothing is contacted (--offline)");
  SourceLister lister(app.env, {.allow_private = options.allow_private});
  const Context all = app.ctx.WithTimeout(kListingMax);
  std::vector<SourceExplanation> explained;
  for (const model::WeightsSource& weights : config.weights) {
    SourceExplanation& one = explained.emplace_back();
    ExplainSecret(weights, names, one);
    ExplainFiles(
        weights,
        options.offline ? offline : lister.List(all.WithTimeout(kListingOneMax), weights.uri), one);
    one.revision = model::ExplainRevision(weights.uri, one.commit);
  }
  return explained;
}

bool NeedsCredentials(model::Scheme scheme) {
  return scheme == model::Scheme::kS3 || scheme == model::Scheme::kR2 ||
         scheme == model::Scheme::kCw || scheme == model::Scheme::kGs ||
         scheme == model::Scheme::kAzure;
}

std::string SecretText(const Terminal& terminal,
                       const model::WeightsSource& weights,
                       const SourceExplanation& explained) {
  const model::WeightsAuth& auth = weights.auth;
  std::string text;
  if (auth.method == model::AuthMethod::kAwsOidc) {
    text = fmt::format("AWS_OIDC, role {} in {}", auth.aws_oidc_role_arn, auth.aws_oidc_region);
  } else if (auth.method == model::AuthMethod::kGcpOidc) {
    text = fmt::format("GCP_OIDC, as {}", auth.gcp_oidc_service_account);
  }
  if (!auth.auth_secret_name.empty()) {
    text += fmt::format("{}secret {}: ", text.empty() ? "" : ", ", auth.auth_secret_name);
  }
  text = model::PrintableText(text);
  switch (explained.secret) {
    case SecretState::kNone:
      if (!text.empty()) return text;
      if (weights.uri.scheme == model::Scheme::kBt) {
        return "none: the control plane's training store is read with its API key; one elsewhere, "
               "with BDN_BT_API_KEY";
      }
      return NeedsCredentials(weights.uri.scheme)
                 ? fmt::format("none, and {}:// needs credentials: the mirror will fail",
                               model::SchemeName(weights.uri.scheme))
                 : "none: the source is read anonymously";
    case SecretState::kSet:
      return text + terminal.Paint(Colour::kGreen, "set", false);
    case SecretState::kNotSet:
      return text + terminal.Paint(Colour::kRed, "not set", false) + "; `bdn secret set " +
             model::PrintableText(auth.auth_secret_name) + "` sets it";
    case SecretState::kUnknown:
      break;
  }
  return text + "unknown whether it is set: " + model::PrintableText(explained.secret_unknown);
}

std::string FilesText(const SourceExplanation& explained) {
  if (!explained.selection) return "not listed: " + model::PrintableText(explained.not_listed);
  const model::Selection& s = *explained.selection;
  return fmt::format("{} of {}, {} of {}", s.selected_files, s.files,
                     FormatBytes(static_cast<double>(s.selected_bytes)),
                     FormatBytes(static_cast<double>(s.bytes)));
}

std::string ExplainText(const Terminal& terminal,
                        const std::vector<model::WeightsSource>& weights,
                        const std::vector<SourceExplanation>& explained) {
  std::string out;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const SourceExplanation& one = explained[i];
    const auto line = [&](std::string_view name, const std::string& text) {
      out += fmt::format("  {:<10}{}\n", name, text);
    };
    out +=
        fmt::format("\nweights.{}  {}\n", i,
                    terminal.Paint(Colour::kBold, model::PrintableText(weights[i].source), false));
    line("mount", model::PrintableText(weights[i].mount_path) + ", read-only");
    line("auth", SecretText(terminal, weights[i], one));
    line("revision", fmt::format("{}: {}", model::RevisionKindName(one.revision.kind),
                                 model::PrintableText(one.revision.message)));
    line("files", FilesText(one));
    const std::string mark = terminal.Paint(Colour::kYellow, "warning:", false);
    for (const std::string& warning : one.warnings) {
      out += fmt::format("  {} {}\n", mark, model::PrintableText(warning));
    }
    if (!one.selection) continue;
    for (const model::SelectionFinding& finding : one.selection->findings) {
      out +=
          fmt::format("  {} {} [{}]\n", mark, model::PrintableText(finding.message), finding.rule);
    }
  }
  return out;
}

}  // namespace

ExitCode Validate(App& app, const ValidateOptions& options) {
  std::string file = options.path;
  const auto yaml = [&]() -> Result<std::string> {
    BDN_ASSIGN(file, ConfigPath(options.path));
    return ReadFileOrStdin(file, model::kConfigBytesMax);
  }();
  // A file that cannot be read is one more finding: the answer has the same shape and exit code.
  model::ConfigReport report;
  if (yaml) {
    report = model::ParseConfig(*yaml);
  } else {
    const std::string hint = yaml.error().hint().empty() ? "" : "; " + yaml.error().hint();
    report.errors.push_back({.message = yaml.error().message() + hint});
  }
  std::vector<SourceExplanation> explained;
  const bool explain = options.explain && report.config.has_value();
  if (explain) {
    explained = Explain(app, options, *report.config);
    model::TakeBackWhatListsDecide(explained, report.warnings);
  }
  BDN_TRY(app.ctx.Check());
  if (app.json) {
    app.terminal.Out(model::ValidateJson(report, explain ? &explained : nullptr) + "\n");
  } else {
    app.terminal.Out(model::ValidateText(report, file));
    if (explain) app.terminal.Out(ExplainText(app.terminal, report.config->weights, explained));
  }
  return report.errors.empty() ? 0 : 1;
}

ExitCode Schema(App& app, bool weights_only) {
  app.terminal.Out(weights_only ? model::WeightsSchema() : model::ConfigSchema());
  return 0;
}

}  // namespace bdn::cli
