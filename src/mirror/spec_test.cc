#include "mirror/spec.h"

#include <gtest/gtest.h>

namespace bdn::mirror {
namespace {

model::WeightsSource Full() {
  model::WeightsSource weights;
  weights.source = "hf://org/model@main";
  weights.uri = *model::ParseSourceUri(weights.source);
  weights.mount_location = "/app/weights";
  weights.auth.method = model::AuthMethod::kAwsOidc;
  weights.auth.auth_secret_name = "hf_access_token";
  weights.auth.aws_oidc_role_arn = "arn:aws:iam::1:role/r";
  weights.auth.aws_oidc_region = "us-west-2";
  weights.allow_patterns = {{"**/*.safetensors", "quote\"é"}};
  weights.ignore_patterns = std::vector<std::string>();
  return weights;
}

TEST(Spec, ComesBackAsItWentIn) {
  const auto read = SpecFromJson(SpecToJson(Full()));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->source, "hf://org/model@main");
  EXPECT_EQ(read->uri.owner, "org");
  EXPECT_EQ(read->uri.revision, "main");
  EXPECT_EQ(read->auth.method, model::AuthMethod::kAwsOidc);
  EXPECT_EQ(read->auth.auth_secret_name, "hf_access_token");
  EXPECT_EQ(read->auth.aws_oidc_role_arn, "arn:aws:iam::1:role/r");
  EXPECT_EQ(read->auth.aws_oidc_region, "us-west-2");
  EXPECT_EQ(read->allow_patterns, Full().allow_patterns);
  EXPECT_EQ(read->ignore_patterns, Full().ignore_patterns);
}

TEST(Spec, AbsentPatternsStayAbsentAndMountsAreLeftOut) {
  model::WeightsSource weights;
  weights.source = "hf://org/model";
  weights.mount_location = "/app/weights";
  EXPECT_EQ(SpecToJson(weights), R"({"source":"hf://org/model"})");
  const auto read = SpecFromJson(SpecToJson(weights));
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->allow_patterns);
  EXPECT_FALSE(read->ignore_patterns);
  EXPECT_EQ(read->auth.method, model::AuthMethod::kNone);
}

TEST(Spec, DamagedTextIsCorrupt) {
  for (const char* text : {"", "{", "[]", "{}", R"({"source":1})", R"({"source":"nonsense"})",
                           R"({"source":"hf://o/m","auth":{"auth_method":"MAGIC"}})",
                           R"({"source":"hf://o/m","allow_patterns":"x"})",
                           R"({"source":"hf://o/m","allow_patterns":[1]})"}) {
    const auto read = SpecFromJson(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code(), Code::kCorrupt) << text;
  }
}

TEST(Spec, SaysWhoAskedWhereThatIsKnown) {
  const std::string json = SpecToJson(Full(), {.model = "my model", .deployment = "dep_1"});
  EXPECT_EQ(AskedByOf(json).model, "my model");
  EXPECT_EQ(AskedByOf(json).deployment, "dep_1");
  EXPECT_TRUE(SpecFromJson(json));
  EXPECT_EQ(AskedByOf(SpecToJson(Full())).deployment, "");
  EXPECT_EQ(AskedByOf("no json").model, "");
}

}  // namespace
}  // namespace bdn::mirror
