#pragma once
// Internal to model: Python source as tokens with their places, enough to find a call and to change
// its arguments while every other byte stays. Not a parser: it knows strings (with prefixes, three
// quotes, and the expressions inside f-strings, PEP 701), comments, brackets and where statements
// begin. Reference: docs.python.org, "The Python Language Reference", chapter 2.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bdn::model {

enum class PyKind : std::uint8_t { kName, kNumber, kString, kOperator, kNewline };

struct PyToken {
  PyKind kind = PyKind::kOperator;
  std::size_t begin = 0;
  std::size_t end = 0;
  int line = 1;
  int depth = 0;          // brackets around it; a bracket has the depth outside of it
  std::size_t match = 0;  // of a bracket: the index of its other half
};

struct PyRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

struct PyTokens {
  // A kNewline ends every statement that is not ended by ';'; there is one at the end.
  std::vector<PyToken> tokens;
  std::vector<PyRange> comments;  // with the '#', without the line end

  bool HasCommentIn(std::size_t begin, std::size_t end) const;
};

// nullopt where it is not Python: an open string or bracket, brackets nested deeper than 200 (which
// CPython refuses as well), a stray character, a NUL, bytes that are not UTF-8. `error_line` then
// says where.
std::optional<PyTokens> TokenizePython(std::string_view text, int& error_line);

// The value of a string literal without f and b prefixes; nullopt for those and for escapes that
// are not plain (\N{…}, octal, \x above 7f, surrogates).
std::optional<std::string> PythonStringValue(std::string_view literal);

// `value` as a literal in quotes of the kind `quote` (' or ").
std::string PythonLiteral(std::string_view value, char quote);

}  // namespace bdn::model
