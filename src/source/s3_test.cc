#include "source/s3.h"

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "source/source_factory.h"
#include "source/testing/memory_bucket.h"
#include "source/testing/source_conformance.h"

namespace bdn::source::testing {
namespace {

constexpr char kSecret[] = R"({"aws_access_key_id": "AK", "aws_secret_access_key": "SK"})";

Result<std::unique_ptr<Source>> Make(net::Transport& transport,
                                     RateLimiters& limiters,
                                     const std::string& text,
                                     std::optional<std::string> secret = kSecret) {
  BDN_ASSIGN(const auto uri, model::ParseSourceUri(text));
  return MakeSource(
      uri, {.secret = std::move(secret)},
      {.transport = transport, .limiters = limiters, .s3_endpoint = "http://s3.test", .random = [] {
         return 0.0;
       }});
}

struct BucketFixture {
  BucketFixture() : made(Make(bucket.transport(), limiters, "s3://bucket/models/w")) {}
  void Publish(const std::string& path, const std::string& content) {
    bucket.Put("models/w/" + path, content);
  }
  Source& source() { return **made; }
  const Context& context() { return ctx; }

  bdn::testing::ManualClock clock;
  Context ctx{clock};
  RateLimiters limiters;
  MemoryBucket bucket;
  Result<std::unique_ptr<Source>> made;
};

INSTANTIATE_TYPED_TEST_SUITE_P(S3, SourceConformance, BucketFixture);

class S3SourceTest : public ::testing::Test {
 protected:
  Result<std::vector<RemoteFile>> Look() {
    BDN_ASSIGN(pin_, f_.source().Resolve(f_.ctx));
    BDN_ASSIGN(files_, f_.source().List(f_.ctx, pin_));
    return files_;
  }
  std::string Names() {
    const auto files = Look();
    if (!files) return files.error().message();
    std::string names;
    for (const auto& file : *files) names += file.path + "|";
    return names;
  }
  Result<std::string> ReadAll() {
    return ReadRange(f_.ctx, f_.source(), pin_, files_.at(0), {0, files_.at(0).size});
  }
  std::size_t calls() { return f_.bucket.transport().calls(); }
  // Answers `times` GETs or listings with this, then lets the bucket answer.
  void Inject(int times, net::HttpResponse answer) {
    auto left = std::make_shared<int>(times);
    f_.bucket.intercept = [left, answer = std::move(answer)](
                              const net::HttpRequest&) -> std::optional<Result<net::HttpResponse>> {
      if ((*left)-- <= 0) return std::nullopt;
      return answer;
    };
  }
  BucketFixture f_;
  Pin pin_;
  std::vector<RemoteFile> files_;
};

TEST_F(S3SourceTest, OnlyWhatLiesBelowThePathIsListed) {
  f_.bucket.Put("models/w", "an object of the same name");
  f_.bucket.Put("models/w/", "");
  f_.bucket.Put("models/w/sub/", "");
  f_.bucket.Put("models/w/a.bin", "1");
  f_.bucket.Put("models/w/sub/b.bin", "2");
  f_.bucket.Put("models/w-v2/c.bin", "3");
  EXPECT_EQ(Names(), "a.bin|sub/b.bin|");
  EXPECT_EQ(pin_.fingerprint_type, "etag-set");
  EXPECT_EQ(calls(), 1u) << "the listing of Resolve is used by List";
  EXPECT_NE(f_.bucket.transport().requests()[0].url.query.find("prefix=models%2Fw%2F"),
            std::string::npos);
}

TEST_F(S3SourceTest, AnObjectOfExactlyThatNameIsASourceOfOneFile) {
  f_.bucket.Put("models/w", "content");
  EXPECT_EQ(Names(), "w|");
  EXPECT_EQ(pin_.fingerprint_type, "etag");
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, "content");
}

TEST_F(S3SourceTest, NothingThereIsSaidAlsoWhereHeadIsForbidden) {
  f_.bucket.Put("models/w-v2/c.bin", "3");
  f_.bucket.intercept =
      [](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (request.method == "HEAD") return net::HttpResponse{403, {}, ""};
    return std::nullopt;
  };
  const auto files = Look();
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code(), Code::kNotFound);
  EXPECT_NE(files.error().message().find("nothing lies below 'models/w/'"), std::string::npos);
}

TEST_F(S3SourceTest, PagesAreFollowedAndCirclesAreNot) {
  for (int i = 0; i < 7; ++i) f_.Publish("f" + std::to_string(i), "x");
  f_.bucket.page_size = 2;
  EXPECT_EQ(Names(), "f0|f1|f2|f3|f4|f5|f6|");
  const auto page = [&](const std::string& token) {
    Inject(100,
           {200,
            {},
            "<ListBucketResult><IsTruncated>true</IsTruncated>" + token + "</ListBucketResult>"});
  };
  page("");
  EXPECT_NE(Names().find("does not say how it goes on"), std::string::npos);
  page("<NextContinuationToken>t</NextContinuationToken>");
  EXPECT_NE(Names().find("leads in a circle"), std::string::npos);
}

