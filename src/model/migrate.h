#pragma once
// `bdn migrate` as a pure function: config.yaml with model_cache, hf_cache or external_data in, the
// same file with `weights` out. docs/migrate.md has every rule.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace bdn::model {

// A Python file of the model or chain: searched for paths that change, and rewritten where it gives
// chains.Assets its models.
struct CodeFile {
  std::string path;  // as it is shown
  std::string text;
};

// A pattern that selects other files than it did.
struct PatternChange {
  std::string source;   // of the weights
  std::string pattern;  // as the old item has it
  bool ignore = false;  // of ignore_patterns
  bool volume = false;  // the matcher of volumes, else Python's fnmatch
  // What selects the same as before; empty when that takes more than a few patterns.
  std::vector<std::string> offer;
  bool rewritten = false;  // the new file has the offer
  // Set by CompareSelection: files of the source that the pattern took and takes, took, takes.
  bool listed = false;
  std::vector<std::string> kept;
  std::vector<std::string> lost;
  std::vector<std::string> gained;
};

// Where the meaning changes, and what to do about it.
struct MigrateWarning {
  std::string file;  // "config.yaml" or a CodeFile's path
  int line = 0;
  std::string message;
  std::string new_path;  // of the weights; empty where the warning is of something else
  // What to write in place of what is there: the command, or the Python; empty where there is
  // nothing to write. May have several lines.
  std::string suggestion = {};
  std::optional<PatternChange> pattern = {};
};

enum class MigrateOutcome : std::uint8_t { kMigrated, kNothingToDo, kRefused };

struct MigrateResult {
  MigrateOutcome outcome = MigrateOutcome::kRefused;
  // kNothingToDo and kRefused: why. kRefused always has a reason here or in `problems`.
  std::string message;
  std::vector<Finding> problems;
  // kMigrated: the new config.yaml; empty when only `code` changes. ParseConfig finds no error in
  // it, every other key has the value that it had, and the bytes outside the replaced keys are
  // those of the old file.
  std::string text;
  // kMigrated: the Python files that change, with their new text.
  std::vector<CodeFile> code;
  std::vector<MigrateWarning> warnings;
};

struct MigrateRules {
  // Writes the patterns that select what the old ones selected, in place of the old ones.
  bool rewrite_patterns = false;
};

// Never fails and never throws: what cannot be done is kRefused. `yaml` nullopt: there is no
// config.yaml, as in a chain.
MigrateResult Migrate(std::optional<std::string_view> yaml,
                      const std::vector<CodeFile>& code,
                      const MigrateRules& rules = {});

// Fills the lists of `change` from the paths of its source.
void CompareSelection(const std::vector<std::string>& paths, PatternChange& change);

// Whether `pattern` selected `path` when it was an item of model_cache.
bool OldPatternMatches(std::string_view pattern, std::string_view path, bool volume);

}  // namespace bdn::model
