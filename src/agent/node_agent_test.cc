#include "agent/node_agent.h"

#include <map>
#include <set>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "agent/testing/fake_node.h"
#include "base/testing/manual_clock.h"
#include "base/testing/step_executor.h"
#include "crypto/blake3.h"
#include "mount/testing/memory_mounter.h"
#include "os/testing/faulty_fs.h"
#include "os/testing/memory_fs.h"

namespace bdn::agent {
namespace {

using mount::testing::FaultyMounter;
using mount::testing::MemoryMounter;

class NodeAgentTest : public ::testing::Test {
 protected:
  std::unique_ptr<NodeAgent> Open() { return Open(inline_executor); }
  std::unique_ptr<NodeAgent> Open(Executor& executor) {
    auto agent = NodeAgent::Open({cache, mounter, state, executor, clock, processes});
    EXPECT_TRUE(agent) << agent.error().message();
    return agent ? *std::move(agent) : nullptr;
  }
  api::LeaseRequest Request(std::int64_t pid) {
    return {.org = "org", .ns = "ns", .manifest = digest.ToString(), .pid = pid};
  }
  Result<api::NodeMountBody> Mount(NodeAgent& agent, const std::string& target) {
    return agent.Mount(ctx, {"org", "ns"}, digest.ToString(), target,
                       [](const api::ProgressBody&) {});
  }
  std::size_t MountsOnHost() { return host.List()->size(); }
  std::string Journal() {
    auto text = os::ReadFile(disk, "journal.json", 1 << 20);
    return text ? *text : std::string();
  }

  bdn::testing::ManualClock clock;
  const Context ctx{clock};
  InlineExecutor inline_executor;
  const crypto::Digest digest = crypto::Blake3Of(std::string_view("version"));
  testing::FakeCache cache;
  testing::FakeProcesses processes;
  MemoryMounter host;
  FaultyMounter mounter{host};
  os::testing::MemoryFs disk;
  os::testing::FaultyFs state{disk};
};

TEST_F(NodeAgentTest, ALeaseIsReadyOnceTheTreeIsComplete) {
  processes.Start(10, 77);
  bdn::testing::StepExecutor steps;
  const auto agent = Open(steps);
  const auto lease = agent->StartLease(Request(10));
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->state, "filling");
  EXPECT_EQ(lease->path, "");
  EXPECT_EQ(Journal().find(lease->id), std::string::npos);
  steps.RunAll();
  const auto ready = agent->GetLease(lease->id);
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->state, "ready");
  EXPECT_EQ(ready->path, cache.PathOf(digest));
  EXPECT_NE(Journal().find(lease->id), std::string::npos);
  EXPECT_EQ(cache.leases(digest), 1);
}

TEST_F(NodeAgentTest, ALeaseIsNotReadyBeforeItIsInTheJournal) {
  processes.Start(10, 77);
  const auto agent = Open();
  state.FailAt(0, {.all_later = true});
  const auto lease = agent->StartLease(Request(10));
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->state, "failed");
  ASSERT_TRUE(lease->error);
  EXPECT_EQ(lease->path, "");
  EXPECT_EQ(cache.leases(digest), 0);
}

TEST_F(NodeAgentTest, AFailedFillSaysWhyAndHoldsNothing) {
  processes.Start(10, 77);
  cache.Fail(Error(Code::kResourceExhausted, "too large").WithHint("buy a disk"));
  const auto agent = Open();
  const auto lease = agent->StartLease(Request(10));
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->state, "failed");
  EXPECT_EQ(lease->error->code, "resource_exhausted");
  EXPECT_EQ(lease->error->hint, "buy a disk");
  EXPECT_EQ(cache.leases(digest), 0);
  EXPECT_TRUE(agent->DropLease(lease->id));
  EXPECT_EQ(agent->GetLease(lease->id).error().code(), Code::kNotFound);
}

TEST_F(NodeAgentTest, ALeaseNeedsAProcessThatRunsAndNamesThatAreNames) {
  const auto agent = Open();
  for (const std::int64_t pid : {0, -1, 11}) {
    EXPECT_EQ(agent->StartLease(Request(pid)).error().code(), Code::kInvalidArgument);
  }
  processes.Start(10, 77);
  auto request = Request(10);
  request.ns = "../x";
  EXPECT_EQ(agent->StartLease(request).error().code(), Code::kInvalidArgument);
  request = Request(10);
  request.manifest = "b3:zz";
  EXPECT_EQ(agent->StartLease(request).error().code(), Code::kInvalidArgument);
}

TEST_F(NodeAgentTest, ADroppedLeaseGivesTheTreeBackAlsoWhileItFills) {
  processes.Start(10, 77);
  bdn::testing::StepExecutor steps;
  const auto agent = Open(steps);
  const auto lease = agent->StartLease(Request(10));
  ASSERT_TRUE(agent->DropLease(lease->id));
  steps.RunAll();
  EXPECT_EQ(cache.leases(digest), 0);
  const auto second = agent->StartLease(Request(10));
  steps.RunAll();
  EXPECT_EQ(cache.leases(digest), 1);
  ASSERT_TRUE(agent->DropLease(second->id));
  EXPECT_EQ(cache.leases(digest), 0);
  EXPECT_EQ(Journal().find(second->id), std::string::npos);
  EXPECT_TRUE(agent->DropLease("lease_unknown"));
}

