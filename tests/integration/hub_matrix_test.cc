// Every way in which the Hub, its storage hosts and the network between were seen to misbehave, on
// real sockets. Each test ends with the check that no token reached the storage host.
#include <set>
#include <thread>

#include "integration/hub_world.h"
#include "net/testing/test_certificates.h"

namespace bdn::integration {
namespace {

using namespace std::chrono_literals;
using fakes::Fault;
using fakes::FaultKind;

class HubMatrix : public HubWorld {};

// --- redirects

TEST_F(HubMatrix, StorageOnAnotherPortOfTheHostThatRefusesASecondCredential) {
  Start();
  const std::string content = PatternBytes(200'000, 1);
  Publish("m.bin", content);
  ExpectContent(content);
  EXPECT_EQ(Count("cdn"), 1u);
  EXPECT_EQ(Count("hub", "/resolve/"), 1u);
  for (const auto& entry : hub_->log().entries()) {
    EXPECT_EQ(entry.authorization, entry.server == "hub") << entry.path;
    EXPECT_LT(entry.status, 400) << entry.path;
  }
}

TEST_F(HubMatrix, RelativeRedirectKeepsItsQueryAndTheToken) {
  Start();
  Publish("config.json", "{\"a\": 1}");
  ExpectContent("{\"a\": 1}");
  const auto last = hub_->log().entries().back();
  EXPECT_TRUE(last.path.starts_with("/api/resolve-cache/models/owner/name/")) << last.path;
  EXPECT_TRUE(last.query.starts_with("etag=%22")) << last.query;
  EXPECT_TRUE(last.authorization);
  EXPECT_EQ(last.range, "bytes=0-7");
}

TEST_F(HubMatrix, RenamedRepositoryIsFollowedAndPinnedUnderItsNewName) {
  Start();
  const std::string content = PatternBytes(5000, 1);
  Commit({{"m.bin", content}});
  ASSERT_TRUE(hub_->Rename("models", "owner/name", "new-owner/new-name"));
  Pin();
  EXPECT_EQ(pin_.identity, "hf://models/new-owner/new-name");
  ASSERT_EQ(pin_.warnings.size(), 1u);
  ExpectContent(content);
}

TEST_F(HubMatrix, AnotherCaseOfTheNameIsARename) {
  Start();
  Commit({{"config.json", "{}"}});
  source_ = MakeSource(std::nullopt, "hf://Owner/NAME");
  Pin();
  EXPECT_EQ(pin_.identity, "hf://models/owner/name");
}

TEST_F(HubMatrix, RedirectLoopsEnd) {
  for (const std::string path : {"config.json", "m.bin"}) {
    Start();
    Publish(path, "12345");
    hub_->log().Clear();
    hub_->faults().Add({.kind = FaultKind::kRedirectLoop, .path_part = "/resolve/", .count = -1});
    ExpectReadFails({0, 5}, Code::kPermissionDenied, "redirects");
    EXPECT_LE(Count("hub"), 12u);
  }
}

TEST_F(HubMatrix, FromHttpsToHttpIsRefused) {
  net::testing::TestCertificates certificates;
  const auto files = certificates.Issue("hub", "IP:127.0.0.1");
  ca_file_ = certificates.authority_file();
  Start({.tls = net::TlsOptions{.certificate_file = files.certificate, .key_file = files.key}});
  Publish("m.bin", "12345");
  ExpectContent("12345");  // https all the way
  hub_->ExpireUrls();
  std::string plain = hub_->cdn_url();
  plain.replace(0, 5, "http");
  hub_->faults().Add({.kind = FaultKind::kHeaders,
                      .path_part = "/resolve/",
                      .count = -1,
                      .headers = {{"Location", plain + "/x"}}});
  ExpectReadFails({0, 5}, Code::kPermissionDenied, "https");
}

TEST_F(HubMatrix, SchemeRelativeLocationIsAnotherHost) {
  Start();
  Publish("config.json", "12345");
  const std::string other = hub_->cdn_url().substr(5);  // "//127.0.0.1:port"
  hub_->faults().Add({.kind = FaultKind::kHeaders,
                      .path_part = "/resolve/",
                      .count = -1,
                      .headers = {{"Location", other + "/path"}}});
  EXPECT_FALSE(ReadAll());  // the storage host knows no such address
  EXPECT_GE(Count("cdn", "/path"), 1u);
}

TEST_F(HubMatrix, AddressesThatTheOperatorDidNotAllowAreRefused) {
  Start();
  Publish("m.bin", "12345");
  hub_->faults().Add({.kind = FaultKind::kHeaders,
                      .path_part = "/resolve/",
                      .count = -1,
                      .headers = {{"Location", "http://127.0.0.2:1/latest/meta-data"}}});
  ExpectReadFails({0, 5}, Code::kPermissionDenied, "127.0.0.2");
}

// --- listings

TEST_F(HubMatrix, ThreePagesWithLinksToTheDefaultHost) {
  Start({.links_name = "https://huggingface.co", .page_entries = 3});
  std::map<std::string, std::string> files;
  for (int i = 0; i < 8; ++i) files["f" + std::to_string(i)] = "x";
  Commit(files);
  Pin();
  EXPECT_EQ(files_.size(), 8u);
  EXPECT_EQ(Count("hub", "/tree/"), 3u);
}

TEST_F(HubMatrix, ARepeatedCursorIsAnError) {
  Start();
  Publish("config.json", "x");
  hub_->faults().Add({.kind = FaultKind::kHeaders,
                      .path_part = "/tree/",
                      .count = -1,
                      .headers = {{"Link", "<?recursive=true&cursor=0>; rel=\"next\""}}});
  const auto files = source_->List(ctx_, pin_);
  ASSERT_FALSE(files);
  ExpectError(files.error(), Code::kUnavailable, "circle");
  EXPECT_LE(Count("hub", "/tree/"), 3u);
}

TEST_F(HubMatrix, APageOnAnotherHostIsRefusedBeforeTheTokenGoesThere) {
  Start();
  Commit({{"a", "x"}});
  hub_->faults().Add({.kind = FaultKind::kHeaders,
                      .path_part = "/tree/",
                      .headers = {{"Link", "<" + hub_->cdn_url() + "/next>; rel=\"next\""}}});
  const auto pin = source_->Resolve(ctx_);
  ASSERT_TRUE(pin);
  const auto listed = source_->List(ctx_, *pin);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code(), Code::kPermissionDenied);
  EXPECT_EQ(Count("cdn"), 0u);
}

TEST_F(HubMatrix, EachPageIsRetriedByItself) {
  Start({.page_entries = 1});
  Commit({{"a", "1"}, {"b", "2"}, {"c", "3"}});
  hub_->faults().Add({.kind = FaultKind::kStatus, .path_part = "/tree/", .status = 502});
  hub_->faults().Add({.kind = FaultKind::kReset, .path_part = "/tree/", .skip = 1});
  hub_->faults().Add(
      {.kind = FaultKind::kTruncate, .path_part = "/tree/", .skip = 1, .after_bytes = 9});
  Pin();
  EXPECT_EQ(files_.size(), 3u);
  EXPECT_EQ(Count("hub", "/tree/"), 6u);
}

TEST_F(HubMatrix, NamesOfAllKindsArriveAsTheyAre) {
  Start();
  const std::vector<std::string> names = {
      "a b",      "a+b", "a%2Bb", "q#?&=;", "~t", "x[1]{2}", ".hidden", "d\xc3\xa9/v\xc3\xbc.bin",
      "quote'\"q"};
  std::map<std::string, std::string> files;
  for (const auto& name : names) files[name] = "content of " + name;
  Commit(files);
  Pin();
  ASSERT_EQ(files_.size(), names.size());
  for (const auto& file : files_) {
    const auto bytes = Read(file, {0, file.size});
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_EQ(*bytes, "content of " + file.path);
  }
}

// --- revisions

TEST_F(HubMatrix, ABranchThatMovesAtAnyMomentChangesNothing) {
  for (const std::string path : {"config.json", "m.bin"}) {
    Start();
    const std::string first = Commit({{path, "first"}});
    const std::string second = Commit({{path, "second"}, {"new", "x"}}, "next");
    // Between resolve and list, and between list and read.
    for (const std::string where : {"/tree/", "/resolve/"}) {
      ASSERT_TRUE(hub_->SetRef("models", "owner/name", "main", first));
      hub_->faults().Clear();
      hub_->faults().Add(
          {.kind = FaultKind::kMoveBranch, .path_part = where, .branch = "main", .commit = second});
      source_ = MakeSource(std::string(kToken));
      Pin();
      EXPECT_EQ(pin_.fingerprint, first);
      ASSERT_EQ(files_.size(), 1u);
      ExpectContent("first");
      EXPECT_EQ(hub_->faults().left(), 0u);
      EXPECT_EQ(source_->Resolve(ctx_)->fingerprint, second);
    }
  }
}

TEST_F(HubMatrix, BranchesTagsPullRequestsAndShortShasAreFound) {
  Start();
  const std::string sha = Commit({{"config.json", "{}"}}, "feature/x");
  Commit({{"config.json", "[]"}});
  ASSERT_TRUE(hub_->SetRef("models", "owner/name", "v1.0", sha));
  ASSERT_TRUE(hub_->SetRef("models", "owner/name", "refs/pr/1", sha));
  for (const std::string& revision : {std::string("feature%2Fx"), std::string("v1.0"),
                                      std::string("refs/pr/1"), sha.substr(0, 9), sha}) {
    source_ = MakeSource(std::nullopt, "hf://owner/name@" + revision);
    const auto pin = source_->Resolve(ctx_);
    ASSERT_TRUE(pin) << revision << ": " << pin.error().message();
    EXPECT_EQ(pin->fingerprint, sha) << revision;
  }
  source_ = MakeSource(std::nullopt, "hf://owner/name@none");
  ExpectResolveFails(Code::kNotFound, "no revision 'none'");
}

TEST_F(HubMatrix, DatasetsAndSpacesHaveTheirOwnAddresses) {
  Start();
  for (const std::string kind : {"datasets", "spaces"}) {
    ASSERT_TRUE(hub_->AddRepository({.kind = kind, .id = "owner/other"}));
    ASSERT_TRUE(hub_->Commit(kind, "owner/other",
                             {.files = {{"m.bin", fakes::MakeContent("large")},
                                        {"c.json", fakes::MakeContent("small")}}}));
    source_ = MakeSource(std::nullopt, "hf://" + kind + "/owner/other");
    Pin();
    ASSERT_EQ(files_.size(), 2u);
    EXPECT_EQ(*Read(files_[0], {0, 5}), "small");
    EXPECT_EQ(*Read(files_[1], {0, 5}), "large");
  }
}

// --- signed addresses

TEST_F(HubMatrix, AnAddressThatEndsInMidFileIsRenewedAndTheReadResumes) {
  Start();
  const std::string content = PatternBytes(3'000'000, 1);
  Publish("m.bin", content);
  hub_->faults().Add({.kind = FaultKind::kExpireUrl, .server = "cdn", .after_bytes = 1'000'000});
  ExpectContent(content);
  EXPECT_EQ(Count("hub", "/resolve/"), 2u);
  ASSERT_EQ(Count("cdn"), 3u);  // cut, refused, resumed
  const auto entries = hub_->log().entries();
  EXPECT_NE(entries.back().range, "bytes=0-2999999");
  EXPECT_LT(CdnBytes(), 4'100'000u) << "started again instead of resuming";
}

TEST_F(HubMatrix, RefusedForEverEndsAfterThreeFreshAddresses) {
  Start();
  Publish("m.bin", PatternBytes(1000, 1));
  hub_->faults().Add({.kind = FaultKind::kStatus, .server = "cdn", .count = -1, .status = 403});
  ExpectReadFails({0, 1000}, Code::kPermissionDenied, "refused the address");
  EXPECT_EQ(Count("hub", "/resolve/"), 4u);
  EXPECT_EQ(Count("cdn"), 4u);
}

TEST_F(HubMatrix, EveryRangeOfAnAddressThatLivesShortlyArrives) {
  Start({.signed_url_life = 3s});
  const std::string content = PatternBytes(400'000, 1);
  Publish("m.bin", content);
  for (std::uint64_t at = 0; at < content.size(); at += 100'000) {
    const auto bytes = Read(files_[0], {at, at + 100'000});
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_TRUE(*bytes == content.substr(at, 100'000));
    hub_->ExpireUrls();
  }
  EXPECT_EQ(Count("hub", "/resolve/"), 4u);
}

TEST_F(HubMatrix, RangesOfAFileShareOneAddress) {
  Start();
  const std::string content = PatternBytes(1'000'000, 1);
  Publish("m.bin", content);
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t i = 0; i < 10; ++i) {
      threads.emplace_back([&, i] {
        std::string bytes;
        const Status status =
            source_->Read(ctx_, pin_, files_[0], {i * 100'000, (i + 1) * 100'000},
                          [&](std::span<const std::byte> piece) -> Status {
                            bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
                            return {};
                          });
        EXPECT_TRUE(status);
        EXPECT_TRUE(bytes == content.substr(i * 100'000, 100'000));
      });
    }
  }
  EXPECT_EQ(Count("hub", "/resolve/"), 1u);
  EXPECT_EQ(CdnBytes(), content.size());
}

TEST_F(HubMatrix, ALargeObjectIsNeverAskedForAsAWhole) {
  Start({.cdn_whole_bytes_max = 100'000});
  const std::string content = PatternBytes(300'000, 1);
  Publish("m.bin", content);
  ExpectContent(content);
}

// --- answers to ranges: never a spliced byte

TEST_F(HubMatrix, WhatIsNotTheRangeThatWasAskedForIsThrownAway) {
  const std::string content = PatternBytes(300'000, 1);
  for (const FaultKind kind : {FaultKind::kIgnoreRange, FaultKind::kWrongRange,
                               FaultKind::kShortRange, FaultKind::kGzip, FaultKind::kPointer}) {
    for (const std::string path : {"m.bin", "config.json"}) {
      if (kind == FaultKind::kPointer && path == "m.bin") continue;  // a test of its own
      SCOPED_TRACE(std::string(fakes::FaultName(kind)) + " " + path);
      Start();
      Publish(path, content);
      const std::string part = path == "m.bin" ? "/repos/" : "/resolve-cache/";
      // Once: the next answer is taken, whole and alone.
      hub_->faults().Add({.kind = kind, .path_part = part});
      const auto bytes = Read(files_[0], {100'000, 200'000});
      ASSERT_TRUE(bytes) << bytes.error().message();
      EXPECT_TRUE(*bytes == content.substr(100'000, 100'000));
      // For ever: an error, and not one byte.
      hub_->faults().Add({.kind = kind, .path_part = part, .count = -1});
      const auto none = Read(files_[0], {100'000, 200'000});
      ASSERT_FALSE(none);
      EXPECT_TRUE(none.error().code() == Code::kUnavailable ||
                  none.error().code() == Code::kFailedPrecondition)
          << none.error().message();
      EXPECT_EQ(partial_, "");
    }
  }
}

TEST_F(HubMatrix, TheWholeFileAfterABreakIsNotAppended) {
  Start();
  const std::string content = PatternBytes(500'000, 1);
  Publish("m.bin", content);
  hub_->faults().Add({.kind = FaultKind::kTruncate, .server = "cdn", .after_bytes = 200'000});
  hub_->faults().Add({.kind = FaultKind::kIgnoreRange, .server = "cdn"});
  ExpectContent(content);
}

TEST_F(HubMatrix, IdentityIsAskedForSoThatRangesAreKept) {
  // The stand-in ignores Range, or encodes, as soon as gzip is accepted.
  Start();
  const std::string content = PatternBytes(50'000, 1);
  Publish("m.bin", content);
  ASSERT_EQ(*Read(files_[0], {1000, 2000}), content.substr(1000, 1000));
  const auto last = hub_->log().entries().back();
  EXPECT_EQ(last.status, 206);
  EXPECT_EQ(last.bytes, 1000u);
}

TEST_F(HubMatrix, APointerInsteadOfTheContentIsNamed) {
  Start();
  Publish("m.bin", PatternBytes(10'000, 1));
  // The Hub answers with the pointer itself in place of a redirect.
  hub_->faults().Add({.kind = FaultKind::kPointer, .path_part = "/resolve/", .count = -1});
  ExpectReadFails({0, 10'000}, Code::kCorrupt, "Git LFS pointer");
  EXPECT_EQ(partial_, "");
}

// --- headers of the first answer

TEST_F(HubMatrix, AnotherCommitEtagOrSizeIsSourceChanged) {
  const std::vector<std::pair<std::string, std::string>> headers = {
      {"X-Repo-Commit", std::string(40, 'f')},
      {"X-Linked-Etag", "\"" + std::string(64, 'f') + "\""},
      {"X-Linked-Size", "6"}};
  for (const auto& [name, value] : headers) {
    Start();
    Publish("m.bin", "12345");
    hub_->faults().Add({.kind = FaultKind::kHeaders,
                        .path_part = "/resolve/",
                        .count = -1,
                        .headers = {{name, value}}});
    ExpectReadFails({0, 5}, Code::kFailedPrecondition, "source changed");
    EXPECT_EQ(Count("cdn"), 0u);
  }
}

TEST_F(HubMatrix, TheStorageHostsOwnEtagMeansNothing) {
  Start();
  Publish("m.bin", "12345");
  ExpectContent("12345");  // its ETag is another one of 64 digits, always
}

TEST_F(HubMatrix, EmptyFilesOfBothKindsNeedNoRequest) {
  Start();
  Commit({{"a.json", ""}, {"b.bin", ""}});
  Pin();
  ASSERT_EQ(files_.size(), 2u);
  const std::size_t before = hub_->log().entries().size();
  for (const auto& file : files_) {
    EXPECT_TRUE(Read(file, {0, 0}));
    source::ContentVerifier verifier(file);
    EXPECT_TRUE(verifier.Finish()) << file.path;
  }
  EXPECT_EQ(hub_->log().entries().size(), before);
}

// --- errors and limits of the Hub

TEST_F(HubMatrix, FourDifferentRefusalsAndNoRetries) {
  Start({.tokens = {{std::string(kToken)}, {"hf_other", {}}}});
  Commit({{"m.bin", "12345"}});
  Pin();
  source_ = MakeSource(std::nullopt, "hf://owner/none");
  ExpectResolveFails(Code::kNotFound, "no token was given");
  source_ = MakeSource("hf_wrong");
  ExpectResolveFails(Code::kUnauthenticated, "does not accept the Hugging Face token");
  ASSERT_TRUE(hub_->Change("models", "owner/name", [](auto& r) { r.gated = true; }));
  source_ = MakeSource("hf_other");
  ExpectReadFails({0, 5}, Code::kPermissionDenied, "its licence is at");
  source_ = MakeSource(std::nullopt);
  ExpectReadFails({0, 5}, Code::kUnauthenticated, "gated");
  ASSERT_TRUE(hub_->Change("models", "owner/name", [](auto& r) { r.disabled = true; }));
  ExpectResolveFails(Code::kPermissionDenied, "disabled");
  EXPECT_EQ(hub_->log().CountIf([](const auto& e) { return e.status >= 400; }), 5u);
  EXPECT_EQ(clock_.skipped(), 0s);
}

TEST_F(HubMatrix, PrivateAndGatedRepositoriesOpenWithTheToken) {
  Start();
  ASSERT_TRUE(hub_->Change("models", "owner/name", [](auto& r) {
    r.is_private = true;
    r.gated = true;
  }));
  Commit({{"config.json", "{}"}, {"m.bin", "large"}});
  Pin();
  EXPECT_EQ(*Read(files_[0], {0, 2}), "{}");  // served at once, without a redirect
  EXPECT_EQ(Count("hub", "/resolve-cache/"), 0u);
  EXPECT_EQ(*Read(files_[1], {0, 5}), "large");
}

TEST_F(HubMatrix, ThrottlingWaitsAsTheHubSays) {
  struct Row {
    net::Headers headers;
    Duration at_least;
    Duration at_most;
  };
  const std::vector<Row> rows = {
      {{{"RateLimit", "\"api\";r=0;t=2"}, {"Retry-After", "50"}}, 3s, 4s},
      {{{"RateLimit", "\"api\";r=37;t=200"}, {"Retry-After", "9"}}, 9s, 10s},
      {{{"RateLimit", ""}}, 1ns, 500ms}};
  for (const Row& row : rows) {
    Start();
    Commit({{"config.json", "{}"}});
    hub_->faults().Add({.kind = FaultKind::kStatus,
                        .path_part = "/revision/",
                        .status = 429,
                        .headers = row.headers});
    const Duration before = clock_.skipped();
    ASSERT_TRUE(source_->Resolve(ctx_));
    EXPECT_GE(clock_.skipped() - before, row.at_least);
    EXPECT_LE(clock_.skipped() - before, row.at_most);
  }
}

TEST_F(HubMatrix, AUsedUpWindowIsWaitedForAndNotRunInto) {
  // The Hub's clock is the client's, so that waiting helps.
  Start({.page_entries = 1, .api_quota = 10, .window = 60s, .clock = &clock_});
  std::map<std::string, std::string> files;
  for (int i = 0; i < 25; ++i) files["f" + std::to_string(10 + i)] = "x";
  Commit(files);
  Pin();
  EXPECT_EQ(files_.size(), 25u);
  EXPECT_GE(clock_.skipped(), 60s);
  EXPECT_LE(hub_->log().CountIf([](const auto& e) { return e.status == 429; }), 3u);
}

TEST_F(HubMatrix, ServerErrorsAreRetriedWithLimits) {
  for (const int status : {408, 500, 502, 503, 504}) {
    Start();
    hub_->faults().Add({.kind = FaultKind::kStatus, .count = -1, .status = status});
    ExpectResolveFails(Code::kUnavailable, "gave up after 8 tries");
    EXPECT_EQ(Count("hub"), 8u) << status;
  }
}

// --- the network

TEST_F(HubMatrix, AStallBeforeOrAfterTheHeadersIsSurvived) {
  stall_timeout_ = 200ms;
  const std::string content = PatternBytes(300'000, 1);
  for (const FaultKind kind : {FaultKind::kStall, FaultKind::kStallHead}) {
    Start();
    Publish("m.bin", content);
    hub_->faults().Add({.kind = kind, .server = "cdn"});
    hub_->faults().Add({.kind = kind, .path_part = "/resolve/"});
    ExpectContent(content);
    EXPECT_EQ(hub_->faults().left(), 0u);
  }
}

TEST_F(HubMatrix, AStallInTheMiddleResumesWhereItStopped) {
  stall_timeout_ = 500ms;
  Start();
  const std::string content = PatternBytes(1'000'000, 1);
  Publish("m.bin", content);
  hub_->faults().Add({.kind = FaultKind::kStall, .server = "cdn", .after_bytes = 600'000});
  ExpectContent(content);
  EXPECT_EQ(CdnBytes(), content.size());
  EXPECT_EQ(hub_->log().entries().back().range, "bytes=600000-999999");
}

TEST_F(HubMatrix, AResetAtEveryMegabyteCostsNoRetryBudget) {
  Start();
  const std::string content = PatternBytes(16 << 20, 1);  // twice as many resets as tries allowed
  Publish("m.bin", content);
  hub_->faults().Add(
      {.kind = FaultKind::kReset, .server = "cdn", .count = -1, .after_bytes = 1 << 20});
  ExpectContent(content);
  EXPECT_GE(Count("cdn"), 16u);
  std::set<std::string> ranges;
  for (const auto& entry : hub_->log().entries()) {
    if (entry.server == "cdn") {
      EXPECT_TRUE(ranges.insert(entry.range).second) << entry.range;
    }
  }
}

TEST_F(HubMatrix, AStorageHostThatIsGoneEndsTheReadWithAName) {
  Start();
  Publish("m.bin", "12345");
  hub_->faults().Add({.kind = FaultKind::kReset, .server = "cdn", .count = -1});
  ExpectReadFails({0, 5}, Code::kUnavailable, "gave up after 8 tries");
}

// Whatever single request fails, and however, all bytes arrive.
TEST_F(HubMatrix, AnyOneFailingRequestIsSurvived) {
  const std::string content = PatternBytes(60'001, 3);
  const std::vector<Fault> faults = {{.kind = FaultKind::kStatus, .status = 503},
                                     {.kind = FaultKind::kStatus, .status = 429},
                                     {.kind = FaultKind::kReset},
                                     {.kind = FaultKind::kTruncate, .after_bytes = 1},
                                     {.kind = FaultKind::kReset, .after_bytes = 30'000},
                                     {.kind = FaultKind::kExpireUrl}};
  Start({.page_entries = 1});
  Commit({{"a.json", content}, {"m.bin", content}});
  for (const Fault& fault : faults) {
    for (int n = 0;; ++n) {
      SCOPED_TRACE(std::string(fakes::FaultName(fault.kind)) + " at " + std::to_string(n));
      hub_->faults().Clear();
      source_ = MakeSource(std::string(kToken));
      Fault at_n = fault;
      at_n.skip = n;
      hub_->faults().Add(at_n);
      Pin();
      ASSERT_EQ(files_.size(), 2u);
      for (const auto& file : files_) {
        const auto bytes = Read(file, {0, file.size});
        ASSERT_TRUE(bytes) << bytes.error().message();
        EXPECT_TRUE(*bytes == content);
      }
      if (hub_->faults().left() > 0) break;
      ASSERT_LT(n, 50);
    }
  }
}

TEST_F(HubMatrix, ACancelledReadLetsGoAtOnce) {
  Start();
  Publish("m.bin", PatternBytes(1'000'000, 1));
  hub_->faults().Add(
      {.kind = FaultKind::kStall, .server = "cdn", .count = -1, .after_bytes = 1000});
  std::stop_source stop;
  const Context cancelled = ctx_.WithStop(stop.get_token());
  const Status status = source_->Read(cancelled, pin_, files_[0], {0, 1'000'000},
                                      [&](std::span<const std::byte>) -> Status {
                                        stop.request_stop();
                                        return {};
                                      });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace bdn::integration
