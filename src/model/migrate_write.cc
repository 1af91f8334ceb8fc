#include "model/migrate_write.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include <fmt/format.h>

namespace bdn::model {
namespace {

using codec::YamlMember;
using codec::YamlNode;
using codec::YamlStyle;
using codec::YamlType;

constexpr std::array<std::string_view, 4> kReplaced{"model_cache", "hf_cache", "external_data",
                                                    "weights"};

bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Bytes [begin, end) give way to `text`.
struct Splice {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string text;
};

// A comment of the old block, without its line end, and where it stood.
struct Comment {
  std::size_t at = 0;
  bool alone = false;  // nothing else on its line
  std::string_view text;
};

// How the file is laid out; columns count from 0.
struct Layout {
  std::size_t indent = 0;  // of the root's keys
  std::size_t dash = 2;    // from a key to the '-' of its list
  std::size_t nested = 2;  // from a key to the keys below it
  std::string eol = "\n";
};

std::size_t LineStart(std::string_view text, std::size_t at) {
  const auto newline = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
  return newline == std::string_view::npos ? 0 : newline + 1;
}

bool IsBlankBetween(std::string_view text, std::size_t begin, std::size_t end) {
  return std::all_of(text.begin() + static_cast<std::ptrdiff_t>(begin),
                     text.begin() + static_cast<std::ptrdiff_t>(end), IsBlank);
}

// The end of the last scalar or flow collection of `node` inside [begin, end); an alias names bytes
// outside of it.
std::size_t LastEnd(const YamlNode& node, std::size_t begin, std::size_t end) {
  if (node.begin < begin || node.begin > end) return begin;
  const bool block = node.style == YamlStyle::kBlock && !node.IsScalar();
  std::size_t last = block ? node.begin : std::min(node.end, end);
  for (const YamlNode& item : node.items) last = std::max(last, LastEnd(item, begin, end));
  for (const YamlMember& member : node.members) {
    last = std::max(last, LastEnd(member.key, begin, end));
    last = std::max(last, LastEnd(member.value, begin, end));
  }
  return last;
}

void CollectScalars(const YamlNode& node,
                    std::size_t begin,
                    std::size_t end,
                    std::vector<std::pair<std::size_t, std::size_t>>& ranges) {
  if (node.begin < begin || node.begin >= end) return;
  if (node.IsScalar()) ranges.emplace_back(node.begin, node.end);
  for (const YamlNode& item : node.items) CollectScalars(item, begin, end, ranges);
  for (const YamlMember& member : node.members) {
    CollectScalars(member.key, begin, end, ranges);
    CollectScalars(member.value, begin, end, ranges);
  }
}

// The comments between the scalars of [begin, end).
std::vector<Comment> CommentsOf(std::string_view text,
                                const YamlNode& value,
                                std::size_t begin,
                                std::size_t end) {
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  CollectScalars(value, begin, end, ranges);
  std::sort(ranges.begin(), ranges.end());
  std::vector<Comment> comments;
  std::size_t next = 0;
  for (std::size_t at = begin; at < end; ++at) {
    while (next < ranges.size() && ranges[next].second <= at) ++next;
    if (next < ranges.size() && at >= ranges[next].first) {
      at = ranges[next].second - 1;
      continue;
    }
    if (text[at] != '#' || (at > 0 && !IsBlank(text[at - 1]))) continue;
    std::size_t stop = std::min(text.find_first_of("\r\n", at), end);
    comments.push_back(
        {at, IsBlankBetween(text, LineStart(text, at), at), text.substr(at, stop - at)});
    at = stop;
  }
  return comments;
}

bool IsPlainSafe(std::string_view text) {
  constexpr std::string_view kPunctuation = "_./@:-+=~%";
  const auto is_alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (text.empty() || text.ends_with(':')) return false;
  if (!is_alnum(text[0]) && text[0] != '/' && text[0] != '_') return false;
  for (const char c : text) {
    if (!is_alnum(c) && kPunctuation.find(c) == std::string_view::npos) return false;
  }
  return codec::ResolvePlainScalar(text) == YamlType::kString;
}

// Always on one line; what YAML does not print as it is becomes an escape.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);  // JSON knows this escape as well
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string Scalar(std::string_view text, bool always_quoted) {
  return !always_quoted && IsPlainSafe(text) ? std::string(text) : Quoted(text);
}

// Writes the list; `region` is what may be quoted from: a node outside it is behind an alias.
class Writer {
 public:
  Writer(std::string_view yaml, const Layout& layout) : yaml_(yaml), layout_(layout) {}

