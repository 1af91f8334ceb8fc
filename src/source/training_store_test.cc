#include "source/training_store.h"

#include <atomic>
#include <memory>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "source/source_factory.h"
#include "source/testing/memory_training.h"
#include "source/testing/source_conformance.h"

namespace bdn::source::testing {
namespace {

using ::testing::HasSubstr;

Result<std::unique_ptr<Source>> Make(MemoryTraining& store,
                                     RateLimiters& limiters,
                                     const std::string& text,
                                     const std::string& key = "secret") {
  BDN_ASSIGN(const auto uri, model::ParseSourceUri(text));
  return MakeSource(uri, {.secret = std::nullopt},
                    {.transport = store.transport(),
                     .limiters = limiters,
                     .bt_endpoint = "http://train.test",
                     .bt_key = key,
                     .random = [] { return 0.0; }});
}

struct TrainingFixture {
  explicit TrainingFixture(const std::string& text = "bt://demo")
      : made(Make(store, limiters, text)) {}
  void Publish(const std::string& path, const std::string& content) { store.Put(path, content); }
  Source& source() { return **made; }
  const Context& context() { return ctx; }

  bdn::testing::ManualClock clock;
  Context ctx{clock};
  RateLimiters limiters;
  MemoryTraining store;
  Result<std::unique_ptr<Source>> made;
};

INSTANTIATE_TYPED_TEST_SUITE_P(TrainingStore, SourceConformance, TrainingFixture);

class TrainingStoreTest : public ::testing::Test {
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
  Result<std::string> ReadAll(std::size_t index = 0) {
    return ReadRange(f_.ctx, f_.source(), pin_, files_.at(index), {0, files_.at(index).size});
  }
  // How many lists of files were asked for.
  std::size_t Pages() {
    std::size_t count = 0;
    for (const auto& request : f_.store.transport().requests()) {
      if (request.url.query.find("page_token=") != std::string::npos) ++count;
    }
    return count;
  }

