#include "model/config.h"

#include <charconv>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "codec/yaml.h"
#include "crypto/hash.h"
#include "model/config_weights.h"
#include "model/secret_name.h"

namespace bdn::model {
namespace {

using codec::YamlMember;
using codec::YamlNode;
using codec::YamlType;

constexpr std::int64_t kPortMax = 65535;
constexpr std::int64_t kReservedUserId = 60000;

bool IsNonEmptyCollection(const YamlNode* node) {
  return node != nullptr && (!node->items.empty() || !node->members.empty());
}

// Python's idea of truth, as far as `no_build` needs it.
bool IsTrue(const YamlNode* node) {
  return node != nullptr && (node->AsBool().value_or(false) || node->text == "true");
}

void ReadEnvironment(const YamlNode& node, Findings& findings, Config& config) {
  if (node.IsNull()) return;
  if (node.type != YamlType::kMapping) {
    findings.Error("environment_variables", node, std::string(kNotADictionary));
    return;
  }
  for (const YamlMember& member : node.members) {
    const std::string name = member.key.PythonText();
    const std::string loc = "environment_variables." + name;
    if (name.empty() || name.find('=') != std::string::npos ||
        name.find('\0') != std::string::npos) {
      findings.Error(loc, member.key,
                     "the name of an environment variable may not be empty or contain '='");
      continue;
    }
    if (!member.value.IsScalar()) {
      findings.Error(
          loc, member.value,
          "the value of an environment variable must be a string, a number, a boolean or "
          "null");
      continue;
    }
    if (member.value.text.find('\0') != std::string::npos) {
      findings.Error(loc, member.value, "the value of an environment variable may not hold a NUL");
      continue;
    }
    if (name == "PORT" || name == "HOSTNAME") {
      findings.Warning(loc, member.key,
                       fmt::format("{} is usually set by the platform that runs the server, which "
                                   "may override this value",
                                   name));
    }
    const auto flag = member.value.AsBool();
    config.environment_variables.emplace_back(
        name, flag ? (*flag ? "true" : "false") : member.value.PythonText());
  }
}

void ReadSecrets(const YamlNode& node, Findings& findings, Config& config) {
  if (node.IsNull()) return;
  if (node.type != YamlType::kMapping) {
    findings.Error("secrets", node, std::string(kNotADictionary));
    return;
  }
  for (const YamlMember& member : node.members) {
    const std::string name = member.key.PythonText();
    const std::string loc = "secrets." + name;
    if (auto named = CheckSecretName(name); !named) {
      findings.Error(loc, member.key, named.error().message());
      continue;
    }
    if (!member.value.IsNull() && member.value.type != YamlType::kString) {
      findings.Error(loc, member.value, std::string(kNotAString));
      continue;
    }
    config.secrets.push_back(name);
  }
}

// A whole number, or a string of one, as the client's schema accepts it.
std::optional<std::int64_t> IntegerOf(const YamlNode& node) {
  if (node.type == YamlType::kInt) return node.AsInt();
  std::int64_t value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [stop, ec] = std::from_chars(node.text.data(), end, value);
  const bool whole = node.type == YamlType::kString && ec == std::errc() && stop == end;
  return whole ? std::optional(value) : std::nullopt;
}

void ReadDockerServer(const YamlNode& node, Findings& findings, Config& config) {
  if (node.IsNull()) return;
  if (node.type != YamlType::kMapping) {
    findings.Error("docker_server", node,
                   "Input should be a valid dictionary or instance of DockerServer");
    return;
  }
  DockerServer server;
  const auto text = [&](std::string_view key, bool required) -> std::string {
    const YamlNode* value = node.Find(key);
    const std::string loc = fmt::format("docker_server.{}", key);
    if (value == nullptr) {
      if (required) findings.Error(loc, node, std::string(kFieldRequired));
      return {};
    }
    if (!required && value->IsNull()) return {};
    if (value->type != YamlType::kString) findings.Error(loc, *value, std::string(kNotAString));
    return value->type == YamlType::kString ? value->text : std::string();
  };
  const YamlNode* port = node.Find("server_port");
  if (port == nullptr) {
    findings.Error("docker_server.server_port", node, std::string(kFieldRequired));
  } else if (const auto number = IntegerOf(*port); !number) {
    findings.Error("docker_server.server_port", *port, "Input should be a valid integer");
  } else if (*number < 1 || *number > kPortMax) {
    findings.Error("docker_server.server_port", *port,
                   fmt::format("server_port must be from 1 to {}, got: {}", kPortMax, *number));
  } else {
    server.server_port = static_cast<int>(*number);
  }
  server.predict_endpoint = text("predict_endpoint", true);
  server.readiness_endpoint = text("readiness_endpoint", true);
  server.liveness_endpoint = text("liveness_endpoint", true);
  server.start_command = text("start_command", false);
  const YamlNode* command = node.Find("start_command");
  if ((command == nullptr || command->IsNull()) && !IsTrue(node.Find("no_build"))) {
    findings.Error("docker_server", node, "start_command is required when no_build is not true");
  }
  if (const YamlNode* user = node.Find("run_as_user_id"); user != nullptr && !user->IsNull()) {
    const auto id = IntegerOf(*user);
    if (!id) {
      findings.Error("docker_server.run_as_user_id", *user, "Input should be a valid integer");
    } else if (*id == 0 || *id == kReservedUserId) {
      findings.Error("docker_server.run_as_user_id", *user,
                     fmt::format("run_as_user_id cannot be {}: {}", *id,
                                 *id == 0 ? "a server must not run as root" : "it is reserved"));
    }
  }
  config.docker_server = std::move(server);
}

void CheckExclusions(const YamlNode& root, Findings& findings) {
  const YamlNode* weights = root.Find("weights");
  if (!IsNonEmptyCollection(weights)) return;
  for (const char* key : {"model_cache", "hf_cache"}) {
    if (!IsNonEmptyCollection(root.Find(key))) continue;
    findings.Error("weights", *weights,
                   "Please ensure that only one of `model_cache` and `weights` is specified");
    return;
  }
}

Config ReadConfig(const YamlNode& root, Findings& findings) {
  Config config;
  if (const YamlNode* name = root.Find("model_name"); name != nullptr && !name->IsNull()) {
    if (name->type == YamlType::kString) {
      config.model_name = name->text;
    } else {
      findings.Error("model_name", *name, std::string(kNotAString));
    }
  }
  if (const YamlNode* weights = root.Find("weights")) {
    config.weights = ReadWeights(*weights, findings);
  }
  if (const YamlNode* node = root.Find("environment_variables")) {
    ReadEnvironment(*node, findings, config);
  }
  if (const YamlNode* node = root.Find("secrets")) ReadSecrets(*node, findings, config);
  if (const YamlNode* node = root.Find("docker_server")) ReadDockerServer(*node, findings, config);
  if (const YamlNode* runtime = root.Find("runtime")) {
    const YamlNode* oidc = runtime->Find("oidc");
    const YamlNode* enabled = oidc == nullptr ? nullptr : oidc->Find("enabled");
    if (enabled != nullptr) config.runtime_oidc = enabled->AsBool();
  }
  CheckExclusions(root, findings);
  return config;
}

// By place; findings of one place stay in the order in which they were found.
void SortByPlace(std::vector<Finding>& findings) {
  std::multimap<std::pair<int, int>, Finding> sorted;
  for (Finding& finding : findings) {
    const std::pair place(finding.line, finding.column);
    sorted.emplace(place, std::move(finding));
  }
  findings.clear();
  for (auto& [place, finding] : sorted) findings.push_back(std::move(finding));
}

// Fields are written with their lengths, so no two different inputs give the same bytes.
void AppendField(std::string& out, std::string_view text) {
  out += fmt::format("{}:{}\n", text.size(), text);
}

void AppendSet(std::string& out, const std::optional<std::vector<std::string>>& patterns) {
  if (!patterns) {
    out += "all\n";
    return;
  }
  const std::set<std::string> sorted(patterns->begin(), patterns->end());
  out += fmt::format("set {}\n", sorted.size());
  for (const std::string& pattern : sorted) AppendField(out, pattern);
}

}  // namespace

ConfigReport ParseConfig(std::string_view yaml) {
  ConfigReport report;
  Findings findings(report);
  codec::YamlResult parsed = codec::ParseYaml(yaml, {.bytes_max = kConfigBytesMax});
  for (codec::YamlProblem& problem : parsed.warnings) {
    report.warnings.push_back(
        {std::move(problem.path), problem.line, problem.column, std::move(problem.message)});
  }
  if (parsed.error) {
    codec::YamlProblem& problem = *parsed.error;
    report.errors.push_back(
        {std::move(problem.path), problem.line, problem.column, std::move(problem.message)});
    return report;
  }
  const YamlNode& root = *parsed.root;
  Config config;
  if (root.type == YamlType::kMapping) {
    config = ReadConfig(root, findings);
  } else if (!root.IsNull()) {
    findings.Error("", root, "a config file must be a mapping of keys to values");
  }
  SortByPlace(report.errors);
  SortByPlace(report.warnings);
  if (report.errors.empty()) {
    config.document = yaml;
    report.config = std::move(config);
  }
  return report;
}

std::string MirrorKey(const WeightsSource& source) {
  std::string text = "bdn mirror key v1\n";
  AppendField(text, source.uri.Canonical());
  AppendSet(text, source.allow_patterns);
  // No ignore patterns and an empty list of them are the same request.
  AppendSet(text, source.ignore_patterns.value_or(std::vector<std::string>()));
  return crypto::Sha256Hex(text);
}

}  // namespace bdn::model
