#pragma once
// What every Metadata does. Instantiate it with a factory of empty ones:
//   INSTANTIATE_TEST_SUITE_P(Memory, MetadataConformance, ::testing::Values(MetadataFactory{...}));
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "store/metadata.h"

namespace bdn::store::testing {

struct MetadataFactory {
  std::string name;
  std::function<std::unique_ptr<Metadata>()> make;
};
inline std::ostream& operator<<(std::ostream& out, const MetadataFactory& factory) {
  return out << factory.name;
}

class MetadataConformance : public ::testing::TestWithParam<MetadataFactory> {
 protected:
  static constexpr Duration kLease = std::chrono::seconds(10);
  static WallTime At(int seconds) {
    return WallTime(std::chrono::seconds(1'800'000'000 + seconds));
  }
  static crypto::Digest DigestOf(int n) {
    crypto::Digest digest;
    digest.bytes[0] = static_cast<std::uint8_t>(n);
    digest.bytes[31] = 0xff;
    return digest;
  }
  static Mirror NewMirror(const std::string& id, const std::string& key, int at) {
    Mirror m;
    m.id = id;
    m.scope = {.org = "org", .ns = "ns"};
    m.key = key;
    m.source = "hf://a/b@main";
    m.spec = R"({"source":"hf://a/b@main"})";
    m.created_at = At(at);
    return m;
  }
  Result<Deployment> Deploy(const std::string& id, const std::vector<Mirror>& mirrors, int at) {
    Deployment d;
    d.id = id;
    d.org = "org";
    d.name = "model";
    d.config = "weights:\n  - source: x\n";
    d.created_at = At(at);
    for (const Mirror& m : mirrors) {
      d.mounts.push_back(
          {.mount_location = "/models/" + m.key, .source = m.source, .mirror_id = {}});
    }
    return metadata_->CreateDeployment(d, mirrors);
  }
  // Claims the oldest mirror and finishes it.
  void FinishOne(int manifest, int at, const std::string& pin = "p1") {
    const auto claimed = metadata_->ClaimMirror("w", At(at), kLease);
    ASSERT_TRUE(claimed && *claimed);
    const std::string id = (*claimed)->id;
    ASSERT_TRUE(metadata_->SetMirrorPin(id, "w", pin, "git-commit", {"a \"warning\""}));
    Progress progress;
    progress.phase = "done";
    ASSERT_TRUE(metadata_->FinishMirror(id, "w", DigestOf(manifest), progress, At(at)));
  }
  std::vector<Metadata::Root> Roots() {
    std::vector<Metadata::Root> roots;
    EXPECT_TRUE(metadata_->ListRoots([&](const Metadata::Root& root) -> Status {
      roots.push_back(root);
      return {};
    }));
    return roots;
  }
  template <class R>
  static Code CodeOf(const R& result) {
    EXPECT_FALSE(result) << "unexpected success";
    return result ? Code::kInternal : result.error().code();
  }
  static KnownFile File(const std::string& path, int digest) {
    KnownFile file;
    file.identity = "hf://a/b";
    file.path = path;
    file.etag = "e1";
    file.version = "v1";
    file.size = 9;
    file.content_hash = "sha256:aa";
    file.chunked = true;
    file.digest = DigestOf(digest);
    return file;
  }

  const Scope scope_{.org = "org", .ns = "ns"};
  const Scope other_ns_{.org = "org", .ns = "ns2"};
  const Scope other_org_{.org = "org2", .ns = "ns"};
  std::unique_ptr<Metadata> metadata_ = GetParam().make();
};

TEST_P(MetadataConformance, DeploymentsComeBackAsTheyWerePut) {
  const auto made = Deploy("dep_1", {NewMirror("m1", "k1", 1), NewMirror("m2", "k2", 1)}, 1);
  ASSERT_TRUE(made) << made.error().message();
  const auto got = metadata_->GetDeployment("dep_1");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->config, "weights:\n  - source: x\n");
  ASSERT_EQ(got->mounts.size(), 2u);
  EXPECT_EQ(got->mounts[1].mount_location, "/models/k2");
  EXPECT_EQ(got->mounts[1].mirror_id, "m2");
  EXPECT_TRUE(got->active);
  EXPECT_EQ(got->created_at, At(1));
  EXPECT_EQ(CodeOf(metadata_->GetDeployment("dep_x")), Code::kNotFound);
}

TEST_P(MetadataConformance, ARefusedDeploymentLeavesNoMirror) {
  ASSERT_TRUE(Deploy("dep_1", {}, 1));
  EXPECT_EQ(CodeOf(Deploy("dep_1", {NewMirror("m1", "k1", 1)}, 2)), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf(metadata_->GetMirror("m1")), Code::kNotFound);
}

TEST_P(MetadataConformance, PushingTwiceWaitsForOneMirror) {
  ASSERT_TRUE(Deploy("dep_1", {NewMirror("m1", "k1", 1)}, 1));
  const auto second = Deploy("dep_2", {NewMirror("m2", "k1", 2), NewMirror("m3", "k1", 2)}, 2);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->mounts[0].mirror_id, "m1");
  EXPECT_EQ(second->mounts[1].mirror_id, "m1");
  EXPECT_EQ(metadata_->ListOpenMirrors()->size(), 1u);
  Mirror elsewhere = NewMirror("m4", "k1", 30);
  elsewhere.scope.ns = "ns2";
  EXPECT_EQ(Deploy("dep_3", {elsewhere}, 3)->mounts[0].mirror_id, "m4");
  // A finished one is not attached to: the name may point elsewhere by now.
  FinishOne(1, 4);
  EXPECT_EQ(Deploy("dep_4", {NewMirror("m5", "k1", 5)}, 5)->mounts[0].mirror_id, "m5");
}

TEST_P(MetadataConformance, ListingsContinueNewestFirst) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Deploy("dep_" + std::to_string(i), {}, i / 2));
  const auto first = metadata_->ListDeployments("org", 2, "");
  ASSERT_TRUE(first);
  ASSERT_EQ(first->size(), 2u);
  EXPECT_EQ((*first)[0].id, "dep_4");
  const auto rest = metadata_->ListDeployments("org", 10, (*first)[1].id);
  ASSERT_TRUE(rest);
  ASSERT_EQ(rest->size(), 3u);
  EXPECT_EQ((*rest)[0].id, "dep_2");
  EXPECT_EQ((*rest)[2].id, "dep_0");
  EXPECT_TRUE(metadata_->ListDeployments("someone", 10, "")->empty());
  EXPECT_EQ(CodeOf(metadata_->ListDeployments("org", 10, "dep_9")), Code::kNotFound);
}

