// The two matchers that model_cache had: that of volumes, for which '*' is any number of any
// characters and all else is itself, and Python's fnmatch
// (docs.python.org/3/library/fnmatch.html), as huggingface_hub calls it.
#include <string>
#include <vector>

#include "model/migrate.h"
#include "model/pattern.h"

namespace bdn::model {
namespace {

// Cuts the first character off `text`; a byte that begins none counts as one.
std::string_view TakeCharacter(std::string_view& text) {
  std::size_t length = 1;
  while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) {
    ++length;
  }
  const std::string_view character = text.substr(0, length);
  text.remove_prefix(length);
  return character;
}

// A step of a pattern: any text, or one character of a kind.
struct Step {
  bool star = false;
  bool any = false;
  bool negated = false;
  std::string_view character;  // without a set
  std::vector<std::pair<std::string_view, std::string_view>> set;

  bool Takes(std::string_view c) const {
    if (any) return true;
    if (set.empty()) return c == character;
    bool member = false;
    // UTF-8 sorts as its code points do.
    for (const auto& [first, last] : set) member = member || (first <= c && c <= last);
    return member != negated;
  }
};

// "[…]" at the beginning of `rest`, or nothing when it is not closed: then '[' is itself.
bool TakeSet(std::string_view& rest, Step& step) {
  std::string_view text = rest.substr(1);
  if (text.starts_with('!')) {
    step.negated = true;
    text.remove_prefix(1);
  }
  for (bool first = true; !text.empty() && (first || text[0] != ']'); first = false) {
    const std::string_view from = TakeCharacter(text);
    std::string_view to = from;
    if (text.size() > 1 && text[0] == '-' && text[1] != ']') {
      text.remove_prefix(1);
      to = TakeCharacter(text);
    }
    step.set.emplace_back(from, to);
  }
  if (text.empty()) {
    step = Step();
    return false;
  }
  rest = text.substr(1);
  return true;
}

std::vector<Step> ParseOld(std::string_view pattern, bool volume) {
  std::vector<Step> steps;
  while (!pattern.empty()) {
    Step step;
    if (pattern[0] == '*') {
      step.star = true;
      pattern.remove_prefix(1);
    } else if (!volume && pattern[0] == '?') {
      step.any = true;
      pattern.remove_prefix(1);
    } else if (volume || pattern[0] != '[' || !TakeSet(pattern, step)) {
      step.character = TakeCharacter(pattern);
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace

bool OldPatternMatches(std::string_view pattern, std::string_view path, bool volume) {
  // huggingface_hub takes "dir/" for everything below.
  std::string whole(pattern);
  if (!volume && whole.ends_with('/')) whole += '*';
  const std::vector<Step> steps = ParseOld(whole, volume);
  // reached[i]: the first i steps take the text so far.
  std::vector<bool> reached(steps.size() + 1, false);
  const auto pass_stars = [&](std::vector<bool>& at) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (at[i] && steps[i].star) at[i + 1] = true;
    }
  };
  reached[0] = true;
  pass_stars(reached);
  while (!path.empty()) {
    const std::string_view c = TakeCharacter(path);
    std::vector<bool> next(steps.size() + 1, false);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (!reached[i]) continue;
      if (steps[i].star) next[i] = true;
      if (!steps[i].star && steps[i].Takes(c)) next[i + 1] = true;
    }
    pass_stars(next);
    reached = std::move(next);
  }
  return reached[steps.size()];
}

void CompareSelection(const std::vector<std::string>& paths, PatternChange& change) {
  // What the new file has: the old text, or the offer.
  std::vector<std::string> now{change.pattern};
  if (change.rewritten) now = change.offer;
  const auto set = PatternSet::Parse(now, std::nullopt);
  change.listed = set.has_value();
  if (!set) return;
  for (const std::string& path : paths) {
    const bool before = OldPatternMatches(change.pattern, path, change.volume);
    const bool after = set->Selects(path);
    if (before && after) change.kept.push_back(path);
    if (before && !after) change.lost.push_back(path);
    if (!before && after) change.gained.push_back(path);
  }
}

}  // namespace bdn::model
