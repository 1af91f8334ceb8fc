#include "model/source_uri.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bdn::model {
namespace {

using ::testing::HasSubstr;

constexpr const char* kList = "azure://, bt://, cw://, gs://, hf://, https://, r2://, s3://";

std::string UriErrorOf(std::string_view text) {
  const auto uri = ParseSourceUri(text);
  return uri ? "accepted" : uri.error().message();
}

TEST(SourceUri, SaysTheDocumentedSentences) {
  const std::string list = kList;
  const std::vector<std::pair<std::string, std::string>> table = {
      {"owner/repo", "Source 'owner/repo' is missing a URI scheme. Supported schemes: " + list},
      {"bdn:ns/vol", "Source 'bdn:ns/vol' is missing a URI scheme. Supported schemes: " + list},
      {"", "Source '' is missing a URI scheme. Supported schemes: " + list},
      {"HF://a/b", "Unsupported source scheme 'HF://'. Supported schemes: " + list},
      {" hf://a/b", "Unsupported source scheme ' hf://'. Supported schemes: " + list},
      {"http://h/x", "Unsupported source scheme 'http://'. Supported schemes: " + list},
      {"bdn://ns/vol", "Unsupported source scheme 'bdn://'. Supported schemes: " + list},
      {"gcs://b/p", "Unsupported source scheme 'gcs://'. Supported schemes: " + list},
      {"s3://", "Invalid S3 URI format: 's3://'. Expected format: s3://bucket/path"},
      {"s3:///k", "Invalid S3 URI format: 's3:///k'. Expected format: s3://bucket/path"},
      {"gs://", "Invalid GS URI format: 'gs://'. Expected format: gs://bucket/path"},
      {"azure:///a",
       "Invalid AZURE URI format: 'azure:///a'. Expected format: azure://bucket/path"},
      {"r2://", "Invalid R2 URI format: 'r2://'. Expected format: r2://bucket/path"},
      {"cw://", "Invalid CW URI format: 'cw://'. Expected format: cw://bucket/path"},
      {"https://", "Invalid HTTPS URL format: 'https://'. Expected format: https://hostname/path"},
      {"https:///x",
       "Invalid HTTPS URL format: 'https:///x'. Expected format: https://hostname/path"},
      {"hf://", "Invalid HuggingFace URI format: 'hf://'. Expected format: hf://owner/repo"},
      {"hf:///a/b",
       "Invalid HuggingFace URI format: 'hf:///a/b'. Expected format: hf://owner/repo"},
      {"s3://b/k@v1",
       "The @ revision syntax is only valid for HuggingFace sources (hf://). Source 's3://b/k@v1' "
       "uses S3 which does not support revisions."},
      {"gs://b@x/k",
       "The @ revision syntax is only valid for HuggingFace sources (hf://). Source 'gs://b@x/k' "
       "uses GS which does not support revisions."},
  };
  for (const auto& [text, message] : table) EXPECT_EQ(UriErrorOf(text), message);
}

TEST(SourceUri, ReadsHuggingFace) {
  const auto plain = ParseSourceUri("hf://meta-llama/Llama-3.1-8B");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->scheme, Scheme::kHf);
  EXPECT_EQ(plain->repo_kind, "models");
  EXPECT_EQ(plain->repo_id(), "meta-llama/Llama-3.1-8B");
  EXPECT_EQ(plain->revision, "");
  EXPECT_EQ(plain->Canonical(), "hf://models/meta-llama/Llama-3.1-8B@main");
  EXPECT_EQ(ParseSourceUri("hf://a/b@")->Canonical(), "hf://models/a/b@main");
  EXPECT_EQ(ParseSourceUri("hf://models/a/b@main")->Canonical(), "hf://models/a/b@main");
  EXPECT_EQ(ParseSourceUri("hf://datasets/a/b@v1")->Canonical(), "hf://datasets/a/b@v1");
  EXPECT_EQ(ParseSourceUri("hf://spaces/a/b")->repo_kind, "spaces");
  EXPECT_EQ(ParseSourceUri("hf://a/b@refs/pr/7")->revision, "refs/pr/7");
  EXPECT_EQ(ParseSourceUri("hf://a/b@feature%2fx%41")->revision, "feature/x%41");
  EXPECT_EQ(ParseSourceUri("hf://a/b@x@y")->revision, "x@y");
  EXPECT_EQ(ParseSourceUri("hf://a/b/")->repo, "b");
}

TEST(SourceUri, RefusesHuggingFaceIdsThatNoHubHas) {
  for (const char* text :
       {"hf://gpt2", "hf://@main", "hf://a/@main", "hf://a/b/c", "hf://a/b/c@v1", "hf://a/b ",
        "hf://a/../b", "hf://a/b--c", "hf://a/b.git", "hf://-a/b", "hf://a/.b", "hf://datasets/a",
        "hf://datasets/a/b/c", "hf://a/b@x y", "hf://a/b@../x", "hf://a/b\n", "hf://a//b"}) {
    EXPECT_THAT(UriErrorOf(text), HasSubstr("Expected format: hf://owner/repo (")) << text;
  }
  EXPECT_FALSE(ParseSourceUri("hf://a/" + std::string(95, 'b')));
  EXPECT_TRUE(ParseSourceUri("hf://a/" + std::string(94, 'b')));
}

