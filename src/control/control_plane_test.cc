#include "control/control_plane.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/metrics.h"
#include "control/testing/control_world.h"

namespace bdn::control {
namespace {

using store::MirrorState;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ControlPlaneTest : public ::testing::Test, public testing::ControlWorld {
 protected:
  api::DeploymentBody Push(const std::string& config) {
    auto deployment = plane->Push(config, "");
    EXPECT_TRUE(deployment) << deployment.error().message();
    return deployment ? *std::move(deployment) : api::DeploymentBody{};
  }
  const crypto::Digest digest = crypto::Blake3Of(std::string_view("manifest"));
};

TEST_F(ControlPlaneTest, APushThatIsWrongListsEveryErrorWithItsPlace) {
  const auto pushed = plane->Push(
      "weights:\n  - source: hf://owner\n    mount_location: /m\n  - source: hf://a/b\n"
      "    mount_location: relative\n",
      "");
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().code(), Code::kInvalidArgument);
  EXPECT_THAT(pushed.error().message(), HasSubstr("weights.0.source"));
  EXPECT_THAT(pushed.error().message(), HasSubstr("line 2"));
  EXPECT_THAT(pushed.error().message(), HasSubstr("weights.1.mount_location"));
  EXPECT_THAT(pushed.error().message(), HasSubstr("line 5"));
  EXPECT_TRUE(plane->List(10, "")->empty());
  EXPECT_EQ(queued, 0);
}

TEST_F(ControlPlaneTest, APushQueuesOneMirrorAMountAndWarnsOfSecretsThatAreNotSet) {
  const auto deployment = Push(
      "model_name: demo\nweights:\n  - source: hf://a/b\n    mount_location: /m\n"
      "    auth_secret_name: hf_token\n");
  EXPECT_EQ(queued, 1);
  EXPECT_EQ(deployment.name, "demo");
  EXPECT_EQ(deployment.status, "DEPLOYING");
  EXPECT_EQ(deployment.progress.phase, "queued");
  ASSERT_EQ(deployment.mounts.size(), 1u);
  EXPECT_EQ(deployment.mounts[0].mount_location, "/m");
  ASSERT_EQ(deployment.warnings.size(), 1u);
  EXPECT_THAT(deployment.warnings[0], HasSubstr("hf_token"));
  ASSERT_TRUE(plane->SetSecret("hf-token", "value"));  // names differ in punctuation only
  EXPECT_TRUE(Push("weights:\n  - source: hf://a/b\n    mount_location: /m\n"
                   "    auth_secret_name: hf_token\n")
                  .warnings.empty());
}

TEST_F(ControlPlaneTest, APushWarnsOfOidcWithoutAnIssuer) {
  const std::string config =
      "weights:\n  - source: s3://bucket/m\n    mount_location: /m\n    auth:\n"
      "      auth_method: AWS_OIDC\n"
      "      aws_oidc_role_arn: arn:aws:iam::123456789012:role/reader\n"
      "      aws_oidc_region: us-east-1\n"
      "  - source: gs://bucket/m\n    mount_location: /g\n    auth:\n"
      "      auth_method: GCP_OIDC\n"
      "      gcp_oidc_service_account: reader@project.iam.gserviceaccount.com\n"
      "      gcp_oidc_workload_id_provider: "
      "projects/1/locations/global/workloadIdentityPools/p/providers/p\n";
  const auto warned = Push(config).warnings;
  EXPECT_THAT(warned, ElementsAre(AllOf(HasSubstr("s3://bucket/m will not be mirrored"),
                                        HasSubstr("--oidc-issuer")),
                                  HasSubstr("gs://bucket/m will not be mirrored")));
  ControlPlane with_issuer(*metadata, *objects, *vault, clock, {.oidc_issuer = true});
  const auto pushed = with_issuer.Push(config, "");
  ASSERT_TRUE(pushed) << pushed.error().message();
  EXPECT_TRUE(pushed->warnings.empty());
}

TEST_F(ControlPlaneTest, TwoPushesOfOneSourceShareItsMirror) {
  const auto one = Push(Config());
  const auto two = Push(Config());
  EXPECT_EQ(one.mounts[0].mirror_id, two.mounts[0].mirror_id);
  EXPECT_NE(one.id, two.id);
}

TEST(Summarise, TheStatesOfTheMountsGiveTheState) {
  const auto sum = [](const std::vector<MirrorState>& states, bool active = true) {
    api::DeploymentBody body;
    for (const auto state : states) {
      api::MountBody mount;
      mount.progress = {.phase = state == MirrorState::kQueued ? "queued" : "fetching",
                        .files = 2,
                        .files_done = 1,
                        .bytes = 100,
                        .bytes_done = 50,
                        .bytes_reused = 20,
                        .rate = 5,
                        .eta = 10.0};
      if (state == MirrorState::kFailed) mount.error = api::ErrorBody{"corrupt", "bad", ""};
      body.mounts.push_back(mount);
    }
    return Summarise(body, active, states);
  };
  using enum MirrorState;
  const struct {
    std::vector<MirrorState> states;
    const char* status;
    const char* phase;
  } table[] = {
      {{}, "ACTIVE", "ready"},
      {{kDone}, "ACTIVE", "ready"},
      {{kQueued}, "DEPLOYING", "queued"},
      {{kRunning}, "DEPLOYING", "fetching"},
      {{kQueued, kRunning}, "DEPLOYING", "fetching"},
      {{kDone, kQueued}, "DEPLOYING", "queued"},
      {{kDone, kFailed}, "DEPLOY_FAILED", "failed"},
      {{kRunning, kFailed}, "DEPLOY_FAILED", "failed"},
      {{kDone, kStopped}, "DEPLOY_FAILED", "failed"},
  };
  for (const auto& row : table) {
    const auto body = sum(row.states);
    EXPECT_EQ(body.status, row.status);
    EXPECT_EQ(body.progress.phase, row.phase);
    EXPECT_EQ(body.progress.bytes, 100 * row.states.size());
    EXPECT_EQ(body.progress.bytes_reused, 20 * row.states.size());
  }
  EXPECT_EQ(sum({kDone}, false).status, "INACTIVE");
  EXPECT_EQ(sum({kRunning, kRunning, kDone}).progress.rate, 10);
  EXPECT_EQ(sum({kRunning, kDone}).progress.eta, 10.0);
  EXPECT_EQ(sum({kDone, kFailed}).error->message, "bad");
}

TEST_F(ControlPlaneTest, ADeactivatedDeploymentIsInactiveAlsoWhenItsMirrorsStopped) {
  const auto id = Push(Config()).id;
  ASSERT_TRUE(plane->SetActive(id, false));
  EXPECT_EQ(plane->Get(id)->status, "INACTIVE");
  EXPECT_EQ(plane->Run(id, false).error().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(plane->SetActive(id, true));
  EXPECT_EQ(plane->Get(id)->status, "DEPLOYING");
}

TEST_F(ControlPlaneTest, ARunIsGivenOnceEveryMountIsComplete) {
  const auto id = Push(Config("environment_variables:\n  A: \"1\"\n")).id;
  const auto first = Claim();
  const auto second = Claim();
  Finish(first, digest);
  const auto early = plane->Run(id, false);
  EXPECT_EQ(early.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(early.error().message(), HasSubstr("not startable yet"));
  Finish(second, digest);
  const auto run = plane->Run(id, false);
  ASSERT_TRUE(run) << run.error().message();
  ASSERT_EQ(run->mounts.size(), 2u);
  EXPECT_EQ(run->mounts[0].mount_location, "/models/one");
  EXPECT_EQ(run->mounts[0].org, "default");
  EXPECT_EQ(run->mounts[0].ns, "mirrors");
  EXPECT_EQ(run->mounts[0].manifest, digest.ToString());
  EXPECT_THAT(run->environment, ElementsAre(std::pair<std::string, std::string>("A", "1")));
}

TEST_F(ControlPlaneTest, ARunOfAFailedDeploymentSaysWhy) {
  const auto id = Push(Config()).id;
  Fail(Claim());
  const auto run = plane->Run(id, false);
  EXPECT_EQ(run.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(run.error().message(), HasSubstr("gated"));
  EXPECT_EQ(run.error().hint(), "ask");
  EXPECT_EQ(plane->Get(id)->status, "DEPLOY_FAILED");
}

TEST_F(ControlPlaneTest, ValuesOfSecretsAreOnlyGivenWhenAskedFor) {
  ASSERT_TRUE(plane->SetSecret("token", "s3cret"));
  const auto id = Push(Config("secrets:\n  token: null\n  absent: null\n")).id;
  Finish(Claim(), digest);
  Finish(Claim(), digest);
  const auto plain = plane->Run(id, false);
  ASSERT_TRUE(plain);
  EXPECT_TRUE(plain->secrets.empty());
  EXPECT_THAT(plain->secret_names, ElementsAre("token", "absent"));
  EXPECT_THAT(plane->Run(id, true)->secrets,
              ElementsAre(std::pair<std::string, std::string>("token", "s3cret")));
}

TEST_F(ControlPlaneTest, DeploymentsOfAnotherOrganisationAreNotFound) {
  const auto id = Push(Config()).id;
  ControlPlane other(*metadata, *objects, *vault, clock, {.org = "other"});
  EXPECT_EQ(other.Get(id).error().code(), Code::kNotFound);
  EXPECT_EQ(other.Run(id, true).error().code(), Code::kNotFound);
  EXPECT_EQ(other.Delete(id).error().code(), Code::kNotFound);
  EXPECT_EQ(other.SetActive(id, false).error().code(), Code::kNotFound);
  EXPECT_TRUE(plane->Get(id));
}

TEST_F(ControlPlaneTest, AVersionWhoseObjectsAreNotAllStoredIsRefused) {
  const auto refuse = [&](const crypto::Digest& manifest, Code code) {
    const auto version = plane->AppendVersion(ctx, "ns", "vol", manifest.ToString(), "");
    ASSERT_FALSE(version);
    EXPECT_EQ(version.error().code(), code) << version.error().message();
  };
  refuse(digest, Code::kNotFound);
  // A manifest whose chunk is missing, then one whose chunkmap's chunk is.
  refuse(Put("ns", store::ObjectKind::kManifest, ManifestOf("absent")), Code::kFailedPrecondition);
  model::Chunkmap map{.file_size = 8, .chunks = {}};
  map.chunks.push_back({Put("ns", store::ObjectKind::kChunk, "half"), 0, 4});
  map.chunks.push_back({crypto::Blake3Of(std::string_view("HALF")), 4, 4});
  model::Manifest manifest;
  manifest.entries.push_back(
      {.path = "w",
       .size = 8,
       .chunked = true,
       .digest = Put("ns", store::ObjectKind::kChunkmap, model::WriteChunkmap(map))});
  const auto big = Put("ns", store::ObjectKind::kManifest, model::WriteManifest(manifest));
  refuse(big, Code::kFailedPrecondition);
  Put("elsewhere", store::ObjectKind::kChunk, "HALF");  // another namespace's bytes do not count
  refuse(big, Code::kFailedPrecondition);
  Put("ns", store::ObjectKind::kChunk, "HALF");
  EXPECT_TRUE(plane->AppendVersion(ctx, "ns", "vol", big.ToString(), ""));
  EXPECT_FALSE(plane->AppendVersion(ctx, "n/s", "vol", big.ToString(), ""));
  EXPECT_FALSE(plane->AppendVersion(ctx, "ns", "..", big.ToString(), ""));
  EXPECT_FALSE(plane->AppendVersion(ctx, "ns", "vol", "b3:xyz", ""));
  EXPECT_FALSE(plane->AppendVersion(ctx, "ns", "vol", big.ToString(), "a b"));
}

TEST_F(ControlPlaneTest, AReferenceNamesAVersionByHeadTagOrDigest) {
  std::vector<crypto::Digest> made;
  for (int i = 0; i < 40; ++i) {
    made.push_back(PutVersion("ns", "content " + std::to_string(i)));
    ASSERT_TRUE(plane->AppendVersion(ctx, "ns", "vol", made.back().ToString(), i == 3 ? "v1" : ""));
  }
  const auto resolve = [&](const std::string& selector) {
    return plane->Resolve("bdn:ns/vol" + selector);
  };
  EXPECT_EQ(resolve("")->manifest, made.back().ToString());
  EXPECT_EQ(resolve("")->sequence, 40);
  EXPECT_EQ(resolve(":v1")->manifest, made[3].ToString());
  EXPECT_EQ(resolve("@" + made[7].ToString())->manifest, made[7].ToString());
  EXPECT_EQ(resolve(":none").error().code(), Code::kNotFound);
  EXPECT_EQ(plane->Resolve("bdn:ns/other").error().code(), Code::kNotFound);
  EXPECT_EQ(plane->Resolve("nonsense").error().code(), Code::kInvalidArgument);
  // Of 40 digests some share their first digits; the shortest that names one alone is enough.
  for (const auto& version : made) {
    bool found = false;
    for (std::size_t digits = 1; digits <= 64 && !found; ++digits) {
      const auto by_prefix = resolve("@b3:" + version.hex().substr(0, digits));
      if (!by_prefix) {
        EXPECT_EQ(by_prefix.error().code(), Code::kInvalidArgument);
        continue;
      }
      EXPECT_EQ(by_prefix->manifest, version.ToString());
      found = true;
    }
    EXPECT_TRUE(found);
  }
}

TEST_F(ControlPlaneTest, TagsMoveAndGo) {
  const auto one = PutVersion("ns", "one").ToString();
  const auto two = PutVersion("ns", "two").ToString();
  ASSERT_TRUE(plane->AppendVersion(ctx, "ns", "vol", one, "prod"));
  ASSERT_TRUE(plane->AppendVersion(ctx, "ns", "vol", two, ""));
  EXPECT_EQ(plane->Resolve("bdn:ns/vol:prod")->manifest, one);
  ASSERT_TRUE(plane->SetTag("ns", "vol", "prod", two));
  EXPECT_EQ(plane->Resolve("bdn:ns/vol:prod")->manifest, two);
  EXPECT_EQ(plane->SetTag("ns", "vol", "prod", digest.ToString()).error().code(), Code::kNotFound);
  EXPECT_EQ(plane->SetTag("ns", "vol", "a/b", two).error().code(), Code::kInvalidArgument);
  ASSERT_TRUE(plane->DeleteTag("ns", "vol", "prod"));
  EXPECT_EQ(plane->Resolve("bdn:ns/vol:prod").error().code(), Code::kNotFound);
  EXPECT_EQ(plane->DeleteTag("ns", "vol", "prod").error().code(), Code::kNotFound);
  ASSERT_EQ(plane->ListVolumes()->size(), 1u);
  EXPECT_EQ(plane->ListVolumes()->at(0).versions, 2);
  EXPECT_EQ(plane->ListVolumes()->at(0).head, two);
}

TEST_F(ControlPlaneTest, MetricsNameEveryPhaseAlsoWhenNoMirrorIsOpen) {
  const auto text = RenderMetrics(*metadata, *plane);
  ASSERT_TRUE(text);
  for (const char* phase : {"queued", "resolving", "listing", "fetching", "writing"}) {
    EXPECT_THAT(*text, HasSubstr("bdn_mirrors_open{phase=\"" + std::string(phase) + "\"} 0"));
  }
}

TEST_F(ControlPlaneTest, MetricsCountWhatThereIs) {
  Push(Config());
  const auto text = RenderMetrics(*metadata, *plane);
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("# TYPE bdn_deployments gauge"));
  EXPECT_THAT(*text, HasSubstr("bdn_deployments{status=\"DEPLOYING\"} 1"));
  EXPECT_THAT(*text, HasSubstr("bdn_deployments{status=\"ACTIVE\"} 0"));
  EXPECT_THAT(*text, HasSubstr("bdn_mirrors_open{phase=\"queued\"} 2"));
}

}  // namespace
}  // namespace bdn::control
