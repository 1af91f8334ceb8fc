#include "source/azure.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "source/source_factory.h"
#include "source/testing/memory_container.h"
#include "source/testing/source_conformance.h"

namespace bdn::source::testing {
namespace {

constexpr char kKey[] = R"({"azure_account_key": "MDEyMzQ1Njc4OWFiY2RlZg=="})";

Result<std::unique_ptr<Source>> MakeAzure(net::Transport& transport,
                                          RateLimiters& limiters,
                                          const std::string& text,
                                          std::optional<std::string> secret = kKey) {
  BDN_ASSIGN(const auto uri, model::ParseSourceUri(text));
  return MakeSource(uri, {.secret = std::move(secret)},
                    {.transport = transport,
                     .limiters = limiters,
                     .azure_endpoint = "http://azure.test",
                     .random = [] { return 0.0; }});
}

struct ContainerFixture {
  ContainerFixture()
      : made(MakeAzure(container.transport(), limiters, "azure://account/models/w/v1")) {}
  void Publish(const std::string& path, const std::string& content) {
    container.Put("w/v1/" + path, content);
  }
  Source& source() { return **made; }
  const Context& context() { return ctx; }

  bdn::testing::ManualClock clock;
  Context ctx{clock};
  RateLimiters limiters;
  MemoryContainer container;
  Result<std::unique_ptr<Source>> made;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Azure, SourceConformance, ContainerFixture);

class AzureSourceTest : public ::testing::Test {
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
  std::size_t calls() { return f_.container.transport().calls(); }
  void Inject(int times, net::HttpResponse answer) {
    auto left = std::make_shared<int>(times);
    f_.container.intercept =
        [left, answer = std::move(answer)](
            const net::HttpRequest&) -> std::optional<Result<net::HttpResponse>> {
      if ((*left)-- <= 0) return std::nullopt;
      return answer;
    };
  }
  ContainerFixture f_;
  Pin pin_;
  std::vector<RemoteFile> files_;
};

TEST_F(AzureSourceTest, OnlyWhatLiesBelowThePathIsListed) {
  f_.container.Put("w/v1", "a blob of the same name");
  f_.container.Put("w/v1/", "");
  f_.container.Put("w/v1/sub", "", {.metadata = "<hdi_isfolder>true</hdi_isfolder>"});
  f_.container.Put("w/v1/dir", "", {.properties = "<ResourceType>directory</ResourceType>"});
  f_.container.Put("w/v1/a.bin", "1");
  f_.container.Put("w/v1/sub/b.bin", "2");
  f_.container.Put("w/v12/c.bin", "3");
  EXPECT_EQ(Names(), "a.bin|sub/b.bin|");
  EXPECT_EQ(pin_.fingerprint_type, "etag-set");
  EXPECT_EQ(calls(), 1u) << "the listing of Resolve is used by List";
  EXPECT_NE(f_.container.transport().requests()[0].url.query.find("prefix=w%2Fv1%2F"),
            std::string::npos);
}

TEST_F(AzureSourceTest, ABlobOfExactlyThatNameIsASourceOfOneFile) {
  f_.container.Put("w/v1", "content");
  EXPECT_EQ(Names(), "v1|");
  EXPECT_EQ(pin_.fingerprint_type, "etag");
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, "content");
}

TEST_F(AzureSourceTest, NothingThereIsSaidAlsoWhereReadingIsForbidden) {
  f_.container.intercept =
      [](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (request.method == "HEAD") {
      return net::HttpResponse{403, {{"x-ms-error-code", "AuthorizationPermissionMismatch"}}, ""};
    }
    return std::nullopt;
  };
  const auto files = Look();
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code(), Code::kNotFound);
  EXPECT_NE(files.error().message().find("nothing lies below 'w/v1/' in the container models"),
            std::string::npos);
}

TEST_F(AzureSourceTest, PagesAreFollowedAndCirclesAreNot) {
  for (int i = 0; i < 7; ++i) f_.Publish("f" + std::to_string(i), "x");
  f_.container.page_size = 2;
  EXPECT_EQ(Names(), "f0|f1|f2|f3|f4|f5|f6|");
  Inject(100,
         {200, {}, "<EnumerationResults><Blobs/><NextMarker>t</NextMarker></EnumerationResults>"});
  EXPECT_NE(Names().find("leads in a circle"), std::string::npos);
}