TEST_P(MetadataConformance, MirrorsAreClaimedOldestFirstAndOnce) {
  ASSERT_TRUE(Deploy("dep_1", {NewMirror("m2", "k2", 2), NewMirror("m1", "k1", 1)}, 2));
  const auto first = metadata_->ClaimMirror("a", At(3), kLease);
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->id, "m1");
  EXPECT_EQ((*first)->attempts, 1);
  EXPECT_EQ((*first)->state, MirrorState::kRunning);
  EXPECT_EQ((*first)->lease_until, At(13));
  EXPECT_EQ((*metadata_->ClaimMirror("b", At(3), kLease))->id, "m2");
  EXPECT_FALSE(*metadata_->ClaimMirror("c", At(3), kLease));
}

TEST_P(MetadataConformance, ALeaseThatEndsIsTakenOverAndItsOwnerLearnsIt) {
  ASSERT_TRUE(Deploy("dep_1", {NewMirror("m1", "k1", 1)}, 1));
  ASSERT_TRUE(*metadata_->ClaimMirror("a", At(1), kLease));
  Progress p;
  p.phase = "fetching";
  p.bytes = 1ull << 62;
  p.eta = 7.5;
  ASSERT_TRUE(metadata_->UpdateMirror("m1", "a", p, At(9), kLease));
  EXPECT_FALSE(*metadata_->ClaimMirror("b", At(18), kLease));
  const auto taken = metadata_->ClaimMirror("b", At(19), kLease);
  ASSERT_TRUE(taken && *taken);
  EXPECT_EQ((*taken)->attempts, 2);
  EXPECT_EQ((*taken)->progress.bytes, 1ull << 62);
  EXPECT_EQ((*taken)->progress.eta, 7.5);
  EXPECT_EQ((*taken)->progress.phase, "fetching");
  EXPECT_EQ(CodeOf(metadata_->UpdateMirror("m1", "a", p, At(20), kLease)),
            Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(metadata_->SetMirrorPin("m1", "a", "x", "y", {})), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(metadata_->FinishMirror("m1", "a", DigestOf(1), p, At(20))),
            Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(metadata_->FailMirror("m1", "a", {}, true, At(20), At(20))),
            Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(metadata_->UpdateMirror("m9", "a", p, At(20), kLease)), Code::kNotFound);
}

