#include "model/migrate_plan.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "model/config_weights.h"

namespace bdn::model {
namespace {

using codec::YamlNode;
using codec::YamlType;

constexpr std::string_view kConfigName = "config.yaml";
constexpr std::string_view kDefaultSecret = "hf_access_token";
constexpr std::size_t kRewritesMax = 4;

struct Kind {
  std::string_view name;
  std::string_view prefix;
};
constexpr std::array<Kind, 5> kKinds{
    {{"hf", "hf://"}, {"gcs", "gs://"}, {"s3", "s3://"}, {"azure", "azure://"}, {"r2", "r2://"}}};

constexpr std::array<std::string_view, 8> kModelKeys{
    "repo_id",       "revision",   "allow_patterns", "ignore_patterns",
    "volume_folder", "use_volume", "kind",           "runtime_secret_name"};
constexpr std::array<std::string_view, 4> kExternalKeys{"url", "local_data_path", "backend",
                                                        "name"};

// Joins as Python's PurePosixPath does: an absolute second part wins; "//", "." and a '/' at the
// end go; ".." stays.
std::string JoinPath(std::string_view base, std::string_view path) {
  std::string joined(path.starts_with('/') ? "" : base);
  while (!path.empty()) {
    const auto slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    if (!segment.empty() && segment != ".") joined.append("/").append(segment);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return joined.empty() ? "/" : joined;
}

std::string QuotedList(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "'" : ", '") + text + "'";
  return out;
}

// Reads one old item, collecting everything that is wrong with it.
class ItemReader {
 public:
  ItemReader(const YamlNode& item, std::string loc, MigratePlan& plan)
      : item_(item), loc_(std::move(loc)), plan_(plan) {}

  void Problem(std::string_view key, const YamlNode& at, std::string message) {
    plan_.problems.push_back({key.empty() ? loc_ : fmt::format("{}.{}", loc_, key), at.line,
                              at.column, std::move(message)});
  }
  void Warn(const YamlNode& at, std::string message, std::string new_path = {}) {
    plan_.warnings.push_back(
        {std::string(kConfigName), at.line, std::move(message), std::move(new_path)});
  }

  bool IsMapping() {
    if (item_.type == YamlType::kMapping) return true;
    Problem("", item_, std::string(kNotADictionary));
    return false;
  }

  // A string; `otherwise` when the key is missing or, unless required, null.
  std::string Text(std::string_view key, bool required, std::string_view otherwise = {}) {
    const YamlNode* node = item_.Find(key);
    if (node == nullptr || (!required && node->IsNull())) {
      if (required) Problem(key, item_, std::string(kFieldRequired));
      return std::string(otherwise);
    }
    if (node->type != YamlType::kString) {
      Problem(key, *node, fmt::format("{}; put it in quotes if it is meant as text", kNotAString));
      return {};
    }
    if (required && node->text.empty()) Problem(key, *node, std::string(kTooShort));
    return node->text;
  }

  // The list when there is something to write.
  const YamlNode* Patterns(std::string_view key) {
    const YamlNode* node = item_.Find(key);
    if (node == nullptr || node->IsNull()) return nullptr;
    if (node->type != YamlType::kSequence) {
      Problem(key, *node, std::string(kNotAList));
      return nullptr;
    }
    for (const YamlNode& pattern : node->items) {
      if (pattern.type != YamlType::kString) Problem(key, pattern, std::string(kNotAString));
    }
    if (!node->items.empty()) return node;
    if (key == "allow_patterns") {
      Warn(*node,
           "the empty allow_patterns selected no file and is left out: all files are selected");
    }
    return nullptr;
  }

