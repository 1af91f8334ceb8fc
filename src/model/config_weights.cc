#include "model/config_weights.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "model/manifest.h"
#include "model/pattern.h"

namespace bdn::model {
namespace {

using codec::YamlMember;
using codec::YamlNode;
using codec::YamlType;

constexpr std::size_t kWeightsMax = 1000;

constexpr std::array<std::string_view, 6> kItemKeys{
    "source", "mount_location", "auth", "auth_secret_name", "allow_patterns", "ignore_patterns"};
constexpr std::array<std::string_view, 6> kAuthKeys{
    "auth_method",     "auth_secret_name",         "aws_oidc_role_arn",
    "aws_oidc_region", "gcp_oidc_service_account", "gcp_oidc_workload_id_provider"};

// What a mount would take away from the container below these paths: its programs, devices and
// settings.
constexpr std::array<std::string_view, 12> kSystemTrees{"/proc",  "/sys",   "/dev",     "/boot",
                                                        "/etc",   "/bin",   "/sbin",    "/lib",
                                                        "/lib32", "/lib64", "/usr/bin", "/usr/lib"};
// Directories of which only a part may be mounted over.
constexpr std::array<std::string_view, 7> kSystemDirectories{"/usr",  "/var",  "/run",     "/tmp",
                                                             "/root", "/home", "/usr/sbin"};

std::string Upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

bool IsBelowMount(std::string_view path, std::string_view base) {
  return path.size() > base.size() && path[base.size()] == '/' && path.starts_with(base);
}

template <std::size_t N>
void RefuseUnknownKeys(const YamlNode& mapping,
                       const std::array<std::string_view, N>& known,
                       const std::string& loc,
                       Findings& findings) {
  std::string names;
  const YamlNode* first = nullptr;
  for (const YamlMember& member : mapping.members) {
    const bool is_known = member.key.type == YamlType::kString &&
                          std::find(known.begin(), known.end(), member.key.text) != known.end();
    if (is_known) continue;
    if (first == nullptr) first = &member.key;
    names += (names.empty() ? "" : ", ") + member.key.PythonText();
  }
  if (first == nullptr) return;
  findings.Error(
      loc, *first,
      fmt::format("Extra fields not allowed: [{}]. Possibly this field is only supported "
                  "by newer truss versions, check for updates.",
                  names));
}

// A string that must be there and not be empty; null when it is not.
const YamlNode* RequiredText(const YamlNode& item,
                             std::string_view key,
                             const std::string& loc,
                             Findings& findings) {
  const YamlNode* node = item.Find(key);
  if (node == nullptr) {
    findings.Error(fmt::format("{}.{}", loc, key), item, std::string(kFieldRequired));
    return nullptr;
  }
  if (node->type != YamlType::kString) {
    findings.Error(fmt::format("{}.{}", loc, key), *node, std::string(kNotAString));
    return nullptr;
  }
  if (node->text.empty()) {
    findings.Error(fmt::format("{}.{}", loc, key), *node, std::string(kTooShort));
    return nullptr;
  }
  return node;
}

// A string or null or nothing; empty for all but the first.
std::string OptionalText(const YamlNode& item,
                         std::string_view key,
                         const std::string& loc,
                         Findings& findings) {
  const YamlNode* node = item.Find(key);
  if (node == nullptr || node->IsNull()) return {};
  if (node->type != YamlType::kString) {
    findings.Error(fmt::format("{}.{}", loc, key), *node, std::string(kNotAString));
    return {};
  }
  return node->text;
}

// Why nothing can be mounted at `path` (normalised); empty when it can.
std::string WhyNotMountable(std::string_view raw, std::string_view path) {
  const bool control = std::any_of(raw.begin(), raw.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (control) return "it holds a control character";
  if (raw.size() > kPathBytesMax) return fmt::format("it is longer than {} bytes", kPathBytesMax);
  if (raw.find("/../") != std::string_view::npos || raw.ends_with("/..")) {
    return "it has a '..' segment; write the path that is meant";
  }
  if (path == "/") return "it is the root of the file system; choose a directory below it";
  for (const std::string_view tree : kSystemTrees) {
    if (path == tree || IsBelowMount(path, tree)) {
      return fmt::format("{} belongs to the system; choose another directory", tree);
    }
  }
  for (const std::string_view directory : kSystemDirectories) {
    if (path == directory) {
      return fmt::format("a mount would hide all of {}; choose a directory below it", directory);
    }
  }
  for (std::string_view rest = path.substr(1); !rest.empty();) {
    const auto slash = rest.find('/');
    if (rest.substr(0, slash).size() > kPathSegmentBytesMax) {
      return fmt::format("it has a segment longer than {} bytes", kPathSegmentBytesMax);
    }
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  }
  return {};
}

// Without '.', empty segments and a '/' at the end. '..' stays: it is refused elsewhere.
std::string Normalise(std::string_view path) {
  std::string normal;
  while (!path.empty()) {
    const auto slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    if (!segment.empty() && segment != ".") normal.append("/").append(segment);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return normal.empty() ? "/" : normal;
}

void ReadMountLocation(const YamlNode& item,
                       const std::string& loc,
                       Findings& findings,
                       WeightsSource& weights) {
  const YamlNode* node = RequiredText(item, "mount_location", loc, findings);
  if (node == nullptr) return;
  weights.mount_location = node->text;
  if (!node->text.starts_with('/')) {
    findings.Error(
        loc + ".mount_location", *node,
        fmt::format("mount_location must be an absolute path (start with /), got: {}", node->text));
    return;
  }
  const std::string path = Normalise(node->text);
  const std::string why = WhyNotMountable(node->text, path);
  if (!why.empty()) {
    findings.Error(loc + ".mount_location", *node,
                   fmt::format("mount_location '{}' cannot be used: {}", node->text, why));
    return;
  }
  weights.mount_path = path;
}

struct AuthField {
  std::string_view name;
  std::string WeightsAuth::*member;
};
constexpr std::array<AuthField, 5> kAuthFields{
    {{"auth_secret_name", &WeightsAuth::auth_secret_name},
     {"aws_oidc_role_arn", &WeightsAuth::aws_oidc_role_arn},
     {"aws_oidc_region", &WeightsAuth::aws_oidc_region},
     {"gcp_oidc_service_account", &WeightsAuth::gcp_oidc_service_account},
     {"gcp_oidc_workload_id_provider", &WeightsAuth::gcp_oidc_workload_id_provider}}};

struct MethodFacts {
  AuthMethod method;
  std::string_view name;
  std::array<bool, 5> required;  // by kAuthFields; every other field is forbidden
};
constexpr std::array<MethodFacts, 3> kMethods{{
    {AuthMethod::kCustomSecret, "CUSTOM_SECRET", {true, false, false, false, false}},
    {AuthMethod::kAwsOidc, "AWS_OIDC", {false, true, true, false, false}},
    {AuthMethod::kGcpOidc, "GCP_OIDC", {false, false, false, true, true}},
}};

void ReadAuth(const YamlNode& node, const std::string& loc, Findings& findings, WeightsAuth& auth) {
  if (node.type != YamlType::kMapping) {
    findings.Error(loc, node, "Input should be a valid dictionary or instance of WeightsAuth");
    return;
  }
  RefuseUnknownKeys(node, kAuthKeys, loc, findings);
  for (const AuthField& field : kAuthFields) {
    auth.*field.member = OptionalText(node, field.name, loc, findings);
  }
  const YamlNode* method = node.Find("auth_method");
  if (method == nullptr) {
    findings.Error(loc + ".auth_method", node, std::string(kFieldRequired));
    return;
  }
  const auto* facts = std::find_if(kMethods.begin(), kMethods.end(), [&](const MethodFacts& f) {
    return method->type == YamlType::kString && f.name == Upper(method->text);
  });
  if (facts == kMethods.end()) {
    findings.Error(loc + ".auth_method", *method,
                   "Input should be 'CUSTOM_SECRET', 'AWS_OIDC' or 'GCP_OIDC'");
    return;
  }
  auth.method = facts->method;
  std::string missing;
  std::string forbidden;
  for (std::size_t i = 0; i < kAuthFields.size(); ++i) {
    const bool present = !(auth.*kAuthFields[i].member).empty();
    std::string& names = facts->required[i] ? missing : forbidden;
    if (present == facts->required[i]) continue;
    names += (names.empty() ? "" : ", ") + std::string(kAuthFields[i].name);
  }
  if (!missing.empty()) {
    findings.Error(loc, node,
                   fmt::format("{} must be provided when auth_method is {}", missing, facts->name));
  }
  if (!forbidden.empty()) {
    findings.Error(
        loc, node,
        fmt::format("{} cannot be specified when auth_method is {}", forbidden, facts->name));
  }
}

void ReadCredentials(const YamlNode& item,
                     const std::string& loc,
                     Findings& findings,
                     WeightsSource& weights) {
  const YamlNode* auth = item.Find("auth");
  if (auth != nullptr && !auth->IsNull()) ReadAuth(*auth, loc + ".auth", findings, weights.auth);
  const std::string secret = OptionalText(item, "auth_secret_name", loc, findings);
  if (secret.empty()) return;
  if (!weights.auth.auth_secret_name.empty()) {
    findings.Error(
        loc, *item.Find("auth_secret_name"),
        "auth_secret_name cannot be specified both at the top level and in auth section. "
        "Please use only one location.");
    return;
  }
  weights.auth.auth_secret_name = secret;
  if (auth == nullptr || auth->IsNull()) weights.auth.method = AuthMethod::kCustomSecret;
}

std::optional<std::vector<std::string>> ReadPatterns(const YamlNode& item,
                                                     std::string_view key,
                                                     const std::string& item_loc,
                                                     Findings& findings) {
  const YamlNode* node = item.Find(key);
  if (node == nullptr || node->IsNull()) return std::nullopt;
  const std::string loc = fmt::format("{}.{}", item_loc, key);
  if (node->type != YamlType::kSequence) {
    findings.Error(loc, *node, std::string(kNotAList));
    return std::nullopt;
  }
  std::vector<std::string> patterns;
  for (const YamlNode& pattern : node->items) {
    const std::string place = fmt::format("{}.{}", loc, patterns.size());
    patterns.push_back(pattern.text);
    if (pattern.type != YamlType::kString) {
      findings.Error(place, pattern, std::string(kNotAString));
    } else if (auto parsed = Pattern::Parse(pattern.text); !parsed) {
      findings.Error(place, pattern, parsed.error().message());
    }
  }
  if (patterns.size() > kPatternsMax) {
    findings.Error(
        loc, *node,
        fmt::format("{} patterns are over the limit of {}", patterns.size(), kPatternsMax));
  }
  if (patterns.empty() && key == "allow_patterns") {
    findings.Error(loc, *node,
                   "allow_patterns is an empty list, which selects no file; leave it out to select "
                   "all files");
  }
  return patterns;
}

// A list that takes the weights and leaves what is needed to load them is the mistake that costs
// most: it shows only when the server starts.
void WarnOfWhatIsLeftOut(const YamlNode& item,
                         const std::string& loc,
                         Findings& findings,
                         const WeightsSource& weights) {
  if (!weights.allow_patterns) return;
  const auto set = PatternSet::Parse(weights.allow_patterns, weights.ignore_patterns);
  if (!set || !set->Selects("model-00001-of-00002.safetensors")) return;
  std::string missing;
  for (const char* name : {"model.safetensors.index.json", "tokenizer.json"}) {
    if (!set->Selects(name)) missing += (missing.empty() ? "" : " and ") + std::string(name);
  }
  if (missing.empty()) return;
  findings.Warning(
      loc + ".allow_patterns", *item.Find("allow_patterns"),
      fmt::format(
          "{}{}: a model in several files does not load without its index, and most need their "
          "tokenizer. Add '*.json', or leave allow_patterns out. Note that '*' does not match '/': "
          "write '**/*.safetensors' for files in subdirectories",
          kLeavesWhatLoads, missing));
}

void WarnOfMissingCredentials(const YamlNode& item,
                              const std::string& loc,
                              Findings& findings,
                              const WeightsSource& weights) {
  if (weights.auth.method != AuthMethod::kNone || item.Find("source") == nullptr) return;
  std::string message = MissingCredentials(weights.uri.scheme);
  if (!message.empty()) findings.Warning(loc, item, std::move(message));
}

WeightsSource ReadItem(const YamlNode& item, const std::string& loc, Findings& findings) {
  WeightsSource weights;
  if (item.type != YamlType::kMapping) {
    findings.Error(loc, item, "Input should be a valid dictionary or instance of WeightsSource");
    return weights;
  }
  RefuseUnknownKeys(item, kItemKeys, loc, findings);
  bool has_uri = false;
  if (const YamlNode* source = RequiredText(item, "source", loc, findings)) {
    weights.source = source->text;
    if (auto uri = ParseSourceUri(source->text)) {
      weights.uri = *std::move(uri);
      has_uri = true;
    } else {
      findings.Error(loc + ".source", *source, uri.error().message());
    }
  }
  ReadMountLocation(item, loc, findings, weights);
  ReadCredentials(item, loc, findings, weights);
  weights.allow_patterns = ReadPatterns(item, "allow_patterns", loc, findings);
  weights.ignore_patterns = ReadPatterns(item, "ignore_patterns", loc, findings);
  WarnOfWhatIsLeftOut(item, loc, findings, weights);
  if (has_uri) WarnOfMissingCredentials(item, loc, findings, weights);
  return weights;
}

// Every pair is compared: the limit on items keeps that small.
void CheckPlaces(const YamlNode& list,
                 const std::vector<WeightsSource>& items,
                 Findings& findings) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const WeightsSource& mine = items[i];
      const WeightsSource& other = items[j];
      if (mine.mount_location.empty()) break;
      const YamlNode* node = list.items[i].Find("mount_location");
      if (mine.mount_location == other.mount_location) {
        findings.Error(
            "weights", *node,
            fmt::format("Duplicate mount_location '{}' - each weights source must have a "
                        "unique mount path.",
                        mine.mount_location));
        break;
      }
      if (mine.mount_path.empty() || other.mount_path.empty()) continue;
      const std::string loc = fmt::format("weights.{}.mount_location", i);
      if (mine.mount_path == other.mount_path) {
        findings.Error(loc, *node,
                       fmt::format("mount_location '{}' is the same place as '{}' of weights.{} - "
                                   "each weights source must have a unique mount path.",
                                   mine.mount_location, other.mount_location, j));
        break;
      }
      const bool inside = IsBelowMount(mine.mount_path, other.mount_path);
      if (inside || IsBelowMount(other.mount_path, mine.mount_path)) {
        findings.Error(
            loc, *node,
            fmt::format("mount_location '{}' {} '{}' of weights.{}: mounts are read-only "
                        "and cannot be nested; choose paths beside each other",
                        mine.mount_location, inside ? "lies inside" : "contains",
                        other.mount_location, j));
        break;
      }
    }
  }
}

}  // namespace

std::string MissingCredentials(Scheme scheme) {
  if (scheme == Scheme::kS3 || scheme == Scheme::kR2 || scheme == Scheme::kCw ||
      scheme == Scheme::kAzure) {
    return fmt::format("secret_id is required: mirroring from {}:// fails without auth",
                       SchemeName(scheme));
  }
  if (scheme == Scheme::kGs) {
    return "no credentials configured: need either OIDC config or secret_id: mirroring from gs:// "
           "fails without auth";
  }
  return {};
}

std::vector<WeightsSource> ReadWeights(const YamlNode& list, Findings& findings) {
  std::vector<WeightsSource> items;
  if (list.type != YamlType::kSequence) {
    findings.Error("weights", list, std::string(kNotAList));
    return items;
  }
  if (list.items.size() > kWeightsMax) {
    findings.Error(
        "weights", list,
        fmt::format("{} weights sources are over the limit of {}", list.items.size(), kWeightsMax));
    return items;
  }
  for (const YamlNode& item : list.items) {
    items.push_back(ReadItem(item, fmt::format("weights.{}", items.size()), findings));
  }
  CheckPlaces(list, items, findings);
  return items;
}

}  // namespace bdn::model
