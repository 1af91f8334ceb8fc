// Whole mirrors of the stand-in for the Hub: damage in transit, full disks, mirrors that meet, and
// processes that are killed in mid-file.
#include <csignal>
#include <cstdio>
#include <thread>

#include <unistd.h>

#include "base/executor.h"
#include "integration/hub_world.h"
#include "mirror/mirror.h"
#include "model/manifest.h"
#include "os/process.h"
#include "os/real_fs.h"
#include "os/testing/faulty_fs.h"
#include "os/testing/memory_fs.h"
#include "os/testing/temp_dir.h"
#include "store/directory_store.h"
#include "store/sqlite_metadata.h"

namespace bdn::integration {
namespace {

using fakes::FaultKind;
using Tree = std::map<std::string, std::string>;

constexpr std::uint64_t kChunk = 256 * 1024;
constexpr std::string_view kUri = "hf://owner/name";

// An origin of its own: objects, metadata and the threads that fetch.
class Origin {
 public:
  Origin(std::unique_ptr<os::Fs> fs, const std::string& database, const Clock& clock) {
    auto objects = store::OpenDirectoryStore(std::move(fs), clock);
    auto metadata = store::OpenSqliteMetadata(database, {});
    EXPECT_TRUE(objects) << (objects ? "" : objects.error().message());
    EXPECT_TRUE(metadata) << (metadata ? "" : metadata.error().message());
    objects_ = *std::move(objects);
    metadata_ = *std::move(metadata);
    mirrorer_ = std::make_unique<mirror::Mirrorer>(
        *objects_, *metadata_, pool_,
        mirror::MirrorerOptions{.chunk_bytes = kChunk, .parallel = 2});
  }

  Result<mirror::MirrorResult> Mirror(const Context& ctx, source::Source& source) {
    mirror::MirrorRequest request{.scope = scope_, .weights = {}};
    request.weights.source = kUri;
    BDN_ASSIGN(request.weights.uri, model::ParseSourceUri(kUri));
    return mirrorer_->Run(
        ctx, source, request, [](const source::Pin&) -> Status { return {}; },
        [](const store::Progress&) -> Status { return {}; });
  }

  // What a reader of the version sees.
  Result<Tree> Read(const Context& ctx, const crypto::Digest& manifest) {
    BDN_ASSIGN(const std::string text, Get(ctx, store::ObjectKind::kManifest, manifest));
    BDN_ASSIGN(const auto parsed, model::ParseManifest(text));
    Tree tree;
    for (const auto& entry : parsed.entries) {
      if (entry.type != model::EntryType::kFile) continue;
      std::string& bytes = tree[entry.path];
      if (!entry.digest) continue;
      if (!entry.chunked) {
        BDN_ASSIGN(bytes, Get(ctx, store::ObjectKind::kChunk, *entry.digest));
        continue;
      }
      BDN_ASSIGN(const auto map_text, Get(ctx, store::ObjectKind::kChunkmap, *entry.digest));
      BDN_ASSIGN(const auto map, model::ParseChunkmap(map_text));
      for (const auto& chunk : map.chunks) {
        BDN_ASSIGN(const auto piece, Get(ctx, store::ObjectKind::kChunk, chunk.digest));
        bytes += piece;
      }
    }
    return tree;
  }

 private:
  Result<std::string> Get(const Context& ctx, store::ObjectKind kind, const crypto::Digest& id) {
    return store::GetAll(ctx, *objects_, scope_, kind, id, 64u << 20);
  }

  const store::Scope scope_{"org", "default"};
  ThreadPool pool_{{.name = "fetch", .threads = 4}};
  std::unique_ptr<store::ObjectStore> objects_;
  std::unique_ptr<store::Metadata> metadata_;
  std::unique_ptr<mirror::Mirrorer> mirrorer_;
};

// The part of a child process: one mirror into `directory`.
int MirrorOnce(const std::string& hub_url, const std::string& directory) {
  auto fs = os::OpenOrMakeRealFs(directory + "/objects");
  if (!fs) return 3;
  Origin origin(*std::move(fs), directory + "/db", RealClock());
  const auto transport = net::MakeCurlTransport(
      {.addresses = *net::AddressPolicy::WithAllowed({"127.0.0.1"}), .ca_file = {}});
  source::RateLimiters limiters;
  const auto source =
      source::MakeSource(*model::ParseSourceUri(kUri), {.secret = "hf_reader"},
                         {.transport = *transport, .limiters = limiters, .hf_endpoint = hub_url});
  if (!source) return 4;
  const auto result = origin.Mirror(Context(RealClock()), **source);
  if (!result) std::fprintf(stderr, "mirror: %s\n", result.error().message().c_str());
  return result ? 0 : 1;
}

class HubMirror : public HubWorld {
 protected:
  void SetUp() override {
    Start();
    tree_ = {{"config.json", "{}"},
             {"empty", ""},
             {"sub/small.bin", PatternBytes(1000, 1)},
             {"sub/large.safetensors", PatternBytes(8 * kChunk + 77, 2)},
             {"large.txt", PatternBytes(3 * kChunk, 3)}};
    Commit(tree_);
  }
  std::unique_ptr<Origin> MemoryOrigin() {
    return std::make_unique<Origin>(os::testing::MemoryFs().Share(), ":memory:", clock_);
  }
  void ExpectMirrors(Origin& origin) {
    const auto result = origin.Mirror(ctx_, *source_);
    ASSERT_TRUE(result) << result.error().message();
    const auto tree = origin.Read(ctx_, result->manifest);
    ASSERT_TRUE(tree) << tree.error().message();
    EXPECT_TRUE(*tree == tree_) << "other bytes than published";
  }
  std::uint64_t LfsBytes() const {
    return tree_.at("sub/small.bin").size() + tree_.at("sub/large.safetensors").size();
  }

