#include "store/sqlite_metadata.h"

#include <array>
#include <fstream>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/testing/temp_dir.h"
#include "store/sqlite_schema.h"
#include "store/testing/faulty_metadata.h"
#include "store/testing/metadata_conformance.h"

namespace bdn::store {
namespace {

using os::testing::TempDir;
using testing::FaultyMetadata;
using testing::MetadataConformance;
using testing::MetadataFactory;

// Metadata in a temporary directory that goes with it: the database is closed first.
class InTempDir {
 public:
  std::string path() const { return dir_.path() + "/metadata.db"; }
  std::unique_ptr<Metadata> Open() const {
    auto opened = OpenSqliteMetadata(path());
    EXPECT_TRUE(opened) << opened.error().message();
    return *std::move(opened);
  }

 private:
  TempDir dir_;
};

// Keeps the directories of the conformance suite until the process ends.
std::unique_ptr<Metadata> OpenFile() {
  static std::vector<std::unique_ptr<InTempDir>> kept;
  kept.push_back(std::make_unique<InTempDir>());
  return kept.back()->Open();
}

INSTANTIATE_TEST_SUITE_P(
    Sqlite,
    MetadataConformance,
    ::testing::Values(MetadataFactory{.name = "memory",
                                      .make = [] { return *OpenSqliteMetadata(":memory:"); }},
                      MetadataFactory{.name = "file", .make = OpenFile}));

TEST(SecretKey, IgnoresCaseAndWhatIsNotALetterOrDigit) {
  EXPECT_EQ(SecretKey("HF_access-token 2"), "hfaccesstoken2");
  EXPECT_EQ(SecretKey("hf_access_token"), SecretKey("hf-access-token"));
  EXPECT_EQ(SecretKey("--"), "");
}

TEST(SqliteMetadata, RemembersAcrossOpens) {
  const InTempDir dir;
  ASSERT_TRUE(dir.Open()->PutSetting("a", "1"));
  EXPECT_EQ(*dir.Open()->GetSetting("a"), "1");
}

TEST(SqliteMetadata, OpensADatabaseOfVersion1) {
  const InTempDir dir;
  std::ifstream file(BDN_STORE_TESTDATA "/metadata_v1.sql");
  std::stringstream sql;
  sql << file.rdbuf();
  {
    const auto db = Db::Open(dir.path(), {});
    ASSERT_TRUE(db);
    const Status made = (*db)->Exec(sql.str());
    ASSERT_TRUE(made) << made.error().message();
  }
  const auto metadata = dir.Open();
  const auto deployment = metadata->GetDeployment("dep_1");
  ASSERT_TRUE(deployment) << deployment.error().message();
  EXPECT_EQ(deployment->mounts.at(0).mirror_id, "mir_1");
  const auto mirror = metadata->GetMirror("mir_1");
  ASSERT_TRUE(mirror) << mirror.error().message();
  EXPECT_EQ(mirror->state, MirrorState::kDone);
  EXPECT_EQ(mirror->warnings, std::vector<std::string>{"renamed"});
  EXPECT_EQ(mirror->manifest->hex(), std::string(64, 'a'));
  EXPECT_EQ(mirror->progress.bytes, 123u);
  const Scope scope{.org = "org", .ns = "ns"};
  EXPECT_EQ(metadata->GetPartialChunks(scope, "key")->size(), 1u);
  EXPECT_EQ(metadata->ListVersions(scope, "vol")->at(0).sequence, 4);
  EXPECT_EQ(metadata->ListTags(scope, "vol")->at(0).name, "latest");
  EXPECT_EQ(metadata->GetSecret("org", "hftoken")->sealed, "sealed");
  EXPECT_EQ(metadata->FindApiKey("beef")->id, "key_1");
  EXPECT_TRUE(*metadata->FindFileByHash(scope, "sha256:aa", 9));
  EXPECT_EQ(*metadata->GetSetting("s"), "v");
}

TEST(SqliteMetadata, TheSchemaOfVersion1IsFrozen) {
  // The test data was written by the first migration: a change of that migration, which would leave
  // existing databases behind, shows here.
  std::ifstream file(BDN_STORE_TESTDATA "/metadata_v1.sql");
  std::stringstream sql;
  sql << file.rdbuf();
  EXPECT_NE(sql.str().find(Migrations()[0]), std::string::npos);
}

TEST(SqliteMetadata, RefusesADatabaseOfANewerVersion) {
  const InTempDir dir;
  dir.Open();
  {
    const auto db = Db::Open(dir.path(), {});
    ASSERT_TRUE((*db)->Exec("INSERT INTO migrations VALUES (1000)"));
  }
  const auto opened = OpenSqliteMetadata(dir.path());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(opened.error().message().find("1000"), std::string::npos);
}

TEST(SqliteMetadata, AFileThatIsNoDatabaseIsCorrupt) {
  const InTempDir dir;
  std::ofstream(dir.path()) << std::string(5000, 'x');
  const auto opened = OpenSqliteMetadata(dir.path());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::kCorrupt);
}

TEST(SqliteMetadata, AFullDiskLosesNothingThatWasAcknowledged) {
  const InTempDir dir;
  SqliteOptions options;
  options.db.bytes_max = 256 << 10;
  int written = 0;
  {
    const auto metadata = *OpenSqliteMetadata(dir.path(), options);
    for (;; ++written) {
      const Status put =
          metadata->PutSetting("s" + std::to_string(written), std::string(1000, 'v'));
      if (put) continue;
      EXPECT_EQ(put.error().code(), Code::kResourceExhausted) << put.error().message();
      EXPECT_FALSE(put.error().hint().empty());
      break;
    }
    ASSERT_GT(written, 10);
    // It still answers, and writes again once there is room.
    EXPECT_TRUE(*metadata->GetSetting("s0"));
  }
  const auto metadata = dir.Open();
  for (int i = 0; i <= written; ++i) {
    EXPECT_EQ(metadata->GetSetting("s" + std::to_string(i))->has_value(), i < written) << i;
  }
  EXPECT_TRUE(metadata->PutSetting("more", "room"));
}

// A child process writes rows and reports each through a pipe after its commit; it is killed in the
// middle. What it reported is there; at most one row more (committed, not yet reported).
TEST(SqliteMetadata, AKilledWriterLosesNothingThatWasAcknowledged) {
  for (int round = 0; round < 3; ++round) {
    const InTempDir dir;
    dir.Open();
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto metadata = OpenSqliteMetadata(dir.path());
      for (int i = 0; metadata; ++i) {
        // Two rows of one transaction: both or none.
        KnownFile a;
        a.identity = "i";
        a.path = std::to_string(i) + "a";
        a.etag = "e";
        KnownFile b = a;
        b.path = std::to_string(i) + "b";
        if (!(*metadata)->PutKnownFiles({.org = "o", .ns = "n"}, {a, b})) break;
        if (::write(ends[1], &i, sizeof i) != sizeof i) break;
      }
      ::_exit(1);
    }
    ::close(ends[1]);
    int last = -1;
    int reported = 0;
    while (last<20 + 37 * round&& ::read(ends[0], &reported, sizeof reported)> 0) {
      last = reported;
    }
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    while (::read(ends[0], &reported, sizeof reported) > 0) last = reported;
    ::close(ends[0]);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);