  void AllowReuse(std::size_t begin, std::size_t end) { regions_.emplace_back(begin, end); }

  std::string Block(const std::vector<PlannedWeight>& weights,
                    const std::vector<std::vector<std::string_view>>& comments) const {
    const std::string base(layout_.indent, ' ');
    const std::string dash(layout_.indent + layout_.dash, ' ');
    const std::string key = dash + "  ";
    const std::string deeper = key + std::string(layout_.nested, ' ');
    std::string out = base + "weights:" + layout_.eol;
    const auto line = [&](std::string_view indent, std::string_view text) {
      out.append(indent).append(text).append(layout_.eol);
    };
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const PlannedWeight& weight = weights[i];
      for (const auto comment : comments[i]) line(dash, comment);
      line(dash, "- source: " + Scalar(weight.source, false));
      line(key, "mount_location: " + Scalar(weight.mount, false));
      if (!weight.secret.empty()) {
        line(key, "auth:");
        line(deeper, "auth_method: CUSTOM_SECRET");
        line(deeper, "auth_secret_name: " + Old(weight.secret_node, weight.secret));
      }
      Patterns("allow_patterns", weight.allow, key, out);
      Patterns("ignore_patterns", weight.ignore, key, out);
    }
    for (const auto comment : comments[weights.size()]) line(dash, comment);
    return out;
  }

  // For a file in flow style, which JSON is. `separator` stands before every item and the end.
  std::string Flow(const std::vector<PlannedWeight>& weights, bool quoted, bool lines) const {
    const std::string outer(layout_.indent, ' ');
    const std::size_t unit = std::max<std::size_t>(layout_.indent, 1);
    const auto fresh = [&](std::size_t level) {
      return lines ? layout_.eol + outer + std::string(unit * level, ' ') : std::string();
    };
    const auto key = [&](std::string_view name) { return Scalar(name, quoted) + ": "; };
    std::string out = key("weights") + "[";
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const PlannedWeight& weight = weights[i];
      const std::string next = lines ? "," + fresh(2) : ", ";
      out += (i == 0 ? "" : lines ? "," : ", ") + fresh(1) + "{" + fresh(2);
      out += key("source") + Quoted(weight.source) + next;
      out += key("mount_location") + Quoted(weight.mount);
      if (!weight.secret.empty()) {
        out += next + key("auth") + "{" + key("auth_method") + Quoted("CUSTOM_SECRET") + ", " +
               key("auth_secret_name") + Quoted(weight.secret) + "}";
      }
      for (const auto& [name, list] : {std::pair("allow_patterns", weight.allow),
                                       std::pair("ignore_patterns", weight.ignore)}) {
        if (list == nullptr) continue;
        out += next + key(name) + "[";
        for (const YamlNode& item : list->items) {
          out += (&item == &list->items.front() ? "" : ", ") + Quoted(item.text);
        }
        out += "]";
      }
      out += fresh(1) + "}";
    }
    return out + fresh(0) + "]";
  }

 private:
  // Whether the bytes of `node` can be written again: on one line, here, no anchor and no alias.
  bool Reusable(const YamlNode& node) const {
    const bool here = std::any_of(regions_.begin(), regions_.end(), [&](const auto& region) {
      return node.begin >= region.first && node.end <= region.second;
    });
    if (!here || node.begin >= node.end || !node.tag.empty()) return false;
    const std::string_view raw = yaml_.substr(node.begin, node.end - node.begin);
    if (raw.starts_with('&') || raw.starts_with('*')) return false;
    return raw.find_first_of("\r\n") == std::string_view::npos;
  }

  std::string Old(const YamlNode* node, std::string_view text) const {
    if (node != nullptr && node->IsScalar() && Reusable(*node) && node->text == text) {
      return std::string(yaml_.substr(node->begin, node->end - node->begin));
    }
    return Scalar(text, false);
  }