TEST_P(MetadataConformance, AFailedMirrorWaitsOrEnds) {
  ASSERT_TRUE(Deploy("dep_1", {NewMirror("m1", "k1", 1)}, 1));
  ASSERT_TRUE(*metadata_->ClaimMirror("a", At(1), kLease));
  const MirrorError error{.code = "unavailable", .message = "reset", .hint = "wait"};
  ASSERT_TRUE(metadata_->FailMirror("m1", "a", error, true, At(50), At(2)));
  EXPECT_FALSE(*metadata_->ClaimMirror("a", At(49), kLease));
  const auto again = metadata_->ClaimMirror("a", At(50), kLease);
  ASSERT_TRUE(again && *again);
  EXPECT_EQ((*again)->error.message, "reset");
  ASSERT_TRUE(metadata_->FailMirror("m1", "a", error, false, At(60), At(51)));
  EXPECT_FALSE(*metadata_->ClaimMirror("a", At(99), kLease));
  const auto failed = metadata_->GetMirror("m1");
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->state, MirrorState::kFailed);
  EXPECT_EQ(failed->progress.phase, "failed");
  EXPECT_EQ(failed->error.hint, "wait");
  EXPECT_EQ(failed->lease_owner, "");
  EXPECT_TRUE(metadata_->ListOpenMirrors()->empty());
}

TEST_P(MetadataConformance, TheNewestFinishedMirrorIsFound) {
  ASSERT_TRUE(Deploy("dep_1", {NewMirror("m1", "k1", 1)}, 1));
  FinishOne(1, 2, "p1");
  ASSERT_TRUE(Deploy("dep_2", {NewMirror("m2", "k1", 3)}, 3));
  FinishOne(2, 4, "p2");
  const auto newest = metadata_->FindDoneMirror(scope_, "k1", "");
  ASSERT_TRUE(newest && *newest);
  EXPECT_EQ((*newest)->manifest, DigestOf(2));
  EXPECT_EQ((*newest)->warnings, std::vector<std::string>{"a \"warning\""});
  EXPECT_EQ((*newest)->progress.phase, "done");
  EXPECT_EQ((*metadata_->FindDoneMirror(scope_, "k1", "p1"))->manifest, DigestOf(1));
  EXPECT_FALSE(*metadata_->FindDoneMirror(scope_, "k1", "p3"));
  EXPECT_FALSE(*metadata_->FindDoneMirror(other_org_, "k1", ""));
}

TEST_P(MetadataConformance, DeactivatingStopsWhatNobodyElseWaitsFor) {
  ASSERT_TRUE(Deploy("dep_1", {NewMirror("m1", "k1", 1), NewMirror("m2", "k2", 2)}, 1));
  ASSERT_TRUE(Deploy("dep_2", {NewMirror("m3", "k2", 2)}, 2));
  ASSERT_TRUE(*metadata_->ClaimMirror("a", At(3), kLease));
  ASSERT_TRUE(metadata_->SetDeploymentActive("dep_1", false));
  EXPECT_FALSE(metadata_->GetDeployment("dep_1")->active);
  EXPECT_EQ(metadata_->GetMirror("m1")->state, MirrorState::kStopped);
  EXPECT_EQ(metadata_->GetMirror("m2")->state, MirrorState::kQueued);
  EXPECT_EQ(CodeOf(metadata_->UpdateMirror("m1", "a", {}, At(4), kLease)),
            Code::kFailedPrecondition);
  ASSERT_TRUE(metadata_->SetDeploymentActive("dep_1", true));
  EXPECT_EQ(metadata_->GetMirror("m1")->state, MirrorState::kQueued);
  EXPECT_EQ(CodeOf(metadata_->SetDeploymentActive("dep_9", true)), Code::kNotFound);
}

