#pragma once
// YAML as existing configs were written for: libyaml's scanner, and the scalar rules of YAML 1.1
// as PyYAML applies them (yes/no/on/off are booleans, 010 is eight, ~ is null, 1e3 is a string).
// The tree keeps what editors and error messages need: tag, style, line, column and byte range.
//
// Not here: anything that writes YAML. Edits are byte splices at `begin` and `end`.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bdn::codec {

struct YamlLimits {
  std::size_t bytes_max = 1u << 20;
  std::size_t depth_max = 64;
  // Counted after aliases are expanded: nine aliases of nine aliases of … end here.
  std::size_t nodes_max = 100'000;
};

enum class YamlType : std::uint8_t {
  kNull,
  kBool,
  kInt,
  kFloat,
  kTimestamp,
  kString,
  kSequence,
  kMapping
};
enum class YamlStyle : std::uint8_t {
  kPlain,
  kSingleQuoted,
  kDoubleQuoted,
  kLiteral,
  kFolded,
  kBlock,
  kFlow
};

struct YamlMember;

struct YamlNode {
  YamlType type = YamlType::kNull;
  YamlStyle style = YamlStyle::kPlain;
  std::string tag;   // as written ("!!str" in its long form); empty when there was none
  std::string text;  // scalars: after quotes and escapes, before resolution ("010", "yes")
  std::vector<YamlNode> items;
  std::vector<YamlMember> members;  // in order, no key twice
  // Where the node begins; from 1, columns in characters. What an alias stands for has the place
  // of its anchor.
  int line = 0;
  int column = 0;
  // The bytes [begin, end) of the document. A block collection ends where the next token begins.
  std::size_t begin = 0;
  std::size_t end = 0;

  bool IsNull() const { return type == YamlType::kNull; }
  bool IsScalar() const { return type != YamlType::kSequence && type != YamlType::kMapping; }
  // The value of a member of this mapping, null when there is none or this is no mapping.
  const YamlNode* Find(std::string_view key) const;
  // nullopt when the type is another, or a number does not fit.
  std::optional<bool> AsBool() const;
  std::optional<std::int64_t> AsInt() const;
  std::optional<double> AsFloat() const;
  // What Python's str() gives for the value that PyYAML makes of this scalar: "True", "None", "8"
  // for 010, "1.1" for 1.10. The text itself for strings. Empty for collections.
  std::string PythonText() const;
};

struct YamlMember {
  YamlNode key;  // always a scalar
  YamlNode value;
};

struct YamlProblem {
  std::string path;  // "weights.0.source"; empty where there is none
  int line = 0;
  int column = 0;
  std::string message;
};

struct YamlResult {
  // Set when there is no error. An empty document is null.
  std::optional<YamlNode> root;
  std::optional<YamlProblem> error;
  std::vector<YamlProblem> warnings;  // duplicate keys: the last entry wins
};

// A byte order mark and CRLF are fine. Errors: syntax, a second document, merge keys ("<<"),
// unknown tags, keys that are collections, aliases of themselves, anything over a limit.
YamlResult ParseYaml(std::string_view text, const YamlLimits& limits = {});

// The type that a plain scalar resolves to; nullopt for "<<", which is a merge key.
std::optional<YamlType> ResolvePlainScalar(std::string_view text);

}  // namespace bdn::codec
