#include "mount/mounter.h"

#include <cerrno>
#include <memory>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mount/private_namespace.h"
#include "mount/system_mounter.h"
#include "mount/testing/isolated.h"
#include "mount/testing/memory_mounter.h"
#include "mount/testing/mounter_conformance.h"
#include "os/testing/temp_dir.h"
#include "os/unique_fd.h"

namespace bdn::mount::testing {
namespace {

// Moves this test process into a mount namespace of its own, once: its mounts end with it.
void BePrivate() {
  static const os::ChildFailure kFailure = [] {
    bool new_user = false;
    const auto plan = PlanNamespaceHere({});
    return MakePrivateNamespace(*plan, new_user);
  }();
  ASSERT_EQ(kFailure.error_number, 0)
      << "these tests need a private mount namespace: run them as root, or allow unprivileged user "
         "namespaces ("
      << kFailure.what << ", errno " << kFailure.error_number << ')';
}

MounterFixture SystemFixture() {
  BePrivate();
  auto dir = std::make_shared<os::testing::TempDir>();
  for (const char* const name : {"/source", "/tar get"}) {
    EXPECT_EQ(::mkdir((dir->path() + name).c_str(), 0755), 0);
  }
  EXPECT_TRUE(os::UniqueFd(::creat((dir->path() + "/source/f").c_str(), 0644)).valid());
  return {MakeSystemMounter(), dir->path() + "/source", dir->path() + "/tar get",
          dir->path() + "/missing", dir};
}

MounterFixture MemoryFixture() {
  return {std::make_unique<MemoryMounter>([](const std::string& path) { return path != "/none"; }),
          "/source", "/target", "/none", nullptr};
}

INSTANTIATE_TEST_SUITE_P(Mounter,
                         MounterConformance,
                         ::testing::Values(MounterFactory{"System", SystemFixture},
                                           MounterFactory{"Memory", MemoryFixture}),
                         [](const auto& test) { return test.param.name; });

int ErrnoOfCreate(const std::string& path) {
  const os::UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  return file.valid() ? 0 : errno;
}

TEST(SystemMounter, TheMountIsReadOnlyAndTheSourceIsNot) {
  const MounterFixture it = SystemFixture();
  ASSERT_TRUE(it.mounter->BindReadOnly(it.source, it.target));
  EXPECT_EQ(::access((it.target + "/f").c_str(), R_OK), 0);
  EXPECT_EQ(ErrnoOfCreate(it.target + "/f"), EROFS);
  EXPECT_EQ(ErrnoOfCreate(it.target + "/new"), EROFS);
  EXPECT_EQ(ErrnoOfCreate(it.source + "/new"), 0);
  EXPECT_EQ(::access((it.target + "/new").c_str(), F_OK), 0);
  ASSERT_TRUE(it.mounter->Unmount(it.target, false));
}

TEST(SystemMounter, AMountInUseIsUnmountedOnlyLazily) {
  const MounterFixture it = SystemFixture();
  ASSERT_TRUE(it.mounter->BindReadOnly(it.source, it.target));
  const os::UniqueFd open_file(::open((it.target + "/f").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(it.mounter->Unmount(it.target, false).error().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(it.mounter->Unmount(it.target, true));
  EXPECT_EQ(::access((it.target + "/f").c_str(), F_OK), -1);
}

TEST(SystemMounter, ShowsASingleFile) {
  const MounterFixture it = SystemFixture();
  const std::string target = it.target + "/g";
  ASSERT_EQ(ErrnoOfCreate(target), 0);
  ASSERT_TRUE(it.mounter->BindReadOnly(it.source + "/f", target));
  EXPECT_EQ(ErrnoOfCreate(target), EROFS);
  ASSERT_TRUE(it.mounter->Unmount(target, false));
  EXPECT_EQ(it.mounter->BindReadOnly(it.source, target).error().code(), Code::kFailedPrecondition);
}

TEST(SystemMounter, DoesNotFollowASymbolicLink) {
  const MounterFixture it = SystemFixture();
  const std::string link = it.missing;
  ASSERT_EQ(::symlink(it.target.c_str(), link.c_str()), 0);
  EXPECT_FALSE(it.mounter->BindReadOnly(it.source, link));
  EXPECT_FALSE(it.mounter->BindReadOnly(link, it.target));
  EXPECT_FALSE(it.mounter->Unmount(link, false));
}

TEST(SystemMounter, WithoutTheRightSaysSo) {
  RunIsolated(65534, [] {
    const Status mounted = MakeSystemMounter()->BindReadOnly("/usr", "/tmp");
    ASSERT_FALSE(mounted);
    EXPECT_EQ(mounted.error().code(), Code::kPermissionDenied);
    EXPECT_NE(mounted.error().hint().find("CAP_SYS_ADMIN"), std::string::npos);
  });
}

TEST(MemoryMounter, ABusyMountIsUnmountedOnlyLazily) {
  MemoryMounter mounter;
  ASSERT_TRUE(mounter.BindReadOnly("/a", "/b"));
  mounter.SetBusy("/b", true);
  EXPECT_EQ(mounter.Unmount("/b", false).error().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(mounter.Unmount("/b", true));
}

TEST(FaultyMounter, FailsTheNthCallBeforeItHappens) {
  MemoryMounter inner;
  FaultyMounter faulty(inner);
  faulty.FailAt(1, Code::kPermissionDenied);
  EXPECT_TRUE(faulty.BindReadOnly("/a", "/b"));
  EXPECT_EQ(faulty.BindReadOnly("/a", "/c").error().code(), Code::kPermissionDenied);
  EXPECT_EQ(faulty.List()->size(), 1u);
  EXPECT_EQ(faulty.operations(), 3u);
  EXPECT_EQ(faulty.failures(), 1u);
  faulty.FailAt(0, Code::kUnavailable, true);
  EXPECT_FALSE(faulty.List());
  EXPECT_FALSE(faulty.Unmount("/b", false));
  faulty.Heal();
  EXPECT_TRUE(faulty.Unmount("/b", false));
}

}  // namespace
}  // namespace bdn::mount::testing
