#include "model/migrate.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "codec/yaml.h"
#include "model/migrate_chains.h"
#include "model/migrate_code.h"
#include "model/migrate_plan.h"
#include "model/migrate_write.h"

namespace bdn::model {
namespace {

using codec::YamlMember;
using codec::YamlNode;

bool IsTruthy(const YamlNode* node) {
  if (node == nullptr || node->IsNull()) return false;
  if (!node->IsScalar()) return !node->items.empty() || !node->members.empty();
  return !node->text.empty();
}

MigrateResult Refused(std::string message) {
  MigrateResult result;
  result.message = std::move(message);
  return result;
}

MigrateResult NothingToDo(std::string message) {
  MigrateResult result;
  result.outcome = MigrateOutcome::kNothingToDo;
  result.message = std::move(message);
  return result;
}

// Same values, whatever the bytes.
bool SameTree(const YamlNode& a, const YamlNode& b) {
  if (a.type != b.type || a.tag != b.tag || a.text != b.text || a.style != b.style) return false;
  if (a.items.size() != b.items.size() || a.members.size() != b.members.size()) return false;
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!SameTree(a.items[i], b.items[i])) return false;
  }
  for (std::size_t i = 0; i < a.members.size(); ++i) {
    if (!SameTree(a.members[i].key, b.members[i].key)) return false;
    if (!SameTree(a.members[i].value, b.members[i].value)) return false;
  }
  return true;
}

YamlNode WithoutReplaced(YamlNode root) {
  std::erase_if(root.members, [](const YamlMember& member) { return IsReplacedKey(member.key); });
  return root;
}

bool SamePatterns(const std::optional<std::vector<std::string>>& got, const YamlNode* want) {
  if (!got || want == nullptr) return !got && want == nullptr;
  if (got->size() != want->items.size()) return false;
  for (std::size_t i = 0; i < got->size(); ++i) {
    if ((*got)[i] != want->items[i].text) return false;
  }
  return true;
}

bool IsAsPlanned(const Config& config, const MigratePlan& plan) {
  if (config.weights.size() != plan.weights.size()) return false;
  for (std::size_t i = 0; i < plan.weights.size(); ++i) {
    const WeightsSource& got = config.weights[i];
    const PlannedWeight& want = plan.weights[i];
    if (got.source != want.source || got.mount_location != want.mount ||
        got.auth.auth_secret_name != want.secret || !SamePatterns(got.allow_patterns, want.allow) ||
        !SamePatterns(got.ignore_patterns, want.ignore)) {
      return false;
    }
  }
  return true;
}

// A key that is twice in the file has a place that the tree no longer knows.
bool HasDuplicateRootKey(const codec::YamlResult& parsed) {
  return std::any_of(parsed.warnings.begin(), parsed.warnings.end(), [&](const auto& warning) {
    return std::any_of(
        parsed.root->members.begin(), parsed.root->members.end(),
        [&](const YamlMember& member) { return member.key.PythonText() == warning.path; });
  });
}

// Why there is nothing to migrate, or why it is refused before anything is read closely.
std::optional<MigrateResult> Settled(const codec::YamlResult& parsed) {
  if (parsed.error) {
    MigrateResult result = Refused("config.yaml cannot be read");
    const codec::YamlProblem& problem = *parsed.error;
    result.problems.push_back({problem.path, problem.line, problem.column, problem.message});
    return result;
  }
  const YamlNode& root = *parsed.root;
  if (!root.IsNull() && root.type != codec::YamlType::kMapping) {
    return Refused("a config file must be a mapping of keys to values");
  }
  const bool models = IsTruthy(root.Find("model_cache"));
  const bool old_models = IsTruthy(root.Find("hf_cache"));
  if (IsTruthy(root.Find("weights"))) {
    MigrateResult result = NothingToDo("Config already uses the weights API. Nothing to migrate.");
    if (models || old_models) {
      const YamlNode* old = root.Find(models ? "model_cache" : "hf_cache");
      result.warnings.push_back({"config.yaml",
                                 old->line,
                                 fmt::format("{} stands beside weights, and only one of them may; "
                                             "move its items to weights by hand",
                                             models ? "model_cache" : "hf_cache"),
                                 {}});
    }
    return result;
  }
  if (!models && !old_models && !IsTruthy(root.Find("external_data"))) {
    return NothingToDo("No model_cache or external_data found. Nothing to migrate.");
  }
  if (models && old_models) {
    return Refused(
        "the file has both model_cache and hf_cache, which mean the same; delete one of them "
        "first");
  }
  if (HasDuplicateRootKey(parsed)) {
    return Refused("a key is twice in the file; delete the one that does not count first");
  }
  return std::nullopt;
}

