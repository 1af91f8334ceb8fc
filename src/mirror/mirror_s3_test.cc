// The mirror over the real s3:// source: what only both together show.
#include <gtest/gtest.h>

#include "mirror/testing/mirror_world.h"
#include "source/source_factory.h"
#include "source/testing/memory_bucket.h"

namespace bdn::mirror::testing {
namespace {

using Answer = std::optional<Result<net::HttpResponse>>;

class MirrorS3Test : public ::testing::Test {
 protected:
  MirrorS3Test() {
    const auto uri = model::ParseSourceUri("s3://bucket/w");
    auto made = source::MakeSource(
        *uri, {.secret = R"({"aws_access_key_id": "AK", "aws_secret_access_key": "SK"})"},
        {.transport = bucket_.transport(), .limiters = limiters_, .s3_endpoint = "http://s3.test"});
    EXPECT_TRUE(made);
    source_ = *std::move(made);
  }
  Result<MirrorResult> Mirror() {
    return world_.MirrorWith(*source_, world_.objects, *world_.metadata, world_.executor);
  }
  int Count(const std::string& method, const std::string& key) {
    int count = 0;
    for (const auto& request : bucket_.transport().requests()) {
      count += request.method == method && request.url.path == "/bucket/w/" + key ? 1 : 0;
    }
    return count;
  }

  World world_;
  source::testing::MemoryBucket bucket_;
  source::RateLimiters limiters_;
  std::unique_ptr<source::Source> source_;
};

TEST_F(MirrorS3Test, AnObjectThatIsOverwrittenMeanwhileStartsTheMirrorAgain) {
  bucket_.Put("w/a", "aaa");
  bucket_.Put("w/m", PatternBytes(3500, 1));
  int gets = 0;
  bucket_.intercept = [&](const net::HttpRequest& request) -> Answer {
    if (request.method == "GET" && request.url.path == "/bucket/w/m" && ++gets == 3) {
      bucket_.Put("w/m", PatternBytes(3500, 2));
    }
    return std::nullopt;
  };
  const auto result = Mirror();
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(
      (world_.TreeOf(result->manifest) == Tree{{"a", "aaa"}, {"m", PatternBytes(3500, 2)}}));
  EXPECT_EQ(Count("GET", "a"), 1) << "what did not change is not fetched again";
}

TEST_F(MirrorS3Test, AnObjectThatNeverRestsIsGivenUpAfterTwoRestarts) {
  bucket_.Put("w/m", "0");
  int puts = 0;
  bucket_.intercept = [&](const net::HttpRequest& request) -> Answer {
    if (request.method == "GET" && request.url.path == "/bucket/w/m") {
      bucket_.Put("w/m", std::to_string(++puts));
    }
    return std::nullopt;
  };
  const auto result = Mirror();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(result.error().message().find("kept changing while it was mirrored, 3 times"),
            std::string::npos)
      << result.error().message();
  EXPECT_EQ(puts, 3);
}

// The CRC-32C of "123456789" is e3069283.
TEST_F(MirrorS3Test, AChecksumOfTheServerIsVerifiedAndDamageIsFetchedOnceMore) {
  bucket_.Put("w/m", "123456789");
  bucket_.Tell("w/m",
               {{"x-amz-checksum-crc32c", "4waSgw=="}, {"x-amz-checksum-type", "FULL_OBJECT"}});
  int damaged = 1;
  bucket_.intercept = [&](const net::HttpRequest& request) -> Answer {
    if (request.method != "GET" || request.url.path != "/bucket/w/m" || damaged-- <= 0) return {};
    return net::HttpResponse{206, {{"Content-Range", "bytes 0-8/9"}}, "123456798"};
  };
  const auto result = Mirror();
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE((world_.TreeOf(result->manifest) == Tree{{"m", "123456789"}}));
  EXPECT_EQ(Count("GET", "m"), 2);
  EXPECT_EQ(Count("HEAD", "m"), 1);

  bucket_.Put("w/n", "123456780");
  bucket_.Tell("w/n", {{"x-amz-checksum-crc32c", "4waSgw=="}});
  const auto wrong = Mirror();
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), Code::kCorrupt);
  EXPECT_NE(wrong.error().message().find("the publisher says e3069283"), std::string::npos)
      << wrong.error().message();
}

TEST_F(MirrorS3Test, ArchivedObjectsHinderOnlyWhoSelectsThem) {
  bucket_.Put("w/model.bin", "x");
  bucket_.Put("w/old.ckpt", "x", "DEEP_ARCHIVE");
  const auto all = Mirror();
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().code(), Code::kUnsupported);
  EXPECT_NE(all.error().message().find("'old.ckpt' is archived (DEEP_ARCHIVE): restore it"),
            std::string::npos)
      << all.error().message();
  EXPECT_EQ(Count("GET", "model.bin"), 0) << "before anything is fetched";
  world_.weights.ignore_patterns = {{"*.ckpt"}};
  const auto some = Mirror();
  ASSERT_TRUE(some) << some.error().message();
  EXPECT_TRUE((world_.TreeOf(some->manifest) == Tree{{"model.bin", "x"}}));
}

TEST_F(MirrorS3Test, OddKeysKeepTheirBytes) {
  Tree tree;
  for (const char* key : {"a b", "a+b", "a%2Bb", "\xc3\xa9", "q#?&=;", "~", "end "}) {
    tree[key] = std::string("of ") + key;
    bucket_.Put(std::string("w/") + key, tree[key]);
  }
  const auto result = Mirror();
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(world_.TreeOf(result->manifest) == tree);
}

}  // namespace
}  // namespace bdn::mirror::testing
