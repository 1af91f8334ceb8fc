#include "model/pattern.h"

#include <functional>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace bdn::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

bool Match(std::string_view pattern, std::string_view path) {
  const auto parsed = Pattern::Parse(pattern);
  EXPECT_TRUE(parsed) << pattern << ": " << (parsed ? "" : parsed.error().message());
  return parsed && parsed->Matches(path);
}

const std::vector<std::string> kCorpus = {"model.safetensors",
                                          "a/model.safetensors",
                                          "a/b/model.safetensors",
                                          "config.json",
                                          "unet/config.json",
                                          "unet/x/config.json",
                                          ".gitattributes",
                                          ".hidden/x.json",
                                          "original/p.pth",
                                          "original/sub/q.pth",
                                          "A.BIN",
                                          "x[1].bin",
                                          "a\\b.txt"};

TEST(Pattern, SelectsWhatTheDocumentedTableSays) {
  const std::vector<std::pair<std::string, std::set<std::string>>> table = {
      {"*",
       {"model.safetensors", "config.json", ".gitattributes", "A.BIN", "x[1].bin", "a\\b.txt"}},
      {"*.safetensors", {"model.safetensors"}},
      {"**/*.safetensors", {"model.safetensors", "a/model.safetensors", "a/b/model.safetensors"}},
      {"**", {kCorpus.begin(), kCorpus.end()}},
      {"original/*", {"original/p.pth"}},
      {"original/", {"original/p.pth", "original/sub/q.pth"}},
      {"original", {}},
      {"original/**", {"original/p.pth", "original/sub/q.pth"}},
      {"unet/**/config.json", {"unet/config.json", "unet/x/config.json"}},
      {"*/*.json", {"unet/config.json", ".hidden/x.json"}},
      {".*", {".gitattributes"}},
      {"[ab]*.safetensors", {}},
      {"a/**", {"a/model.safetensors", "a/b/model.safetensors"}},
      {"*.bin", {"x[1].bin"}},
      {"config.json", {"config.json"}},
      {"**/config.json", {"config.json", "unet/config.json", "unet/x/config.json"}},
      {"**/**/x.json", {".hidden/x.json"}},
      {"x\\[1\\].bin", {"x[1].bin"}},
      {"x[[]1[]].bin", {"x[1].bin"}},
      {"a\\\\b.txt", {"a\\b.txt"}},
  };
  for (const auto& [text, expected] : table) {
    std::set<std::string> selected;
    for (const std::string& path : kCorpus) {
      if (Match(text, path)) selected.insert(path);
    }
    EXPECT_EQ(selected, expected) << text;
  }
}

TEST(Pattern, DecidesWhatShellsDisagreeOn) {
  // "**" is special as a whole segment only.
  EXPECT_TRUE(Match("a**b", "axxb"));
  EXPECT_FALSE(Match("a**b", "a/b"));
  EXPECT_TRUE(Match("**.json", "x.json"));
  EXPECT_FALSE(Match("**.json", "a/x.json"));
  EXPECT_TRUE(Match("a/**/b", "a/b"));
  EXPECT_TRUE(Match("a/**/b", "a/x/y/b"));
  EXPECT_FALSE(Match("a/**", "a"));
  EXPECT_TRUE(Match("**/", "a/b"));
  // Both spellings of negation; a set never takes '/'.
  EXPECT_TRUE(Match("[!a]x", "bx"));
  EXPECT_TRUE(Match("[^a]x", "bx"));
  EXPECT_FALSE(Match("[!a]x", "ax"));
  EXPECT_FALSE(Match("a[!b]c", "a/c"));
  EXPECT_FALSE(Match("a?c", "a/c"));
  // Braces, '!' and '#' are themselves.
  EXPECT_TRUE(Match("{a,b}", "{a,b}"));
  EXPECT_FALSE(Match("{a,b}", "a"));
  EXPECT_TRUE(Match("!a", "!a"));
  EXPECT_FALSE(Match("!a", "b"));
  // Case counts, and a dot at the beginning is nothing special.
  EXPECT_FALSE(Match("*.bin", "A.BIN"));
  EXPECT_TRUE(Match("*", ".x"));
  EXPECT_TRUE(Match("**/?gitattributes", ".gitattributes"));
  EXPECT_TRUE(Match("\\*", "*"));
  EXPECT_FALSE(Match("\\*", "x"));
}

