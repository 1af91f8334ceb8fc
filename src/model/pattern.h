#pragma once
// allow_patterns and ignore_patterns, with the delivery network's semantics (docs/patterns.md):
// `*` and `?` and `[…]` never match '/', `**` as a whole segment matches zero or more directories,
// a trailing '/' means everything below, dotfiles are not special, backslash escapes, braces and a
// leading '!' are literal, case counts. Matching is linear in the length of the path for every
// pattern: no input makes it blow up.
#include <cstddef>
#include <cstdint>
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
  // kInvalidArgument for a leading '/' or "./", an empty, "." or ".." segment, an empty pattern, an
  // unclosed '[', a backwards range, a trailing lone backslash, NUL, text that is not UTF-8, or a
  // pattern that is too long; the message says what to write instead.
  static Result<Pattern> Parse(std::string_view text);
  // At most length of the pattern times length of the path steps.
  bool Matches(std::string_view path) const;
  const std::string& text() const { return text_; }
  // It has a wildcard and no '/': it selects at the top level only, which surprises people.
  bool IsTopLevelWildcard() const;

 private:
  struct Range {
    char32_t first = 0;
    char32_t last = 0;
  };
  // One step through a segment: a byte that must be there, any character, any number of
  // characters, or a character in (or not in) ranges_[ranges_begin, ranges_end).
  struct Step {
    enum Kind : std::uint8_t { kByte, kAnyCharacter, kStar, kSet, kNotInSet } kind = kByte;
    char byte = 0;
    std::uint16_t ranges_begin = 0;
    std::uint16_t ranges_end = 0;
  };
  struct Segment {
    bool any_directories = false;  // "**": zero or more segments
    std::vector<Step> steps;
  };

  Status ParseSegment(std::string_view glob);
  Result<std::size_t> ParseSet(std::string_view glob, std::size_t at, Step& step);
  // Parses "[:name:]" at `at` into ranges_; 0 when there is none, else its length.
  Result<std::size_t> ParseNamedClass(std::string_view glob, std::size_t at);
  bool StepTakes(const Step& step,
                 std::string_view text,
                 std::size_t at,
                 std::size_t& length) const;
  bool SegmentMatches(const Segment& segment, std::string_view text) const;

  std::string text_;
  std::vector<Segment> segments_;
  std::vector<Range> ranges_;
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
  // One sentence for every allow pattern like "*.safetensors" that selects only the top level
  // although some of these paths would match below ("Did you mean '**/*.safetensors'?"); empty when
  // there is nothing to warn of.
  std::vector<std::string> TopLevelTraps(const std::vector<std::string>& unselected_paths) const;
  // The same for ignore patterns, which take away less than their author may think.
  std::vector<std::string> IgnoreTraps(const std::vector<std::string>& selected_paths) const;

  const std::optional<std::vector<Pattern>>& allow() const { return allow_; }
  const std::vector<Pattern>& ignore() const { return ignore_; }

 private:
  std::optional<std::vector<Pattern>> allow_;
  std::vector<Pattern> ignore_;
};

}  // namespace bdn::model