    const auto metadata = dir.Open();
    const auto has = [&](int i, const char* which) {
      KnownFile file;
      file.identity = "i";
      file.path = std::to_string(i) + which;
      file.etag = "e";
      return metadata->FindKnownFile({.org = "o", .ns = "n"}, file)->has_value();
    };
    for (int i = 0; i <= last; ++i) EXPECT_TRUE(has(i, "a") && has(i, "b")) << i;
    EXPECT_EQ(has(last + 1, "a"), has(last + 1, "b"));
    EXPECT_FALSE(has(last + 2, "a"));
  }
}

TEST(SqliteMetadata, ManyThreadsReadAndWrite) {
  const InTempDir dir;
  const auto metadata = dir.Open();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 20; ++i) {
          const std::string name = std::to_string(t) + "." + std::to_string(i);
          EXPECT_TRUE(metadata->PutSetting(name, "x"));
          EXPECT_TRUE(metadata->GetSetting(name)->has_value());
        }
      });
    }
  }
  EXPECT_TRUE(metadata->GetSetting("5.19")->has_value());
}

TEST(SqliteMetadata, TwoProcessesClaimAMirrorOnce) {
  const InTempDir dir;
  const auto one = dir.Open();
  const auto two = dir.Open();
  Deployment d;
  d.id = "dep_1";
  d.mounts.resize(1);
  Mirror m;
  m.id = "m1";
  m.key = "k";
  ASSERT_TRUE(one->CreateDeployment(d, {m}));
  EXPECT_TRUE(*one->ClaimMirror("a", WallTime{}, std::chrono::seconds(1)));
  EXPECT_FALSE(*two->ClaimMirror("b", WallTime{}, std::chrono::seconds(1)));
}

TEST(FaultyMetadata, FailsTheNthCallOnly) {
  const auto inner = *OpenSqliteMetadata(":memory:");
  FaultyMetadata faulty(*inner);
  faulty.FailAt(1);
  EXPECT_TRUE(faulty.PutSetting("a", "1"));
  EXPECT_FALSE(faulty.PutSetting("b", "1"));
  EXPECT_TRUE(faulty.PutSetting("c", "1"));
  EXPECT_FALSE(*inner->GetSetting("b"));
  EXPECT_EQ(faulty.failures(), 1u);
}

}  // namespace
}  // namespace bdn::store
