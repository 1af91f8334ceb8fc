#include "source/hugging_face.h"

#include <atomic>
#include <set>
#include <thread>

#include "source/testing/hub_test_base.h"

namespace bdn::source {
namespace {

using namespace std::chrono_literals;
using testing::Has;
using testing::HubTest;
using testing::MemoryHub;
using testing::PatternBytes;

// Files of odd size are LFS, so that the suite meets both kinds.
class HubFixture {
 public:
  HubFixture() {
    model::SourceUri uri;
    uri.repo_kind = "models";
    uri.owner = "owner";
    uri.repo = "name";
    source_ = *MakeSource(
        uri, {.secret = "hf_t"},
        {.transport = hub_.transport(), .limiters = limiters_, .random = [] { return 0.0; }});
  }
  Source& source() { return *source_; }
  const Context& context() { return ctx_; }
  void Publish(const std::string& path, const std::string& content) {
    if (content.size() % 2 == 1) {
      hub_.PublishLfs(path, content);
    } else {
      hub_.Publish(path, content);
    }
  }

 private:
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  MemoryHub hub_{clock_};
  RateLimiters limiters_;
  std::unique_ptr<Source> source_;
};

}  // namespace

namespace testing {
INSTANTIATE_TYPED_TEST_SUITE_P(HuggingFace, SourceConformance, HubFixture);
}  // namespace testing

namespace {

class HuggingFaceTest : public HubTest {};

TEST_F(HuggingFaceTest, PinIsTheCommitUnderTheCanonicalName) {
  Start();
  hub_->Publish("f", "x");
  const Pin pin = MustResolve();
  EXPECT_EQ(pin.fingerprint, hub_->head());
  EXPECT_EQ(pin.fingerprint_type, "git-commit");
  EXPECT_EQ(pin.identity, "hf://models/owner/name");
  EXPECT_TRUE(pin.warnings.empty());
}

TEST_F(HuggingFaceTest, AFullShaIsStillAskedForOnce) {
  Start();
  hub_->Publish("f", "1");
  const std::string old = hub_->head();
  hub_->Publish("f", "2");
  source_ = Make(std::nullopt, old);
  EXPECT_EQ(MustResolve().fingerprint, old);
  EXPECT_EQ(hub_->CountOf("/revision/" + old), 1u);
}

TEST_F(HuggingFaceTest, AShortShaBecomesTheFullOne) {
  Start();
  hub_->Publish("f", "1");
  source_ = Make(std::nullopt, hub_->head().substr(0, 9));
  EXPECT_EQ(MustResolve().fingerprint, hub_->head());
  source_ = Make(std::nullopt, "0badc0de");
  const auto none = source_->Resolve(ctx_);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Code::kNotFound);
  EXPECT_TRUE(Has(none.error().message(), "no revision '0badc0de'")) << none.error().message();
}

TEST_F(HuggingFaceTest, AHubThatAnswersAnotherCommitIsRefused) {
  Start();
  const std::string asked(40, 'a');
  source_ = Make(std::nullopt, asked);
  hub_->SetHook([&](const net::HttpRequest&) -> std::optional<Result<net::HttpResponse>> {
    return net::HttpResponse{
        200, {}, R"({"id":"owner/name","sha":")" + std::string(40, 'b') + "\"}"};
  });
  const auto pin = source_->Resolve(ctx_);
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().code(), Code::kFailedPrecondition);
}

TEST_F(HuggingFaceTest, DatasetsAndSpacesHaveTheirOwnAddresses) {
  for (const std::string kind : {"datasets", "spaces"}) {
    Start({.kind = kind});
    PinLfs(PatternBytes(1000, 1));
    const auto bytes = ReadAll();
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_EQ(pin_.identity, "hf://" + kind + "/owner/name");
  }
}

TEST_F(HuggingFaceTest, RenamedRepositoryIsFollowedNamedAndPinnedUnderItsNewName) {
  Start({.id = "new-owner/new-name", .token = "hf_t"}, "hf_t");
  hub_->SetHook([&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    const std::string old = "/api/models/owner/name";
    if (!request.url.path.starts_with(old)) return std::nullopt;
    return net::HttpResponse{
        307,
        {{"Location", "/api/models/new-owner/new-name" + request.url.path.substr(old.size())}},
        ""};
  });
  hub_->Publish("config.json", "{}");
  pin_ = MustResolve();
  EXPECT_EQ(pin_.identity, "hf://models/new-owner/new-name");
  ASSERT_EQ(pin_.warnings.size(), 1u);
  EXPECT_TRUE(Has(pin_.warnings[0], "hf://models/new-owner/new-name")) << pin_.warnings[0];
  files_ = MustList(pin_);
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, "{}");
}