TEST_P(MetadataConformance, ActivatingAttachesToTheOpenMirrorOfTheKey) {
  ASSERT_TRUE(Deploy("dep_1", {NewMirror("m1", "k1", 1)}, 1));
  ASSERT_TRUE(metadata_->SetDeploymentActive("dep_1", false));
  ASSERT_TRUE(Deploy("dep_2", {NewMirror("m2", "k1", 2)}, 2));
  ASSERT_TRUE(metadata_->SetDeploymentActive("dep_1", true));
  EXPECT_EQ(metadata_->GetDeployment("dep_1")->mounts[0].mirror_id, "m2");
  EXPECT_EQ(metadata_->ListOpenMirrors()->size(), 1u);
}

TEST_P(MetadataConformance, DeletingADeploymentKeepsTheFinishedMirror) {
  ASSERT_TRUE(Deploy("dep_1", {NewMirror("m1", "k1", 1), NewMirror("m2", "k2", 2)}, 1));
  FinishOne(1, 2);
  ASSERT_TRUE(metadata_->DeleteDeployment("dep_1"));
  EXPECT_EQ(CodeOf(metadata_->GetDeployment("dep_1")), Code::kNotFound);
  EXPECT_EQ(CodeOf(metadata_->DeleteDeployment("dep_1")), Code::kNotFound);
  EXPECT_EQ(metadata_->GetMirror("m2")->state, MirrorState::kStopped);
  EXPECT_TRUE(*metadata_->FindDoneMirror(scope_, "k1", ""));
  EXPECT_TRUE(Roots().empty());
}

TEST_P(MetadataConformance, KnownFilesAreFoundByEveryPartOfTheirKey) {
  const KnownFile file = File("f", 1);
  KnownFile empty = File("empty", 0);
  empty.digest.reset();
  ASSERT_TRUE(metadata_->PutKnownFiles(scope_, {file, empty}));
  const auto found = metadata_->FindKnownFile(scope_, file);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->digest, DigestOf(1));
  EXPECT_TRUE((*found)->chunked);
  EXPECT_EQ((*found)->content_hash, "sha256:aa");
  EXPECT_FALSE((*metadata_->FindKnownFile(scope_, empty))->digest);
  for (auto change : {+[](KnownFile& f) { f.identity = "hf://a/c"; },
                      +[](KnownFile& f) { f.path = "x"; }, +[](KnownFile& f) { f.etag = "e2"; },
                      +[](KnownFile& f) { f.version = "v2"; }, +[](KnownFile& f) { f.size = 8; }}) {
    KnownFile other = file;
    change(other);
    EXPECT_FALSE(*metadata_->FindKnownFile(scope_, other));
  }
  EXPECT_FALSE(*metadata_->FindKnownFile(other_ns_, file));
  EXPECT_FALSE(*metadata_->FindKnownFile(other_org_, file));
  ASSERT_TRUE(metadata_->PutKnownFiles(scope_, {File("f", 2)}));
  EXPECT_EQ((*metadata_->FindKnownFile(scope_, file))->digest, DigestOf(2));
}

TEST_P(MetadataConformance, WithoutEtagAndVersionNothingIsKnown) {
  KnownFile file = File("f", 1);
  file.etag = file.version = "";
  ASSERT_TRUE(metadata_->PutKnownFiles(scope_, {file}));
  EXPECT_FALSE(*metadata_->FindKnownFile(scope_, file));
}

