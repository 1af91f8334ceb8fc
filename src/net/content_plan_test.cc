#include "net/content_plan.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace bdn::net {
namespace {

constexpr std::string_view kTag = "\"abc\"";

ContentPlan Plan(std::vector<std::pair<std::string, std::string>> fields,
                 std::uint64_t size = 1000,
                 std::string_view method = "GET") {
  Headers headers;
  for (auto& [name, value] : fields) headers.Add(name, value);
  return PlanContent(method, headers, kTag, size);
}

TEST(ContentPlan, RangesFollowTheRfc) {
  struct Case {
    const char* range;
    std::uint64_t size;
    int status;
    ByteRange want;
  };
  const std::vector<Case> cases = {
      {"bytes=0-99", 1000, 206, {0, 100}},
      {"bytes=0-0", 1000, 206, {0, 1}},
      {"bytes=999-999", 1000, 206, {999, 1000}},
      {"bytes=900-", 1000, 206, {900, 1000}},
      {"bytes=0-", 1000, 206, {0, 1000}},
      {"bytes=-1", 1000, 206, {999, 1000}},
      {"bytes=-5000", 1000, 206, {0, 1000}},
      {"bytes=990-5000", 1000, 206, {990, 1000}},
      {"bytes=0-18446744073709551615", 1000, 206, {0, 1000}},
      {"BYTES= 1-2 ", 1000, 206, {1, 3}},
      {"bytes=1000-", 1000, 416, {}},
      {"bytes=1000-1001", 1000, 416, {}},
      {"bytes=18446744073709551615-", 1000, 416, {}},
      {"bytes=-0", 1000, 416, {}},
      {"bytes=0-", 0, 416, {}},
      {"bytes=-1", 0, 416, {}},
      {"bytes=5-4", 1000, 200, {0, 1000}},
      {"bytes=", 1000, 200, {0, 1000}},
      {"bytes=-", 1000, 200, {0, 1000}},
      {"bytes=a-b", 1000, 200, {0, 1000}},
      {"bytes=1-2-3", 1000, 200, {0, 1000}},
      {"bytes=0-1,5-6", 1000, 200, {0, 1000}},
      {"bytes 0-1", 1000, 200, {0, 1000}},
      {"items=0-1", 1000, 200, {0, 1000}},
      {"bytes=99999999999999999999-", 1000, 200, {0, 1000}},
  };
  for (const Case& c : cases) {
    const ContentPlan plan = Plan({{"Range", c.range}}, c.size);
    EXPECT_EQ(plan.status, c.status) << c.range;
    EXPECT_EQ(plan.range, c.want) << c.range;
  }
}

TEST(ContentPlan, OnlyGetHasRanges) {
  EXPECT_EQ(Plan({{"Range", "bytes=0-1"}}, 1000, "HEAD").status, 200);
}

TEST(ContentPlan, ConditionsComeBeforeTheRange) {
  const std::pair<std::string, std::string> range{"Range", "bytes=0-1"};
  EXPECT_EQ(Plan({{"If-None-Match", "\"abc\""}, range}).status, 304);
  EXPECT_EQ(Plan({{"If-None-Match", "\"x,y\", W/\"abc\""}}).status, 304);
  EXPECT_EQ(Plan({{"If-None-Match", "\"x\""}, {"If-None-Match", "\"abc\""}}).status, 304);
  EXPECT_EQ(Plan({{"If-None-Match", "*"}}, 10, "HEAD").status, 304);
  EXPECT_EQ(Plan({{"If-None-Match", "*"}}, 10, "PUT").status, 412);
  EXPECT_EQ(Plan({{"If-None-Match", "\"abcd\""}}).status, 200);
  EXPECT_EQ(Plan({{"If-None-Match", "abc"}}).status, 200);
  EXPECT_EQ(Plan({{"If-Match", "\"x\", \"abc\""}, range}).status, 206);
  EXPECT_EQ(Plan({{"If-Match", "*"}}).status, 200);
  EXPECT_EQ(Plan({{"If-Match", "W/\"abc\""}}).status, 412);
  EXPECT_EQ(Plan({{"If-Match", "\"x\""}, range}).status, 412);
  EXPECT_EQ(Plan({{"If-Match", "\"x\""}, {"If-None-Match", "\"abc\""}}).status, 412);
}

TEST(ContentPlan, IfRangeNeedsTheSameStrongTag) {
  const std::pair<std::string, std::string> range{"Range", "bytes=0-1"};
  EXPECT_EQ(Plan({{"If-Range", "\"abc\""}, range}).status, 206);
  EXPECT_EQ(Plan({{"If-Range", "W/\"abc\""}, range}).status, 200);
  EXPECT_EQ(Plan({{"If-Range", "\"old\""}, range}).status, 200);
  EXPECT_EQ(Plan({{"If-Range", "Mon, 23 Nov 2026 03:44:41 GMT"}, range}).status, 200);
}

}  // namespace
}  // namespace bdn::net