TEST_F(HuggingFaceTest, WarningsOfTheHubComeOnceATopic) {
  Start();
  hub_->SetHook([&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    auto answer = hub_->Answer(request);
    answer.headers.Add("X-HF-Warning", "quota; nearly full");
    answer.headers.Add("X-HF-Warning", "quota; still nearly full");
    answer.headers.Add("X-HF-Warning", "age; old client");
    return answer;
  });
  const Pin pin = MustResolve();
  EXPECT_EQ(pin.warnings,
            (std::vector<std::string>{"The Hub says: nearly full", "The Hub says: old client"}));
}

TEST_F(HuggingFaceTest, HashesAreThePublishers) {
  Start();
  hub_->Publish("a.txt", "hello world");
  hub_->PublishLfs("b.bin", "abc");
  const auto files = MustList(MustResolve());
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].hash_kind, ContentHash::kGitBlobSha1);
  EXPECT_EQ(files[0].hash, "95d09f2b10159347eece71399a7e2e907ea3df4f");
  EXPECT_EQ(files[1].hash_kind, ContentHash::kSha256);
  EXPECT_EQ(files[1].hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(files[1].etag, files[1].hash);
  EXPECT_EQ(files[1].size, 3u);
}

TEST_F(HuggingFaceTest, ThreePagesUnderACustomEndpointWithLinksToTheDefaultHost) {
  Start({.endpoint = "http://hub.internal:8080", .page_entries = 2, .token = "hf_t"}, "hf_t");
  for (int i = 0; i < 5; ++i) hub_->Publish("f" + std::to_string(i), "x");
  EXPECT_EQ(MustList(MustResolve()).size(), 5u);
  EXPECT_EQ(hub_->CountOf("/tree/"), 3u);
  EXPECT_EQ(hub_->CountOf("huggingface.co"), 0u);
}

TEST_F(HuggingFaceTest, ARepeatedCursorEndsTheListingWithAnError) {
  Start();
  hub_->Publish("f", "x");
  const Pin pin = MustResolve();
  hub_->SetHook([&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    auto answer = hub_->Answer(request);
    answer.headers.Add(
        "Link", "<" + request.url.path + "?recursive=true&expand=false&cursor=0>; rel=\"next\"");
    return answer;
  });
  const auto files = source_->List(ctx_, pin);
  ASSERT_FALSE(files);
  EXPECT_TRUE(Has(files.error().message(), "circle")) << files.error().message();
  EXPECT_LE(hub_->CountOf("/tree/"), 2u);
}

TEST_F(HuggingFaceTest, APageOnAnotherHostIsRefusedBeforeTheTokenGoesThere) {
  for (const std::string other :
       {"https://evilhuggingface.co", "https://huggingface.co:444", "http://huggingface.co"}) {
    Start({.page_entries = 1, .links_name = other, .token = "hf_t"}, "hf_t");
    hub_->Publish("a", "x");
    hub_->Publish("b", "x");
    const auto files = source_->List(ctx_, MustResolve());
    ASSERT_FALSE(files);
    EXPECT_EQ(files.error().code(), Code::kPermissionDenied);
    EXPECT_FALSE(hub_->token_leaked());
    EXPECT_EQ(hub_->CountOf("cursor"), 0u);
  }
}

TEST_F(HuggingFaceTest, EachPageIsRetriedByItself) {
  Start({.page_entries = 1});
  for (int i = 0; i < 4; ++i) hub_->Publish("f" + std::to_string(i), "x");
  const Pin pin = MustResolve();
  int count = 0;
  hub_->SetHook([&](const net::HttpRequest&) -> std::optional<Result<net::HttpResponse>> {
    if (++count % 2 == 1) return net::HttpResponse{502, {}, "<html>"};
    return std::nullopt;
  });
  EXPECT_EQ(MustList(pin).size(), 4u);
  EXPECT_EQ(count, 8);
}