TEST_F(AzureSourceTest, AnEmptyPageMayBeFollowedByMoreAndABrokenOneIsAskedForAgain) {
  f_.Publish("a", "x");
  Inject(1,
         {200, {}, "<EnumerationResults><Blobs/><NextMarker>!</NextMarker></EnumerationResults>"});
  EXPECT_EQ(Names(), "a|");
  Inject(2, {200, {}, "<EnumerationResults><Blobs><Blob><Name>a</Name>"});
  EXPECT_EQ(Names(), "a|");
  Inject(2, {200, {{"Content-Type", "text/html"}}, "<html><body>Sign in</body></html>"});
  EXPECT_EQ(Names(), "a|");
  Inject(100, {200, {}, "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><x>&e;</x>"});
  const auto before = calls();
  EXPECT_NE(Names().find("document type"), std::string::npos);
  EXPECT_EQ(calls(), before + 1);
}

TEST_F(AzureSourceTest, EncodedNamesAreDecodedAndOthersAreNot) {
  for (const bool encoded : {false, true}) {
    ContainerFixture f;
    f.container.encode_names = encoded;
    f.Publish("a%2Bb", "1");
    f.Publish("a+b c", "2");
    const auto pin = f.source().Resolve(f.ctx);
    ASSERT_TRUE(pin) << pin.error().message();
    const auto files = f.source().List(f.ctx, *pin);
    ASSERT_TRUE(files);
    ASSERT_EQ(files->size(), 2u);
    EXPECT_EQ(files->at(0).path, "a%2Bb");
    EXPECT_EQ(files->at(1).path, "a+b c");
  }
}

TEST_F(AzureSourceTest, NamesThatAreNoPathsAreNamedTogether) {
  for (const auto& name : {"a//b", "../x", "/lead", "d", "d/e", "good"}) f_.Publish(name, "x");
  const auto files = Look();
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code(), Code::kInvalidArgument);
  for (const auto* part : {"'a//b'", "'../x'", "'/lead'", "'d'"}) {
    EXPECT_NE(files.error().message().find(part), std::string::npos) << part;
  }
}

TEST_F(AzureSourceTest, WhatCannotBeReadIsListedWithTheReason) {
  f_.Publish("a", "x");
  f_.container.Put("w/v1/cold", "x", {.tier = "Archive"});
  f_.container.Put("w/v1/keyed", "x",
                   {.properties = "<CustomerProvidedKeySha256>abc</CustomerProvidedKeySha256>"});
  EXPECT_EQ(Names(), "a|cold|keyed|");
  EXPECT_EQ(files_[0].problem, "");
  EXPECT_EQ(files_[1].problem, "is archived: change its tier to Cool or Hot");
  EXPECT_NE(files_[2].problem.find("customer-provided key"), std::string::npos);
}

TEST_F(AzureSourceTest, SnapshotsOldVersionsAndDeletedBlobsAreLeftOut) {
  const auto blob = [](const std::string& name, const std::string& more) {
    return "<Blob><Name>w/v1/" + name + "</Name>" + more +
           "<Properties><Etag>e</Etag><Content-Length>1</Content-Length></Properties></Blob>";
  };
  Inject(1, {200,
             {},
             "<EnumerationResults><Blobs>" + blob("a", "") +
                 blob("b", "<Snapshot>2026-01-01T00:00:00Z</Snapshot>") +
                 blob("c", "<Deleted>true</Deleted>") +
                 blob("d", "<VersionId>v</VersionId><IsCurrentVersion>false</IsCurrentVersion>") +
                 blob("e", "<VersionId>v</VersionId><IsCurrentVersion>true</IsCurrentVersion>") +
                 "</Blobs><NextMarker/></EnumerationResults>"});
  EXPECT_EQ(Names(), "a|e|");
}

TEST_F(AzureSourceTest, ContentMd5IsTheHashWhereABlobHasOne) {
  f_.container.Put("w/v1/a", "12345", {.md5 = "gnzLDuqKcGxMNKFokfhOew=="});
  f_.container.Put("w/v1/b", "12345", {.md5 = "not base64"});
  f_.container.Put("w/v1/c", "12345");
  EXPECT_EQ(Names(), "a|b|c|");
  EXPECT_EQ(files_[0].hash_kind, ContentHash::kMd5);
  EXPECT_EQ(files_[0].hash, "827ccb0eea8a706c4c34a16891f84e7b");
  EXPECT_EQ(files_[1].hash_kind, ContentHash::kNone);
  EXPECT_EQ(files_[2].hash_kind, ContentHash::kNone);
}

