#pragma once
// What every Mounter must do. Include it in one test file of a binary only: it defines tests.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "mount/mounter.h"

namespace bdn::mount::testing {

// A mounter and the paths to use it with.
struct MounterFixture {
  std::unique_ptr<Mounter> mounter;
  std::string source;   // a directory
  std::string target;   // an empty directory; its name may hold a space
  std::string missing;  // a path that does not exist
  std::shared_ptr<void> keep_alive;
};

struct MounterFactory {
  std::string name;
  std::function<MounterFixture()> make;
};
inline std::ostream& operator<<(std::ostream& out, const MounterFactory& factory) {
  return out << factory.name;
}

class MounterConformance : public ::testing::TestWithParam<MounterFactory> {
 protected:
  MounterConformance() : it(GetParam().make()) {}
  int CountAt(const std::string& target) {
    const auto mounts = it.mounter->List();
    EXPECT_TRUE(mounts);
    int count = 0;
    for (const MountInfo& mount : *mounts) count += mount.target == target ? 1 : 0;
    return count;
  }
  MounterFixture it;
};

TEST_P(MounterConformance, WhatIsMountedIsListedUntilItIsUnmounted) {
  EXPECT_EQ(CountAt(it.target), 0);
  const Status mounted = it.mounter->BindReadOnly(it.source, it.target);
  ASSERT_TRUE(mounted) << mounted.error().message();
  EXPECT_EQ(CountAt(it.target), 1);
  const auto mounts = it.mounter->List();
  for (const MountInfo& mount : *mounts) {
    EXPECT_TRUE(mount.target != it.target || it.source.ends_with(mount.root)) << mount.root;
  }
  const Status unmounted = it.mounter->Unmount(it.target, false);
  ASSERT_TRUE(unmounted) << unmounted.error().message();
  EXPECT_EQ(CountAt(it.target), 0);
}

TEST_P(MounterConformance, ASecondMountCoversTheFirst) {
  ASSERT_TRUE(it.mounter->BindReadOnly(it.source, it.target));
  ASSERT_TRUE(it.mounter->BindReadOnly(it.source, it.target));
  EXPECT_EQ(CountAt(it.target), 2);
  ASSERT_TRUE(it.mounter->Unmount(it.target, true));
  EXPECT_EQ(CountAt(it.target), 1);
  ASSERT_TRUE(it.mounter->Unmount(it.target, false));
}

TEST_P(MounterConformance, UnmountingNothingIsNotFound) {
  for (const bool lazy : {false, true}) {
    const Status unmounted = it.mounter->Unmount(it.target, lazy);
    ASSERT_FALSE(unmounted);
    EXPECT_EQ(unmounted.error().code(), Code::kNotFound);
  }
}

TEST_P(MounterConformance, MissingPathsAreNotFoundAndLeaveNothing) {
  EXPECT_EQ(it.mounter->BindReadOnly(it.missing, it.target).error().code(), Code::kNotFound);
  EXPECT_EQ(it.mounter->BindReadOnly(it.source, it.missing).error().code(), Code::kNotFound);
  EXPECT_EQ(it.mounter->Unmount(it.missing, false).error().code(), Code::kNotFound);
  EXPECT_EQ(CountAt(it.target), 0);
}

}  // namespace bdn::mount::testing