  void WarnOfPatterns(const YamlNode* list, bool ignore, const PlannedWeight& weight) {
    if (list == nullptr) return;
    for (const YamlNode& pattern : list->items) {
      auto offer = RewritePattern(pattern.text, weight.volume);
      if (offer.size() == 1 && offer[0] == pattern.text) continue;
      const bool gains = offer.size() == 1 && offer[0] == "*/" + pattern.text;
      const std::string write =
          offer.empty() ? "compare with `bdn match --explain`"
                        : "to select what it selected before, write " + QuotedList(offer);
      const bool star = pattern.text.find('*') != std::string::npos;
      const std::string_view why =
          star ? "`*` used to match '/' and now matches within one directory only"
               : "`?`, `[` and `\\` used to be plain characters";
      Warn(pattern, gains ? fmt::format("the pattern '{}' now selects at the top level as well, "
                                        "where it used to select nothing; to keep that, write '{}'",
                                        pattern.text, offer[0])
                          : fmt::format("the pattern '{}' changes its meaning: {}; {}",
                                        pattern.text, why, write));
      plan_.warnings.back().pattern = PatternChange{.source = weight.source,
                                                    .pattern = pattern.text,
                                                    .ignore = ignore,
                                                    .volume = weight.volume,
                                                    .offer = std::move(offer)};
    }
  }

  template <std::size_t N>
  void WarnOfUnknownKeys(const std::array<std::string_view, N>& known) {
    for (const auto& member : item_.members) {
      if (std::find(known.begin(), known.end(), member.key.text) != known.end()) continue;
      Warn(member.key, fmt::format("'{}' has no equivalent in weights and is left out",
                                   member.key.PythonText()));
    }
  }

  const YamlNode* Find(std::string_view key) const { return item_.Find(key); }
  const YamlNode& item() const { return item_; }

 private:
  const YamlNode& item_;
  std::string loc_;
  MigratePlan& plan_;
};

// Volumes (v2) are those with use_volume; hf_cache is older than that key.
bool ReadUseVolume(ItemReader& reader, bool required) {
  const YamlNode* node = reader.Find("use_volume");
  if (node == nullptr) {
    if (required) {
      reader.Problem("use_volume", reader.item(),
                     "Field required; write `use_volume: false` for files that were put into the "
                     "image, true for a volume");
    }
    return false;
  }
  const auto value = node->AsBool();
  if (!value) reader.Problem("use_volume", *node, "Input should be a valid boolean");
  return value.value_or(false);
}

const Kind* ReadKind(ItemReader& reader) {
  const std::string name = reader.Text("kind", false, "hf");
  const auto* kind =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.name == name; });
  if (kind != kKinds.end()) return kind;
  const YamlNode* node = reader.Find("kind");
  reader.Problem("kind", node == nullptr ? reader.item() : *node,
                 "Input should be 'hf', 'gcs', 's3', 'azure' or 'r2'");
  return nullptr;
}

void ReadSource(ItemReader& reader, const Kind& kind, std::string& repo, PlannedWeight& weight) {
  if (repo.starts_with(kind.prefix)) repo.erase(0, kind.prefix.size());
  if (repo.find("://") != std::string::npos) {
    reader.Problem(
        "repo_id", *reader.Find("repo_id"),
        fmt::format("'{}' has the prefix of another kind than '{}'; correct the kind, or "
                    "write the name without a prefix",
                    repo, kind.name));
  }
  weight.source = fmt::format("{}{}", kind.prefix, repo);
  const std::string revision = reader.Text("revision", false);
  if (revision.empty()) return;
  const YamlNode& at = *reader.Find("revision");
  if (revision.size() < 2) {
    reader.Problem("revision", at, "revision must be empty or at least 2 characters");
  }
  if (kind.name == "hf") {
    weight.source += "@" + revision;
  } else {
    reader.Warn(at, fmt::format("the revision '{}' is left out: {} has no revisions. The files are "
                                "pinned as they are when they are mirrored",
                                revision, kind.prefix));
  }
}