// The config's half. Its warnings are in `plan`, whose nodes are those of `root`.
MigrateResult MigrateConfig(std::string_view yaml,
                            const YamlNode& root,
                            const MigrateRules& rules,
                            MigratePlan& plan) {
  plan = PlanMigration(root);
  if (!plan.problems.empty()) {
    MigrateResult result = Refused("the old keys cannot be migrated as they are");
    result.problems = std::move(plan.problems);
    return result;
  }
  if (rules.rewrite_patterns) RewritePatterns(plan);
  WarnOfStartCommand(root, plan);
  const Result<std::string> text = SpliceWeights(yaml, root, plan);
  if (!text) return Refused(text.error().message());
  ConfigReport report = ParseConfig(*text);
  MigrateResult result;
  if (!report.config) {
    result.message = "the migrated file would not be valid (places are those of the migrated file)";
    result.problems = std::move(report.errors);
    return result;
  }
  const codec::YamlResult after = codec::ParseYaml(*text, {.bytes_max = kConfigBytesMax});
  if (!IsAsPlanned(*report.config, plan) ||
      !SameTree(WithoutReplaced(root), WithoutReplaced(*after.root))) {
    return Refused(
        "the old keys are written in a way that cannot be replaced without changing the rest of "
        "the file (an anchor, for example); write them out plainly first");
  }
  result.outcome = MigrateOutcome::kMigrated;
  result.text = *text;
  return result;
}

// Joins the two halves: chains that change make a config with nothing to do a migration; calls that
// nobody can rewrite make nothing to do a refusal, for something is left to do.
void AddChains(ChainsPlan& chains, MigrateResult& result) {
  for (MigrateWarning& warning : chains.plan.warnings)
    result.warnings.push_back(std::move(warning));
  if (!chains.changed.empty()) {
    result.outcome = MigrateOutcome::kMigrated;
    result.message.clear();
    result.code = std::move(chains.changed);
  } else if (chains.by_hand > 0 && result.outcome == MigrateOutcome::kNothingToDo) {
    result.outcome = MigrateOutcome::kRefused;
    result.message = fmt::format("{} {} of chain code must be changed by hand", chains.by_hand,
                                 chains.by_hand == 1 ? "place" : "places");
  }
}

}  // namespace

MigrateResult Migrate(std::optional<std::string_view> yaml,
                      const std::vector<CodeFile>& code,
                      const MigrateRules& rules) {
  codec::YamlResult parsed;
  MigratePlan plan;
  MigrateResult result =
      NothingToDo("There is no config.yaml, and no chain with models in cached.");
  if (yaml) {
    parsed = codec::ParseYaml(*yaml, {.bytes_max = kConfigBytesMax});
    auto settled = Settled(parsed);
    result = settled ? *std::move(settled) : MigrateConfig(*yaml, *parsed.root, rules, plan);
    if (result.outcome == MigrateOutcome::kRefused) return result;
  }
  ChainsPlan chains = PlanChains(code, rules);
  // Code may name the paths of either.
  MigratePlan all;
  all.weights = plan.weights;
  all.weights.insert(all.weights.end(), chains.plan.weights.begin(), chains.plan.weights.end());
  if (!all.weights.empty()) WarnOfCode(chains.searched, all);
  for (MigrateWarning& warning : plan.warnings) result.warnings.push_back(std::move(warning));
  AddChains(chains, result);
  if (result.outcome == MigrateOutcome::kMigrated) {
    for (MigrateWarning& warning : all.warnings) result.warnings.push_back(std::move(warning));
  }
  return result;
}

}  // namespace bdn::model
