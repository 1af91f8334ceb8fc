#pragma once
// allow_patterns and ignore_patterns, with the delivery network's semantics (docs/patterns.md):
// `*` and `?` and `[…]` never match '/', `**` as a whole segment matches zero or more directories,
// a trailing '/' means everything below, dotfiles are not special, backslash escapes, braces and a
// leading '!' are literal, case counts. Matching is linear in the length of the path for every
// pattern: no input makes it blow up.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bdn::model {

inline constexpr std::size_t kPatternBytesMax = 4096;
inline constexpr std::size_t kPatternsMax = 1000;

class Pattern {
 public:
  // kInvalidArgument for a leading '/' or "./", a "." or ".." segment, an empty pattern, an
  // unclosed '[', a trailing lone backslash, NUL, or one that is too long; the message says what to
  // write instead.
  static Result<Pattern> Parse(std::string_view text);
  bool Matches(std::string_view path) const;
  const std::string& text() const { return text_; }

 private:
  struct Segment {
    bool any_directories = false;  // "**"
    std::string glob;
  };
  std::string text_;
  std::vector<Segment> segments_;
};

// Allow (absent: everything) first, then ignore takes away.
class PatternSet {
 public:
  PatternSet() = default;
  // `allow` nullopt means everything. An empty list is kInvalidArgument: it would select nothing.
  static Result<PatternSet> Parse(const std::optional<std::vector<std::string>>& allow,
                                  const std::optional<std::vector<std::string>>& ignore);
  bool Selects(std::string_view path) const;

  struct Decision {
    bool selected = false;
    // The pattern that decided: the first allow that matched, or the first ignore; empty when it
    // was the absence of one.
    std::string pattern;
    bool by_ignore = false;
  };
  Decision Explain(std::string_view path) const;
  // Patterns like "*.safetensors" that select only the top level although `path` would match below
  // ("did you mean **/*.safetensors?"); empty when there is nothing to warn of.
  std::vector<std::string> TopLevelTraps(const std::vector<std::string>& unselected_paths) const;

 private:
  std::optional<std::vector<Pattern>> allow_;
  std::vector<Pattern> ignore_;
};

}  // namespace bdn::model