TEST_F(S3SourceTest, AnEmptyPageMayBeFollowedByMore) {
  f_.Publish("a", "x");
  Inject(1, {200,
             {},
             "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>!"
             "</NextContinuationToken></ListBucketResult>"});
  EXPECT_EQ(Names(), "a|");
}

TEST_F(S3SourceTest, BrokenListingsAreAskedForAgain) {
  f_.Publish("a", "x");
  Inject(2, {200, {}, "<Error><Code>InternalError</Code></Error>"});
  EXPECT_EQ(Names(), "a|");
  Inject(2, {200, {}, "<ListBucketResult><Contents><Key>a</Key>"});
  EXPECT_EQ(Names(), "a|");
  Inject(100, {200, {}, "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><x>&e;</x>"});
  const auto before = calls();
  EXPECT_NE(Names().find("document type"), std::string::npos);
  EXPECT_EQ(calls(), before + 1);
}

TEST_F(S3SourceTest, OddKeysAreReadByteForByteInBothEncodings) {
  for (const bool plus : {false, true}) {
    BucketFixture f;
    f.bucket.plus_style = plus;
    const std::vector<std::string> keys = {"a b",    "a+b", "a%2Bb", "\xc3\xa9",
                                           "q#?&=;", "~",   "end "};
    for (const auto& key : keys) f.Publish(key, "of " + key);
    const auto pin = f.source().Resolve(f.ctx);
    ASSERT_TRUE(pin) << pin.error().message();
    const auto files = f.source().List(f.ctx, *pin);
    ASSERT_TRUE(files);
    ASSERT_EQ(files->size(), keys.size());
    for (const auto& file : *files) {
      const auto bytes = ReadRange(f.ctx, f.source(), *pin, file, {0, file.size});
      ASSERT_TRUE(bytes) << file.path << bytes.error().message();
      EXPECT_EQ(*bytes, "of " + file.path);
    }
  }
}

TEST_F(S3SourceTest, KeysThatAreNoPathsAreNamedTogether) {
  for (const auto& key : {"a//b", "../x", "/lead", "n\nl", "d", "d/e", "good"})
    f_.Publish(key, "x");
  const auto files = Look();
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code(), Code::kInvalidArgument);
  for (const auto* part : {"'a//b'", "'../x'", "'/lead'", "'n.l'", "'d'"}) {
    EXPECT_NE(files.error().message().find(part), std::string::npos) << part;
  }
  EXPECT_EQ(files.error().message().find("'good'"), std::string::npos);
}

TEST_F(S3SourceTest, ArchivedObjectsAreListedWithTheirProblem) {
  f_.Publish("a", "x");
  f_.bucket.Put("models/w/cold", "x", "GLACIER");
  f_.bucket.Put("models/w/colder", "x", "DEEP_ARCHIVE");
  f_.bucket.Put("models/w/readable", "x", "GLACIER_IR");
  f_.bucket.Put("models/w/restored", "x", "GLACIER");
  f_.bucket.Tell("models/w/restored", {},
                 "<RestoreStatus><RestoreExpiryDate>2030</RestoreExpiryDate></RestoreStatus>");
  const auto files = Look();
  ASSERT_TRUE(files) << files.error().message();
  std::string text;
  for (const auto& file : *files) text += file.path + ": " + file.problem + "|";
  const std::string fix = "): restore it, or copy it to another storage class|";
  EXPECT_EQ(text, "a: |cold: is archived (GLACIER" + fix + "colder: is archived (DEEP_ARCHIVE" +
                      fix + "readable: |restored: |");
}

TEST_F(S3SourceTest, ATierOfTheArchiveThatOnlyHeadTellsFailsBeforeReading) {
  f_.Publish("m", "content");
  f_.bucket.Tell("models/w/m", {{"x-amz-archive-status", "ARCHIVE_ACCESS"}});
  ASSERT_TRUE(Look());
  const auto described = f_.source().Describe(f_.ctx, pin_, files_[0]);
  ASSERT_FALSE(described);
  EXPECT_EQ(described.error().code(), Code::kUnsupported);
  EXPECT_EQ(
      described.error().message(),
      "the object models/w/m of the bucket bucket is archived (ARCHIVE_ACCESS): restore it, or "
      "copy it to another storage class");
}

struct ChecksumCase {
  net::Headers headers;
  ContentHash kind;
  std::string hash;
};

