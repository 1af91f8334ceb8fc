#include "auth/workload.h"

#include <string>

#include <gtest/gtest.h>

namespace bdn::auth {
namespace {

constexpr WallTime kMintedAt{std::chrono::milliseconds(1'800'000'000'900)};

Workload Example() {
  return {.org = "default",
          .team = "default",
          .model = "my-model",
          .deployment = "dep_0123456789abcdef",
          .environment = "",
          .type = WorkloadType::kModelContainer};
}

TEST(Workload, SubjectHasEveryPartInTheDocumentedOrder) {
  EXPECT_EQ(*SubjectOf(Example()),
            "v=1:org=default:team=default:model=my-model:deployment=dep_0123456789abcdef:"
            "environment=<none>:type=model_container");
}

TEST(Workload, PartsCannotWriteOtherParts) {
  for (const char* bad : {"a:b", "a=b", "a*", "a b", "<none>", "a/b", "\xc3\xa9", "a\n"}) {
    Workload workload = Example();
    workload.model = bad;
    const auto subject = SubjectOf(workload);
    ASSERT_FALSE(subject) << bad;
    EXPECT_EQ(subject.error().code(), Code::kInvalidArgument);
    EXPECT_NE(subject.error().message().find("model"), std::string::npos);
  }
  Workload nobody = Example();
  nobody.org = "";
  EXPECT_FALSE(SubjectOf(nobody)) << "an organisation is always needed";
}

TEST(Workload, A127ByteSubjectIsTakenAnd128IsNot) {
  Workload workload = Example();
  workload.environment = "e";
  const std::size_t base = SubjectOf(workload)->size();
  workload.environment = std::string(1 + kSubjectBytesMax - base, 'e');
  ASSERT_TRUE(SubjectOf(workload)) << SubjectOf(workload).error().message();
  EXPECT_EQ(SubjectOf(workload)->size(), 127u);
  workload.environment += 'e';
  const auto longer = SubjectOf(workload);
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code(), Code::kInvalidArgument);
  EXPECT_NE(longer.error().message().find("128 bytes"), std::string::npos)
      << longer.error().message();
  EXPECT_FALSE(TokenClaims("https://i", "i", workload, {.now = kMintedAt}, "1"));
}

TEST(Workload, EnvironmentsHaveFortyBytesAtMost) {
  Workload workload{.org = "o", .environment = std::string(40, 'e')};
  EXPECT_TRUE(SubjectOf(workload));
  workload.environment += 'e';
  EXPECT_FALSE(SubjectOf(workload));
}

// The longest that the product itself makes: an organisation, a hashed model, no environment.
TEST(Workload, OrdinarySubjectsFit) {
  Workload workload = Example();
  workload.model = ModelIdOf(std::string(kModelIdBytesMax, 'm'));
  EXPECT_EQ(workload.model.size(), kModelIdBytesMax);
  ASSERT_TRUE(SubjectOf(workload));
  EXPECT_LE(SubjectOf(workload)->size(), kSubjectBytesMax);
}

TEST(ModelId, IsTheNameWhereThatCanBeOne) {
  EXPECT_EQ(ModelIdOf("my-model_7"), "my-model_7");
  for (const char* name : {"", "My Model", "a:b", "a-name-of-more-than-20-bytes", "h-abc"}) {
    const std::string id = ModelIdOf(name);
    EXPECT_EQ(id.size(), 16u) << name;
    EXPECT_TRUE(id.starts_with("h-"));
    EXPECT_NE(id, name);
    EXPECT_TRUE(SubjectOf({.org = "o", .model = id}));
  }
  EXPECT_NE(ModelIdOf("My Model"), ModelIdOf("My  Model"));
}

TEST(TokenClaims, TimesAreWholeSecondsALittleInThePastAndLiveAnHour) {
  const auto claims = TokenClaims("https://i", "aud", Example(), {.now = kMintedAt}, "id");
  ASSERT_TRUE(claims) << claims.error().message();
  EXPECT_EQ(claims->at("iat").as_int64(), 1'799'999'995);
  EXPECT_EQ(claims->at("exp").as_int64() - claims->at("iat").as_int64(), 3600);
  EXPECT_TRUE(claims->at("aud").is_string());
  EXPECT_EQ(claims->at("environment").as_string(), "<none>");
  EXPECT_EQ(claims->at("type").as_string(), "model_container");
  EXPECT_EQ(claims->at("sub").as_string(), *SubjectOf(Example()));
  EXPECT_EQ(claims->size(), 12u);
  const Duration longer = std::chrono::seconds(3601);
  EXPECT_FALSE(TokenClaims("https://i", "a", Example(), {.now = kMintedAt, .life = longer}, "id"));
}

}  // namespace
}  // namespace bdn::auth
