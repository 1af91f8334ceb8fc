#pragma once
// What a weights item will do, beyond whether it is valid: which files its patterns select of a
// source's list, whether what they leave is a model that loads, and whether its revision can move.
// Pure: the list, and whether a secret is set, are found out by the caller.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/pattern.h"

namespace bdn::model {

struct ListedFile {
  std::string path;  // relative to the root of the source
  std::uint64_t size = 0;
};

// A reason why the selection may not be what was meant. `rule` is stable, for machines:
//   nothing_selected         no file at all; the mirror will fail
//   pattern_selects_nothing  an allow pattern that matches no file of the source
//   pattern_ignores_nothing  an ignore pattern that matches no file of the source
//   pattern_top_level_only   a pattern like "*.json" that would match files in directories too
//   shards_left_out          some files of a model in several files are selected, some are not
//   shards_missing           the source itself lacks files of a model in several files
//   index_left_out           a model in several files without its *.index.json
//   config_left_out          weights without the config.json (or model_index.json) beside them
//   tokenizer_left_out       weights without any of the tokenizer's files that the source has
//   weights_twice            the same weights as safetensors and as .bin
struct SelectionFinding {
  std::string rule;
  std::string message;
};

struct Selection {
  std::size_t files = 0;  // of the source
  std::uint64_t bytes = 0;
  std::size_t selected_files = 0;
  std::uint64_t selected_bytes = 0;
  std::vector<SelectionFinding> findings;
};

// Looks at directories on their own, as pipelines of several models have them. Linear in files
// times patterns.
Selection CheckSelection(const PatternSet& patterns, const std::vector<ListedFile>& files);

enum class RevisionKind : std::uint8_t {
  kPinned,       // a commit or a checkpoint: always the same files
  kMoving,       // a branch, a tag or "latest": what it names when it is pushed
  kUnversioned,  // no revisions there: the files as they are when they are mirrored
};
struct RevisionFacts {
  RevisionKind kind = RevisionKind::kMoving;
  std::string message;
  std::string pinned_source;  // the source that names `commit` for good; empty when there is none
};
// `commit` is what the revision names now; empty when that is not known.
RevisionFacts ExplainRevision(const SourceUri& uri, std::string_view commit);
std::string_view RevisionKindName(RevisionKind kind);  // "pinned", "moving", "unversioned"

enum class SecretState : std::uint8_t { kNone, kSet, kNotSet, kUnknown };
std::string_view SecretStateName(SecretState state);  // "none", "set", "not_set", "unknown"

// One weights item, explained.
struct SourceExplanation {
  SecretState secret = SecretState::kNone;
  std::string secret_unknown;          // why, for kUnknown
  std::optional<Selection> selection;  // absent when the source could not be listed
  std::string not_listed;              // why
  std::string commit;                  // what the revision names now; empty: not known
  RevisionFacts revision;
  std::vector<std::string> warnings;  // of the source: "the repository was renamed to …"
};

// Removes the warnings of ParseConfig that guess from the patterns alone whether the index and the
// tokenizer are left out, of the items whose source was listed: the findings of the selection say
// whether they are. `explained` has one for every weights item.
void TakeBackWhatListsDecide(const std::vector<SourceExplanation>& explained,
                             std::vector<Finding>& warnings);

}  // namespace bdn::model
