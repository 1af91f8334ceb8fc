#include "model/explain.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "model/config_weights.h"

namespace bdn::model {
namespace {

constexpr std::size_t kNamesShownMax = 3;
constexpr std::size_t kCommitDigits = 40;
constexpr std::size_t kShardDigitsMin = 2;
constexpr std::size_t kShardDigitsMax = 6;

// The files whose absence breaks a tokenizer; any one of them is one.
constexpr std::array<std::string_view, 9> kTokenizers{
    "tokenizer.json", "tokenizer.model", "vocab.json",  "vocab.txt",  "spiece.model",
    "merges.txt",     "vocab.bpe",       "vocab.model", "tekken.json"};

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

bool IsTokenizer(std::string_view name) {
  return std::find(kTokenizers.begin(), kTokenizers.end(), name) != kTokenizers.end() ||
         name.ends_with(".bpe.model") || name.ends_with(".spm") || name.ends_with(".tiktoken");
}

// Weights that are loaded with the files beside them; GGUF and ONNX carry theirs inside.
bool IsWeights(std::string_view name) {
  return name.ends_with(".safetensors") ||
         (name.ends_with(".bin") && name.find("model") != std::string_view::npos);
}

// "model-00001-of-00003.safetensors": the parts of a name in a series.
struct Shard {
  std::string_view stem;    // "model"
  std::string_view total;   // "00003"
  std::string_view ending;  // ".safetensors"
  std::size_t number = 0;
  std::size_t count = 0;
};

std::size_t DigitsAt(std::string_view name, std::size_t at) {
  std::size_t end = at;
  while (end < name.size() && IsDigit(name[end])) ++end;
  return end - at;
}

std::size_t Number(std::string_view digits) {
  std::size_t number = 0;
  for (const char c : digits) number = number * 10 + static_cast<std::size_t>(c - '0');
  return number;
}

std::optional<Shard> ParseShard(std::string_view name) {
  const auto of = name.rfind("-of-");
  if (of == std::string_view::npos) return std::nullopt;
  std::size_t begin = of;
  while (begin > 0 && IsDigit(name[begin - 1])) --begin;
  const std::size_t digits = of - begin;
  const std::size_t total = DigitsAt(name, of + 4);
  const auto fits = [](std::size_t n) { return n >= kShardDigitsMin && n <= kShardDigitsMax; };
  if (!fits(digits) || !fits(total) || begin == 0 || name[begin - 1] != '-') return std::nullopt;
  Shard shard;
  shard.stem = name.substr(0, begin - 1);
  shard.total = name.substr(of + 4, total);
  shard.ending = name.substr(of + 4 + total);
  shard.number = Number(name.substr(begin, digits));
  shard.count = Number(shard.total);
  return shard;
}

// One directory of the source.
struct Directory {
  std::set<std::string, std::less<>> selected;
  std::set<std::string, std::less<>> left;
  bool Has(std::string_view name) const { return selected.contains(name) || left.contains(name); }
};

std::string At(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : fmt::format("{}/{}", directory, name);
}

// "'a', 'b', 'c' and 4 more"
std::string Names(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kNamesShownMax); ++i) {
    out += fmt::format("{}'{}'", i == 0 ? "" : ", ", names[i]);
  }
  if (names.size() > kNamesShownMax)
    out += fmt::format(" and {} more", names.size() - kNamesShownMax);
  return out;
}

class Check {
 public:
  Check(const PatternSet& patterns, const std::vector<ListedFile>& files)
      : patterns_(patterns), files_(files) {}

  Selection Run() {
    for (const ListedFile& file : files_) Sort(file);
    if (selection_.selected_files == 0) {
      Find("nothing_selected",
           fmt::format("none of the {} files of the source is selected: the mirror will fail",
                       files_.size()));
    }
    CheckPatterns();
    CheckTraps();
    for (const auto& [name, directory] : directories_) {
      if (directory.selected.empty()) continue;
      CheckShards(name, directory);
      CheckCompanions(name, directory);
    }
    CheckPipeline();
    return std::move(selection_);
  }

 private:
  void Find(std::string_view rule, std::string message) {
    selection_.findings.push_back({std::string(rule), std::move(message)});
  }

  void Sort(const ListedFile& file) {
    const bool selected = patterns_.Selects(file.path);
    ++selection_.files;
    selection_.bytes += file.size;
    if (selected) {
      ++selection_.selected_files;
      selection_.selected_bytes += file.size;
    }
    (selected ? selected_ : left_).push_back(file.path);
    const auto slash = file.path.rfind('/');
    const bool top = slash == std::string::npos;
    Directory& directory = directories_[top ? "" : file.path.substr(0, slash)];
    (selected ? directory.selected : directory.left)
        .insert(top ? file.path : file.path.substr(slash + 1));
  }