TEST(SourceUri, ReadsBuckets) {
  const auto s3 = ParseSourceUri("s3://my-bucket/models//w/");
  ASSERT_TRUE(s3);
  EXPECT_EQ(s3->bucket, "my-bucket");
  EXPECT_EQ(s3->path, "models//w");
  EXPECT_EQ(s3->Canonical(), "s3://my-bucket/models//w");
  EXPECT_EQ(ParseSourceUri("s3://b")->path, "");
  EXPECT_EQ(ParseSourceUri("s3://b/")->Canonical(), "s3://b");
  EXPECT_EQ(ParseSourceUri("s3://b/a://c")->path, "a://c");
  EXPECT_EQ(ParseSourceUri("gs://b_1.x/k")->bucket, "b_1.x");
  EXPECT_EQ(ParseSourceUri("cw://b/k")->scheme, Scheme::kCw);
  const auto r2 = ParseSourceUri("r2://abc123def.my-bucket/m/x");
  ASSERT_TRUE(r2);
  EXPECT_EQ(r2->account, "abc123def");
  EXPECT_EQ(r2->bucket, "my-bucket");
  EXPECT_EQ(r2->path, "m/x");
  EXPECT_EQ(r2->Canonical(), "r2://abc123def.my-bucket/m/x");
  const auto azure = ParseSourceUri("azure://acct/cont/p/q");
  ASSERT_TRUE(azure);
  EXPECT_EQ(azure->account, "acct");
  EXPECT_EQ(azure->bucket, "cont");
  EXPECT_EQ(azure->path, "p/q");
  EXPECT_EQ(azure->Canonical(), "azure://acct/cont/p/q");
  EXPECT_EQ(ParseSourceUri("azure://acct/$web/x")->bucket, "$web");
}

TEST(SourceUri, RefusesBucketsThatAreNotNames) {
  for (const char* text :
       {"s3://arn:aws:s3:us-east-1:1:accesspoint/x", "s3://b?x/k", "s3://b#/k", "s3://../k",
        "s3://b c/k", "r2://bucket/path", "r2://.b/p", "r2://a./p", "r2://a-b.c/p", "azure://acct",
        "azure://acct/", "azure://a.b/c", "gs://b\\c/k", "s3://b/k\n"}) {
    EXPECT_THAT(UriErrorOf(text), HasSubstr("Expected format: ")) << text;
  }
}

TEST(SourceUri, ReadsHttps) {
  const auto uri = ParseSourceUri("https://Example.COM:8443/dir/model.bin?x=1#frag");
  ASSERT_TRUE(uri);
  EXPECT_EQ(uri->path, "model.bin");
  EXPECT_EQ(uri->Canonical(), "https://example.com:8443/dir/model.bin?x=1");
  for (const char* text : {"https://h", "https://h/", "https://h/dir/", "https://user:pw@h/x",
                           "https://h\\@evil/x", "https://h/..", "https://:80/x", "https://h?x"}) {
    EXPECT_THAT(UriErrorOf(text), HasSubstr("Expected format: https://hostname/path (")) << text;
  }
}

TEST(SourceUri, ReadsTrainingStores) {
  const auto latest = ParseSourceUri("bt://my-project");
  ASSERT_TRUE(latest);
  EXPECT_EQ(latest->bucket, "my-project");
  EXPECT_EQ(latest->revision, "latest");
  EXPECT_EQ(latest->path, "");
  EXPECT_EQ(latest->Canonical(), "bt://my-project@latest");
  const auto job = ParseSourceUri("bt://p@job1/checkpoint-100");
  ASSERT_TRUE(job);
  EXPECT_EQ(job->revision, "job1");
  EXPECT_EQ(job->path, "checkpoint-100");
  EXPECT_EQ(job->Canonical(), "bt://p@job1/checkpoint-100");
  const auto loops = ParseSourceUri("bt://loops:k4q95w5/sampler_weights/step-100");
  ASSERT_TRUE(loops);
  EXPECT_TRUE(loops->loops);
  EXPECT_EQ(loops->bucket, "k4q95w5");
  EXPECT_EQ(loops->path, "sampler_weights/step-100");
  EXPECT_EQ(loops->Canonical(), "bt://loops:k4q95w5/sampler_weights/step-100");
  for (const char* text : {"bt://", "bt:///x", "bt://p@", "bt://@j", "bt://p/../x",
                           "bt://loops:", "bt://loops:r/other/x", "bt://loops:r/weights",
                           "bt://loops:r/weights/", "bt://loops:r/weights/a/b", "bt://p:1/x"}) {
    EXPECT_THAT(UriErrorOf(text), HasSubstr("Invalid BT URI format: ")) << text;
  }
}

TEST(SourceUri, HasALengthLimit) {
  EXPECT_THAT(UriErrorOf("s3://b/" + std::string(5000, 'k')), HasSubstr("longer than 4096 bytes"));
}

}  // namespace
}  // namespace bdn::model