  void Patterns(std::string_view name,
                const YamlNode* list,
                const std::string& indent,
                std::string& out) const {
    if (list == nullptr) return;
    out.append(indent).append(name).append(":");
    const bool all = std::all_of(list->items.begin(), list->items.end(),
                                 [&](const YamlNode& item) { return Reusable(item); });
    if (list->style == YamlStyle::kFlow && all && Reusable(*list)) {
      out.append(" ").append(yaml_.substr(list->begin, list->end - list->begin));
      out += layout_.eol;
      return;
    }
    const bool made = list->begin == list->end;  // RewritePatterns
    if (list->style == YamlStyle::kFlow && made) {
      out += " [";
      for (const YamlNode& item : list->items) {
        out.append(&item == &list->items.front() ? "" : ", ").append(Old(&item, item.text));
      }
      out.append("]").append(layout_.eol);
      return;
    }
    out += layout_.eol;
    for (const YamlNode& item : list->items) {
      out.append(indent).append(layout_.dash, ' ').append("- ");
      out.append(Old(&item, item.text)).append(layout_.eol);
    }
  }

  std::string_view yaml_;
  const Layout& layout_;
  std::vector<std::pair<std::size_t, std::size_t>> regions_;
};

// The first list of mappings and the first mapping in block style show how the file is indented.
void LearnLayout(std::string_view yaml,
                 const YamlNode& mapping,
                 int depth,
                 bool& dash,
                 bool& nested,
                 Layout& layout) {
  if (depth > 4) return;
  for (const YamlMember& member : mapping.members) {
    const YamlNode& value = member.value;
    if (value.begin < member.key.end || value.style != YamlStyle::kBlock || value.IsScalar())
      continue;
    const std::size_t key_line = LineStart(yaml, member.key.begin);
    const std::size_t value_line = LineStart(yaml, value.begin);
    if (key_line == value_line) continue;
    const auto width = value.column - member.key.column;
    if (value.type == YamlType::kSequence && !dash && width >= 0 && width <= 8) {
      layout.dash = static_cast<std::size_t>(width);
      dash = true;
    }
    if (value.type == YamlType::kMapping) {
      if (!nested && width >= 1 && width <= 8) {
        layout.nested = static_cast<std::size_t>(width);
        nested = true;
      }
      LearnLayout(yaml, value, depth + 1, dash, nested, layout);
    }
  }
}

Error Uneditable(const YamlNode& at, std::string_view why) {
  return Error(Code::kFailedPrecondition,
               fmt::format("config.yaml:{}:{}: {}", at.line, at.column, why));
}

class Editor {
 public:
  Editor(std::string_view yaml, const YamlNode& root, const MigratePlan& plan)
      : yaml_(yaml), root_(root), plan_(plan) {
    for (const YamlMember& member : root.members) members_.push_back(&member);
    std::sort(members_.begin(), members_.end(),
              [](const YamlMember* a, const YamlMember* b) { return a->key.begin < b->key.begin; });
    const auto newline = yaml.find('\n');
    if (newline != std::string_view::npos && newline > 0 && yaml[newline - 1] == '\r') {
      layout_.eol = "\r\n";
    }
    layout_.indent = static_cast<std::size_t>(root.column - 1);
    bool dash = false;
    bool nested = false;
    // The block that is replaced is the best model for what replaces it.
    YamlNode old;
    for (const YamlMember* member : members_) {
      if (IsReplacedKey(member->key)) old.members.push_back(*member);
    }
    LearnLayout(yaml, old, 0, dash, nested, layout_);
    LearnLayout(yaml, root, 0, dash, nested, layout_);
  }

  Result<std::string> Run() {
    BDN_TRY(root_.style == YamlStyle::kFlow ? EditFlow() : EditBlock());
    std::string out;
    std::size_t at = 0;
    for (const Splice& splice : splices_) {
      out.append(yaml_.substr(at, splice.begin - at)).append(splice.text);
      at = splice.end;
    }
    return out.append(yaml_.substr(at));
  }