  void CheckPatterns() {
    const auto matches_none = [this](const Pattern& pattern) {
      return std::none_of(files_.begin(), files_.end(),
                          [&](const ListedFile& file) { return pattern.Matches(file.path); });
    };
    const auto deeper = [&](const Pattern& pattern) -> std::string {
      if (pattern.text().find('/') != std::string::npos) return "";
      const std::string text = "**/" + pattern.text();
      const auto below = Pattern::Parse(text);
      if (!below || matches_none(*below)) return "";
      return fmt::format(": there are such files in directories; write '{}'", text);
    };
    if (files_.empty()) return;
    if (patterns_.allow()) {
      for (const Pattern& pattern : *patterns_.allow()) {
        if (!matches_none(pattern)) continue;
        unmatched_.push_back(pattern.text());
        Find("pattern_selects_nothing",
             fmt::format("the allow pattern '{}' matches none of the {} files{}", pattern.text(),
                         files_.size(), deeper(pattern)));
      }
    }
    for (const Pattern& pattern : patterns_.ignore()) {
      if (!matches_none(pattern)) continue;
      unmatched_.push_back(pattern.text());
      Find("pattern_ignores_nothing",
           fmt::format("the ignore pattern '{}' matches none of the {} files{}", pattern.text(),
                       files_.size(), deeper(pattern)));
    }
  }

  // Patterns that match nothing at all are named by CheckPatterns already.
  void CheckTraps() {
    std::vector<std::string> traps = patterns_.TopLevelTraps(left_);
    for (std::string& trap : patterns_.IgnoreTraps(selected_)) traps.push_back(std::move(trap));
    for (std::string& trap : traps) {
      const bool named = std::any_of(unmatched_.begin(), unmatched_.end(), [&](const auto& text) {
        return trap.starts_with(fmt::format("'{}' ", text));
      });
      if (!named) Find("pattern_top_level_only", std::move(trap));
    }
  }

  struct Series {
    Shard shard;
    std::set<std::size_t> selected;
    std::set<std::size_t> present;
    std::vector<std::string> left;
  };

  void CheckShards(const std::string& name, const Directory& directory) {
    std::map<std::string, Series> all;
    for (const auto* names : {&directory.selected, &directory.left}) {
      for (const std::string& file : *names) {
        const auto shard = ParseShard(file);
        if (!shard) continue;
        Series& series = all[fmt::format("{}-of-{}{}", shard->stem, shard->total, shard->ending)];
        series.shard = *shard;
        series.present.insert(shard->number);
        if (names == &directory.selected) {
          series.selected.insert(shard->number);
        } else {
          series.left.push_back(At(name, file));
        }
      }
    }
    for (const auto& [key, series] : all) {
      if (!series.selected.empty()) CheckSeries(name, directory, series);
    }
  }

  void CheckSeries(const std::string& name, const Directory& directory, const Series& series) {
    const std::string what = At(name, fmt::format("{}-…-of-{}{}", series.shard.stem,
                                                  series.shard.total, series.shard.ending));
    if (!series.left.empty()) {
      Find("shards_left_out",
           fmt::format("{} of the {} files {} are left out: {}", series.left.size(),
                       series.present.size(), what, Names(series.left)));
    }
    // Series count from 1, or from 0.
    const std::size_t first = *series.present.begin();
    if (first <= 1 && series.present.size() < series.shard.count) {
      Find("shards_missing", fmt::format("the source has only {} of the {} files {}",
                                         series.present.size(), series.shard.count, what));
    }
    CheckIndex(name, directory, series, what);
  }

  // "model.safetensors.index.json", "pytorch_model.bin.index.json", and with a variant in it
  // "diffusion_pytorch_model.safetensors.index.fp16.json".
  void CheckIndex(const std::string& name,
                  const Directory& directory,
                  const Series& series,
                  const std::string& what) {
    if (!IsWeights(At("model", series.shard.ending))) return;
    const std::string_view stem = series.shard.stem.substr(0, series.shard.stem.find('.'));
    const auto is_index = [&](const std::string& file) {
      return file.starts_with(stem) && file.ends_with(".json") &&
             file.find(".index.") != std::string::npos;
    };
    if (std::any_of(directory.selected.begin(), directory.selected.end(), is_index)) return;
    const auto left = std::find_if(directory.left.begin(), directory.left.end(), is_index);
    if (left == directory.left.end()) return;
    Find("index_left_out",
         fmt::format("the index '{}' of {} is left out: a model in several files does not load "
                     "without it; add the pattern '{}'",
                     At(name, *left), what, At(name, "*.json")));
  }

