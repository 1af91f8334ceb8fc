#pragma once
// Internal to model: what the old keys of a config mean as weights. Callers use migrate.h.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "codec/yaml.h"
#include "model/migrate.h"

namespace bdn::model {

// One item of the new list. The nodes are those of the old file, and borrowed.
struct PlannedWeight {
  std::string source;
  std::string mount;
  std::string secret;                            // empty: no auth block
  const codec::YamlNode* secret_node = nullptr;  // where the old item names it
  const codec::YamlNode* allow = nullptr;        // null when there is nothing to write
  const codec::YamlNode* ignore = nullptr;
  const codec::YamlNode* item = nullptr;
  bool volume = false;  // a volume: other patterns, and a folder of its own
  // Set where `allow` or `ignore` is not of the old file.
  std::shared_ptr<const codec::YamlNode> made_allow;
  std::shared_ptr<const codec::YamlNode> made_ignore;
  // For warnings about code: the Hub's name of a model that was baked into the image, and the
  // directory that the files had when it is not `mount`.
  std::string baked_repo;
  std::string old_path;
};

struct MigratePlan {
  std::vector<PlannedWeight> weights;
  std::vector<MigrateWarning> warnings;
  std::vector<Finding> problems;
};

MigratePlan PlanMigration(const codec::YamlNode& root);

// Puts what RewritePattern offers in place of every pattern that changes its meaning, and says so.
// A list that changes has no bytes of its own any more (begin equals end); its items that stay do.
void RewritePatterns(MigratePlan& plan);

// Patterns that select today what `pattern` selected when `*` matched '/', and `pattern` itself
// when it means the same. `volume`: the matcher of volumes, for which '?' and '[' were plain
// characters. Empty when it would take more than four.
std::vector<std::string> RewritePattern(std::string_view pattern, bool volume);

}  // namespace bdn::model