 private:
  Status EditBlock() {
    Writer writer(yaml_, layout_);
    std::vector<std::vector<std::string_view>> comments(plan_.weights.size() + 1);
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const YamlMember& member = *members_[i];
      std::size_t begin = LineStart(yaml_, member.key.begin);
      if (begin == 0 && yaml_.starts_with("\xef\xbb\xbf")) begin = 3;
      if (member.key.column != root_.column || !IsBlankBetween(yaml_, begin, member.key.begin)) {
        return Uneditable(member.key,
                          "this key is an alias or shares its line with something else; "
                          "write it plainly at the beginning of a line first");
      }
      if (!IsReplacedKey(member.key)) continue;
      std::size_t end = i + 1 < members_.size() ? LineStart(yaml_, members_[i + 1]->key.begin)
                                                : std::max(root_.end, member.key.end);
      const std::size_t floor =
          std::max(member.key.end, LastEnd(member.value, member.key.end, end));
      end = TrimComments(std::max(end, floor), floor);
      writer.AllowReuse(begin, end);
      AttachComments(member.value, member.key.end, end, comments);
      splices_.push_back({begin, end, {}});
    }
    splices_[0].text = writer.Block(plan_.weights, comments);
    // Only the last line of a file may lack its line end, and then it still does.
    const Splice& first = splices_[0];
    if (first.end == yaml_.size() && !yaml_.ends_with('\n')) {
      splices_[0].text.erase(splices_[0].text.size() - layout_.eol.size());
    }
    return {};
  }

  // Comments and blank lines at the end of a block belong to what follows.
  std::size_t TrimComments(std::size_t end, std::size_t floor) const {
    while (end > floor) {
      const std::size_t start = LineStart(yaml_, end - 1);
      if (start < floor) break;
      const std::size_t text = yaml_.find_first_not_of(" \t\r\n", start);
      if (text != std::string_view::npos && text < end && yaml_[text] != '#') break;
      end = start;
    }
    return end;
  }

  void AttachComments(const YamlNode& value,
                      std::size_t begin,
                      std::size_t end,
                      std::vector<std::vector<std::string_view>>& comments) const {
    for (const Comment& comment : CommentsOf(yaml_, value, begin, end)) {
      std::size_t to = plan_.weights.size();
      std::size_t previous = plan_.weights.size();
      for (std::size_t i = 0; i < plan_.weights.size(); ++i) {
        const YamlNode& item = *plan_.weights[i].item;
        if (item.begin < begin || item.begin >= end) continue;
        if (item.begin > comment.at) {
          // Above an item, or beside the last line of the one before it.
          const bool beside =
              previous != plan_.weights.size() &&
              (!comment.alone || comment.at < LastEnd(*plan_.weights[previous].item, begin, end));
          to = beside ? previous : i;
          break;
        }
        previous = i;
        to = i;
      }
      const bool after_all = to == previous && to != plan_.weights.size() && comment.alone &&
                             comment.at > LastEnd(*plan_.weights[to].item, begin, end);
      comments[after_all ? to + 1 : to].push_back(comment.text);
    }
  }

  Status EditFlow() {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const YamlMember& member = *members_[i];
      if (!IsReplacedKey(member.key)) continue;
      if (member.value.begin < member.key.end || member.key.begin < root_.begin) {
        return Uneditable(member.key, "this value is an alias; write it out first");
      }
      const std::size_t end = std::max(member.value.end, member.key.end);
      if (splices_.empty()) {
        const std::string_view old = yaml_.substr(member.key.begin, end - member.key.begin);
        const std::size_t line = LineStart(yaml_, member.key.begin);
        const bool starts_line = IsBlankBetween(yaml_, line, member.key.begin);
        layout_.indent = starts_line ? member.key.begin - line : 0;
        const bool lines = old.find('\n') != std::string_view::npos;
        splices_.push_back({member.key.begin, end,
                            Writer(yaml_, layout_).Flow(plan_.weights, old[0] == '"', lines)});
        continue;
      }
      BDN_TRY(DropFlowMember(*members_[i - 1], member, end));
    }
    return {};
  }

  // With the comma before it; the first replaced key is never dropped, so there is one.
  Status DropFlowMember(const YamlMember& before, const YamlMember& member, std::size_t end) {
    const std::size_t begin = std::max(before.value.end, before.key.end);
    const std::string_view gap =
        begin < member.key.begin ? yaml_.substr(begin, member.key.begin - begin) : "";
    const auto comma = gap.find(',');
    const bool plain = before.value.begin >= before.key.end && comma != std::string_view::npos &&
                       gap.find_first_not_of(", \t\r\n") == std::string_view::npos;
    if (!plain) {
      return Uneditable(member.key,
                        "there is a comment or an alias before this key; move it first");
    }
    splices_.push_back({begin + comma, end, {}});
    return {};
  }

  std::string_view yaml_;
  const YamlNode& root_;
  const MigratePlan& plan_;
  std::vector<const YamlMember*> members_;  // by place
  Layout layout_;
  std::vector<Splice> splices_;
};

}  // namespace

bool IsReplacedKey(const YamlNode& key) {
  return key.type == YamlType::kString &&
         std::find(kReplaced.begin(), kReplaced.end(), key.text) != kReplaced.end();
}

Result<std::string> SpliceWeights(std::string_view yaml,
                                  const YamlNode& root,
                                  const MigratePlan& plan) {
  return Editor(yaml, root, plan).Run();
}

}  // namespace bdn::model