TEST_F(NodeAgentTest, AProcessThatIsGoneLosesItsLease) {
  processes.Start(10, 77);
  processes.Start(11, 78);
  processes.Start(12, 79);
  const auto agent = Open();
  const auto ended = agent->StartLease(Request(10));
  const auto reused = agent->StartLease(Request(11));
  const auto lives = agent->StartLease(Request(12));
  processes.End(10);
  processes.Start(11, 500);  // the number belongs to another process now
  agent->ReapLeases();
  EXPECT_FALSE(agent->GetLease(ended->id));
  EXPECT_FALSE(agent->GetLease(reused->id));
  EXPECT_TRUE(agent->GetLease(lives->id));
  EXPECT_EQ(cache.leases(digest), 1);
}

TEST_F(NodeAgentTest, ARestartKeepsTheLeasesOfLivingProcessesOnly) {
  processes.Start(10, 77);
  processes.Start(11, 78);
  std::string lives;
  std::string ended;
  {
    const auto agent = Open();
    lives = agent->StartLease(Request(10))->id;
    ended = agent->StartLease(Request(11))->id;
  }
  EXPECT_EQ(cache.leases(digest), 0);
  processes.End(11);
  disk.DropUnsynced();
  const auto agent = Open();
  const auto kept = agent->GetLease(lives);
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->state, "ready");
  EXPECT_FALSE(agent->GetLease(ended));
  EXPECT_EQ(cache.leases(digest), 1);
  EXPECT_EQ(Journal().find(ended), std::string::npos);
}

TEST_F(NodeAgentTest, ATreeThatSomebodyLeftMountedKeepsItsLease) {
  processes.Start(10, 77);
  std::string id;
  {
    const auto agent = Open();
    id = agent->StartLease(Request(10))->id;
    processes.End(10);
    processes.SetMounted(cache.PathOf(digest), true);
    agent->ReapLeases();
    EXPECT_TRUE(agent->GetLease(id));
  }
  const auto agent = Open();
  EXPECT_TRUE(agent->GetLease(id));
  EXPECT_EQ(cache.leases(digest), 1);
  processes.SetMounted(cache.PathOf(digest), false);
  agent->ReapLeases();
  EXPECT_FALSE(agent->GetLease(id));
  EXPECT_EQ(cache.leases(digest), 0);
}

TEST_F(NodeAgentTest, ARestartKeepsMountsThatStandAndForgetsTheOthers) {
  {
    const auto agent = Open();
    ASSERT_TRUE(Mount(*agent, "/stands"));
    ASSERT_TRUE(Mount(*agent, "/vanished"));
    ASSERT_TRUE(Mount(*agent, "/replaced"));
  }
  ASSERT_TRUE(host.Unmount("/vanished", false));
  ASSERT_TRUE(host.Unmount("/replaced", false));
  ASSERT_TRUE(host.BindReadOnly("/somebody/elses", "/replaced"));
  disk.DropUnsynced();
  const auto agent = Open();
  ASSERT_EQ(agent->ListMounts().size(), 1u);
  EXPECT_EQ(agent->ListMounts()[0].target, "/stands");
  EXPECT_EQ(agent->ListMounts()[0].state, "ready");
  EXPECT_EQ(cache.leases(digest), 1);
  EXPECT_TRUE(agent->Unmount("/stands", false));
  EXPECT_EQ(cache.leases(digest), 0);
  EXPECT_EQ(MountsOnHost(), 1u);  // somebody else's
}

TEST_F(NodeAgentTest, ADamagedJournalStopsTheStartAndSaysWhatToDo) {
  for (const char* text : {"", "{", "[]", "\"x\""}) {
    ASSERT_TRUE(os::WriteFileDurably(disk, "journal.json", text));
    const auto agent = NodeAgent::Open({cache, mounter, state, inline_executor, clock, processes});
    ASSERT_FALSE(agent);
    EXPECT_EQ(agent.error().code(), Code::kCorrupt);
    EXPECT_FALSE(agent.error().hint().empty());
  }
  // Rows that make no sense are passed over.
  ASSERT_TRUE(
      os::WriteFileDurably(disk, "journal.json",
                           R"({"leases":[1,{},{"id":5,"pid":"x"},{"pid":0,"start_time":0}],)"
                           R"("mounts":[null,{"target":3}]})"));
  EXPECT_TRUE(Open()->ListMounts().empty());
}

TEST_F(NodeAgentTest, AMountShowsTheTreeAndHoldsIt) {
  const auto agent = Open();
  const auto mounted = Mount(*agent, "/models/a");
  ASSERT_TRUE(mounted) << mounted.error().message();
  EXPECT_EQ(mounted->state, "ready");
  ASSERT_EQ(MountsOnHost(), 1u);
  EXPECT_EQ((*host.List())[0].root, cache.PathOf(digest));
  EXPECT_EQ(cache.leases(digest), 1);
  EXPECT_EQ(Mount(*agent, "/models/a").error().code(), Code::kAlreadyExists);
  EXPECT_EQ(MountsOnHost(), 1u);
}