  Tree tree_;
};

TEST_F(HubMirror, EveryByteArrivesOnce) {
  const auto origin = MemoryOrigin();
  ExpectMirrors(*origin);
  EXPECT_EQ(CdnBytes(), LfsBytes());
  EXPECT_EQ(Count("hub", "/tree/"), 1u);
}

TEST_F(HubMirror, AFlippedByteIsFetchedAgainOnce) {
  for (const std::string path : {"/repos/", "/large.txt"}) {
    SCOPED_TRACE(path);
    hub_->log().Clear();
    const auto origin = MemoryOrigin();
    // The answer before that of the cache is a redirect, which has no such byte.
    hub_->faults().Add({.kind = FaultKind::kFlipByte,
                        .path_prefix = path == "/repos/" ? "" : "/api/resolve-cache/",
                        .path_part = path,
                        .range_prefix = "bytes=0-",
                        .after_bytes = 700});
    ExpectMirrors(*origin);
    EXPECT_EQ(hub_->log().CountIf([](const auto& e) { return e.fault == "flip-byte"; }), 1u);
    const auto served = hub_->log().CountIf([&](const auto& e) {
      return e.status == 206 && e.range.starts_with("bytes=0-") &&
             e.path.find(path) != std::string::npos;
    });
    EXPECT_EQ(served, path == "/repos/" ? 3u : 2u) << "two files, or one, and one of them again";
  }
}

TEST_F(HubMirror, ContentThatIsNeverWhatItsHashSaysIsRefused) {
  const auto origin = MemoryOrigin();
  hub_->faults().Add(
      {.kind = FaultKind::kFlipByte, .server = "cdn", .count = -1, .after_bytes = 700});
  const auto result = origin->Mirror(ctx_, *source_);
  ASSERT_FALSE(result);
  ExpectError(result.error(), Code::kCorrupt, "sub/");
  hub_->faults().Clear();
  ExpectMirrors(*origin);
}

TEST_F(HubMirror, AFullDiskIsAnErrorThatTheNextAttemptHeals) {
  os::testing::FaultyFs disk(os::testing::MemoryFs().Share());
  Origin origin(disk.Share(), ":memory:", clock_);
  disk.FailAt(60, {.code = Code::kResourceExhausted, .all_later = true});
  const auto result = origin.Mirror(ctx_, *source_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kResourceExhausted) << result.error().message();
  EXPECT_GT(disk.failures(), 0u);
  disk.Heal();
  ExpectMirrors(origin);
}

TEST_F(HubMirror, TwoMirrorsOfOneSourceDownloadOnce) {
  const auto origin = MemoryOrigin();
  hub_->SetRate(4u << 20);  // slow enough that they meet
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] { ExpectMirrors(*origin); });
    }
  }
  EXPECT_EQ(CdnBytes(), LfsBytes());
}

TEST_F(HubMirror, AStorageHostInTroubleCostsNoByteTwice) {
  const auto origin = MemoryOrigin();
  hub_->faults().Add(
      {.kind = FaultKind::kTruncate, .server = "cdn", .count = 12, .after_bytes = kChunk / 2});
  ExpectMirrors(*origin);
  EXPECT_EQ(CdnBytes(), LfsBytes());
}

TEST_F(HubMirror, AMirrorThatIsKilledInMidFileResumes) {
  const os::testing::TempDir directory;
  hub_->SetRate(2u << 20);
  auto child = os::Spawn({.argv = {"/proc/self/exe", "--mirror", hub_->url(), directory.path()}});
  ASSERT_TRUE(child) << child.error().message();
  const std::uint64_t enough = 4 * kChunk;
  for (int i = 0; i < 2000 && CdnBytes() < enough; ++i) {
    RealClock().SleepFor({}, std::chrono::milliseconds(5));
  }
  ASSERT_TRUE(child->Signal(SIGKILL));
  EXPECT_EQ(child->Wait()->signal, SIGKILL);
  const std::uint64_t before = CdnBytes();
  EXPECT_GE(before, enough);
  EXPECT_LT(before, LfsBytes());
  hub_->SetRate(0);

  auto fs = os::OpenOrMakeRealFs(directory.path() + "/objects");
  ASSERT_TRUE(fs);
  Origin origin(*std::move(fs), directory.path() + "/db", clock_);
  ExpectMirrors(origin);
  // Lost is at most what was in flight: two ranges of a chunk, and what the kernel held for them.
  EXPECT_LE(CdnBytes(), LfsBytes() + 3 * kChunk);
}

}  // namespace
}  // namespace bdn::integration

// With --mirror HUB_URL DIRECTORY it is the process that a test kills.
int main(int argc, char** argv) {
  if (argc == 4 && std::string_view(argv[1]) == "--mirror") {
    return bdn::integration::MirrorOnce(argv[2], argv[3]);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
