// s3:// against S3 servers of other projects. usage: s3_servers_test KIND ENDPOINT KEY SECRET
// [gtest…]; s3_servers_test.py starts the servers.
#include <algorithm>

#include "integration/s3_world.h"
#include "source/content_verifier.h"

namespace bdn::integration {
namespace {

using source::testing::PatternBytes;
using source::testing::ReadRange;

constexpr std::size_t kMiB = 1 << 20;

struct BucketFixture {
  BucketFixture() : made(bucket.MakeSource("models/w")) {}
  void Publish(const std::string& path, const std::string& content) {
    bucket.Put("models/w/" + path, content);
  }
  source::Source& source() { return *made; }
  const Context& context() { return bucket.context(); }

  S3Bucket bucket;
  std::unique_ptr<source::Source> made;
};

}  // namespace
}  // namespace bdn::integration

namespace bdn::source::testing {
using bdn::integration::BucketFixture;
INSTANTIATE_TYPED_TEST_SUITE_P(RealS3, SourceConformance, BucketFixture);
}  // namespace bdn::source::testing

namespace bdn::integration {
namespace {

class S3ServerTest : public ::testing::Test {
 protected:
  Result<std::vector<source::RemoteFile>> Look(source::Source& source) {
    BDN_ASSIGN(pin_, source.Resolve(ctx_));
    BDN_ASSIGN(files_, source.List(ctx_, pin_));
    return files_;
  }
  // The paths, or the error.
  std::string Names(source::Source& source) {
    const auto files = Look(source);
    if (!files) return files.error().message();
    std::string names;
    for (const auto& file : *files) names += file.path + "|";
    return names;
  }
  // What looking at models/w with this secret fails with.
  Error LookError(const std::string& secret) {
    const auto source = bucket_.MakeSource("models/w", secret);
    const auto files = Look(*source);
    EXPECT_FALSE(files);
    return files ? Error(Code::kInternal, "it worked") : files.error();
  }
  void CheckWhole(source::Source& source,
                  const source::RemoteFile& file,
                  const std::string& content) {
    const auto bytes = ReadRange(ctx_, source, pin_, file, {0, file.size});
    ASSERT_TRUE(bytes) << file.path << ": " << bytes.error().message();
    EXPECT_TRUE(*bytes == content) << file.path;
  }