  TrainingFixture f_;
  Pin pin_;
  std::vector<RemoteFile> files_;
};

TEST_F(TrainingStoreTest, ThePinSaysWhichJobAndCheckpoint) {
  f_.Publish("w", "1");
  EXPECT_EQ(Names(), "w|");
  EXPECT_THAT(pin_.fingerprint, ::testing::StartsWith("run/c-1@sha256:"));
  EXPECT_EQ(pin_.fingerprint_type, "checkpoint");
  EXPECT_EQ(pin_.identity, "bt://prj_1@run/c-1 at http://train.test");
  f_.store.AddCheckpoint("c-2");
  f_.store.Put("rank-0/c-2/w", "2");
  EXPECT_EQ(*ReadAll(), "1") << "what was pinned stays";
  EXPECT_EQ(Names(), "w|");
  EXPECT_THAT(pin_.fingerprint, ::testing::StartsWith("run/c-2@sha256:"));
  EXPECT_EQ(*ReadAll(), "2");
}

TEST_F(TrainingStoreTest, PagesAreReadToTheirEnd) {
  f_.store.page_size = 2;
  for (int i = 0; i < 7; ++i) f_.Publish("f" + std::to_string(i), std::to_string(i));
  EXPECT_EQ(Names(), "f0|f1|f2|f3|f4|f5|f6|");
  EXPECT_EQ(Pages(), 4u);
  for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(*ReadAll(i), std::to_string(i));
}

TEST_F(TrainingStoreTest, AListThatGrowsBetweenItsPagesIsReadAgain) {
  f_.store.page_size = 2;
  for (const char* name : {"b", "c", "d"}) f_.Publish(name, name);
  int pages = 0;
  f_.store.intercept =
      [&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    // A file of another checkpoint appears in front of the second page, twice.
    if (request.url.query.find("page_token=2") != std::string::npos && ++pages <= 2) {
      f_.store.Put("rank-0/c-0/x" + std::to_string(pages), "x");
    }
    return std::nullopt;
  };
  EXPECT_EQ(Names(), "b|c|d|");
  EXPECT_EQ(Pages(), 2u + 2u + 3u);
}

TEST_F(TrainingStoreTest, AListThatNeverStandsStillIsAnError) {
  f_.store.page_size = 1;
  f_.Publish("a", "a");
  f_.Publish("b", "b");
  int n = 0;
  f_.store.intercept =
      [&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (request.url.query.find("page_token=1") != std::string::npos) {
      f_.store.Put("rank-0/c-0/" + std::to_string(++n), "x");
    }
    return std::nullopt;
  };
  EXPECT_THAT(Names(), HasSubstr("kept changing while it was read, 6 times"));
}

TEST_F(TrainingStoreTest, PagesThatLeadInACircleOrMiscountAreErrors) {
  f_.Publish("a", "a");
  f_.store.intercept =
      [](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (request.url.query.find("page_token=") == std::string::npos) return std::nullopt;
    return net::HttpResponse{
        200, {}, R"({"presigned_urls":[],"next_page_token":0,"total_count":5})"};
  };
  EXPECT_THAT(Names(), HasSubstr("leads in a circle"));
  f_.store.intercept =
      [](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (request.url.query.find("page_token=") == std::string::npos) return std::nullopt;
    return net::HttpResponse{
        200, {}, R"({"presigned_urls":[],"next_page_token":null,"total_count":5})"};
  };
  EXPECT_THAT(Names(), HasSubstr("kept changing"));
}

TEST_F(TrainingStoreTest, OnlyCompleteCheckpointsAreTakenInBothSpellings) {
  f_.Publish("w", "1");
  f_.store.AddCheckpoint("c-2", "SYNCING");
  f_.store.Put("rank-0/c-2/half", "2");
  EXPECT_EQ(Names(), "w|");
  f_.store.AddCheckpoint("c-2", "COMPLETED");
  EXPECT_EQ(Names(), "half|");
  TrainingFixture named("bt://demo@run/c-9");
  named.store.AddCheckpoint("c-9", "SYNCING");
  const auto refused = named.source().Resolve(named.ctx);
  EXPECT_EQ(refused.error().code(), Code::kNotFound);
  EXPECT_THAT(refused.error().message(), HasSubstr("still SYNCING"));
}

TEST_F(TrainingStoreTest, RanksAreOneTreeUnlessTheyCollide) {
  f_.Publish("shard-0", "0");
  f_.store.Put("rank-1/c-1/shard-1", "1", 1);
  EXPECT_EQ(Names(), "shard-0|shard-1|");
  f_.store.Put("rank-1/c-1/shard-0", "other", 1);
  EXPECT_THAT(Names(), HasSubstr("has 1 file more than once, so it is no single tree:\n"
                                 "  'shard-0' on ranks 0 and 1"));
}

TEST_F(TrainingStoreTest, AnExpiredUrlIsRenewedInTheMiddleOfAFile) {
  f_.store.page_size = 2;
  const std::string content = PatternBytes(100'000, 1);
  f_.Publish("a", "a");
  f_.Publish("b", "b");
  f_.Publish("large", content);
  EXPECT_TRUE(Look());
  const std::size_t pages = Pages();
  std::string got;
  const Status read = f_.source().Read(
      f_.ctx, pin_, files_.at(2), {0, 100'000}, [&](std::span<const std::byte> piece) -> Status {
        got.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        return {};
      });
  ASSERT_TRUE(read) << read.error().message();
  f_.store.ExpireUrls();
  EXPECT_EQ(*ReadRange(f_.ctx, f_.source(), pin_, files_.at(2), {1000, 2000}),
            content.substr(1000, 1000));
  EXPECT_EQ(Pages(), pages + 1) << "only the page of the file is listed again";
  const net::HttpRequest last = f_.store.transport().requests().back();
  EXPECT_EQ(last.headers.Get("If-Match"), "\"e3\"") << "the ETag of the first answer";
}

TEST_F(TrainingStoreTest, ManyReadersOfAnExpiredPageListItOnce) {
  for (int i = 0; i < 8; ++i) f_.Publish("f" + std::to_string(i), PatternBytes(1000, 1));
  EXPECT_TRUE(Look());
  f_.store.ExpireUrls();
  const std::size_t pages = Pages();
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        const auto bytes = ReadAll(i);
        if (!bytes || bytes->size() != 1000) ++wrong;
      });
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(Pages(), pages + 1);
}

TEST_F(TrainingStoreTest, AUrlThatIsAlwaysRefusedIsAnErrorSoon) {
  f_.Publish("w", "1");
  EXPECT_TRUE(Look());
  f_.store.intercept =
      [](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (request.url.host != "files.test") return std::nullopt;
    return net::HttpResponse{403, {}, ""};
  };
  const auto bytes = ReadAll();
  EXPECT_EQ(bytes.error().code(), Code::kPermissionDenied);
  EXPECT_THAT(bytes.error().message(), HasSubstr("also after 3 fresh ones"));
}

TEST_F(TrainingStoreTest, AFileThatMovedToAnotherPageIsFoundThere) {
  f_.store.page_size = 1;
  f_.store.Put("rank-0/c-0/old", "x");
  f_.Publish("w", "1");
  EXPECT_TRUE(Look());
  f_.store.Remove("rank-0/c-0/old");
  f_.store.ExpireUrls();
  EXPECT_EQ(*ReadAll(), "1");
}

TEST_F(TrainingStoreTest, WhatChangesOrGoesAfterTheListingIsSourceChanged) {
  f_.Publish("w", "1111");
  EXPECT_TRUE(Look());
  EXPECT_EQ(*ReadAll(), "1111");
  f_.Publish("w", "2222");
  EXPECT_THAT(ReadAll().error().message(), HasSubstr("source changed"));
  f_.store.ExpireUrls();
  EXPECT_THAT(ReadAll().error().message(), HasSubstr("is not listed any more as it was"));
  f_.store.Remove("rank-0/c-1/w");
  EXPECT_EQ(ReadAll().error().code(), Code::kFailedPrecondition);
}

TEST_F(TrainingStoreTest, WithoutLastModifiedTheFirstAnswersTagIsThePin) {
  f_.store.serve_last_modified = false;
  f_.Publish("w", "1111");
  EXPECT_TRUE(Look());
  EXPECT_EQ(*ReadRange(f_.ctx, f_.source(), pin_, files_[0], {0, 2}), "11");
  f_.Publish("w", "2222");
  const auto rest = ReadRange(f_.ctx, f_.source(), pin_, files_[0], {2, 4});
  EXPECT_EQ(rest.error().code(), Code::kFailedPrecondition) << "never bytes of two versions";
}

TEST_F(TrainingStoreTest, TheKeyGoesToTheStoreOnlyAndMissingOnesAreNamed) {
  f_.Publish("w", "1");
  EXPECT_TRUE(Look());
  EXPECT_TRUE(ReadAll()) << "files.test refuses requests with a credential";
  for (const auto& [key, text] : std::vector<std::pair<std::string, std::string>>{
           {"", "needs an API key (HTTP 401)"}, {"wrong", "does not accept the API key"}}) {
    auto made = Make(f_.store, f_.limiters, "bt://demo", key);
    const auto pin = (*made)->Resolve(f_.ctx);
    EXPECT_EQ(pin.error().code(), Code::kUnauthenticated);
    EXPECT_THAT(pin.error().message(), HasSubstr(text));
    EXPECT_THAT(pin.error().message(), ::testing::Not(HasSubstr("wrong")));
  }
  EXPECT_FALSE(Make(f_.store, f_.limiters, "bt://demo", "a\nb"));
}

TEST_F(TrainingStoreTest, AnswersThatAreNoneOfAStoreAreTriedAgainAndThenNamed) {
  f_.Publish("w", "1");
  int left = 3;
  f_.store.intercept = [&](const net::HttpRequest&) -> std::optional<Result<net::HttpResponse>> {
    if (left-- <= 0) return std::nullopt;
    return net::HttpResponse{200, {}, "<html>sign in</html>"};
  };
  EXPECT_EQ(Names(), "w|");
  left = 1000;
  EXPECT_THAT(Names(), HasSubstr("train.test does not answer like a training store"));
}

TEST_F(TrainingStoreTest, NamesThatCannotBePathsAreRefusedTogether) {
  for (const char* bad : {"../x", "a//b", "/abs"}) f_.Publish(bad, "1");
  EXPECT_THAT(Names(), HasSubstr("has 3 names that cannot be mirrored"));
}

TEST_F(TrainingStoreTest, LoopsIsReadByItsOwnLists) {
  TrainingFixture loops("bt://loops:run/sampler_weights/c-1");
  loops.Publish("w", "1");
  loops.store.Put("rank-0/c-2/w", "2");
  const auto pin = loops.source().Resolve(loops.ctx);
  ASSERT_TRUE(pin) << pin.error().message();
  EXPECT_THAT(pin->fingerprint, ::testing::StartsWith("run/sampler_weights/c-1@sha256:"));
  const auto files = loops.source().List(loops.ctx, *pin);
  ASSERT_EQ(files->size(), 1u);
  EXPECT_EQ(*ReadRange(loops.ctx, loops.source(), *pin, files->at(0), {0, 1}), "1");
}

TEST(TrainingStoreUrls, AUrlWithoutTlsIsNotReadForAStoreWithIt) {
  bdn::testing::ManualClock clock;
  const Context ctx(clock);
  RateLimiters limiters;
  net::testing::MemoryTransport transport([](const net::HttpRequest&) -> Result<net::HttpResponse> {
    return net::HttpResponse{200, {}, ""};
  });
  const auto uri = model::ParseSourceUri("bt://demo");
  for (const char* bad : {"", "ftp://x", "https://x?y", "https://user@x"}) {
    EXPECT_FALSE(MakeTrainingStoreSource(*uri, transport, limiters, {.base_url = bad})) << bad;
  }
}

}  // namespace
}  // namespace bdn::source::testing