TEST_P(MetadataConformance, AContentHashIsAKeyAcrossSourcesOfOneScope) {
  KnownFile unhashed = File("g", 2);
  unhashed.content_hash = "";
  ASSERT_TRUE(metadata_->PutKnownFiles(scope_, {File("f", 3), unhashed}));
  EXPECT_EQ((*metadata_->FindFileByHash(scope_, "sha256:aa", 9))->digest, DigestOf(3));
  EXPECT_FALSE(*metadata_->FindFileByHash(scope_, "sha256:aa", 5));
  EXPECT_FALSE(*metadata_->FindFileByHash(scope_, "", 9));
  EXPECT_FALSE(*metadata_->FindFileByHash(other_ns_, "sha256:aa", 9));
}

TEST_P(MetadataConformance, ForgettingTakesEveryPromiseOfAGoneObject) {
  ASSERT_TRUE(metadata_->PutKnownFiles(scope_, {File("p", 1), File("q", 2)}));
  ASSERT_TRUE(metadata_->PutKnownFiles(other_ns_, {File("p", 1)}));
  ASSERT_TRUE(Deploy("dep_1", {NewMirror("m1", "k1", 1)}, 1));
  FinishOne(3, 2);
  ASSERT_TRUE(Deploy("dep_2", {NewMirror("m2", "k2", 3)}, 3));
  FinishOne(4, 4);
  ASSERT_TRUE(metadata_->SetDeploymentActive("dep_1", false));
  for (const int i : {5, 6, 7}) {
    ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", DigestOf(i), "", At(i)));
  }
  ASSERT_TRUE(metadata_->SetTag(scope_, "v", "t", DigestOf(6), At(8)));

  // 4, 6 and 7 are in use, whatever the predicate says of them.
  const auto forgotten =
      metadata_->ForgetKnownFiles([&](const Scope& scope, const crypto::Digest& digest) {
        return scope == scope_ && digest != DigestOf(2);
      });
  ASSERT_TRUE(forgotten) << forgotten.error().message();
  EXPECT_EQ(*forgotten, 3u);  // a known file, a mirror, a version
  EXPECT_FALSE(*metadata_->FindKnownFile(scope_, File("p", 1)));
  EXPECT_TRUE(*metadata_->FindKnownFile(scope_, File("q", 2)));
  EXPECT_TRUE(*metadata_->FindKnownFile(other_ns_, File("p", 1)));
  EXPECT_FALSE(*metadata_->FindDoneMirror(scope_, "k1", ""));
  EXPECT_TRUE(*metadata_->FindDoneMirror(scope_, "k2", ""));
  EXPECT_EQ(metadata_->ListVersions(scope_, "v")->size(), 2u);
  // The deployment comes back by mirroring again.
  ASSERT_TRUE(metadata_->SetDeploymentActive("dep_1", true));
  EXPECT_EQ(metadata_->GetMirror("m1")->state, MirrorState::kQueued);
}

TEST_P(MetadataConformance, PartialChunksAreKeptPerFileAndExpireTogether) {
  for (int i = 0; i < 3; ++i) {
    const auto offset = static_cast<std::uint64_t>(2 - i) * 16;
    ASSERT_TRUE(metadata_->PutPartialChunk(scope_, "f", offset, 16, DigestOf(i), At(i)));
  }
  ASSERT_TRUE(metadata_->PutPartialChunk(scope_, "g", 0, 16, DigestOf(9), At(0)));
  const auto chunks = metadata_->GetPartialChunks(scope_, "f");
  ASSERT_TRUE(chunks);
  ASSERT_EQ(chunks->size(), 3u);
  EXPECT_EQ((*chunks)[0].offset, 0u);
  EXPECT_EQ((*chunks)[0].digest, DigestOf(2));
  EXPECT_EQ((*chunks)[2].length, 16u);
  EXPECT_EQ(Roots().size(), 4u);
  EXPECT_FALSE(Roots()[0].manifest);
  EXPECT_EQ(*metadata_->ExpirePartialChunks(At(2)), 1u);  // g; f was touched at 2
  EXPECT_EQ(metadata_->GetPartialChunks(scope_, "f")->size(), 3u);
  EXPECT_TRUE(metadata_->GetPartialChunks(scope_, "g")->empty());
  ASSERT_TRUE(metadata_->DropPartialChunks(scope_, "f"));
  ASSERT_TRUE(metadata_->DropPartialChunks(scope_, "f"));
  EXPECT_TRUE(Roots().empty());
}