TEST_F(HuggingFaceTest, AllNamesThatCannotBeMirroredAreInOneError) {
  Start();
  for (const std::string bad : {"../x", "/abs", "a//b", "d/../e", "nl\nname", "ok", "ok/below"}) {
    hub_->Publish(bad, "x");
  }
  const auto files = source_->List(ctx_, MustResolve());
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code(), Code::kInvalidArgument);
  for (const std::string name : {"'../x'", "'/abs'", "'a//b'", "'d/../e'", "'nl.name'", "'ok'"}) {
    EXPECT_TRUE(Has(files.error().message(), name)) << name << "\n" << files.error().message();
  }
  EXPECT_TRUE(Has(files.error().message(), "6 names"));
}

TEST_F(HuggingFaceTest, DuplicatesAndUnknownTypesAreSeen) {
  Start();
  const Pin pin = MustResolve();
  const std::string oid(40, 'a');
  const std::string file = R"({"type":"file","path":"f","size":1,"oid":")" + oid + "\"}";
  std::string body = "[" + file + "," + file + "]";
  hub_->SetHook([&](const net::HttpRequest&) -> std::optional<Result<net::HttpResponse>> {
    return net::HttpResponse{200, {}, body};
  });
  const auto twice = source_->List(ctx_, pin);
  ASSERT_FALSE(twice);
  EXPECT_TRUE(Has(twice.error().message(), "listed twice"));
  body = R"([{"type":"directory","path":"f"},)" + file + "]";
  const auto both = source_->List(ctx_, pin);
  ASSERT_FALSE(both);
  EXPECT_TRUE(Has(both.error().message(), "both a file and a directory"));
  body = R"([{"type":"hologram","path":"h"},)" + file + "]";
  EXPECT_EQ(MustList(pin).size(), 1u);
}

TEST_F(HuggingFaceTest, ABranchThatMovesChangesNothing) {
  Start();
  hub_->Publish("config.json", "first");
  pin_ = MustResolve();
  hub_->Publish("config.json", "second");
  files_ = MustList(pin_);
  hub_->Publish("config.json", "third!");
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes);
  EXPECT_EQ(*bytes, "first");
}

TEST_F(HuggingFaceTest, RangesOfAFileShareOneQuestionToTheHub) {
  Start({.token = "hf_t"}, "hf_t\n");
  const std::string content = PatternBytes(100'000, 1);
  PinLfs(content);
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t i = 0; i < 10; ++i) {
      threads.emplace_back([&, i] {
        const auto bytes =
            testing::ReadRange(ctx_, *source_, pin_, files_[0], {i * 10'000, (i + 1) * 10'000});
        ASSERT_TRUE(bytes) << bytes.error().message();
        EXPECT_EQ(*bytes, content.substr(i * 10'000, 10'000));
      });
    }
  }
  EXPECT_EQ(hub_->CountOf("/resolve/"), 1u);
  EXPECT_EQ(hub_->CountOf("/blob/"), 10u);
  EXPECT_FALSE(hub_->token_leaked());
}

TEST_F(HuggingFaceTest, EveryReadAsksForABoundedRangeAndIdentity) {
  Start();
  PinLfs(PatternBytes(1000, 1));
  ASSERT_TRUE(ReadAll());
  for (const auto& request : hub_->transport().requests()) {
    EXPECT_EQ(request.headers.Get("Accept-Encoding"), "identity");
    if (hub_->IsStorage(request)) {
      EXPECT_EQ(request.headers.Get("Range"), "bytes=0-999");
    }
  }
}

TEST_F(HuggingFaceTest, AnAddressIsRenewedShortlyBeforeItEnds) {
  Start({.address_life = 600s});
  const std::string content = PatternBytes(1000, 1);
  PinLfs(content);
  ASSERT_TRUE(Read({0, 100}));
  clock_.Advance(530s);
  ASSERT_TRUE(Read({100, 200}));
  EXPECT_EQ(hub_->CountOf("/resolve/"), 1u);
  clock_.Advance(15s);
  ASSERT_TRUE(Read({200, 300}));
  EXPECT_EQ(hub_->CountOf("/resolve/"), 2u);
}