// Values of "123456789".
TEST_F(S3SourceTest, TheStrongestChecksumOfTheWholeObjectIsTaken) {
  const ChecksumCase cases[] = {
      {{{"x-amz-checksum-crc64nvme", "rosUhgp5mIg="}, {"x-amz-checksum-type", "FULL_OBJECT"}},
       ContentHash::kCrc64Nvme,
       "ae8b14860a799888"},
      {{{"x-amz-checksum-crc32c", "4waSgw=="}}, ContentHash::kCrc32c, "e3069283"},
      {{{"x-amz-checksum-crc32", "y/Q5Jg=="}}, ContentHash::kCrc32, "cbf43926"},
      {{{"x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="}},
       ContentHash::kSha1,
       "f7c3bc1d808e04732adf679965ccc34ca7ae3441"},
      {{{"x-amz-checksum-crc32", "y/Q5Jg=="},
        {"x-amz-checksum-sha256", "FeKw09l91uNmEMf36c8HHssiKfJuSotY+a/I70oIZiU="}},
       ContentHash::kSha256,
       "15e2b0d3d97dd6e36610c7f7e9cf071ecb2229f26e4a8b58f9afc8ef4a086625"},
      {{{"x-amz-checksum-crc32", "y/Q5Jg=="}, {"x-amz-checksum-type", "COMPOSITE"}},
       ContentHash::kNone,
       ""},
      {{{"x-amz-checksum-crc32", "y/Q5Jg==-2"}}, ContentHash::kNone, ""},
      {{{"x-amz-checksum-crc32", "y/Q5"}}, ContentHash::kNone, ""},
      {{}, ContentHash::kNone, ""},
  };
  for (const auto& c : cases) {
    BucketFixture f;
    f.Publish("m", "123456789");
    f.bucket.Tell("models/w/m", c.headers);
    const auto pin = f.source().Resolve(f.ctx);
    ASSERT_TRUE(pin);
    const auto files = f.source().List(f.ctx, *pin);
    ASSERT_TRUE(files);
    EXPECT_EQ(files->at(0).hash_kind, ContentHash::kNone) << "the listing does not tell";
    const auto described = f.source().Describe(f.ctx, *pin, files->at(0));
    ASSERT_TRUE(described) << described.error().message();
    EXPECT_EQ(described->hash_kind, c.kind) << c.hash;
    EXPECT_EQ(described->hash, c.hash);
  }
}

TEST_F(S3SourceTest, ListingsThatTellOfChecksumsSaveTheQuestion) {
  const std::string full =
      "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT"
      "</ChecksumType>";
  const std::string parts =
      "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>COMPOSITE"
      "</ChecksumType>";
  f_.Publish("a", "1");
  f_.Publish("b", "1");
  f_.Publish("c", "1");
  f_.bucket.Tell("models/w/a", {{"x-amz-checksum-crc32", "y/Q5Jg=="}}, full);
  f_.bucket.Tell("models/w/b", {}, parts);
  ASSERT_TRUE(Look());
  const auto before = calls();
  for (const auto& file : files_) ASSERT_TRUE(f_.source().Describe(f_.ctx, pin_, file));
  EXPECT_EQ(calls(), before + 1) << "only of a";
}

TEST_F(S3SourceTest, AServerWithoutChecksumsIsAskedOfThreeFilesOnly) {
  for (int i = 0; i < 9; ++i) f_.Publish("f" + std::to_string(i), "x");
  ASSERT_TRUE(Look());
  auto before = calls();
  for (const auto& file : files_) ASSERT_TRUE(f_.source().Describe(f_.ctx, pin_, file));
  EXPECT_EQ(calls(), before + 3);
  for (const auto& file : files_) {
    f_.bucket.Tell("models/w/" + file.path, {{"x-amz-checksum-crc32", "y/Q5Jg=="}});
  }
  ASSERT_TRUE(Look());
  before = calls();
  for (const auto& file : files_) ASSERT_TRUE(f_.source().Describe(f_.ctx, pin_, file));
  EXPECT_EQ(calls(), before + 9);
}

TEST_F(S3SourceTest, TheChecksumOfAnotherVersionIsAChangedSource) {
  f_.Publish("m", "1");
  ASSERT_TRUE(Look());
  f_.Publish("m", "2");
  const auto described = f_.source().Describe(f_.ctx, pin_, files_[0]);
  ASSERT_FALSE(described);
  EXPECT_EQ(described.error().code(), Code::kFailedPrecondition);
}

TEST_F(S3SourceTest, WhoMayNotLookHasNoChecksum) {
  f_.Publish("m", "1");
  ASSERT_TRUE(Look());
  Inject(1, {403, {}, ""});
  const auto described = f_.source().Describe(f_.ctx, pin_, files_[0]);
  ASSERT_TRUE(described);
  EXPECT_EQ(described->hash_kind, ContentHash::kNone);
}

