#include "codec/yaml.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bdn::codec {
namespace {

using ::testing::HasSubstr;

YamlNode Parse(std::string_view text) {
  YamlResult result = ParseYaml(text);
  EXPECT_TRUE(result.root) << text << ": " << (result.error ? result.error->message : "");
  return result.root ? *result.root : YamlNode{};
}

std::string ErrorOf(std::string_view text, const YamlLimits& limits = {}) {
  const YamlResult result = ParseYaml(text, limits);
  EXPECT_EQ(result.root.has_value(), !result.error.has_value());
  return result.error ? result.error->message : "accepted";
}

TEST(Yaml, ResolvesPlainScalarsAsPyYamlDoes) {
  const std::vector<std::pair<YamlType, std::vector<std::pair<const char*, const char*>>>> table = {
      {YamlType::kNull, {{"~", "None"}, {"null", "None"}, {"NULL", "None"}, {"", "None"}}},
      {YamlType::kBool,
       {{"yes", "True"}, {"No", "False"}, {"ON", "True"}, {"off", "False"}, {"true", "True"}}},
      {YamlType::kInt,
       {{"0", "0"},
        {"7", "7"},
        {"-7", "-7"},
        {"+7", "7"},
        {"010", "8"},
        {"007", "7"},
        {"0x1F", "31"},
        {"0b101", "5"},
        {"1_000", "1000"},
        {"190:20:30", "685230"},
        {"-0", "0"},
        {"9223372036854775808", "9223372036854775808"}}},
      {YamlType::kFloat,
       {{"1.10", "1.1"},
        {"1.", "1.0"},
        {".5", "0.5"},
        {"1.0e+3", "1000.0"},
        {"-.inf", "-inf"},
        {".NaN", "nan"},
        {"1_0.5", "10.5"},
        {"20:30.15", "1230.15"},
        {"-0.0", "-0.0"},
        {"1.5e+300", "1.5e+300"}}},
      {YamlType::kTimestamp,
       {{"2001-12-14", "2001-12-14"},
        {"2001-12-14T21:59:43.1Z", "2001-12-14 21:59:43.100000+00:00"},
        {"2001-1-4 1:59:43", "2001-01-04 01:59:43"},
        {"2001-12-14 21:59:43 -5", "2001-12-14 21:59:43-05:00"}}},
      {YamlType::kString,
       {{"y", "y"},
        {"n", "n"},
        {"Null x", "Null x"},
        {"yEs", "yEs"},
        {"089", "089"},
        {"1e3", "1e3"},
        {"1.0e3", "1.0e3"},
        {"0o7", "0o7"},
        {"1.2.3", "1.2.3"},
        {"-", "-"},
        {"+", "+"},
        {"_1", "_1"},
        {"0x", "0x"},
        {"2001-1-4", "2001-1-4"},
        {"12:3x", "12:3x"},
        {".", "."},
        {"1e", "1e"}}},
  };
  for (const auto& [type, rows] : table) {
    for (const auto& [text, python] : rows) {
      EXPECT_EQ(ResolvePlainScalar(text), type) << text;
      YamlNode node;
      node.type = type;
      node.text = text;
      EXPECT_EQ(node.PythonText(), python) << text;
    }
  }
  EXPECT_EQ(ResolvePlainScalar("<<"), std::nullopt);
}

TEST(Yaml, QuotesAndTagsMakeStrings) {
  const YamlNode root = Parse("a: 'yes'\nb: \"010\"\nc: !!str 7\nd: ! x\ne: |\n  no\n");
  for (const YamlMember& member : root.members) EXPECT_EQ(member.value.type, YamlType::kString);
  EXPECT_EQ(root.Find("b")->text, "010");
  EXPECT_EQ(root.Find("b")->style, YamlStyle::kDoubleQuoted);
  EXPECT_EQ(Parse("!!int 010").AsInt(), 8);
  EXPECT_THAT(ErrorOf("!!int x"), HasSubstr("not of the type"));
  EXPECT_THAT(ErrorOf("!python/object x"), HasSubstr("could not determine a constructor"));
  EXPECT_THAT(ErrorOf("!!map [a]"), HasSubstr("could not determine a constructor"));
}

TEST(Yaml, KnowsLineColumnAndBytes) {
  const std::string text = "a: 1\n\xc3\xa9: {k: [x, \xe2\x82\xac, z]}\nb:\n  - q\n";
  const YamlNode root = Parse(text);
  const YamlNode& list = *root.members[1].value.Find("k");
  EXPECT_EQ(list.items[2].line, 2);
  EXPECT_EQ(list.items[2].column, 15);  // characters, not bytes
  EXPECT_EQ(text.substr(list.begin, list.end - list.begin), "[x, \xe2\x82\xac, z]");
  EXPECT_EQ(text.substr(list.items[2].begin, 1), "z");
  EXPECT_EQ(root.Find("b")->items[0].line, 4);
  EXPECT_EQ(root.Find("b")->items[0].column, 5);
}

TEST(Yaml, ByteOrderMarkAndCarriageReturnsAreFine) {
  const std::string text =
      "\xef\xbb\xbf"
      "a: x\r\nb: y\r\n";
  const YamlNode root = Parse(text);
  EXPECT_EQ(root.members[0].key.column, 1);
  EXPECT_EQ(root.Find("b")->text, "y");
  EXPECT_EQ(root.Find("b")->line, 2);
  EXPECT_EQ(text.substr(root.Find("b")->begin, 1), "y");
}

TEST(Yaml, DuplicateKeysWarnAndTheLastWins) {
  const YamlResult result = ParseYaml("w:\n- a: 1\n  b: 2\n  a: 3\n");
  ASSERT_TRUE(result.root);
  ASSERT_EQ(result.warnings.size(), 1u);
  EXPECT_EQ(result.warnings[0].message,
            "Detected duplicate key `a`, will use the last entry but could cause unexpected "
            "behavior");
  EXPECT_EQ(result.warnings[0].path, "w.0.a");
  EXPECT_EQ(result.warnings[0].line, 4);
  EXPECT_EQ(result.warnings[0].column, 3);
  EXPECT_EQ(result.root->Find("w")->items[0].Find("a")->text, "3");
  EXPECT_EQ(result.root->Find("w")->items[0].members.size(), 2u);
  EXPECT_TRUE(ParseYaml("{1: a, '1': b}").warnings.empty());
}

TEST(Yaml, AliasesAreExpanded) {
  const YamlNode root = Parse("a: &x {k: [1, 2]}\nb: *x\n");
  EXPECT_EQ(root.Find("b")->Find("k")->items[1].AsInt(), 2);
  EXPECT_EQ(root.Find("b")->line, 1);
  EXPECT_THAT(ErrorOf("a: *nope"), HasSubstr("undefined alias 'nope'"));
  EXPECT_THAT(ErrorOf("p: [*.safetensors]"), HasSubstr("alias"));
  EXPECT_THAT(ErrorOf("a: &x [*x]"), HasSubstr("refers to itself"));
  EXPECT_THAT(ErrorOf("a: &x 1\nb: &x [*x]"), HasSubstr("refers to itself"));
}

TEST(Yaml, ABillionLaughsAreAnError) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 0; j < 8; ++j) text += ", " + before;
    text += "]\n";
  }
  EXPECT_THAT(ErrorOf(text), HasSubstr("more than 100000 values"));
}