TEST_F(AzureSourceTest, AnOverwrittenBlobIsAChangedSource) {
  for (const int kind : {0, 1, 2, 3}) {
    ContainerFixture f;
    f.Publish("m", PatternBytes(1000, 1));
    const auto pin = f.source().Resolve(f.ctx);
    ASSERT_TRUE(pin);
    const auto files = f.source().List(f.ctx, *pin);
    ASSERT_TRUE(files);
    f.container.ignore_if_match = kind == 1 || kind == 2;
    if (kind < 2) f.Publish("m", PatternBytes(1000, 2));
    if (kind == 2) f.Publish("m", "x");
    if (kind == 3) {
      f.container.intercept =
          [](const net::HttpRequest&) -> std::optional<Result<net::HttpResponse>> {
        return MemoryContainer::Refuse(404, "BlobNotFound");
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

TEST_F(AzureSourceTest, ABodyThatBreaksIsResumedWithAFreshSignature) {
  const std::string content = PatternBytes(100'000, 3);
  f_.Publish("m", content);
  ASSERT_TRUE(Look());
  int broken = 0;
  f_.container.intercept =
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
  const auto requests = f_.container.transport().requests();
  ASSERT_EQ(requests.size(), before + 4);
  EXPECT_EQ(requests.back().headers.Get("Range"), "bytes=60000-99999");
  EXPECT_EQ(requests.back().headers.Get("If-Match"), "\"0x8D1\"");
  EXPECT_NE(requests.back().headers.Get("x-ms-date"), requests[before].headers.Get("x-ms-date"));
}

TEST_F(AzureSourceTest, ServerBusyIsWaitedForAndLowersTheNumberInFlight) {
  f_.Publish("m", "content");
  ASSERT_TRUE(Look());
  Inject(5, MemoryContainer::Refuse(503, "ServerBusy"));
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, "content");
}

TEST_F(AzureSourceTest, RefusedCredentialsFailAtOnce) {
  f_.Publish("m", "content");
  ASSERT_TRUE(Look());
  Inject(100, MemoryContainer::Refuse(403, "AuthenticationFailed"));
  const auto before = calls();
  const auto bytes = ReadAll();
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code(), Code::kUnauthenticated);
  EXPECT_EQ(calls(), before + 1);
}

TEST_F(AzureSourceTest, ASasTokenIsInTheQueryAndNeverInAMessage) {
  const std::string sas = "?sv=2021-12-02&sp=rl&se=2099-01-01T00%3A00%3A00Z&sig=c2VjcmV0%3D";
  const auto made =
      MakeAzure(f_.container.transport(), f_.limiters, "azure://account/models/w/v1", sas);
  ASSERT_TRUE(made) << made.error().message();
  f_.Publish("m", "content");
  const auto pin = (*made)->Resolve(f_.ctx);
  ASSERT_TRUE(pin) << pin.error().message();
  const auto request = f_.container.transport().requests().back();
  EXPECT_NE(request.url.query.find("&sv=2021-12-02&sp=rl&se=2099-01-01T00%3A00%3A00Z&sig=c2VjcmV0"),
            std::string::npos);
  EXPECT_FALSE(request.headers.Has("Authorization"));
  Inject(100, MemoryContainer::Refuse(403, "AuthorizationPermissionMismatch"));
  const auto refused = (*made)->Resolve(f_.ctx);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kPermissionDenied);
  EXPECT_NE(refused.error().message().find("make one with sp=rl"), std::string::npos);
  EXPECT_EQ(refused.error().message().find("c2VjcmV0"), std::string::npos);
}

TEST_F(AzureSourceTest, ASasTokenThatHasEndedIsSaidWithoutACall) {
  const auto made = MakeAzure(f_.container.transport(), f_.limiters, "azure://account/models/w",
                              "sv=2021-12-02&sp=rl&se=1970-01-01T00%3A00%3A00Z&sig=c2Vj");
  ASSERT_TRUE(made);
  const auto pin = (*made)->Resolve(f_.ctx);
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().code(), Code::kUnauthenticated);
  EXPECT_NE(pin.error().message().find("ended at 1970-01-01T00:00:00Z"), std::string::npos);
  EXPECT_EQ(calls(), 0u);
}

TEST_F(AzureSourceTest, APinOfAnotherTimeIsCompared) {
  f_.Publish("m", "1");
  ASSERT_TRUE(Look());
  const auto later =
      MakeAzure(f_.container.transport(), f_.limiters, "azure://account/models/w/v1");
  ASSERT_TRUE(later);
  EXPECT_TRUE((*later)->List(f_.ctx, pin_));
  f_.Publish("m", "2");
  const auto changed = (*later)->List(f_.ctx, pin_);
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code(), Code::kFailedPrecondition);
}

TEST(AzureSource, NeedsASecretThatIsComplete) {
  MemoryContainer container;
  RateLimiters limiters;
  const auto none =
      MakeAzure(container.transport(), limiters, "azure://account/models", std::nullopt);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message(), "secret_id is required");
  const auto other = MakeAzure(container.transport(), limiters, "azure://account/models",
                               R"({"azure_account_name": "another",
                                   "azure_account_key": "MDEyMzQ1Njc4OWFiY2RlZg=="})");
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message().find("for the account another"), std::string::npos);
}

}  // namespace
}  // namespace bdn::source::testing
