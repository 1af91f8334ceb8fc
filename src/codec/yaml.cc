#include "codec/yaml.h"

#include <algorithm>
#include <map>
#include <memory>
#include <unordered_map>

#include <fmt/format.h>
#include <yaml.h>

#include "base/check.h"

namespace bdn::codec {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

struct Event {
  yaml_event_t raw{};
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&raw); }
};

std::string_view View(const yaml_char_t* text) {
  return text == nullptr ? std::string_view()
                         : std::string_view(reinterpret_cast<const char*>(text));
}

YamlStyle StyleOf(yaml_scalar_style_t style) {
  switch (style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE:
      return YamlStyle::kSingleQuoted;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
      return YamlStyle::kDoubleQuoted;
    case YAML_LITERAL_SCALAR_STYLE:
      return YamlStyle::kLiteral;
    case YAML_FOLDED_SCALAR_STYLE:
      return YamlStyle::kFolded;
    default:
      return YamlStyle::kPlain;
  }
}

// What a tag makes of a scalar, whatever it looks like; nullopt for a tag that is not of YAML 1.1.
std::optional<YamlType> TypeOfTag(std::string_view tag) {
  if (!tag.starts_with(kTagPrefix)) return std::nullopt;
  tag.remove_prefix(kTagPrefix.size());
  if (tag == "str") return YamlType::kString;
  if (tag == "null") return YamlType::kNull;
  if (tag == "bool") return YamlType::kBool;
  if (tag == "int") return YamlType::kInt;
  if (tag == "float") return YamlType::kFloat;
  if (tag == "timestamp") return YamlType::kTimestamp;
  if (tag == "seq") return YamlType::kSequence;
  if (tag == "map") return YamlType::kMapping;
  return std::nullopt;
}

struct Anchor {
  YamlNode node;
  std::size_t nodes = 0;
  std::size_t depth = 0;
  bool complete = false;
};

// Builds the tree from libyaml's events. Recursive, and no deeper than the limit on depth.
class Builder {
 public:
  Builder(std::string_view text, const YamlLimits& limits, YamlResult& result)
      : text_(text), limits_(limits), result_(result) {}
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;
  ~Builder() {
    if (parser_made_) yaml_parser_delete(&parser_);
  }