TEST(Pattern, ReadsSetsLikeAShell) {
  EXPECT_TRUE(Match("[]a]", "]"));
  EXPECT_TRUE(Match("[!]a]", "b"));
  EXPECT_FALSE(Match("[!]a]", "]"));
  EXPECT_TRUE(Match("[a-]", "-"));
  EXPECT_TRUE(Match("[-a]", "-"));
  EXPECT_TRUE(Match("[a-cx-z]", "y"));
  EXPECT_FALSE(Match("[a-cx-z]", "d"));
  EXPECT_TRUE(Match("[\\]]", "]"));
  EXPECT_TRUE(Match("[[:digit:]][[:alpha:]_]", "7_"));
  EXPECT_FALSE(Match("[[:digit:]]", "a"));
  EXPECT_TRUE(Match("model-[0-9][0-9][0-9][0-9][0-9]-of-*.safetensors",
                    "model-00001-of-00002.safetensors"));
}

TEST(Pattern, CountsCharactersNotBytes) {
  EXPECT_TRUE(Match("?.bin", "\xc3\xa9.bin"));
  EXPECT_FALSE(Match("??.bin", "\xc3\xa9.bin"));
  EXPECT_FALSE(Match("*??", "\xf0\x9f\x98\x80"));
  EXPECT_TRUE(Match("[\xc3\xa0-\xc3\xbf]", "\xc3\xa9"));
  EXPECT_FALSE(Match("[!\xc3\xa9]", "\xc3\xa9"));
  // Bytes that are no character still count as one each.
  EXPECT_TRUE(Match("a?b",
                    "a\xff"
                    "b"));
}

TEST(Pattern, RefusesWhatCannotMatchAndSaysWhatToWrite) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"", "it is empty"},       {"/config.json", "write 'config.json'"},
      {"/", "write '**'"},       {"./a/*", "write 'a/*'"},
      {"a/./b", "'.' and '..'"}, {"..", "'.' and '..'"},
      {"../a", "'.' and '..'"},  {"a//b", "empty segment"},
      {"a[b", "'\\['"},          {"a[b/c]", "'\\['"},
      {"[]", "'\\['"},           {"[!]", "'\\['"},
      {"[[:digit:]", "'\\['"},   {"[[:numbers:]]", "is not a class"},
      {"[z-a]", "backwards"},    {"a\\", "backslash"},
      {"a\\/b", "backslash"},    {std::string("a\0b", 3), "NUL"},
      {"\xff", "UTF-8"},         {std::string(kPatternBytesMax + 1, 'a'), "longer than 4096 bytes"},
  };
  for (const auto& [text, message] : table) {
    const auto pattern = Pattern::Parse(text);
    ASSERT_FALSE(pattern) << text;
    EXPECT_EQ(pattern.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(pattern.error().message(), HasSubstr(message)) << text;
  }
}

TEST(Pattern, NoPatternBlowsUp) {
  // Each of these takes a backtracking matcher longer than the age of the universe.
  const std::string letters(4000, 'a');
  std::string stars;
  for (int i = 0; i < 2000; ++i) stars += "*a";
  EXPECT_FALSE(Match(stars + "b", letters));
  EXPECT_TRUE(Match(stars, letters));
  std::string directories;
  for (int i = 0; i < 2000; ++i) directories += "a/";
  std::string any;
  for (int i = 0; i < 800; ++i) any += "**/a/";
  EXPECT_FALSE(Match(any + "b", directories + "c"));
  EXPECT_TRUE(Match(any + "b", directories + "b"));
  EXPECT_FALSE(Match("**/**/**/x", directories + "y"));
}

// --- property: the matcher agrees with a slow one that tries everything ---

