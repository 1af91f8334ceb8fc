#pragma once
// Internal to model: chains.Assets(cached=[ModelRepo(…)]) in Python files as
// weights=[WeightsSource(…)]. Callers use migrate.h.
//
// A call is rewritten when everything in it is certain: the names come from truss imports, the
// values are literals or names that are set once, to a literal, at the top level of the same file.
// Otherwise the file keeps it, and a warning says what to write.
#include <deque>
#include <string>
#include <vector>

#include "codec/yaml.h"
#include "model/migrate.h"
#include "model/migrate_plan.h"

namespace bdn::model {

struct ChainsPlan {
  std::vector<CodeFile> changed;   // with their new text
  std::vector<CodeFile> searched;  // all files, without what was rewritten: for WarnOfCode
  MigratePlan plan;                // the weights, which borrow `nodes`, and the warnings
  std::size_t by_hand = 0;         // calls that are not rewritten
  std::deque<codec::YamlNode> nodes;
};

ChainsPlan PlanChains(const std::vector<CodeFile>& code, const MigrateRules& rules);

}  // namespace bdn::model