  S3Bucket bucket_;
  const Context& ctx_ = bucket_.context();
  source::Pin pin_;
  std::vector<source::RemoteFile> files_;
};

TEST_F(S3ServerTest, EveryPageIsRead) {
  constexpr int kCount = 230;  // the servers give 100 a page
  for (int i = 0; i < kCount; ++i) bucket_.Put(fmt::format("w/part-{}/f{:03}", i % 3, i), "x");
  const auto source = bucket_.MakeSource("w");
  const int before = bucket_.transport().calls();
  const auto files = Look(*source);
  ASSERT_TRUE(files) << files.error().message();
  EXPECT_EQ(files->size(), static_cast<std::size_t>(kCount));
  EXPECT_EQ(bucket_.transport().calls(), before + 3) << "one request a page";
  EXPECT_TRUE(std::is_sorted(files->begin(), files->end(),
                             [](const auto& a, const auto& b) { return a.path < b.path; }));
}

TEST_F(S3ServerTest, OddKeysAreReadByteForByte) {
  const std::vector<std::string> keys = {
      "a b",    "a+b", "a%2Bb",          "a%20b",      "\xc3\xa9", "e\xcc\x81",
      "q#?&=;", "~",   "end ",           " begin",     "(1)'!*",   "back\\slash",
      "@:$,[]", "..x", "sub/..x/deep",   "\"quoted\"", "<&amp;>",  "\xe6\xa8\xa1\xe5\x9e\x8b",
      "%",      "%zz", "x-amz-meta|^`{}"};
  for (const auto& key : keys) bucket_.Put("models/w/" + key, "of " + key);
  const auto source = bucket_.MakeSource("models/w");
  const auto files = Look(*source);
  ASSERT_TRUE(files) << files.error().message();
  EXPECT_EQ(files->size(), keys.size());
  for (const auto& file : *files) {
    EXPECT_NE(std::find(keys.begin(), keys.end(), file.path), keys.end()) << file.path;
    CheckWhole(*source, file, "of " + file.path);
  }
}

TEST_F(S3ServerTest, KeysThatAreNoPathsAreNamedTogether) {
  for (const auto* key : {"w/a//b", "w/x/../y", "w//lead", "w/n\nl", "w/d", "w/d/e", "w/good"}) {
    bucket_.Put(key, "x");
  }
  const auto source = bucket_.MakeSource("w");
  const std::string text = Names(*source);
  for (const auto* part : {"'a//b'", "'x/../y'", "'/lead'", "'n.l'", "'d'"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  }
  EXPECT_EQ(text.find("'good'"), std::string::npos);
}

TEST_F(S3ServerTest, OnlyWhatLiesBelowThePathIsListed) {
  for (const auto* key : {"models/w", "models/w/a.bin", "models/w/sub/b.bin", "models/w-v2/c.bin",
                          "models/wide", "other"}) {
    bucket_.Put(key, key);
  }
  bucket_.Put("models/w/", "");
  bucket_.Put("models/w/sub/", "");
  EXPECT_EQ(Names(*bucket_.MakeSource("models/w")), "a.bin|sub/b.bin|");
  EXPECT_EQ(Names(*bucket_.MakeSource("other")), "other|");
  EXPECT_EQ(pin_.fingerprint_type, "etag");
  EXPECT_NE(Names(*bucket_.MakeSource("mod")).find("nothing lies below 'mod/'"), std::string::npos);
  EXPECT_NE(Names(*bucket_.MakeSource("")).find("'models/w'"), std::string::npos)
      << "is a file and a folder";
}

TEST_F(S3ServerTest, OneObjectIsASource) {
  const std::string content = PatternBytes(300'000, 9);
  bucket_.Put("models/one.bin", content);
  const auto source = bucket_.MakeSource("models/one.bin");
  ASSERT_EQ(Names(*source), "one.bin|");
  CheckWhole(*source, files_[0], content);
}

TEST_F(S3ServerTest, EmptyObjectsAreFiles) {
  bucket_.Put("w/empty", "");
  bucket_.Put("w/full", "x");
  const auto source = bucket_.MakeSource("w");
  ASSERT_EQ(Names(*source), "empty|full|");
  EXPECT_EQ(files_[0].size, 0u);
  const int before = bucket_.transport().calls();
  CheckWhole(*source, files_[0], "");
  EXPECT_EQ(bucket_.transport().calls(), before);
}

TEST_F(S3ServerTest, AnObjectThatIsOverwrittenMeanwhileIsAChangedSource) {
  for (const std::string& later :
       {PatternBytes(2 * kMiB, 2), PatternBytes(kMiB, 2), std::string("x")}) {
    bucket_.Put("w/m", PatternBytes(2 * kMiB, 1));
    const auto source = bucket_.MakeSource("w");
    ASSERT_EQ(Names(*source), "m|");
    ASSERT_TRUE(ReadRange(ctx_, *source, pin_, files_[0], {0, kMiB}));
    bucket_.Put("w/m", later);
    std::string got;
    const auto rest = ReadRange(ctx_, *source, pin_, files_[0], {kMiB, 2 * kMiB}, &got);
    ASSERT_FALSE(rest) << later.size();
    EXPECT_EQ(rest.error().code(), Code::kFailedPrecondition);
    EXPECT_TRUE(rest.error().message().starts_with("source changed")) << rest.error().message();
    EXPECT_EQ(got, "");
    const auto described = source->Describe(ctx_, pin_, files_[0]);
    ASSERT_FALSE(described);
    EXPECT_EQ(described.error().code(), Code::kFailedPrecondition);
  }
}

TEST_F(S3ServerTest, AnObjectThatIsDeletedMeanwhileIsAChangedSource) {
  bucket_.Put("w/m", "content");
  const auto source = bucket_.MakeSource("w");
  ASSERT_EQ(Names(*source), "m|");
  bucket_.Delete("w/m");
  const auto bytes = ReadRange(ctx_, *source, pin_, files_[0], {0, 7});
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code(), Code::kFailedPrecondition) << bytes.error().message();
}

TEST_F(S3ServerTest, ObjectsInPartsAreReadAcrossTheirParts) {
  const std::string first = PatternBytes(5 * kMiB, 1);
  const std::string second = PatternBytes(kMiB + 17, 2);
  bucket_.PutParts("w/big", {first, second});
  const auto source = bucket_.MakeSource("w");
  ASSERT_EQ(Names(*source), "big|");
  EXPECT_EQ(files_[0].size, first.size() + second.size());
  EXPECT_TRUE(files_[0].etag.ends_with("-2")) << files_[0].etag;
  const auto across = ReadRange(ctx_, *source, pin_, files_[0], {5 * kMiB - 3, 5 * kMiB + 3});
  ASSERT_TRUE(across) << across.error().message();
  EXPECT_EQ(*across, first.substr(5 * kMiB - 3) + second.substr(0, 3));
  CheckWhole(*source, files_[0], first + second);
}

TEST_F(S3ServerTest, LargeRangesArriveWhole) {
  const std::string content = PatternBytes(48 * kMiB + 1, 3);
  bucket_.Put("w/m", content);
  const auto source = bucket_.MakeSource("w");
  ASSERT_EQ(Names(*source), "m|");
  CheckWhole(*source, files_[0], content);
  for (std::uint64_t at = 0; at < content.size(); at += 16 * kMiB) {
    const auto end = std::min<std::uint64_t>(content.size(), at + 16 * kMiB);
    const auto part = ReadRange(ctx_, *source, pin_, files_[0], {at, end});
    ASSERT_TRUE(part) << part.error().message();
    EXPECT_TRUE(*part == content.substr(at, end - at)) << at;
  }
}

TEST_F(S3ServerTest, ServersWithoutChecksumsAreNoError) {
  bucket_.Put("w/m", "content");
  const auto source = bucket_.MakeSource("w");
  ASSERT_EQ(Names(*source), "m|");
  const auto described = source->Describe(ctx_, pin_, files_[0]);
  ASSERT_TRUE(described) << described.error().message();
  EXPECT_EQ(described->etag, files_[0].etag);
}

// ---- credentials --------------------------------------------------------------------------------

TEST_F(S3ServerTest, AWrongSecretIsSaid) {
  auto keys = TheServer().keys;
  keys.secret_access_key += "x";
  const Error error = LookError(S3Bucket::SecretOf(keys));
  EXPECT_EQ(error.code(), Code::kUnauthenticated) << error.message();
  EXPECT_NE(error.hint().find("aws_secret_access_key"), std::string::npos) << error.hint();
  EXPECT_NE(error.message().find(bucket_.name()), std::string::npos) << error.message();
  EXPECT_EQ(error.message().find(keys.secret_access_key), std::string::npos);
}

TEST_F(S3ServerTest, AnUnknownKeyIsSaid) {
  const Error error = LookError(S3Bucket::SecretOf({"AKIANOBODY", "secret"}));
  EXPECT_EQ(error.code(), Code::kUnauthenticated) << error.message();
  EXPECT_NE(error.hint().find("aws_"), std::string::npos) << error.hint();
  EXPECT_NE(error.hint().find("access_key"), std::string::npos) << error.hint();
}

TEST_F(S3ServerTest, ASessionTokenOfNobodyIsRefusedOrIgnored) {
  bucket_.Put("models/w/m", "x");
  const auto source = bucket_.MakeSource(
      "models/w", S3Bucket::SecretOf(TheServer().keys, R"(, "aws_session_token": "bogus")"));
  // Neither looks at the token of keys that are not temporary, but it is signed and sent.
  EXPECT_EQ(Names(*source), "m|");
}

TEST_F(S3ServerTest, RequestsWithoutASignatureAreRefusedByTheServer) {
  bucket_.Put("w/m", "x");
  const auto answer = bucket_.Fetch(bucket_.Unsigned("w/m", ""));
  EXPECT_TRUE(answer.status == 403 || answer.status == 400) << answer.status;
}

TEST_F(S3ServerTest, ABucketThatIsNotThereIsSaid) {
  const auto uri = model::ParseSourceUri("s3://no-such-bucket-here/w");
  source::RateLimiters limiters;
  const auto source = source::MakeSource(*uri, {.secret = S3Bucket::SecretOf(TheServer().keys)},
                                         {.transport = bucket_.transport(),
                                          .limiters = limiters,
                                          .s3_endpoint = TheServer().endpoint});
  ASSERT_TRUE(source);
  const auto pin = (*source)->Resolve(ctx_);
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().code(), Code::kNotFound) << pin.error().message();
  EXPECT_NE(pin.error().message().find("no-such-bucket-here"), std::string::npos);
}

TEST_F(S3ServerTest, AWrongRegionIsCorrectedOrDoesNotMatter) {
  bucket_.Put("models/w/m", "x");
  const auto source = bucket_.MakeSource(
      "models/w", S3Bucket::SecretOf(TheServer().keys, R"(, "aws_region": "eu-west-1")"));
  const int before = bucket_.transport().calls();
  EXPECT_EQ(Names(*source), "m|");
  // Swift says which region is right; Ceph takes any.
  EXPECT_EQ(bucket_.transport().calls() - before, TheServer().is_rgw() ? 1 : 2);
  CheckWhole(*source, files_[0], "x");
  EXPECT_EQ(bucket_.transport().calls() - before, TheServer().is_rgw() ? 2 : 3) << "remembered";
}

TEST_F(S3ServerTest, AWrongClockIsPutRight) {
  bucket_.Put("models/w/m", "x");
  for (const auto minutes : {-20, 20}) {
    const SkewedClock clock{std::chrono::minutes(minutes)};
    const Context ctx(clock);
    const auto source = bucket_.MakeSource("models/w");
    const auto pin = source->Resolve(ctx);
    ASSERT_TRUE(pin) << minutes << ": " << pin.error().message();
    const auto files = source->List(ctx, *pin);
    ASSERT_TRUE(files);
    const auto bytes = ReadRange(ctx, *source, *pin, files->at(0), {0, 1});
    ASSERT_TRUE(bytes) << bytes.error().message();
  }
}

TEST_F(S3ServerTest, SignedUrlsAreGoodUntilTheyAreChanged) {
  bucket_.Put("w/odd +%.bin", "content");
  auto request = bucket_.Unsigned("w/odd +%.bin", "");
  request.url.query = auth::PresignSigV4(request, {.region = "us-east-1"}, TheServer().keys,
                                         RealClock().Now(), std::chrono::minutes(5));
  request.url.has_query = true;
  const auto answer = bucket_.Fetch(request);
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.body, "content");
  request.url.path += "x";
  EXPECT_EQ(bucket_.Fetch(request).status, 403);
}

}  // namespace
}  // namespace bdn::integration

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 5) return 2;
  bdn::integration::TheServer() = {argv[1], argv[2], {argv[3], argv[4]}};
  return RUN_ALL_TESTS();
}
