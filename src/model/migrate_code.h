#pragma once
// Internal to model: what in start_command and Python code a migration changes. Callers use
// migrate.h.
#include <string>
#include <string_view>
#include <vector>

#include "codec/yaml.h"
#include "model/migrate_plan.h"

namespace bdn::model {

void WarnOfCode(const std::vector<CodeFile>& code, MigratePlan& plan);
void WarnOfStartCommand(const codec::YamlNode& root, MigratePlan& plan);

// `command` without its calls of truss-transfer-cli and what joined them to the rest.
std::string WithoutTransfer(std::string_view command);

}  // namespace bdn::model