TEST_P(MetadataConformance, VersionsCountUpAndPushingTheHeadAgainChangesNothing) {
  const auto first = metadata_->AppendVersion(scope_, "v", DigestOf(1), "latest", At(1));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->sequence, 1);
  EXPECT_EQ(metadata_->AppendVersion(scope_, "v", DigestOf(1), "prod", At(2))->sequence, 1);
  EXPECT_EQ(metadata_->AppendVersion(scope_, "v", DigestOf(2), "latest", At(3))->sequence, 2);
  EXPECT_EQ(metadata_->AppendVersion(scope_, "v", DigestOf(1), "", At(4))->sequence, 3);
  const auto versions = metadata_->ListVersions(scope_, "v");
  ASSERT_EQ(versions->size(), 3u);
  EXPECT_EQ((*versions)[0].sequence, 3);
  EXPECT_EQ((*versions)[2].created_at, At(1));
  const auto tags = metadata_->ListTags(scope_, "v");
  ASSERT_EQ(tags->size(), 2u);
  EXPECT_EQ((*tags)[0].name, "latest");
  EXPECT_EQ((*tags)[0].manifest, DigestOf(2));
  EXPECT_EQ((*tags)[1].manifest, DigestOf(1));
  EXPECT_EQ(*metadata_->ListVolumes(scope_), std::vector<std::string>{"v"});
  EXPECT_EQ(*metadata_->ListNamespaces("org"), std::vector<std::string>{"ns"});
  EXPECT_TRUE(metadata_->ListNamespaces("org2")->empty());
}

TEST_P(MetadataConformance, TagsNameVersionsOfTheirVolume) {
  ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", DigestOf(1), "", At(1)));
  EXPECT_EQ(CodeOf(metadata_->SetTag(scope_, "v", "t", DigestOf(2), At(2))), Code::kNotFound);
  ASSERT_TRUE(metadata_->SetTag(scope_, "v", "t", DigestOf(1), At(2)));
  ASSERT_TRUE(metadata_->DeleteTag(scope_, "v", "t"));
  EXPECT_EQ(CodeOf(metadata_->DeleteTag(scope_, "v", "t")), Code::kNotFound);
}

TEST_P(MetadataConformance, RootsAreManifestsInUseHeadsAndTags) {
  ASSERT_TRUE(Deploy("dep_1", {NewMirror("m1", "k1", 1)}, 1));
  EXPECT_TRUE(Roots().empty());
  FinishOne(1, 2);
  ASSERT_EQ(Roots().size(), 1u);
  EXPECT_TRUE(Roots()[0].manifest);
  EXPECT_EQ(Roots()[0].scope, scope_);
  ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", DigestOf(1), "", At(1)));
  EXPECT_EQ(Roots().size(), 1u);  // each once
  for (const int i : {2, 3, 4}) {
    ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", DigestOf(i), "", At(i)));
  }
  ASSERT_TRUE(metadata_->SetTag(scope_, "v", "t", DigestOf(3), At(8)));
  EXPECT_EQ(Roots().size(), 3u);  // 1 by the deployment, 3 by its tag, 4 as head; 2 by nothing
  ASSERT_TRUE(metadata_->SetDeploymentActive("dep_1", false));
  EXPECT_EQ(Roots().size(), 2u);
  const Status ended = metadata_->ListRoots(
      [](const Metadata::Root&) -> Status { return Error(Code::kCancelled, "enough"); });
  EXPECT_EQ(CodeOf(ended), Code::kCancelled);
}

