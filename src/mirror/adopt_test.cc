#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crypto/blake3.h"
#include "mirror/mirror.h"
#include "mirror/spec.h"
#include "mirror/testing/mirror_world.h"
#include "mirror/tree_push.h"
#include "mirror/worker.h"
#include "os/testing/memory_fs.h"

namespace bdn::mirror {
namespace {

using namespace bdn::mirror::testing;  // NOLINT(google-build-using-namespace): the test's own world
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AdoptTest : public ::testing::Test, public World {
 protected:
  AdoptTest() {
    for (const auto& [path, content] : Tree{{"a/b/deep.bin", "deep"},
                                            {"a/model.bin", PatternBytes(3000, 1)},
                                            {"config.json", "{}"},
                                            {"empty", ""}}) {
      if (const auto slash = path.rfind('/'); slash != std::string::npos) {
        EXPECT_TRUE(os::MakeDirs(fs, path.substr(0, slash)));
      }
      EXPECT_TRUE(os::WriteFileDurably(fs, path, content));
    }
    EXPECT_TRUE(fs.MakeDir("hollow", 0755));
    EXPECT_TRUE(fs.SetMode("config.json", 0755));
    EXPECT_TRUE(fs.Symlink("model.bin", "a/link.bin"));
    const ObjectUpload upload{
        .has = [&](const Context& c,
                   const crypto::Digest& digest) { return objects.Touch(c, scope, digest); },
        .put = [&](const Context& c, store::ObjectKind kind, const crypto::Digest& digest,
                   std::span<const std::byte> bytes) -> Status {
          BDN_TRY(objects.Put(c, scope, kind, digest, bytes));
          return {};
        }};
    const auto pushed = PushTree(ctx, fs, upload, executor, [](const PushProgress&) {});
    EXPECT_TRUE(pushed);
    tree.manifest = pushed->manifest;
    tree.pin = {.fingerprint = "job/c@x",
                .fingerprint_type = "checkpoint",
                .identity = "bt://p@job/c",
                .warnings = {}};
    weights.source = "bt://demo";
    weights.uri = *model::ParseSourceUri(weights.source);
  }
  Result<MirrorResult> Adopt(std::optional<std::vector<std::string>> allow = std::nullopt,
                             std::optional<std::vector<std::string>> ignore = std::nullopt) {
    weights.allow_patterns = std::move(allow);
    weights.ignore_patterns = std::move(ignore);
    Mirrorer mirrorer(objects, *metadata, executor, options);
    return mirrorer.Adopt(ctx, tree, {.scope = scope, .weights = weights}, {}, {});
  }
  std::size_t Count() {
    std::size_t count = 0;
    EXPECT_TRUE(objects.List(ctx, [&](const store::Scope&, const store::ObjectInfo&) -> Status {
      ++count;
      return {};
    }));
    return count;
  }
  // Paths of the version, directories with a '/' behind.
  std::vector<std::string> Paths(const crypto::Digest& manifest) {
    std::vector<std::string> paths;
    const auto parsed = model::ParseManifest(ReadObject(store::ObjectKind::kManifest, manifest));
    EXPECT_TRUE(parsed);
    for (const auto& entry : parsed->entries) {
      paths.push_back(entry.path + (entry.type == model::EntryType::kDirectory ? "/" : ""));
    }
    return paths;
  }

  os::testing::MemoryFs fs;
  StoredTree tree;
};

TEST_F(AdoptTest, WithoutPatternsTheTreesOwnManifestServesAndNothingIsWritten) {
  const std::size_t before = Count();
  const auto result = Adopt();
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->manifest, tree.manifest);
  EXPECT_EQ(result->pin.fingerprint, "job/c@x");
  EXPECT_EQ(result->progress.phase, "done");
  EXPECT_EQ(result->progress.files, 4u);
  EXPECT_EQ(result->progress.bytes, 3006u);
  EXPECT_EQ(result->progress.bytes_reused, 3006u);
  EXPECT_EQ(Count(), before);
  EXPECT_EQ(Adopt({{"**"}})->manifest, tree.manifest) << "patterns that leave nothing out";
}

TEST_F(AdoptTest, PatternsGiveOneManifestOfTheSameObjects) {
  const std::size_t before = Count();
  const auto result = Adopt({{"a/**"}}, {{"**/deep.bin"}});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(Count(), before + 1);
  EXPECT_THAT(Paths(result->manifest), ElementsAre("a/", "a/link.bin", "a/model.bin"));
  EXPECT_EQ(TreeOf(result->manifest).at("a/model.bin"), PatternBytes(3000, 1));
  EXPECT_EQ(result->progress.bytes, 3000u);
  const auto parsed =
      model::ParseManifest(ReadObject(store::ObjectKind::kManifest, result->manifest));
  EXPECT_EQ(parsed->provenance->source_fingerprint, "job/c@x");
  EXPECT_EQ(Adopt({{"a/**"}}, {{"**/deep.bin"}})->manifest, result->manifest);
  EXPECT_EQ(Count(), before + 1) << "the same selection is the same version";
}

TEST_F(AdoptTest, PatternsThatSelectNothingAreTheUsualError) {
  const auto result = Adopt({{"*.safetensors"}});
  EXPECT_EQ(result.error().code(), Code::kInvalidArgument);
  EXPECT_THAT(result.error().message(), HasSubstr("No files matched weights filters"));
  EXPECT_THAT(result.error().message(), HasSubstr("listed 4 file(s)"));
}

TEST_F(AdoptTest, ATreeThatIsNotWholeIsNotAdopted) {
  ASSERT_TRUE(objects.Delete(ctx, scope, crypto::Blake3Of("{}")));
  const auto result = Adopt();
  EXPECT_EQ(result.error().code(), Code::kCorrupt);
  EXPECT_THAT(result.error().message(), HasSubstr("are missing from the origin"));
}

TEST_F(AdoptTest, AWorkerAsksForAStoredTreeBeforeItMakesASource) {
  store::Mirror mirror;
  mirror.id = "m1";
  mirror.scope = scope;
  mirror.key = "k";
  mirror.source = weights.source;
  mirror.spec = SpecToJson(weights);
  mirror.created_at = clock.Now();
  store::Deployment deployment;
  deployment.id = "d";
  deployment.org = scope.org;
  deployment.mounts = {{"/m", weights.source, ""}};
  ASSERT_TRUE(metadata->CreateDeployment(deployment, {mirror}));
  Mirrorer mirrorer(objects, *metadata, executor, options);
  int sources = 0;
  MirrorWorker worker(
      *metadata, mirrorer, clock,
      [&](const Context&, const store::Mirror&) -> Result<std::unique_ptr<source::Source>> {
        ++sources;
        return Error(Code::kInternal, "no source is needed");
      },
      {}, {.owner = "w", .find_stored = [&](const Context&, const store::Mirror&) {
             return Result<std::optional<StoredTree>>(tree);
           }});
  ASSERT_TRUE(worker.RunOne(ctx));
  const auto done = metadata->GetMirror("m1");
  ASSERT_TRUE(done);
  EXPECT_EQ(done->state, store::MirrorState::kDone) << done->error.message;
  EXPECT_EQ(done->manifest, tree.manifest);
  EXPECT_EQ(done->pin, "job/c@x");
  EXPECT_EQ(sources, 0);
}

}  // namespace
}  // namespace bdn::mirror