bool SlowSegment(std::string_view glob, std::string_view text) {
  if (glob.empty()) return text.empty();
  if (glob[0] == '*') {
    return SlowSegment(glob.substr(1), text) ||
           (!text.empty() && SlowSegment(glob, text.substr(1)));
  }
  if (text.empty()) return false;
  if (glob[0] == '?') return SlowSegment(glob.substr(1), text.substr(1));
  if (glob.starts_with("[!a]"))
    return text[0] != 'a' && SlowSegment(glob.substr(4), text.substr(1));
  if (glob.starts_with("[ab]")) {
    return (text[0] == 'a' || text[0] == 'b') && SlowSegment(glob.substr(4), text.substr(1));
  }
  return glob[0] == text[0] && SlowSegment(glob.substr(1), text.substr(1));
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

bool SlowPath(const std::vector<std::string>& globs,
              std::size_t g,
              const std::vector<std::string>& names,
              std::size_t n) {
  if (g == globs.size()) return n == names.size();
  if (globs[g] == "**") {
    if (g + 1 == globs.size()) return n < names.size();
    return SlowPath(globs, g + 1, names, n) ||
           (n < names.size() && SlowPath(globs, g, names, n + 1));
  }
  return n < names.size() && SlowSegment(globs[g], names[n]) &&
         SlowPath(globs, g + 1, names, n + 1);
}

std::string JoinRandom(const std::vector<std::string>& alphabet, int segments_max, int pieces_max) {
  std::string text;
  const int segments = *rc::gen::inRange(1, segments_max + 1);
  for (int s = 0; s < segments; ++s) {
    if (s > 0) text += '/';
    const int pieces = *rc::gen::inRange(1, pieces_max + 1);
    for (int p = 0; p < pieces; ++p) text += *rc::gen::elementOf(alphabet);
  }
  return text;
}

TEST(Pattern, AgreesWithASlowMatcher) {
  const bool holds = rc::check([] {
    const std::string glob =
        JoinRandom({"a", "b", "*", "*", "?", "**", "[!a]", "[ab]"}, 5, *rc::gen::inRange(1, 5));
    const std::string path = JoinRandom({"a", "b", "c"}, 6, 3);
    const auto pattern = Pattern::Parse(glob);
    RC_ASSERT(pattern.has_value());
    const std::vector<std::string> names = Split(path);
    const bool expected = SlowPath(Split(glob), 0, names, 0);
    RC_CLASSIFY(expected, "matches");
    RC_LOG() << glob << " against " << path << '\n';
    RC_ASSERT(pattern->Matches(path) == expected);
  });
  EXPECT_TRUE(holds);
}

// --- sets ---

TEST(PatternSet, IgnoreBeatsAllowAndAbsenceMeansEverything) {
  const auto all = PatternSet::Parse({}, {});
  ASSERT_TRUE(all);
  EXPECT_TRUE(all->Selects("a/b"));
  const auto set = PatternSet::Parse({{"*.json", "*.bin"}}, {{"b*", "*.bin"}});
  ASSERT_TRUE(set);
  EXPECT_TRUE(set->Selects("a.json"));
  EXPECT_FALSE(set->Selects("b.json"));
  EXPECT_FALSE(set->Selects("a.bin"));
  EXPECT_FALSE(set->Selects("a.txt"));
  EXPECT_EQ(set->Explain("a.json").pattern, "*.json");
  EXPECT_EQ(set->Explain("b.bin").pattern, "b*");
  EXPECT_TRUE(set->Explain("b.bin").by_ignore);
  EXPECT_EQ(set->Explain("a.txt").pattern, "");
  EXPECT_FALSE(set->Explain("a.txt").selected);
  EXPECT_TRUE(PatternSet::Parse({}, {{}})->Selects("a"));
}

TEST(PatternSet, AnEmptyAllowListIsAnError) {
  const auto set = PatternSet::Parse(std::vector<std::string>{}, {});
  ASSERT_FALSE(set);
  EXPECT_THAT(set.error().message(), HasSubstr("empty list"));
  EXPECT_FALSE(PatternSet::Parse(std::vector<std::string>(kPatternsMax + 1, "a"), {}));
}

TEST(PatternSet, WarnsOfTheTopLevelTrap) {
  const auto set = PatternSet::Parse({{"*.safetensors", "config.json"}}, {{"old/**"}});
  ASSERT_TRUE(set);
  EXPECT_THAT(set->TopLevelTraps({"unet/m.safetensors", "vae/m.safetensors", "x/config.json",
                                  "old/m.safetensors", "README.md"}),
              ElementsAre("'*.safetensors' selects files at the top level only, and 2 files below "
                          "would match too ('unet/m.safetensors', …). Did you mean "
                          "'**/*.safetensors'?"));
  EXPECT_THAT(set->TopLevelTraps({"README.md", "old/m.safetensors"}), IsEmpty());
  const auto ignore = PatternSet::Parse({}, {{"*.bin"}});
  EXPECT_THAT(
      ignore->IgnoreTraps({"a/x.bin", "y"}),
      ElementsAre("'*.bin' ignores files at the top level only, and 1 file below would match "
                  "too ('a/x.bin'). Did you mean '**/*.bin'?"));
}

}  // namespace
}  // namespace bdn::model