TEST_P(MetadataConformance, ProjectsAndJobsAreMadeOnce) {
  const TrainingProject first{.id = "p1", .org = "org", .name = "My Model", .created_at = At(1)};
  EXPECT_EQ(metadata_->EnsureTrainingProject(first)->id, "p1");
  TrainingProject again = first;
  again.id = "p2";
  again.created_at = At(5);
  EXPECT_EQ(metadata_->EnsureTrainingProject(again)->id, "p1");
  again.org = "org2";
  EXPECT_EQ(metadata_->EnsureTrainingProject(again)->id, "p2") << "names are of one organisation";
  ASSERT_EQ(metadata_->ListTrainingProjects("org")->size(), 1u);
  EXPECT_EQ(metadata_->ListTrainingProjects("org")->at(0).created_at, At(1));
  EXPECT_EQ(CodeOf(metadata_->EnsureTrainingJob({"p9", "j", At(1)})), Code::kNotFound);
  ASSERT_TRUE(metadata_->EnsureTrainingJob({"p1", "b", At(2)}));
  ASSERT_TRUE(metadata_->EnsureTrainingJob({"p1", "a", At(3)}));
  EXPECT_EQ(metadata_->EnsureTrainingJob({"p1", "b", At(9)})->created_at, At(2));
  ASSERT_EQ(metadata_->ListTrainingJobs("p1")->size(), 2u);
  EXPECT_EQ(metadata_->ListTrainingJobs("p1")->at(0).id, "b") << "oldest first";
  EXPECT_TRUE(metadata_->ListTrainingJobs("p2")->empty());
}

TEST_P(MetadataConformance, ACheckpointIsOpenUntilItHasAManifestAndThenNeverChanges) {
  ASSERT_TRUE(metadata_->EnsureTrainingProject({"p1", "org", "m", At(1)}));
  Checkpoint c;
  c.id = "ckpt_1";
  c.scope = scope_;
  c.project_id = "p1";
  c.job_id = "j";
  c.name = "weights/step-1";
  c.type = "lora";
  c.base_model = "b/m";
  c.lora_rank = 16;
  c.created_at = At(2);
  EXPECT_EQ(CodeOf(metadata_->BeginCheckpoint(c)), Code::kNotFound) << "there is no such job";
  EXPECT_EQ(CodeOf(metadata_->CompleteCheckpoint(c)), Code::kNotFound);
  ASSERT_TRUE(metadata_->EnsureTrainingJob({"p1", "j", At(1)}));
  ASSERT_TRUE(metadata_->BeginCheckpoint(c));
  EXPECT_EQ(metadata_->ListOpenCheckpoints()->size(), 1u);
  EXPECT_TRUE(Roots().empty());
  Checkpoint again = c;
  again.id = "ckpt_2";
  again.type = "full";
  again.created_at = At(7);
  const auto resumed = metadata_->BeginCheckpoint(again);
  ASSERT_TRUE(resumed);
  EXPECT_EQ(resumed->id, "ckpt_1");
  EXPECT_EQ(resumed->type, "full");
  EXPECT_EQ(resumed->created_at, At(2));
  Checkpoint complete = c;
  complete.manifest = DigestOf(1);
  complete.files = 3;
  complete.size_bytes = 99;
  complete.completed_at = At(8);
  ASSERT_TRUE(metadata_->CompleteCheckpoint(complete));
  complete.completed_at = At(9);
  EXPECT_EQ(metadata_->CompleteCheckpoint(complete)->completed_at, At(8)) << "the same again";
  Checkpoint other = complete;
  other.manifest = DigestOf(2);
  EXPECT_EQ(CodeOf(metadata_->CompleteCheckpoint(other)), Code::kAlreadyExists);
  EXPECT_EQ(metadata_->BeginCheckpoint(c)->type, "full") << "a complete one stays as it is";
  EXPECT_TRUE(metadata_->ListOpenCheckpoints()->empty());
  const auto listed = metadata_->ListCheckpoints("p1", "j");
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->at(0).manifest, DigestOf(1));
  EXPECT_EQ(listed->at(0).name, "weights/step-1");
  EXPECT_EQ(listed->at(0).files, 3u);
  EXPECT_EQ(listed->at(0).size_bytes, 99u);
  EXPECT_EQ(listed->at(0).lora_rank, 16);
  EXPECT_EQ(listed->at(0).scope, scope_);
  ASSERT_EQ(Roots().size(), 1u);
  EXPECT_EQ(Roots()[0].digest, DigestOf(1));
  ASSERT_TRUE(metadata_->DeleteCheckpoint("p1", "j", "weights/step-1"));
  EXPECT_EQ(CodeOf(metadata_->DeleteCheckpoint("p1", "j", "weights/step-1")), Code::kNotFound);
  EXPECT_TRUE(Roots().empty());
}

