#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/json.h"
#include "model/match_report.h"
#include "model/validate_report.h"

namespace bdn::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string ReadFile(const std::string& name) {
  std::ifstream file(std::string(BDN_MODEL_TESTDATA) + "/" + name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// BDN_UPDATE_GOLDEN=1 rewrites the file instead of comparing.
void ExpectGolden(const std::string& name, const std::string& text) {
  if (std::getenv("BDN_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(std::string(BDN_MODEL_TESTDATA) + "/" + name, std::ios::binary) << text;
    return;
  }
  EXPECT_EQ(ReadFile(name), text) << name;
}

TEST(ValidateReport, GoldenOutputs) {
  for (const std::string name : {"valid", "invalid"}) {
    const ConfigReport report = ParseConfig(ReadFile(name + ".yaml"));
    EXPECT_EQ(report.errors.empty(), name == "valid");
    const std::string json = ValidateJson(report);
    EXPECT_TRUE(codec::ParseJson(json)) << json;
    ExpectGolden(name + ".json", json + "\n");
    ExpectGolden(name + ".txt", ValidateText(report, "config.yaml"));
  }
}

TEST(ValidateReport, NothingReachesTheTerminalUnescaped) {
  const std::string text = ValidateText(
      ParseConfig("weights: [{source: \"\\e[31m\", mount_location: /m}]"), "config.yaml");
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_THAT(text, HasSubstr("\\x1b[31m"));
}

TEST(MatchReport, PrintsTheSelectedPaths) {
  const auto report = MatchPaths({.allow = {{"**/*.json"}},
                                  .ignore = {"b/**"},
                                  .paths = {"./x.json", "a/y.json", "b/z.json", "w.bin"},
                                  .explain = false});
  ASSERT_TRUE(report);
  EXPECT_THAT(report->lines, ElementsAre("x.json", "a/y.json"));
  EXPECT_THAT(report->warnings, IsEmpty());
  EXPECT_EQ(report->selected, 2u);
}

TEST(MatchReport, ExplainsWhichPatternDecided) {
  const auto report = MatchPaths({.allow = {{"*.json", "*.bin"}},
                                  .ignore = {"t*"},
                                  .paths = {"x.json", "t.bin", "a/y.json"},
                                  .explain = true});
  ASSERT_TRUE(report);
  EXPECT_THAT(report->lines,
              ElementsAre("selected  x.json  (allow '*.json')", "ignored   t.bin  (ignore 't*')",
                          "left out  a/y.json  (no allow pattern matches)"));
  EXPECT_THAT(report->warnings, ElementsAre(HasSubstr("Did you mean '**/*.json'?")));
  const auto all = MatchPaths({.allow = {}, .ignore = {}, .paths = {"x"}, .explain = true});
  EXPECT_THAT(all->lines, ElementsAre("selected  x  (no allow patterns: everything)"));
}

TEST(MatchReport, SaysWhenNothingIsSelected) {
  const auto report =
      MatchPaths({.allow = {{"*.json"}}, .ignore = {}, .paths = {"a/y.json"}, .explain = false});
  ASSERT_TRUE(report);
  EXPECT_THAT(report->lines, IsEmpty());
  EXPECT_THAT(report->warnings,
              ElementsAre(HasSubstr("Did you mean"), "none of 1 path is selected"));
  EXPECT_FALSE(MatchPaths({.allow = {{"/x"}}, .ignore = {}, .paths = {}, .explain = false}));
}

}  // namespace
}  // namespace bdn::model
