#include "model/validate_report.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "codec/json.h"

namespace bdn::model {
namespace {

namespace json = boost::json;

json::array FindingsOf(const std::vector<Finding>& findings) {
  json::array array;
  for (const Finding& finding : findings) {
    json::object object;
    object["loc"] = finding.loc;
    object["line"] = finding.line;
    object["column"] = finding.column;
    object["message"] = finding.message;
    array.emplace_back(std::move(object));
  }
  return array;
}

json::value TextOrNull(std::string_view text) {
  return text.empty() ? json::value(nullptr)
                      : json::value(json::string_view(text.data(), text.size()));
}

json::value ListOrNull(const std::optional<std::vector<std::string>>& list) {
  if (!list) return nullptr;
  json::array array;
  for (const std::string& text : *list) array.emplace_back(text);
  return array;
}

json::object WeightsOf(const WeightsSource& weights) {
  json::object object;
  object["source"] = weights.source;
  object["mount_location"] = weights.mount_location;
  object["auth_method"] = TextOrNull(AuthMethodName(weights.auth.method));
  object["auth_secret_name"] = TextOrNull(weights.auth.auth_secret_name);
  object["allow_patterns"] = ListOrNull(weights.allow_patterns);
  object["ignore_patterns"] = ListOrNull(weights.ignore_patterns);
  object["mirror_key"] = MirrorKey(weights);
  return object;
}

json::object ExplainOf(const WeightsSource& weights, const SourceExplanation& explained) {
  json::object object;
  object["mount_path"] = weights.mount_path;
  object["secret"] = json::object{{"state", SecretStateName(explained.secret)},
                                  {"name", TextOrNull(weights.auth.auth_secret_name)},
                                  {"reason", TextOrNull(explained.secret_unknown)}};
  object["revision"] =
      json::object{{"kind", RevisionKindName(explained.revision.kind)},
                   {"message", explained.revision.message},
                   {"commit", TextOrNull(explained.commit)},
                   {"pinned_source", TextOrNull(explained.revision.pinned_source)}};
  object["files"] = nullptr;
  json::array findings;
  if (const auto& selection = explained.selection) {
    object["files"] = json::object{{"listed", selection->files},
                                   {"listed_bytes", selection->bytes},
                                   {"selected", selection->selected_files},
                                   {"selected_bytes", selection->selected_bytes}};
    for (const SelectionFinding& finding : selection->findings) {
      findings.push_back(json::object{{"rule", finding.rule}, {"message", finding.message}});
    }
  }
  object["not_listed"] = TextOrNull(explained.not_listed);
  object["warnings"] = json::array(explained.warnings.begin(), explained.warnings.end());
  object["findings"] = std::move(findings);
  return object;
}

void AppendFindings(std::string& out,
                    const std::vector<Finding>& findings,
                    std::string_view file,
                    std::string_view severity) {
  for (const Finding& finding : findings) {
    out += file;
    if (finding.line > 0) out += fmt::format(":{}:{}", finding.line, finding.column);
    out += fmt::format(": {}: ", severity);
    if (!finding.loc.empty()) out += PrintableText(finding.loc) + ": ";
    out += PrintableText(finding.message) + "\n";
  }
}

std::string Count(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace

std::string PrintableText(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += c == '\n' ? "\\n" : fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

std::string_view AuthMethodName(AuthMethod method) {
  switch (method) {
    case AuthMethod::kCustomSecret:
      return "CUSTOM_SECRET";
    case AuthMethod::kAwsOidc:
      return "AWS_OIDC";
    case AuthMethod::kGcpOidc:
      return "GCP_OIDC";
    case AuthMethod::kNone:
      break;
  }
  return {};
}

std::string ValidateJson(const ConfigReport& report,
                         const std::vector<SourceExplanation>* explained) {
  json::object object;
  object["ok"] = report.errors.empty();
  object["errors"] = FindingsOf(report.errors);
  object["warnings"] = FindingsOf(report.warnings);
  json::array weights;
  if (report.config) {
    const std::vector<WeightsSource>& sources = report.config->weights;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      json::object item = WeightsOf(sources[i]);
      if (explained != nullptr) item["explain"] = ExplainOf(sources[i], explained->at(i));
      weights.emplace_back(std::move(item));
    }
  }
  object["weights"] = std::move(weights);
  return codec::SerializeJson(object);
}

std::string ValidateText(const ConfigReport& report, std::string_view file) {
  std::string out;
  AppendFindings(out, report.errors, file, "error");
  AppendFindings(out, report.warnings, file, "warning");
  if (!report.errors.empty()) {
    return out + fmt::format("{}: {}, {}\n", file, Count(report.errors.size(), "error"),
                             Count(report.warnings.size(), "warning"));
  }
  out += fmt::format("{}: valid", file);
  if (report.config) out += ", " + Count(report.config->weights.size(), "weights source");
  if (!report.warnings.empty()) out += ", " + Count(report.warnings.size(), "warning");
  return out + "\n";
}

}  // namespace bdn::model