TEST_P(MetadataConformance, VisitorsMayCallBack) {
  ASSERT_TRUE(metadata_->AppendVersion(scope_, "v", DigestOf(1), "", At(1)));
  ASSERT_TRUE(metadata_->ListRoots(
      [&](const Metadata::Root&) -> Status { return metadata_->PutSetting("seen", "1"); }));
  EXPECT_EQ(*metadata_->GetSetting("seen"), "1");
}

TEST_P(MetadataConformance, SecretsComeBackByTheirKey) {
  const std::string sealed("\0\xff binary", 9);
  SealedSecret secret{.name = "hf-token", .key = "hftoken", .sealed = "old", .updated_at = {}};
  ASSERT_TRUE(metadata_->PutSecret("org", secret));
  secret.sealed = sealed;
  ASSERT_TRUE(metadata_->PutSecret("org", secret));
  EXPECT_EQ(metadata_->GetSecret("org", "hftoken")->sealed, sealed);
  EXPECT_EQ(metadata_->ListSecrets("org")->size(), 1u);
  EXPECT_EQ(CodeOf(metadata_->GetSecret("org2", "hftoken")), Code::kNotFound);
  ASSERT_TRUE(metadata_->DeleteSecret("org", "hftoken"));
  EXPECT_EQ(CodeOf(metadata_->DeleteSecret("org", "hftoken")), Code::kNotFound);
}

TEST_P(MetadataConformance, ARevokedKeyIsNotFoundButListed) {
  ApiKey key;
  key.id = "key_1";
  key.org = "org";
  key.hash_hex = "ab";
  ASSERT_TRUE(metadata_->PutApiKey(key));
  EXPECT_EQ(CodeOf(metadata_->PutApiKey(key)), Code::kAlreadyExists);
  EXPECT_EQ(metadata_->FindApiKey("ab")->id, "key_1");
  EXPECT_EQ(CodeOf(metadata_->FindApiKey("cd")), Code::kNotFound);
  ASSERT_TRUE(metadata_->RevokeApiKey("key_1"));
  EXPECT_EQ(CodeOf(metadata_->FindApiKey("ab")), Code::kNotFound);
  EXPECT_TRUE(metadata_->ListApiKeys()->at(0).revoked);
  EXPECT_EQ(CodeOf(metadata_->RevokeApiKey("key_2")), Code::kNotFound);
}

TEST_P(MetadataConformance, SigningKeysAreReplacedTogetherAndOnlyWhereNobodyElseDid) {
  SigningKey a{.kid = "a", .algorithm = "RS256", .sealed = std::string("\0\xff", 2)};
  a.created_at = a.signs_from = At(1);
  a.published_until = At(9);
  SigningKey b = a;
  b.kid = "b";
  b.signs_from = At(2);
  EXPECT_TRUE(metadata_->ListSigningKeys()->empty());
  ASSERT_TRUE(metadata_->ReplaceSigningKeys({}, {b, a}));
  const std::vector<SigningKey> both{a, b};
  EXPECT_EQ(*metadata_->ListSigningKeys(), both) << "in the order of signs_from";
  EXPECT_EQ(CodeOf(metadata_->ReplaceSigningKeys({}, {a})), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(metadata_->ReplaceSigningKeys({a}, {a})), Code::kFailedPrecondition);
  EXPECT_EQ(*metadata_->ListSigningKeys(), both);
  ASSERT_TRUE(metadata_->ReplaceSigningKeys(both, {b}));
  EXPECT_EQ(*metadata_->ListSigningKeys(), std::vector<SigningKey>{b});
}

TEST_P(MetadataConformance, SettingsAreReplaced) {
  EXPECT_FALSE(*metadata_->GetSetting("x"));
  ASSERT_TRUE(metadata_->PutSetting("x", "1"));
  ASSERT_TRUE(metadata_->PutSetting("x", "2"));
  EXPECT_EQ(*metadata_->GetSetting("x"), "2");
}

}  // namespace bdn::store::testing
