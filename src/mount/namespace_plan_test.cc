#include "mount/namespace_plan.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace bdn::mount {
namespace {

class FakeHost final : public HostView {
 public:
  FakeHost() {
    for (const char* const dir :
         {"/", "/proc", "/sys", "/dev", "/opt", "/opt/models", "/run", "/var", "/tmp", "/secret"}) {
      Dir(dir);
    }
    entries_["/tmp"].mode = 01777;
    Link("/var/run", "/run");
    Link("/var/lock", "../run//lock");
    Link("/loop", "loop");
    Link("/dangling", "opt/new/place");
    Link("/bad", "new/../place");
    Link("/to_proc", "/proc/self");
    Link("/to_root", "opt/..");
    entries_["/file"] = {.name = "", .kind = HostKind::kOther, .link_target = ""};
  }
  void Dir(const std::string& path) {
    entries_[path] = {.name = "", .kind = HostKind::kDirectory, .link_target = "", .mode = 0755};
  }
  void Link(const std::string& path, const std::string& target) {
    entries_[path] = {.name = "", .kind = HostKind::kSymlink, .link_target = target};
  }
  Result<HostEntry> Look(const std::string& path) const override {
    const auto found = entries_.find(path);
    return found == entries_.end() ? HostEntry() : found->second;
  }
  Result<std::vector<HostEntry>> List(const std::string& dir) const override {
    if (dir == "/secret") return Error(Code::kPermissionDenied, "list /secret: no");
    std::vector<HostEntry> names;
    for (const auto& [path, entry] : entries_) {
      if (path == "/" || path.substr(0, path.rfind('/')) != (dir == "/" ? "" : dir)) continue;
      names.push_back(entry);
      names.back().name = path.substr(path.rfind('/') + 1);
    }
    return names;
  }

 private:
  std::map<std::string, HostEntry> entries_;
};

Result<NamespacePlan> Plan(const std::vector<std::string>& locations) {
  std::vector<TreeMount> trees;
  for (const std::string& location : locations) trees.push_back({"/cache/tree", location});
  return PlanNamespace(trees, FakeHost(),
                       {.uid = 1000, .gid = 100, .working_directory = "/home/me"});
}

Code CodeOf(const std::vector<std::string>& locations) {
  const auto plan = Plan(locations);
  EXPECT_FALSE(plan);
  if (plan) return Code::kInternal;
  EXPECT_NE(plan.error().message().find(locations.back().substr(0, 50)), std::string::npos)
      << plan.error().message();
  return plan.error().code();
}

TEST(NamespacePlan, ADirectoryThatExistsIsOnlyMountedOver) {
  const auto plan = Plan({"/opt/models"});
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->shadows.empty());
  ASSERT_EQ(plan->mounts.size(), 1u);
  EXPECT_EQ(plan->mounts[0].target, "/opt/models");
  EXPECT_EQ(plan->working_directory, "/home/me");
  EXPECT_EQ(plan->uid_map, "1000 1000 1\n");
  EXPECT_EQ(plan->gid_map, "100 100 1\n");
}

TEST(NamespacePlan, MissingParentsShadowTheDeepestDirectoryThatExists) {
  const auto plan = Plan({"/opt/models/a/b"});
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->shadows.size(), 1u);
  EXPECT_EQ(plan->shadows[0].dir, "/opt/models");
  EXPECT_EQ(plan->shadows[0].mode, "0755");
  EXPECT_FALSE(plan->shadows[0].writable);
  EXPECT_EQ(plan->shadows[0].new_dirs, (std::vector<std::string>{"a", "a/b"}));
}

TEST(NamespacePlan, LocationsShareAShadowAndParentsComeFirst) {
  const auto plan = Plan({"/opt/x", "/app/cache/b", "/app/cache/a", "/app-2"});
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->shadows.size(), 2u);
  EXPECT_EQ(plan->shadows[0].dir, "/");
  EXPECT_EQ(plan->shadows[0].new_dirs,
            (std::vector<std::string>{"app", "app-2", "app/cache", "app/cache/a", "app/cache/b"}));
  EXPECT_EQ(plan->shadows[0].entries.size(), 14u);  // all of "/"
  EXPECT_EQ(plan->shadows[1].dir, "/opt");
  ASSERT_EQ(plan->shadows[1].entries.size(), 1u);
  EXPECT_EQ(plan->shadows[1].entries[0].name, "models");
}

TEST(NamespacePlan, ADirectoryForAnybodyStaysWritable) {
  const auto plan = Plan({"/tmp/x"});
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->shadows[0].writable);
  EXPECT_EQ(plan->shadows[0].mode, "1777");
}

TEST(NamespacePlan, FollowsSymbolicLinksAsTheKernelDoes) {
  const auto plan = Plan({"/var/run/x", "/var/lock/y", "/dangling", "/to_root/new"});
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_EQ(plan->mounts[0].target, "/run/x");
  EXPECT_EQ(plan->mounts[1].target, "/run/lock/y");
  EXPECT_EQ(plan->mounts[2].target, "/opt/new/place");
  EXPECT_EQ(plan->mounts[3].target, "/new");
}

TEST(NamespacePlan, RefusesWhatIsNotAPlaceForAModel) {
  for (const std::string location :
       {"", "relative", "/", "//", "/a//b", "/a/", "/a/.", "/a/../b", "/proc", "/proc/x", "/sys/a",
        "/dev/shm/x", "/to_proc", "/to_proc/x", "/to_root"}) {
    EXPECT_EQ(CodeOf({location}), Code::kInvalidArgument) << location;
  }
  EXPECT_EQ(CodeOf({"/" + std::string(256, 'n')}), Code::kInvalidArgument);
  EXPECT_FALSE(Plan({std::string("/a\0b", 4)}));
  EXPECT_TRUE(Plan({"/process", "/development"}));
  for (const std::string location : {"/file", "/file/x", "/loop", "/loop/x", "/bad"}) {
    EXPECT_EQ(CodeOf({location}), Code::kFailedPrecondition) << location;
  }
}

TEST(NamespacePlan, RefusesLocationsThatMeet) {
  EXPECT_FALSE(Plan({"/app/x", "/app/x"}));
  EXPECT_FALSE(Plan({"/app/x", "/app/x/y"}));
  EXPECT_FALSE(Plan({"/app/x/y", "/app/x"}));
  EXPECT_FALSE(Plan({"/run/x", "/var/run/x"}));  // the same place by two names
  EXPECT_TRUE(Plan({"/app/x", "/app/xy"}));
  EXPECT_EQ(Plan(std::vector<std::string>(kTreesMax + 1, "/a")).error().code(),
            Code::kResourceExhausted);
}

TEST(NamespacePlan, SaysWhichDirectoryCannotBeListed) {
  const auto plan = Plan({"/secret/x"});
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code(), Code::kPermissionDenied);
  EXPECT_NE(plan.error().message().find("directory /secret"), std::string::npos);
}

}  // namespace
}  // namespace bdn::mount
