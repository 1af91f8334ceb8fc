#include "model/pattern.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "codec/utf8.h"

namespace bdn::model {
namespace {

// The character at `at`: its code point and length. A byte that begins none counts as one.
char32_t CharacterAt(std::string_view text, std::size_t at, std::size_t& length) {
  const auto lead = static_cast<unsigned char>(text[at]);
  length = 1;
  if (lead < 0xc2 || lead > 0xf4) return lead;
  const std::size_t tails = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  if (text.size() - at <= tails) return lead;
  char32_t code = lead & (0x3fu >> tails);
  for (std::size_t i = 1; i <= tails; ++i) {
    const auto byte = static_cast<unsigned char>(text[at + i]);
    if ((byte & 0xc0) != 0x80) return lead;
    code = (code << 6) | (byte & 0x3fu);
  }
  length = tails + 1;
  return code;
}

Error InvalidPattern(std::string_view text, std::string_view why) {
  return Error(Code::kInvalidArgument, fmt::format("Invalid pattern '{}': {}", text, why));
}

// The named classes of POSIX, for ASCII: what `[[:digit:]]` means does not depend on a locale.
using AsciiRange = std::pair<char, char>;
struct NamedClass {
  std::string_view name;
  std::array<AsciiRange, 4> ranges;
  std::size_t count;
};
constexpr std::array<NamedClass, 12> kNamedClasses{{
    {"alnum", {{{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}}, 3},
    {"alpha", {{{'A', 'Z'}, {'a', 'z'}}}, 2},
    {"blank", {{{' ', ' '}, {'\t', '\t'}}}, 2},
    {"cntrl", {{{'\x01', '\x1f'}, {'\x7f', '\x7f'}}}, 2},
    {"digit", {{{'0', '9'}}}, 1},
    {"graph", {{{'!', '~'}}}, 1},
    {"lower", {{{'a', 'z'}}}, 1},
    {"print", {{{' ', '~'}}}, 1},
    {"punct", {{{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}}, 4},
    {"space", {{{'\t', '\r'}, {' ', ' '}}}, 2},
    {"upper", {{{'A', 'Z'}}}, 1},
    {"xdigit", {{{'0', '9'}, {'A', 'F'}, {'a', 'f'}}}, 3},
}};

}  // namespace

Result<std::size_t> Pattern::ParseNamedClass(std::string_view glob, std::size_t at) {
  if (!glob.substr(at).starts_with("[:")) return std::size_t{0};
  const auto end = glob.find(":]", at + 2);
  if (end == std::string_view::npos) return std::size_t{0};
  const std::string_view name = glob.substr(at + 2, end - at - 2);
  for (const NamedClass& known : kNamedClasses) {
    if (known.name != name) continue;
    for (std::size_t i = 0; i < known.count; ++i) {
      ranges_.push_back({static_cast<unsigned char>(known.ranges[i].first),
                         static_cast<unsigned char>(known.ranges[i].second)});
    }
    return end + 2 - at;
  }
  return InvalidPattern(
      text_, fmt::format("'[:{}:]' is not a class; there are alnum, alpha, blank, cntrl, "
                         "digit, graph, lower, print, punct, space, upper and xdigit",
                         name));
}

// Parses the set whose '[' is at `at`; returns the position after its ']'.
Result<std::size_t> Pattern::ParseSet(std::string_view glob, std::size_t at, Step& step) {
  const Error unclosed = InvalidPattern(
      text_, "'[' is not closed in its path segment; write '\\[' to match a bracket itself");
  std::size_t i = at + 1;
  step.kind = Step::kSet;
  if (i < glob.size() && (glob[i] == '!' || glob[i] == '^')) {
    step.kind = Step::kNotInSet;
    ++i;
  }
  step.ranges_begin = static_cast<std::uint16_t>(ranges_.size());
  const auto character = [&]() -> char32_t {
    if (glob[i] == '\\' && i + 1 < glob.size()) ++i;
    std::size_t length = 0;
    const char32_t code = CharacterAt(glob, i, length);
    i += length;
    return code;
  };
  // A ']' that stands first is a member.
  for (bool first = true; i < glob.size() && (first || glob[i] != ']'); first = false) {
    BDN_ASSIGN(const std::size_t named, ParseNamedClass(glob, i));
    if (named > 0) {
      i += named;
      continue;
    }
    Range range;
    range.first = range.last = character();
    if (i + 1 < glob.size() && glob[i] == '-' && glob[i + 1] != ']') {
      ++i;
      range.last = character();
    }
    if (range.last < range.first) return InvalidPattern(text_, "a range in '[…]' runs backwards");
    ranges_.push_back(range);
  }
  if (i >= glob.size()) return unclosed;
  step.ranges_end = static_cast<std::uint16_t>(ranges_.size());
  return i + 1;
}

Status Pattern::ParseSegment(std::string_view glob) {
  if (glob == "**") {
    // "**/**" means what "**" means.
    if (segments_.empty() || !segments_.back().any_directories) {
      segments_.push_back({.any_directories = true, .steps = {}});
    }
    return {};
  }
  if (glob == "." || glob == ".." || glob.empty()) {
    return InvalidPattern(
        text_, glob.empty() ? "it has an empty segment; write a single '/'"
                            : "'.' and '..' segments match nothing; write the path as it is "
                              "below the root of the source");
  }
  Segment segment;
  for (std::size_t i = 0; i < glob.size();) {
    Step step;
    switch (glob[i]) {
      case '*':
        step.kind = Step::kStar;
        ++i;
        if (!segment.steps.empty() && segment.steps.back().kind == Step::kStar) continue;
        break;
      case '?':
        step.kind = Step::kAnyCharacter;
        ++i;
        break;
      case '[': {
        BDN_ASSIGN(i, ParseSet(glob, i, step));
        break;
      }
      case '\\':
        if (i + 1 == glob.size()) {
          return InvalidPattern(text_,
                                "it has a backslash with nothing after it; write '\\\\' to match a "
                                "backslash and '/' between directories");
        }
        step.byte = glob[i + 1];
        i += 2;
        break;
      default:
        step.byte = glob[i++];
    }
    segment.steps.push_back(step);
  }
  segments_.push_back(std::move(segment));
  return {};
}

Result<Pattern> Pattern::Parse(std::string_view text) {
  Pattern pattern;
  pattern.text_ = text.substr(0, 200);
  if (text.empty()) return InvalidPattern(text, "it is empty; write '**' to match every file");
  if (text.size() > kPatternBytesMax) {
    return InvalidPattern(pattern.text_ + "…",
                          fmt::format("it is longer than {} bytes", kPatternBytesMax));
  }
  pattern.text_ = text;
  if (text.find('\0') != std::string_view::npos) {
    return Error(Code::kInvalidArgument, "Invalid pattern: it holds a NUL character");
  }
  if (!codec::IsUtf8(text)) {
    return Error(Code::kInvalidArgument, "Invalid pattern: it is not UTF-8");
  }
  if (text.starts_with('/')) {
    const auto relative = text.find_first_not_of('/');
    return InvalidPattern(
        text, fmt::format("patterns are relative to the root of the source; write '{}'",
                          relative == std::string_view::npos ? "**" : text.substr(relative)));
  }
  if (text.starts_with("./")) {
    return InvalidPattern(text,
                          fmt::format("patterns are relative to the root of the source; write '{}'",
                                      text.size() > 2 ? text.substr(2) : "**"));
  }
  std::string_view rest = text;
  while (true) {
    const auto slash = rest.find('/');
    BDN_TRY(pattern.ParseSegment(rest.substr(0, slash)));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
    if (rest.empty()) {  // "dir/": everything below
      BDN_TRY(pattern.ParseSegment("**"));
      break;
    }
  }
  // At the end "**" stands for files, so at least one segment: "a/**" does not match a file "a".
  if (pattern.segments_.back().any_directories) BDN_TRY(pattern.ParseSegment("*"));
  return pattern;
}

bool Pattern::IsTopLevelWildcard() const {
  return segments_.size() == 1 &&
         std::any_of(segments_[0].steps.begin(), segments_[0].steps.end(),
                     [](const Step& step) { return step.kind != Step::kByte; });
}

bool Pattern::StepTakes(const Step& step,
                        std::string_view text,
                        std::size_t at,
                        std::size_t& length) const {
  if (step.kind == Step::kByte) {
    length = 1;
    return text[at] == step.byte;
  }
  const char32_t code = CharacterAt(text, at, length);
  if (step.kind == Step::kAnyCharacter) return true;
  const bool member =
      std::any_of(ranges_.begin() + step.ranges_begin, ranges_.begin() + step.ranges_end,
                  [code](const Range& range) { return range.first <= code && code <= range.last; });
  return member == (step.kind == Step::kSet);
}

// Only the last '*' ever needs another try: giving an earlier one more characters leaves less for
// the later one, which could have taken them itself.
bool Pattern::SegmentMatches(const Segment& segment, std::string_view text) const {
  const std::vector<Step>& steps = segment.steps;
  std::size_t step = 0;
  std::size_t at = 0;
  std::size_t star = steps.size();  // none yet
  std::size_t star_at = 0;          // where the text after the last star was tried
  while (at < text.size()) {
    std::size_t length = 0;
    if (step < steps.size() && steps[step].kind == Step::kStar) {
      star = step++;
      star_at = at;
    } else if (step < steps.size() && StepTakes(steps[step], text, at, length)) {
      at += length;
      ++step;
    } else if (star < steps.size()) {
      CharacterAt(text, star_at, length);
      star_at += length;
      at = star_at;
      step = star + 1;
    } else {
      return false;
    }
  }
  while (step < steps.size() && steps[step].kind == Step::kStar) ++step;
  return step == steps.size();
}

// The same walk with segments for characters and "**" for '*'. Every pair of segments is compared
// at most once between two "**", so the whole costs at most pattern times path.
bool Pattern::Matches(std::string_view path) const {
  constexpr std::size_t kEnd = std::string_view::npos;
  const auto after = [&](std::size_t begin) {
    const auto slash = path.find('/', begin);
    return slash == kEnd ? kEnd : slash + 1;
  };
  std::size_t segment = 0;
  std::size_t at = 0;  // where the next segment of the path begins; kEnd after the last
  std::size_t star = segments_.size();
  std::size_t star_at = 0;
  while (at != kEnd) {
    const std::size_t next = after(at);
    const std::string_view name = path.substr(at, next == kEnd ? kEnd : next - 1 - at);
    if (segment < segments_.size() && segments_[segment].any_directories) {
      star = segment++;
      star_at = at;
    } else if (segment < segments_.size() && SegmentMatches(segments_[segment], name)) {
      at = next;
      ++segment;
    } else if (star < segments_.size()) {
      star_at = after(star_at);
      at = star_at;
      segment = star + 1;
    } else {
      return false;
    }
  }
  return segment == segments_.size();
}

Result<PatternSet> PatternSet::Parse(const std::optional<std::vector<std::string>>& allow,
                                     const std::optional<std::vector<std::string>>& ignore) {
  const auto parse = [](const std::vector<std::string>& texts,
                        std::string_view what) -> Result<std::vector<Pattern>> {
    if (texts.size() > kPatternsMax) {
      return Error(Code::kInvalidArgument, fmt::format("{} has {} patterns, the limit is {}", what,
                                                       texts.size(), kPatternsMax));
    }
    std::vector<Pattern> patterns;
    patterns.reserve(texts.size());
    for (const std::string& text : texts) {
      BDN_ASSIGN(Pattern pattern, Pattern::Parse(text));
      patterns.push_back(std::move(pattern));
    }
    return patterns;
  };
  PatternSet set;
  if (allow) {
    if (allow->empty()) {
      return Error(Code::kInvalidArgument,
                   "allow_patterns is an empty list, which selects no file; leave it out to select "
                   "all files");
    }
    BDN_ASSIGN(set.allow_, parse(*allow, "allow_patterns"));
  }
  if (ignore) {
    BDN_ASSIGN(set.ignore_, parse(*ignore, "ignore_patterns"));
  }
  return set;
}

bool PatternSet::Selects(std::string_view path) const {
  const auto matches = [path](const Pattern& pattern) { return pattern.Matches(path); };
  if (allow_ && std::none_of(allow_->begin(), allow_->end(), matches)) return false;
  return std::none_of(ignore_.begin(), ignore_.end(), matches);
}

PatternSet::Decision PatternSet::Explain(std::string_view path) const {
  const auto matches = [path](const Pattern& pattern) { return pattern.Matches(path); };
  Decision decision{.selected = true, .pattern = {}, .by_ignore = false};
  if (allow_) {
    const auto allowed = std::find_if(allow_->begin(), allow_->end(), matches);
    if (allowed == allow_->end()) return Decision{};
    decision.pattern = allowed->text();
  }
  const auto ignored = std::find_if(ignore_.begin(), ignore_.end(), matches);
  if (ignored != ignore_.end()) {
    decision = Decision{.selected = false, .pattern = ignored->text(), .by_ignore = true};
  }
  return decision;
}

namespace {

// What `pattern` would match below the top level, as a sentence; empty when nothing.
std::string Trap(const Pattern& pattern,
                 std::string_view verb,
                 const std::vector<std::string>& paths) {
  if (!pattern.IsTopLevelWildcard()) return {};
  const std::string* first = nullptr;
  std::size_t count = 0;
  for (const std::string& path : paths) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) continue;
    if (!pattern.Matches(std::string_view(path).substr(slash + 1))) continue;
    if (first == nullptr) first = &path;
    ++count;
  }
  if (count == 0) return {};
  return fmt::format(
      "'{0}' {1} files at the top level only, and {2} below would match too ('{3}'{4}). Did you "
      "mean "
      "'**/{0}'?",
      pattern.text(), verb, count == 1 ? "1 file" : fmt::format("{} files", count), *first,
      count == 1 ? "" : ", …");
}

}  // namespace

std::vector<std::string> PatternSet::TopLevelTraps(
    const std::vector<std::string>& unselected_paths) const {
  std::vector<std::string> traps;
  if (!allow_) return traps;
  // What an ignore pattern takes away was meant to go.
  std::vector<std::string> missed;
  for (const std::string& path : unselected_paths) {
    if (!Explain(path).selected &&
        std::none_of(ignore_.begin(), ignore_.end(),
                     [&](const Pattern& pattern) { return pattern.Matches(path); })) {
      missed.push_back(path);
    }
  }
  for (const Pattern& pattern : *allow_) {
    std::string trap = Trap(pattern, "selects", missed);
    if (!trap.empty()) traps.push_back(std::move(trap));
  }
  return traps;
}

std::vector<std::string> PatternSet::IgnoreTraps(
    const std::vector<std::string>& selected_paths) const {
  std::vector<std::string> traps;
  for (const Pattern& pattern : ignore_) {
    std::string trap = Trap(pattern, "ignores", selected_paths);
    if (!trap.empty()) traps.push_back(std::move(trap));
  }
  return traps;
}

}  // namespace bdn::model
