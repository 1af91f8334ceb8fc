#pragma once
// `bdn migrate` as a pure function: config.yaml with model_cache, hf_cache or external_data in, the
// same file with `weights` out. docs/migrate.md has every rule.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace bdn::model {

// A Python file of the model, searched for paths that change.
struct CodeFile {
  std::string path;  // as it is shown
  std::string text;
};

// Where the meaning changes, and what to do about it.
struct MigrateWarning {
  std::string file;  // "config.yaml" or a CodeFile's path
  int line = 0;
  std::string message;
  std::string new_path;  // of the weights; empty where the warning is of something else
};

enum class MigrateOutcome : std::uint8_t { kMigrated, kNothingToDo, kRefused };

struct MigrateResult {
  MigrateOutcome outcome = MigrateOutcome::kRefused;
  // kNothingToDo and kRefused: why. kRefused always has a reason here or in `problems`.
  std::string message;
  std::vector<Finding> problems;
  // kMigrated: the new file. ParseConfig finds no error in it, every other key has the value that
  // it had, and the bytes outside the replaced keys are those of the old file.
  std::string text;
  std::vector<MigrateWarning> warnings;
};

// Never fails and never throws: what cannot be done is kRefused.
MigrateResult Migrate(std::string_view yaml, const std::vector<CodeFile>& code);

}  // namespace bdn::model