TEST_F(NodeAgentTest, BadTargetsAreRefused) {
  const auto agent = Open();
  for (const char* target : {"", "/", "relative", "/a/../b", "/a/./b", "/a//b", "/a/", "/proc",
                             "/sys/x", "/dev/shm", "/a/.."}) {
    EXPECT_EQ(Mount(*agent, target).error().code(), Code::kInvalidArgument) << target;
  }
  EXPECT_EQ(
      agent->Mount(ctx, {"org", "a/b"}, digest.ToString(), "/m", [](const auto&) {}).error().code(),
      Code::kInvalidArgument);
}

TEST_F(NodeAgentTest, AMountThatFailsAnywhereLeavesNothing) {
  for (std::uint64_t n = 0;; ++n) {
    SCOPED_TRACE("operation " + std::to_string(n));
    const auto agent = Open();
    state.FailAt(n);
    const auto mounted = Mount(*agent, "/m");
    const bool done = state.failures() == 0;
    EXPECT_EQ(mounted.has_value(), done);
    if (!mounted) {
      EXPECT_EQ(MountsOnHost(), 0u);
      EXPECT_TRUE(agent->ListMounts().empty());
      EXPECT_EQ(cache.leases(digest), 0);
    }
    state.Heal();
    EXPECT_TRUE(mounted || Mount(*agent, "/m"));
    EXPECT_TRUE(agent->Unmount("/m", false));
    EXPECT_EQ(MountsOnHost(), 0u);
    if (done) break;
  }
  const auto agent = Open();
  mounter.FailAt(0, Code::kPermissionDenied);
  EXPECT_EQ(Mount(*agent, "/m").error().code(), Code::kPermissionDenied);
  EXPECT_TRUE(agent->ListMounts().empty());
  EXPECT_EQ(cache.leases(digest), 0);
  EXPECT_EQ(Journal().find("/m"), std::string::npos);
}

TEST_F(NodeAgentTest, AMountInUseIsUnmountedOnlyLazily) {
  const auto agent = Open();
  ASSERT_TRUE(Mount(*agent, "/m"));
  host.SetBusy("/m", true);
  EXPECT_EQ(agent->Unmount("/m", false).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(agent->ListMounts().size(), 1u);
  EXPECT_EQ(cache.leases(digest), 1);
  EXPECT_TRUE(agent->Unmount("/m", true));
  EXPECT_TRUE(agent->ListMounts().empty());
  EXPECT_EQ(agent->Unmount("/m", true).error().code(), Code::kNotFound);
}

TEST_F(NodeAgentTest, WhatSomebodyUnmountedAlreadyIsUnmounted) {
  const auto agent = Open();
  ASSERT_TRUE(Mount(*agent, "/m"));
  ASSERT_TRUE(host.Unmount("/m", false));
  EXPECT_TRUE(agent->Unmount("/m", false));
  EXPECT_EQ(cache.leases(digest), 0);
}

TEST_F(NodeAgentTest, UnmountingWhileTheFillRunsEndsItAndMountsNothing) {
  const auto agent = Open();
  // Somebody else's mount at the target must not be taken away.
  ASSERT_TRUE(host.BindReadOnly("/somebody/elses", "/m"));
  cache.Close();
  std::jthread mounting([&] {
    const auto mounted = Mount(*agent, "/m");
    ASSERT_FALSE(mounted);
    EXPECT_EQ(mounted.error().code(), Code::kCancelled);
  });
  cache.AwaitAcquire();
  ASSERT_EQ(agent->ListMounts().size(), 1u);
  EXPECT_EQ(agent->ListMounts()[0].state, "filling");
  ASSERT_TRUE(agent->Unmount("/m", false));
  mounting.join();
  EXPECT_EQ(MountsOnHost(), 1u);
  EXPECT_TRUE(agent->ListMounts().empty());
  EXPECT_EQ(cache.leases(digest), 0);
  cache.Open();
  ASSERT_TRUE(host.Unmount("/m", false));
  EXPECT_TRUE(Mount(*agent, "/m"));
}

TEST_F(NodeAgentTest, UnmountingJustBeforeTheTreeIsReadyMountsNothing) {
  const auto agent = Open();
  cache.on_acquired = [&] { EXPECT_TRUE(agent->Unmount("/m", false)); };
  EXPECT_EQ(Mount(*agent, "/m").error().code(), Code::kCancelled);
  EXPECT_EQ(MountsOnHost(), 0u);
  EXPECT_EQ(cache.leases(digest), 0);
}

TEST(SystemProcesses, KnowsThisProcessAndNoOther) {
  EXPECT_GT(SystemProcesses().StartTime(::getpid()), 0u);
  EXPECT_EQ(SystemProcesses().StartTime(0), 0u);
  EXPECT_EQ(SystemProcesses().StartTime(-4), 0u);
  EXPECT_EQ(SystemProcesses().StartTime(INT64_MAX), 0u);
}

}  // namespace
}  // namespace bdn::agent