TEST_F(S3SourceTest, AnOverwrittenObjectIsAChangedSource) {
  for (const int kind : {0, 1, 2, 3}) {
    BucketFixture f;
    f.Publish("m", PatternBytes(1000, 1));
    const auto pin = f.source().Resolve(f.ctx);
    ASSERT_TRUE(pin);
    const auto files = f.source().List(f.ctx, *pin);
    ASSERT_TRUE(files);
    if (kind == 0) f.Publish("m", PatternBytes(1000, 2));  // 412
    if (kind == 1) f.bucket.ignore_if_match = true, f.Publish("m", PatternBytes(1000, 2));
    if (kind == 2) f.bucket.ignore_if_match = true, f.Publish("m", "x");  // 416
    if (kind == 3) {
      f.bucket.intercept = [](const net::HttpRequest&) -> std::optional<Result<net::HttpResponse>> {
        return net::HttpResponse{404, {}, "<Error><Code>NoSuchKey</Code></Error>"};
      };
    }
    std::string got;
    const auto bytes = ReadRange(f.ctx, f.source(), *pin, files->at(0), {500, 1000}, &got);
    ASSERT_FALSE(bytes) << kind;
    EXPECT_EQ(bytes.error().code(), Code::kFailedPrecondition) << kind;
    EXPECT_TRUE(bytes.error().message().starts_with("source changed")) << bytes.error().message();
    EXPECT_EQ(got, "") << kind;
  }
}

TEST_F(S3SourceTest, ABodyThatBreaksIsResumedWithAFreshSignature) {
  const std::string content = PatternBytes(100'000, 3);
  f_.Publish("m", content);
  ASSERT_TRUE(Look());
  int broken = 0;
  f_.bucket.intercept =
      [&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    f_.clock.Advance(std::chrono::seconds(1));
    if (broken++ >= 3) return std::nullopt;
    const std::string range(*request.headers.Get("Range"));
    const std::size_t begin = std::stoul(range.substr(6));
    return net::HttpResponse{
        206,
        {{"Content-Length", std::to_string(content.size() - begin)},
         {"Content-Range", "bytes " + std::to_string(begin) + "-99999/100000"}},
        content.substr(begin, 20'000)};
  };
  const auto before = calls();
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, content);
  const auto requests = f_.bucket.transport().requests();
  ASSERT_EQ(requests.size(), before + 4);
  EXPECT_EQ(requests.back().headers.Get("Range"), "bytes=60000-99999");
  EXPECT_EQ(requests.back().headers.Get("If-Match"), "\"etag-1\"");
  EXPECT_NE(requests.back().headers.Get("X-Amz-Date"), requests[before].headers.Get("X-Amz-Date"));
}

TEST_F(S3SourceTest, SlowDownIsWaitedForAndLowersTheNumberInFlight) {
  f_.Publish("m", "content");
  ASSERT_TRUE(Look());
  Inject(5, {503, {}, "<Error><Code>SlowDown</Code></Error>"});
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, "content");
  EXPECT_LT(f_.limiters.For("s3.test", "AK")->concurrency(), RateLimiterOptions{}.concurrency_max);
}

TEST_F(S3SourceTest, ExpiredKeysFailAtOnce) {
  f_.Publish("m", "content");
  ASSERT_TRUE(Look());
  Inject(100, {400, {}, "<Error><Code>ExpiredToken</Code></Error>"});
  const auto before = calls();
  const auto bytes = ReadAll();
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code(), Code::kUnauthenticated);
  EXPECT_EQ(calls(), before + 1);
}

TEST_F(S3SourceTest, AnAnswerThatIsNotTheRangeIsNeverTaken) {
  const std::string content = PatternBytes(1000, 4);
  f_.Publish("m", content);
  ASSERT_TRUE(Look());
  const net::HttpResponse answers[] = {
      {200, {}, content},
      {206, {{"Content-Range", "bytes 0-499/1000"}}, content.substr(0, 500)},
      {206, {}, content.substr(500)},
      {204, {}, ""},
  };
  for (const auto& answer : answers) {
    Inject(1, answer);
    const auto bytes = ReadRange(f_.ctx, f_.source(), pin_, files_[0], {500, 1000});
    ASSERT_TRUE(bytes) << answer.status << bytes.error().message();
    EXPECT_EQ(*bytes, content.substr(500));
  }
}

TEST_F(S3SourceTest, APinOfAnotherTimeIsCompared) {
  f_.Publish("m", "1");
  ASSERT_TRUE(Look());
  const auto later = Make(f_.bucket.transport(), f_.limiters, "s3://bucket/models/w");
  ASSERT_TRUE(later);
  EXPECT_TRUE((*later)->List(f_.ctx, pin_));
  f_.Publish("m", "2");
  const auto changed = (*later)->List(f_.ctx, pin_);
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace bdn::source::testing