  void Run() {
    if (text_.size() > limits_.bytes_max) {
      Fail(0, 0,
           fmt::format("the file has {} bytes, the limit is {}", text_.size(), limits_.bytes_max));
      return;
    }
    if (text_.starts_with(kByteOrderMark)) bom_ = kByteOrderMark.size();
    const std::string_view body = text_.substr(bom_);
    parser_made_ = yaml_parser_initialize(&parser_) != 0;
    BDN_CHECK(parser_made_);
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(body.data()),
                                 body.size());
    for (bool done = false; !done;) {
      Event event;
      if (!Next(event)) return;
      switch (event.raw.type) {
        case YAML_DOCUMENT_START_EVENT:
          if (result_.root) {
            FailAt(event, "expected a single document, but found another");
            return;
          }
          if (!BuildDocument()) return;
          break;
        case YAML_STREAM_END_EVENT:
        case YAML_NO_EVENT:
          done = true;
          break;
        default:
          break;
      }
    }
    if (!result_.root) {
      result_.root.emplace();
      result_.root->line = result_.root->column = 1;
    }
  }

 private:
  bool Fail(int line, int column, std::string message) {
    if (!result_.error) {
      result_.error = YamlProblem{PathText(), line, column, std::move(message)};
    }
    result_.root.reset();
    return false;
  }

  bool FailAt(const Event& event, std::string message) {
    return Fail(static_cast<int>(event.raw.start_mark.line) + 1,
                static_cast<int>(event.raw.start_mark.column) + 1, std::move(message));
  }

  bool Next(Event& event) {
    if (yaml_parser_parse(&parser_, &event.raw) != 0) return true;
    std::string message = parser_.problem == nullptr ? "not valid YAML" : parser_.problem;
    int line = static_cast<int>(parser_.problem_mark.line) + 1;
    int column = static_cast<int>(parser_.problem_mark.column) + 1;
    if (parser_.error == YAML_READER_ERROR) {
      // The reader knows bytes only.
      const std::string_view before = text_.substr(0, bom_ + parser_.problem_offset);
      line = 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
      const auto newline = before.rfind('\n');
      column = 1;
      for (const char c : before.substr(newline == std::string_view::npos ? bom_ : newline + 1)) {
        if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) ++column;
      }
    } else if (parser_.context != nullptr) {
      message =
          fmt::format("{} (line {}): {}", parser_.context, parser_.context_mark.line + 1, message);
    }
    return Fail(line, column, "not valid YAML: " + message);
  }

  bool BuildDocument() {
    Event event;
    YamlNode root;
    std::size_t nodes = 0;
    std::size_t depth = 0;
    if (!Next(event) || !Build(event, root, nodes, depth)) return false;
    result_.root = std::move(root);
    return true;
  }

  std::string PathText() const {
    std::string path;
    for (const std::string& part : path_) path += (path.empty() ? "" : ".") + part;
    return path;
  }

  // libyaml counts characters; the tree has bytes.
  std::size_t ByteAt(std::size_t character) {
    if (bytes_.empty()) {
      bytes_.reserve(text_.size() + 1);
      for (std::size_t i = bom_; i <= text_.size(); ++i) {
        if (i == text_.size() || (static_cast<unsigned char>(text_[i]) & 0xc0) != 0x80) {
          bytes_.push_back(static_cast<std::uint32_t>(i));
        }
      }
    }
    return character < bytes_.size() ? bytes_[character] : text_.size();
  }

  void Place(const Event& event, YamlNode& node) {
    node.line = static_cast<int>(event.raw.start_mark.line) + 1;
    node.column = static_cast<int>(event.raw.start_mark.column) + 1;
    node.begin = ByteAt(event.raw.start_mark.index);
    node.end = ByteAt(event.raw.end_mark.index);
  }

  // `nodes` and `depth` count what the node holds, itself included, for the aliases of it.
  bool Build(Event& event, YamlNode& node, std::size_t& nodes, std::size_t& depth) {
    if (event.raw.type == YAML_ALIAS_EVENT) return BuildAlias(event, node, nodes, depth);
    if (++nodes_ > limits_.nodes_max) return TooMany(event);
    nodes = 1;
    depth = 1;
    Place(event, node);
    std::string anchor;
    bool ok = false;
    switch (event.raw.type) {
      case YAML_SCALAR_EVENT:
        anchor = View(event.raw.data.scalar.anchor);
        ok = BuildScalar(event, node);
        break;
      case YAML_SEQUENCE_START_EVENT:
        anchor = View(event.raw.data.sequence_start.anchor);
        Begin(anchor);
        ok = BuildCollection(event, YamlType::kSequence, View(event.raw.data.sequence_start.tag),
                             event.raw.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE, node,
                             nodes, depth);
        break;
      case YAML_MAPPING_START_EVENT:
        anchor = View(event.raw.data.mapping_start.anchor);
        Begin(anchor);
        ok = BuildCollection(event, YamlType::kMapping, View(event.raw.data.mapping_start.tag),
                             event.raw.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE, node,
                             nodes, depth);
        break;
      default:
        return FailAt(event, "not valid YAML: a value is missing");
    }
    if (ok && !anchor.empty()) anchors_[anchor] = Anchor{node, nodes, depth, true};
    return ok;
  }

  // An alias inside its own anchor must be seen as such, not as the anchor of that name before it.
  void Begin(const std::string& anchor) {
    if (!anchor.empty()) anchors_[anchor] = Anchor{};
  }

  bool TooMany(const Event& event) {
    return FailAt(event, fmt::format("the document has more than {} values, aliases expanded",
                                     limits_.nodes_max));
  }

  bool BuildAlias(const Event& event, YamlNode& node, std::size_t& nodes, std::size_t& depth) {
    const std::string_view name = View(event.raw.data.alias.anchor);
    const auto found = anchors_.find(std::string(name));
    if (found == anchors_.end()) {
      return FailAt(event, fmt::format("found undefined alias '{0}'; quote the value if '*{0}' is "
                                       "meant as text",
                                       name));
    }
    const Anchor& anchor = found->second;
    if (!anchor.complete) return FailAt(event, fmt::format("alias '{}' refers to itself", name));
    nodes = anchor.nodes;
    depth = anchor.depth;
    nodes_ += nodes;
    if (nodes_ > limits_.nodes_max) return TooMany(event);
    if (level_ + depth > limits_.depth_max) return TooDeep(event);
    node = anchor.node;
    return true;
  }

  bool TooDeep(const Event& event) {
    return FailAt(event, fmt::format("nested deeper than {} levels", limits_.depth_max));
  }

  bool BuildScalar(const Event& event, YamlNode& node) {
    const auto& scalar = event.raw.data.scalar;
    node.tag = View(scalar.tag);
    node.text.assign(reinterpret_cast<const char*>(scalar.value), scalar.length);
    node.style = StyleOf(scalar.style);
    if (!node.tag.empty() && node.tag != "!") {
      const auto type = TypeOfTag(node.tag);
      if (!type || *type == YamlType::kSequence || *type == YamlType::kMapping) {
        return UnknownTag(event, node.tag);
      }
      const auto plain = ResolvePlainScalar(node.text);
      if (*type != YamlType::kString && *type != YamlType::kNull && plain != type) {
        return FailAt(event, fmt::format("'{}' is not of the type that its tag '{}' names",
                                         node.text.substr(0, 80), node.tag));
      }
      node.type = *type;
      return true;
    }
    node.type = YamlType::kString;
    if (node.style == YamlStyle::kPlain && node.tag.empty()) {
      const auto type = ResolvePlainScalar(node.text);
      if (!type) {
        return FailAt(event,
                      "YAML merge keys ('<<') are not supported: could not determine a constructor "
                      "for the tag 'tag:yaml.org,2002:merge'; write the keys out");
      }
      node.type = *type;
    }
    return true;
  }

  bool UnknownTag(const Event& event, std::string_view tag) {
    return FailAt(event, fmt::format("could not determine a constructor for the tag '{}'", tag));
  }

  bool BuildCollection(Event& start,
                       YamlType type,
                       std::string_view tag,
                       bool flow,
                       YamlNode& node,
                       std::size_t& nodes,
                       std::size_t& depth) {
    node.type = type;
    node.tag = tag;
    node.style = flow ? YamlStyle::kFlow : YamlStyle::kBlock;
    if (!tag.empty() && tag != "!" && TypeOfTag(tag) != type) return UnknownTag(start, tag);
    if (level_ + 1 >= limits_.depth_max) return TooDeep(start);
    ++level_;
    std::unordered_map<std::string, std::size_t> keys;
    std::size_t inner = 0;
    while (true) {
      Event event;
      if (!Next(event)) return false;
      if (event.raw.type == YAML_SEQUENCE_END_EVENT || event.raw.type == YAML_MAPPING_END_EVENT) {
        node.end = std::max(node.begin, ByteAt(event.raw.end_mark.index));
        break;
      }
      std::size_t child_nodes = 0;
      std::size_t child_depth = 0;
      if (type == YamlType::kSequence) {
        path_.push_back(std::to_string(node.items.size()));
        YamlNode& item = node.items.emplace_back();
        if (!Build(event, item, child_nodes, child_depth)) return false;
        path_.pop_back();
      } else if (!BuildMember(event, node, keys, child_nodes, child_depth)) {
        return false;
      }
      nodes += child_nodes;
      inner = std::max(inner, child_depth);
    }
    depth += inner;
    --level_;
    return true;
  }

  bool BuildMember(Event& event,
                   YamlNode& node,
                   std::unordered_map<std::string, std::size_t>& keys,
                   std::size_t& nodes,
                   std::size_t& depth) {
    YamlNode key;
    std::size_t key_nodes = 0;
    std::size_t key_depth = 0;
    if (!Build(event, key, key_nodes, key_depth)) return false;
    if (!key.IsScalar()) return FailAt(event, "a key must be a plain value, not a list or mapping");
    path_.push_back(key.PythonText());
    Event value_event;
    YamlNode value;
    if (!Next(value_event) || !Build(value_event, value, nodes, depth)) return false;
    // 1 and "1" are two keys, as they are in Python.
    const std::string identity =
        key.type == YamlType::kString
            ? "s" + key.text
            : fmt::format("{}{}", static_cast<int>(key.type), key.PythonText());
    const auto [known, added] = keys.try_emplace(identity, node.members.size());
    if (added) {
      node.members.push_back({std::move(key), std::move(value)});
    } else {
      result_.warnings.push_back(
          {PathText(), key.line, key.column,
           fmt::format("Detected duplicate key `{}`, will use the last entry but could cause "
                       "unexpected behavior",
                       key.PythonText())});
      node.members[known->second] = {std::move(key), std::move(value)};
    }
    path_.pop_back();
    nodes += key_nodes;
    return true;
  }

  std::string_view text_;
  const YamlLimits& limits_;
  YamlResult& result_;
  yaml_parser_t parser_{};
  bool parser_made_ = false;
  std::size_t bom_ = 0;
  std::size_t nodes_ = 0;
  std::size_t level_ = 0;
  std::vector<std::string> path_;
  std::vector<std::uint32_t> bytes_;  // where each character begins
  std::unordered_map<std::string, Anchor> anchors_;
};

}  // namespace

const YamlNode* YamlNode::Find(std::string_view key) const {
  for (const YamlMember& member : members) {
    if (member.key.type == YamlType::kString && member.key.text == key) return &member.value;
  }
  return nullptr;
}

YamlResult ParseYaml(std::string_view text, const YamlLimits& limits) {
  YamlResult result;
  Builder(text, limits, result).Run();
  return result;
}

}  // namespace bdn::codec
