// Secrets and places of s3://, r2:// and cw://; s3_test.cc has the objects.
#include <memory>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "source/s3.h"
#include "source/source_factory.h"
#include "source/testing/memory_bucket.h"
#include "source/testing/source_conformance.h"

namespace bdn::source::testing {
namespace {

constexpr char kPlainKeys[] = R"({"aws_access_key_id": "AK", "aws_secret_access_key": "SK"})";

Result<std::unique_ptr<Source>> MakeAt(net::Transport& transport,
                                       RateLimiters& limiters,
                                       const std::string& text,
                                       std::optional<std::string> secret = kPlainKeys) {
  BDN_ASSIGN(const auto uri, model::ParseSourceUri(text));
  return MakeSource(
      uri, {.secret = std::move(secret)},
      {.transport = transport, .limiters = limiters, .s3_endpoint = "http://s3.test", .random = [] {
         return 0.0;
       }});
}

TEST(S3Source, NeedsASecretWithBothKeys) {
  MemoryBucket bucket;
  RateLimiters limiters;
  const auto none = MakeAt(bucket.transport(), limiters, "s3://bucket/w", std::nullopt);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message(), "secret_id is required");
  const auto legacy = MakeAt(bucket.transport(), limiters, "r2://acc.bucket/w",
                             R"({"access_key_id": "AK", "secret_access_key": "SK"})");
  ASSERT_FALSE(legacy);
  EXPECT_EQ(legacy.error().message(),
            "aws_access_key_id and aws_secret_access_key are required in S3 credentials");
}

TEST(S3Source, TellsWhatIsOddAboutTheSecret) {
  bdn::testing::ManualClock clock;
  MemoryBucket bucket;
  RateLimiters limiters;
  bucket.Put("w/a", "x");
  const auto source = MakeAt(
      bucket.transport(), limiters, "s3://bucket/w",
      R"({"aws_access_key_id": "ASIA1", "aws_secret_access_key": "SK", "region": "eu-west-1"})");
  ASSERT_TRUE(source);
  const auto pin = (*source)->Resolve(Context(clock));
  ASSERT_TRUE(pin);
  ASSERT_EQ(pin->warnings.size(), 2u);
  EXPECT_NE(pin->warnings[0].find("'region'"), std::string::npos);
  EXPECT_NE(pin->warnings[1].find("ASIA"), std::string::npos);
}

// R2 with the bucket in one jurisdiction and `status` and `code` from all others.
struct R2World {
  explicit R2World(std::string home, int status = 404, std::string code = "NoSuchBucket")
      : transport([=](const net::HttpRequest& request) -> Result<net::HttpResponse> {
          if (request.url.host == home) {
            return net::HttpResponse{
                200,
                {},
                "<ListBucketResult><Contents><Key>w/a</Key><ETag>e</ETag><Size>"
                "1</Size></Contents></ListBucketResult>"};
          }
          return net::HttpResponse{status, {}, "<Error><Code>" + code + "</Code></Error>"};
        }) {}
  Result<Pin> Resolve(const std::string& more = "") {
    BDN_ASSIGN(source,
               MakeAt(transport, limiters, "r2://abc123.weights/w",
                      R"({"aws_access_key_id": "A", "aws_secret_access_key": "S")" + more + "}"));
    return source->Resolve(ctx);
  }
  std::string Hosts() {
    std::string hosts;
    for (const auto& request : transport.requests()) hosts += request.url.host + " ";
    return hosts;
  }
  bdn::testing::ManualClock clock;
  Context ctx{clock};
  RateLimiters limiters;
  net::testing::MemoryTransport transport;
  std::unique_ptr<Source> source;
};

constexpr char kR2[] = "abc123.r2.cloudflarestorage.com";
constexpr char kR2Eu[] = "abc123.eu.r2.cloudflarestorage.com";
constexpr char kR2Fedramp[] = "abc123.fedramp.r2.cloudflarestorage.com";
constexpr char kR2Us[] = "abc123.us.r2.cloudflarestorage.com";

TEST(S3Source, ABucketOfR2IsLookedForInEveryJurisdictionOnce) {
  for (const auto& [status, code] :
       {std::pair<int, std::string>{404, "NoSuchBucket"}, {403, "AccessDenied"}}) {
    R2World world(kR2Fedramp, status, code);
    const auto pin = world.Resolve();
    ASSERT_TRUE(pin) << pin.error().message();
    EXPECT_EQ(world.Hosts(), fmt::format("{} {} {} ", kR2, kR2Eu, kR2Fedramp));
    const auto files = world.source->List(world.ctx, *pin);
    ASSERT_TRUE(files);
    (void)ReadRange(world.ctx, *world.source, *pin, files->at(0), {0, 1});
    EXPECT_EQ(world.transport.requests().back().url.host, kR2Fedramp);
  }
}

TEST(S3Source, ABucketOfNoJurisdictionIsSaidOnceForAll) {
  R2World world("nowhere");
  const auto pin = world.Resolve();
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().code(), Code::kNotFound);
  EXPECT_NE(pin.error().message().find(kR2), std::string::npos) << pin.error().message();
  EXPECT_NE(pin.error().hint().find("default, eu, fedramp, us"), std::string::npos);
  EXPECT_EQ(world.Hosts(), fmt::format("{} {} {} {} ", kR2, kR2Eu, kR2Fedramp, kR2Us));
}

