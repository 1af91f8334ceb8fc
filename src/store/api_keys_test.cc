#include "store/api_keys.h"

#include <set>

#include <gtest/gtest.h>

#include "store/ids.h"
#include "store/sqlite_metadata.h"

namespace bdn::store {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kNow{1'800'000'000s};

TEST(ApiKeys, AKeyIsKnownByItsHashUntilItIsRevoked) {
  const auto metadata = *OpenSqliteMetadata(":memory:");
  const auto made = CreateApiKey(*metadata, "org", "ci", kNow);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->text.size(), 47u);
  EXPECT_TRUE(made->text.starts_with("bdn_"));
  EXPECT_EQ(made->row.hash_hex.find(made->text), std::string::npos);
  const auto found = VerifyApiKey(*metadata, made->text);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, made->row.id);
  EXPECT_EQ(found->org, "org");
  ASSERT_TRUE(metadata->RevokeApiKey(made->row.id));
  EXPECT_EQ(VerifyApiKey(*metadata, made->text).error().code(), Code::kUnauthenticated);
}

TEST(ApiKeys, AnythingElseIsRefusedAndNotRepeated) {
  const auto metadata = *OpenSqliteMetadata(":memory:");
  ASSERT_TRUE(CreateApiKey(*metadata, "org", "ci", kNow));
  for (const std::string& text : {std::string(), std::string("bdn_"), "bdn_" + std::string(43, 'A'),
                                  std::string(47, 'x'), std::string(100'000, 'y')}) {
    const auto refused = VerifyApiKey(*metadata, text);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kUnauthenticated);
    EXPECT_EQ(refused.error().message(), "the API key is not valid");
  }
}

TEST(Ids, SortByTimeAndDoNotRepeat) {
  const std::string early = NewId("dep", kNow);
  EXPECT_EQ(early.size(), 4u + 16u);
  EXPECT_TRUE(early.starts_with("dep_"));
  EXPECT_LT(early, NewId("dep", kNow + 1ms));
  EXPECT_LT(NewId("dep", kNow + 1ms), NewId("dep", kNow + 100 * 8760h));
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(NewId("dep", kNow));
  EXPECT_EQ(ids.size(), 1000u);
  EXPECT_EQ(early.find_first_not_of("0123456789abcdefghjkmnpqrstvwxyz", 4), std::string::npos);
}

}  // namespace
}  // namespace bdn::store