  void CheckCompanions(const std::string& name, const Directory& directory) {
    if (std::none_of(directory.selected.begin(), directory.selected.end(), IsWeights)) return;
    weights_ = true;
    if (directory.left.contains("config.json")) {
      Find("config_left_out",
           fmt::format("'{}' is left out, and the weights beside it do not load without it",
                       At(name, "config.json")));
    }
    std::vector<std::string> left;
    for (const std::string& file : directory.left) {
      if (IsTokenizer(file)) left.push_back(At(name, file));
    }
    if (!left.empty() &&
        std::none_of(directory.selected.begin(), directory.selected.end(), IsTokenizer)) {
      Find("tokenizer_left_out",
           fmt::format("no file of the tokenizer is selected; the source has {}", Names(left)));
    }
    const auto ends = [&](std::string_view ending) {
      return std::any_of(
          directory.selected.begin(), directory.selected.end(), [&](const auto& file) {
            return IsWeights(file) && file.ends_with(ending) && !file.starts_with("adapter_");
          });
    };
    if (ends(".safetensors") && ends(".bin")) {
      Find("weights_twice",
           fmt::format("{} has the weights as .safetensors and as .bin, and both are selected; "
                       "ignore '{}' to take them once",
                       name.empty() ? "the source" : name, At(name, "*.bin")));
    }
  }

  // A pipeline of several models: model_index.json names the directories beside it.
  void CheckPipeline() {
    const auto top = directories_.find("");
    if (!weights_ || top == directories_.end() || !top->second.Has("model_index.json")) return;
    if (top->second.left.contains("model_index.json")) {
      Find("config_left_out",
           "'model_index.json' is left out, and the pipeline does not load without it");
    }
    for (const auto& [name, directory] : directories_) {
      const bool tokenizer = name.starts_with("tokenizer") && name.find('/') == std::string::npos;
      if (!tokenizer || !directory.selected.empty()) continue;
      Find("tokenizer_left_out", fmt::format("no file of '{}/' is selected", name));
    }
  }

  const PatternSet& patterns_;
  const std::vector<ListedFile>& files_;
  Selection selection_;
  std::map<std::string, Directory> directories_;
  std::vector<std::string> selected_;
  std::vector<std::string> left_;
  std::vector<std::string> unmatched_;  // patterns
  bool weights_ = false;
};

bool IsCommit(std::string_view revision) {
  return revision.size() == kCommitDigits &&
         std::all_of(revision.begin(), revision.end(), [](char c) {
           return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

RevisionFacts ExplainHub(const SourceUri& uri, std::string_view commit) {
  const std::string revision = uri.revision.empty() ? "main" : uri.revision;
  RevisionFacts facts;
  if (IsCommit(revision)) {
    facts.kind = RevisionKind::kPinned;
    facts.message = fmt::format("pinned to commit {}", revision);
    return facts;
  }
  facts.message = fmt::format(
      "'{}'{} is a branch or a tag and may move: a push takes the commit "
      "that it names then",
      revision, uri.revision.empty() ? " (the default)" : "");
  if (IsCommit(commit)) {
    facts.pinned_source = fmt::format("{}@{}", uri.text.substr(0, uri.text.find('@')), commit);
    facts.message +=
        fmt::format(", now {}. To stay with that one, write {}", commit, facts.pinned_source);
  }
  return facts;
}

RevisionFacts ExplainTraining(const SourceUri& uri) {
  RevisionFacts facts;
  facts.kind = RevisionKind::kPinned;
  if (uri.loops) {
    facts.message = fmt::format("the checkpoint '{}' of the run {}", uri.path, uri.bucket);
  } else if (uri.revision != "latest" && !uri.path.empty()) {
    facts.message = fmt::format("the checkpoint '{}' of the job {}", uri.path, uri.revision);
  } else {
    facts.kind = RevisionKind::kMoving;
    facts.message =
        fmt::format("{} when it is pushed",
                    uri.revision == "latest"
                        ? "the latest job of the project"
                        : fmt::format("the latest checkpoint of the job {}", uri.revision));
  }
  return facts;
}

}  // namespace

Selection CheckSelection(const PatternSet& patterns, const std::vector<ListedFile>& files) {
  return Check(patterns, files).Run();
}

RevisionFacts ExplainRevision(const SourceUri& uri, std::string_view commit) {
  if (uri.scheme == Scheme::kHf) return ExplainHub(uri, commit);
  if (uri.scheme == Scheme::kBt) return ExplainTraining(uri);
  RevisionFacts facts;
  facts.kind = RevisionKind::kUnversioned;
  facts.message = fmt::format(
      "{}:// has no revisions: the files are pinned as they are when they "
      "are mirrored",
      SchemeName(uri.scheme));
  return facts;
}

std::string_view RevisionKindName(RevisionKind kind) {
  constexpr std::array<std::string_view, 3> kNames{"pinned", "moving", "unversioned"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view SecretStateName(SecretState state) {
  constexpr std::array<std::string_view, 4> kNames{"none", "set", "not_set", "unknown"};
  return kNames[static_cast<std::size_t>(state)];
}

void TakeBackWhatListsDecide(const std::vector<SourceExplanation>& explained,
                             std::vector<Finding>& warnings) {
  for (std::size_t i = 0; i < explained.size(); ++i) {
    if (!explained[i].selection) continue;
    const std::string loc = fmt::format("weights.{}.allow_patterns", i);
    std::erase_if(warnings, [&](const Finding& warning) {
      return warning.loc == loc && warning.message.starts_with(kLeavesWhatLoads);
    });
  }
}

}  // namespace bdn::model