// Where the files are mounted, and where they were before.
void ReadMount(ItemReader& reader,
               const Kind& kind,
               bool volume,
               const std::string& repo,
               PlannedWeight& weight) {
  constexpr std::string_view kCache = "/app/model_cache";
  const YamlNode& at = *reader.Find("repo_id");
  const std::string folder = reader.Text("volume_folder", false);
  if (volume) {
    if (folder.empty()) {
      reader.Problem("volume_folder", reader.item(),
                     "the key `volume_folder: str` is required for `use_volume=True` repos.");
    }
    weight.mount = JoinPath(kCache, folder);
    return;
  }
  if (kind.name == "hf") {
    std::string name = repo;
    std::replace(name.begin(), name.end(), '/', '_');
    weight.mount = JoinPath(kCache, name);
    weight.baked_repo = repo;
    reader.Warn(at,
                fmt::format("v1 HuggingFace repo '{}' migrated. You may need to update model.py to "
                            "use the new mount path: {}",
                            repo, weight.mount),
                weight.mount);
    return;
  }
  weight.mount = JoinPath(kCache, repo.substr(0, repo.find('/')));
  const std::string old_path = JoinPath(kCache, repo);
  if (old_path == weight.mount) return;
  weight.old_path = old_path;
  reader.Warn(at,
              fmt::format("the files of '{}' were at {} and are now at {}; update the code that "
                          "reads them",
                          weight.source, old_path, weight.mount),
              weight.mount);
}

// An empty name is no auth, with which no cloud can be read.
void WarnOfNoSecret(ItemReader& reader, const PlannedWeight& weight) {
  if (!weight.secret.empty()) return;
  const auto uri = ParseSourceUri(weight.source);
  const std::string message = uri ? MissingCredentials(uri->scheme) : std::string();
  if (message.empty()) return;
  reader.Warn(weight.secret_node == nullptr ? reader.item() : *weight.secret_node,
              fmt::format("{}; name a secret that holds credentials of that service as "
                          "`auth_secret_name` of the new item of {}",
                          message, weight.source));
}

void ReadModel(const YamlNode& item, std::string loc, bool is_hf_cache, MigratePlan& plan) {
  ItemReader reader(item, std::move(loc), plan);
  if (!reader.IsMapping()) return;
  const std::size_t problems = plan.problems.size();
  PlannedWeight weight;
  weight.item = &item;
  std::string repo = reader.Text("repo_id", true);
  const Kind* kind = ReadKind(reader);
  const bool volume = ReadUseVolume(reader, !is_hf_cache);
  weight.volume = volume;
  weight.allow = reader.Patterns("allow_patterns");
  weight.ignore = reader.Patterns("ignore_patterns");
  weight.secret = reader.Text("runtime_secret_name", false, kDefaultSecret);
  weight.secret_node = reader.Find("runtime_secret_name");
  if (kind == nullptr || plan.problems.size() != problems) return;
  ReadSource(reader, *kind, repo, weight);
  ReadMount(reader, *kind, volume, repo, weight);
  if (plan.problems.size() != problems) return;
  if (kind->name != "hf" && weight.secret == kDefaultSecret) {
    reader.Warn(weight.secret_node == nullptr ? item : *weight.secret_node,
                fmt::format("the secret '{}'{} cannot work for {}: name one that holds credentials "
                            "of that service",
                            weight.secret, weight.secret_node == nullptr ? " (the default)" : "",
                            weight.source));
  }
  WarnOfNoSecret(reader, weight);
  if (kind->name == "hf" && volume && weight.source.find('@') == std::string::npos) {
    reader.Warn(item, fmt::format("{} names no revision: the commit that `main` has when it is "
                                  "mirrored is taken",
                                  weight.source));
  }
  reader.WarnOfPatterns(weight.allow, false, weight);
  reader.WarnOfPatterns(weight.ignore, true, weight);
  reader.WarnOfUnknownKeys(kModelKeys);
  plan.weights.push_back(std::move(weight));
}

void ReadExternal(const YamlNode& item, std::string loc, MigratePlan& plan) {
  ItemReader reader(item, std::move(loc), plan);
  if (!reader.IsMapping()) return;
  const std::size_t problems = plan.problems.size();
  PlannedWeight weight;
  weight.item = &item;
  weight.source = reader.Text("url", true);
  weight.mount = JoinPath("/app/data", reader.Text("local_data_path", true));
  if (weight.source.starts_with("http://")) {
    reader.Problem(
        "url", *item.Find("url"),
        fmt::format("'{}' is not an https:// URL, and weights take no other; publish the "
                    "file over https and change the URL first",
                    weight.source));
  }
  reader.WarnOfUnknownKeys(kExternalKeys);
  if (plan.problems.size() == problems) plan.weights.push_back(std::move(weight));
}