TEST_F(HuggingFaceTest, AWrongClockDoesNotCostAQuestionARange) {
  Start({.address_life = 30s});
  PinLfs(PatternBytes(1000, 1));
  for (std::uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(Read({i * 100, (i + 1) * 100}));
  EXPECT_EQ(hub_->CountOf("/resolve/"), 1u);
}

TEST_F(HuggingFaceTest, LargeFilesThatTheHubServesItselfWorkToo) {
  Start({.token = "hf_t"}, "hf_t");
  const std::string content = PatternBytes(1000, 1);
  PinLfs(content);
  hub_->SetHook([&](const net::HttpRequest& request) -> std::optional<Result<net::HttpResponse>> {
    if (!Has(request.url.path, "/resolve/")) return std::nullopt;
    auto answer = testing::ServeContent(request, content);
    answer.headers.Add("X-Repo-Commit", pin_.fingerprint);
    answer.headers.Add("ETag", "\"" + files_[0].hash + "\"");
    return answer;
  });
  const auto bytes = Read({10, 900});
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, content.substr(10, 890));
}

TEST_F(HuggingFaceTest, SmallFilesServedAtOnceWork) {
  Start({.token = "hf_t", .small_files_redirect = false}, "hf_t");
  PinSmall("{\"a\": 1}");
  const auto bytes = ReadAll();
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_EQ(*bytes, "{\"a\": 1}");
}

TEST_F(HuggingFaceTest, EmptyFilesOfBothKindsNeedNoRequest) {
  Start();
  hub_->Publish("a", "");
  hub_->PublishLfs("b", "");
  pin_ = MustResolve();
  files_ = MustList(pin_);
  const std::size_t before = calls();
  for (const auto& file : files_) {
    EXPECT_TRUE(testing::ReadRange(ctx_, *source_, pin_, file, {0, 0}));
  }
  EXPECT_EQ(calls(), before);
}

TEST_F(HuggingFaceTest, ARangeOutsideTheFileIsTheCallersMistake) {
  Start();
  PinSmall("12345");
  for (const net::ByteRange range : {net::ByteRange{0, 6}, net::ByteRange{4, 2}}) {
    const auto bytes = Read(range);
    ASSERT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code(), Code::kInvalidArgument);
  }
}

TEST_F(HuggingFaceTest, APinOfAnotherSourceIsRefused) {
  Start();
  PinSmall("12345");
  for (const auto& [identity, sha] : std::vector<std::pair<std::string, std::string>>{
           {"hf://datasets/owner/name", pin_.fingerprint},
           {"hf://models/../x", pin_.fingerprint},
           {"hf://models/owner/name", "main"}}) {
    Pin other = pin_;
    other.identity = identity;
    other.fingerprint = sha;
    const auto files = source_->List(ctx_, other);
    ASSERT_FALSE(files) << identity;
    EXPECT_EQ(files.error().code(), Code::kInvalidArgument);
  }
}

TEST(SourceFactory, WithoutATrainingStoreBtSaysHowToNameOne) {
  bdn::testing::ManualClock clock;
  MemoryHub hub(clock);
  RateLimiters limiters;
  model::SourceUri uri;
  uri.scheme = model::Scheme::kBt;
  const auto source = MakeSource(uri, {}, {.transport = hub.transport(), .limiters = limiters});
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code(), Code::kInvalidArgument);
  EXPECT_TRUE(Has(source.error().hint(), "BDN_BT_ENDPOINT"));
}

TEST(SourceFactory, UnusableTokensAreRefusedWithoutRepeatingThem) {
  bdn::testing::ManualClock clock;
  MemoryHub hub(clock);
  RateLimiters limiters;
  model::SourceUri uri;
  uri.repo_kind = "models";
  uri.owner = "o";
  uri.repo = "r";
  for (const std::string bad : {"", " \n", "hf_a\r\nX: y"}) {
    const auto source =
        MakeSource(uri, {.secret = bad}, {.transport = hub.transport(), .limiters = limiters});
    ASSERT_FALSE(source);
    EXPECT_EQ(source.error().code(), Code::kInvalidArgument);
    EXPECT_FALSE(Has(source.error().message(), "hf_a"));
  }
}

}  // namespace
}  // namespace bdn::source
