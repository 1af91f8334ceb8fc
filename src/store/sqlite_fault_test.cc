// Metadata on a file system that fails: what was acknowledged is there, the rest is absent or
// whole.
#include <functional>

#include <gtest/gtest.h>

#include "os/testing/temp_dir.h"
#include "store/sqlite_metadata.h"
#include "store/testing/faulty_vfs.h"

namespace bdn::store {
namespace {

using os::testing::TempDir;
using testing::FaultyVfs;

constexpr WallTime kMade{std::chrono::seconds(1'767'225'600)};
constexpr Duration kTheLease = std::chrono::seconds(60);

crypto::Digest DigestOf(int n) {
  crypto::Digest digest;
  digest.bytes[0] = static_cast<std::uint8_t>(n);
  return digest;
}

// One transaction each. `done` looks whether it happened and expects all of it, or nothing of it.
struct Step {
  std::function<Status(Metadata&)> run;
  std::function<bool(Metadata&)> done;
};

template <class T>
Status AsStatus(const Result<T>& result) {
  return result ? Status() : Status(result.error());
}

std::optional<Mirror> MirrorOf(Metadata& metadata) {
  const auto mirror = metadata.GetMirror("mir_1");
  if (mirror) return *mirror;
  EXPECT_EQ(mirror.error().code(), Code::kNotFound);
  return std::nullopt;
}

KnownFile FileNo(int n) {
  return {.identity = "hf://a/b",
          .path = "file" + std::to_string(n),
          .etag = "e",
          .version = "",
          .size = 10,
          .content_hash = "",
          .chunked = false,
          .digest = DigestOf(n)};
}

std::vector<Step> Steps() {
  const Scope scope{"org", "ns"};
  std::vector<Step> steps;
  steps.push_back({[=](Metadata& m) {
                     Deployment deployment;
                     deployment.id = "dep_1";
                     deployment.org = "org";
                     deployment.name = "model";
                     deployment.created_at = kMade;
                     deployment.mounts.push_back(
                         {.mount_location = "/m", .source = "hf://a/b", .mirror_id = {}});
                     Mirror mirror;
                     mirror.id = "mir_1";
                     mirror.scope = scope;
                     mirror.key = "key";
                     mirror.source = "hf://a/b";
                     mirror.spec = "{}";
                     mirror.created_at = mirror.updated_at = kMade;
                     return AsStatus(m.CreateDeployment(deployment, {mirror}));
                   },
                   [](Metadata& m) {
                     const bool deployed = m.GetDeployment("dep_1").has_value();
                     EXPECT_EQ(deployed, MirrorOf(m).has_value()) << "a deployment without mirror";
                     return deployed;
                   }});
  steps.push_back({[](Metadata& m) -> Status {
                     BDN_ASSIGN(const auto claimed, m.ClaimMirror("w", kMade, kTheLease));
                     return claimed ? Status() : Status(Error(Code::kNotFound, "nothing queued"));
                   },
                   [](Metadata& m) {
                     const auto mirror = MirrorOf(m);
                     const bool claimed = mirror && mirror->attempts > 0;
                     if (claimed && mirror->state == MirrorState::kRunning) {
                       EXPECT_EQ(mirror->lease_owner, "w");
                     }
                     return claimed;
                   }});
  steps.push_back({[=](Metadata& m) {
                     std::vector<KnownFile> files;
                     for (int i = 1; i <= 40; ++i) files.push_back(FileNo(i));
                     return m.PutKnownFiles(scope, files);
                   },
                   [=](Metadata& m) {
                     int found = 0;
                     for (int i = 1; i <= 40; ++i) {
                       const auto known = m.FindKnownFile(scope, FileNo(i));
                       EXPECT_TRUE(known);
                       found += known && *known;
                     }
                     EXPECT_TRUE(found == 0 || found == 40) << found;
                     return found > 0;
                   }});
  steps.push_back(
      {[=](Metadata& m) { return m.PutPartialChunk(scope, "file", 0, 16, DigestOf(7), kMade); },
       [=](Metadata& m) { return m.GetPartialChunks(scope, "file")->size() == 1; }});
  steps.push_back({[=](Metadata& m) {
                     return AsStatus(m.AppendVersion(scope, "vol", DigestOf(9), "tag", kMade));
                   },
                   [=](Metadata& m) {
                     const auto versions = m.ListVersions(scope, "vol");
                     const bool there = versions && !versions->empty();
                     EXPECT_EQ(there, !m.ListTags(scope, "vol")->empty());
                     return there;
                   }});
  steps.push_back({[](Metadata& m) {
                     return m.FinishMirror("mir_1", "w", DigestOf(9), {.phase = "done"}, kMade);
                   },
                   [](Metadata& m) {
                     const auto mirror = MirrorOf(m);
                     const bool finished = mirror && mirror->state == MirrorState::kDone;
                     if (finished) {
                       EXPECT_EQ(mirror->manifest, DigestOf(9));
                     }
                     return finished;
                   }});
  steps.push_back({[](Metadata& m) { return m.PutSetting("name", std::string(20'000, 'v')); },
                   [](Metadata& m) { return m.GetSetting("name")->has_value(); }});
  return steps;
}

// Every write, sync, truncation, deletion and creation of a file fails, alone or with all later
// ones; then the process ends and the database is opened again.
TEST(SqliteFaults, WhateverFailsWhatWasAcknowledgedIsThereAndTheRestIsAbsentOrWhole) {
  FaultyVfs vfs;
  const std::vector<Step> steps = Steps();
  SqliteOptions options;
  options.readers = 1;
  options.db.vfs = vfs.name();
  for (const bool all_later : {false, true}) {
    std::uint64_t n = 0;
    for (bool done = false; !done; ++n) {
      SCOPED_TRACE("operation " + std::to_string(n) + (all_later ? " and all later" : ""));
      const TempDir dir;
      const std::string path = dir.path() + "/metadata.db";
      vfs.FailAt(n, all_later);
      std::vector<bool> acknowledged(steps.size());
      if (const auto metadata = OpenSqliteMetadata(path, options)) {
        for (std::size_t i = 0; i < steps.size(); ++i) {
          acknowledged[i] = steps[i].run(**metadata).has_value();
        }
      }
      done = vfs.failures() == 0;
      vfs.Heal();
      const auto metadata = OpenSqliteMetadata(path, options);
      ASSERT_TRUE(metadata) << metadata.error().message();
      for (std::size_t i = 0; i < steps.size(); ++i) {
        const bool there = steps[i].done(**metadata);
        EXPECT_TRUE(there || !acknowledged[i]) << "step " << i << " was acknowledged and is lost";
        if (done) {
          EXPECT_TRUE(there) << i;
        }
      }
      // It works on: nothing is locked or broken.
      EXPECT_TRUE((*metadata)->PutSetting("after", "x"));
      if (HasFailure()) return;
      ASSERT_LT(n, 2000u);
    }
    EXPECT_GT(n, 30u);
  }
}

}  // namespace
}  // namespace bdn::store