TEST(Yaml, LimitsHold) {
  EXPECT_THAT(ErrorOf(std::string(200'000, '[')), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(ErrorOf("[[1]]", {.depth_max = 2}), HasSubstr("nested deeper than 2 levels"));
  EXPECT_EQ(ErrorOf("[[1]]", {.depth_max = 3}), "accepted");
  EXPECT_THAT(ErrorOf("a: &a [[1]]\nb: [*a]", {.depth_max = 4}), HasSubstr("nested deeper"));
  EXPECT_THAT(ErrorOf("[1, 2, 3]", {.nodes_max = 3}), HasSubstr("more than 3 values"));
  EXPECT_THAT(ErrorOf("aaaa", {.bytes_max = 3}), HasSubstr("4 bytes, the limit is 3"));
}

TEST(Yaml, ErrorsHaveAPlace) {
  const YamlResult merge = ParseYaml("a: &a {x: 1}\nb:\n  <<: *a\n");
  ASSERT_TRUE(merge.error);
  EXPECT_EQ(merge.error->line, 3);
  EXPECT_EQ(merge.error->column, 3);
  EXPECT_EQ(merge.error->path, "b");
  EXPECT_THAT(merge.error->message, HasSubstr("tag:yaml.org,2002:merge"));
  EXPECT_EQ(ErrorOf("'<<': 1"), "accepted");

  const YamlResult syntax = ParseYaml("a: 1\nb: [1, 2\nc: 3\n");
  ASSERT_TRUE(syntax.error);
  EXPECT_EQ(syntax.error->line, 3);
  const YamlResult bytes = ParseYaml("a: 1\nb: \xff\n");
  ASSERT_TRUE(bytes.error);
  EXPECT_EQ(bytes.error->line, 2);
  EXPECT_EQ(bytes.error->column, 4);
  EXPECT_THAT(ErrorOf("a\n---\nb"), HasSubstr("single document"));
  EXPECT_THAT(ErrorOf("[a]: 1"), HasSubstr("a key must be a plain value"));
  EXPECT_THAT(ErrorOf("a:\n\t- b"), HasSubstr("not valid YAML"));
}

TEST(Yaml, AnEmptyDocumentIsNull) {
  for (const char* text : {"", "\n", "# only a comment\n", "---\n", "~"}) {
    EXPECT_TRUE(Parse(text).IsNull()) << text;
  }
}

}  // namespace
}  // namespace bdn::codec