// The items of a list that may be missing or null.
const std::vector<YamlNode>& ItemsOf(const YamlNode& root,
                                     std::string_view key,
                                     MigratePlan& plan) {
  static const std::vector<YamlNode> kNone;
  const YamlNode* list = root.Find(key);
  if (list == nullptr || list->IsNull()) return kNone;
  if (list->type == YamlType::kSequence) return list->items;
  plan.problems.push_back({std::string(key), list->line, list->column, std::string(kNotAList)});
  return kNone;
}

// The list with offers in it; null when no pattern of it changes.
std::shared_ptr<const YamlNode> Rewritten(const YamlNode* list, bool volume) {
  if (list == nullptr) return nullptr;
  YamlNode made;
  made.type = YamlType::kSequence;
  made.style = list->style;
  bool changed = false;
  for (const YamlNode& item : list->items) {
    const auto offer = RewritePattern(item.text, volume);
    if (offer.empty() || (offer.size() == 1 && offer[0] == item.text)) {
      made.items.push_back(item);
      continue;
    }
    changed = true;
    for (const std::string& text : offer) {
      YamlNode& node = made.items.emplace_back();
      node.type = YamlType::kString;
      node.style = codec::YamlStyle::kDoubleQuoted;
      node.text = text;
    }
  }
  return changed ? std::make_shared<const YamlNode>(std::move(made)) : nullptr;
}

void AppendToAll(std::vector<std::string>& all, std::string_view text) {
  for (std::string& one : all) one += text;
}

}  // namespace

MigratePlan PlanMigration(const YamlNode& root) {
  MigratePlan plan;
  for (const char* key : {"model_cache", "hf_cache"}) {
    std::size_t index = 0;
    for (const YamlNode& item : ItemsOf(root, key, plan)) {
      ReadModel(item, fmt::format("{}.{}", key, index++), key == std::string_view("hf_cache"),
                plan);
    }
  }
  std::size_t index = 0;
  for (const YamlNode& item : ItemsOf(root, "external_data", plan)) {
    ReadExternal(item, fmt::format("external_data.{}", index++), plan);
  }
  return plan;
}

void RewritePatterns(MigratePlan& plan) {
  for (PlannedWeight& weight : plan.weights) {
    weight.made_allow = Rewritten(weight.allow, weight.volume);
    weight.made_ignore = Rewritten(weight.ignore, weight.volume);
    if (weight.made_allow != nullptr) weight.allow = weight.made_allow.get();
    if (weight.made_ignore != nullptr) weight.ignore = weight.made_ignore.get();
  }
  for (MigrateWarning& warning : plan.warnings) {
    if (!warning.pattern || warning.pattern->offer.empty()) continue;
    warning.pattern->rewritten = true;
    warning.message =
        fmt::format("the pattern '{}' is written as {}, which selects what it selected before",
                    warning.pattern->pattern, QuotedList(warning.pattern->offer));
  }
}

std::vector<std::string> RewritePattern(std::string_view pattern, bool volume) {
  std::vector<std::string> all{""};
  for (std::size_t i = 0; i < pattern.size();) {
    const char c = pattern[i];
    if (c != '*') {
      const bool was_plain = c == '\\' || (volume && (c == '?' || c == '['));
      AppendToAll(all, was_plain ? std::string{'\\', c} : std::string(1, c));
      ++i;
      continue;
    }
    const bool first = i == 0 || pattern[i - 1] == '/';
    while (i < pattern.size() && pattern[i] == '*') ++i;
    const bool last = i == pattern.size();
    const bool before_slash = !last && pattern[i] == '/';
    if (before_slash) {
      AppendToAll(all, "*/**");
    } else if (first) {
      AppendToAll(all, last ? "**" : "**/*");
    } else {
      const std::vector<std::string> same_directory = all;
      AppendToAll(all, last ? "*/**" : "*/**/*");
      for (const auto& one : same_directory) all.push_back(one + "*");
      if (all.size() > kRewritesMax) return {};
    }
  }
  for (std::string& one : all) {
    for (auto at = one.find("**/**/"); at != std::string::npos; at = one.find("**/**/")) {
      one.erase(at, 3);
    }
    if (one.ends_with("**/**")) one.erase(one.size() - 3);
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace bdn::model
