#pragma once
// Internal to model: splices the planned weights into the bytes of a config. Callers use migrate.h.
#include <string>
#include <string_view>

#include "base/result.h"
#include "codec/yaml.h"
#include "model/migrate_plan.h"

namespace bdn::model {

// The keys that a migration takes away; an empty `weights` would otherwise be there twice.
bool IsReplacedKey(const codec::YamlNode& key);

// kFailedPrecondition with the reason when the file is written in a way that cannot be edited by
// splicing. The caller checks the result against the plan.
Result<std::string> SpliceWeights(std::string_view yaml,
                                  const codec::YamlNode& root,
                                  const MigratePlan& plan);

}  // namespace bdn::model