TEST(S3Source, AJurisdictionOfTheSecretIsTheOnlyOne) {
  R2World world(kR2Us);
  EXPECT_TRUE(world.Resolve(R"(, "r2_jurisdiction": "us")"));
  EXPECT_EQ(world.Hosts(), fmt::format("{} ", kR2Us));
  R2World elsewhere(kR2Us);
  EXPECT_FALSE(elsewhere.Resolve(R"(, "r2_jurisdiction": "default")"));
  EXPECT_EQ(elsewhere.Hosts(), fmt::format("{} ", kR2));
}

TEST(S3Source, WrongKeysAreNotTriedInEveryJurisdiction) {
  R2World world(kR2Eu, 403, "SignatureDoesNotMatch");
  EXPECT_FALSE(world.Resolve());
  EXPECT_EQ(world.Hosts(), fmt::format("{} ", kR2));
}

TEST(S3Source, R2AndCoreWeaveHaveTheirOwnAddresses) {
  bdn::testing::ManualClock clock;
  const Context ctx(clock);
  RateLimiters limiters;
  net::testing::MemoryTransport transport([](const net::HttpRequest&) {
    return net::HttpResponse{200, {}, "<ListBucketResult></ListBucketResult>"};
  });
  const auto first_of = [&](const std::string& text) {
    const auto source = MakeAt(transport, limiters, text);
    const auto before = transport.calls();
    EXPECT_TRUE(source && !(*source)->Resolve(ctx));
    return transport.requests().at(before);
  };
  const auto r2 = first_of("r2://abc123.weights");
  EXPECT_EQ(r2.url.host, "abc123.r2.cloudflarestorage.com");
  EXPECT_EQ(r2.url.path, "/weights/");
  EXPECT_NE(r2.headers.Get("Authorization")->find("/auto/s3/aws4_request"), std::string::npos);
  EXPECT_EQ(first_of("cw://weights").url.host, "weights.cwobject.com");
}

TEST(S3Source, OperatorsMayReplaceTheAddressesOfR2AndCoreWeave) {
  bdn::testing::ManualClock clock;
  const Context ctx(clock);
  RateLimiters limiters;
  net::testing::MemoryTransport transport([](const net::HttpRequest&) {
    return net::HttpResponse{200, {}, "<ListBucketResult></ListBucketResult>"};
  });
  const auto url_of = [&](const std::string& text, const std::string& endpoint) {
    const auto uri = model::ParseSourceUri(text);
    const auto source = MakeSource(*uri, {.secret = kPlainKeys},
                                   {.transport = transport,
                                    .limiters = limiters,
                                    .s3_endpoint = "http://never",
                                    .r2_endpoint = endpoint,
                                    .cw_endpoint = endpoint});
    const auto before = transport.calls();
    EXPECT_TRUE(source && !(*source)->Resolve(ctx));
    const auto url = transport.requests().at(before).url;
    return url.authority() + url.path;
  };
  EXPECT_EQ(url_of("r2://abc.weights", "http://store.test:9000"), "store.test:9000/weights/");
  EXPECT_EQ(url_of("cw://weights", "http://store.test:9000"), "weights.store.test:9000/");
  EXPECT_EQ(url_of("cw://weights", "http://127.0.0.1:9000"), "127.0.0.1:9000/weights/");
}

}  // namespace
}  // namespace bdn::source::testing
