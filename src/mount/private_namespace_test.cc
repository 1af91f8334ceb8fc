#include "mount/private_namespace.h"

#include <cerrno>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mount/testing/isolated.h"
#include "os/fs.h"
#include "os/process.h"
#include "os/real_fs.h"
#include "os/testing/temp_dir.h"

namespace bdn::mount {
namespace {

constexpr unsigned kNobody = 65534;

// A host area that the user under test owns:
//   tree/weights, tree/sub/more    what is mounted
//   host/file, host/dir/inner, host/link -> file, host/empty/, out/
// Each test runs twice: as root (a mount namespace alone) and as nobody (with a user namespace).
class PrivateNamespace : public ::testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override {
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
    auto fs = os::OpenRealFs(dir_.path());
    ASSERT_TRUE(fs);
    for (const char* const dir : {"tree/sub", "host/dir", "host/empty", "real", "out"}) {
      ASSERT_TRUE(os::MakeDirs(**fs, dir));
    }
    for (const char* const file :
         {"tree/weights", "tree/sub/more", "host/file", "host/dir/inner"}) {
      ASSERT_TRUE(os::WriteFileDurably(**fs, file, std::string("content of ") + file));
    }
    ASSERT_TRUE((*fs)->Symlink("file", "host/link"));
    ASSERT_TRUE((*fs)->Symlink("../real", "host/linked_dir"));
    if (::geteuid() != 0) return;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
      ASSERT_EQ(::lchown(entry.path().c_str(), GetParam(), GetParam()), 0);
    }
  }

  std::string Host(const std::string& name) const { return dir_.path() + "/host/" + name; }
  std::string tree() const { return dir_.path() + "/tree"; }

  // Runs `script` with the tree at each location, as the user under test; returns what it printed.
  std::string Run(const std::vector<std::string>& locations, const std::string& script) {
    const std::string out = dir_.path() + "/out/text";
    testing::RunIsolated(GetParam(), [&] {
      std::vector<TreeMount> trees;
      for (const std::string& location : locations) trees.push_back({tree(), location});
      auto plan = PlanNamespaceHere(trees);
      ASSERT_TRUE(plan) << plan.error().message();
      os::SpawnOptions options;
      options.argv = {"sh", "-c", "exec >\"$OUT\" 2>&1\n" + script};
      options.environment = {"PATH=/usr/bin:/bin", "LC_ALL=C", "OUT=" + out,
                             "H=" + dir_.path() + "/host"};
      options.in_child = [&]() noexcept { return EnterNamespace(*plan); };
      auto child = os::Spawn(std::move(options));
      ASSERT_TRUE(child) << child.error().message();
      EXPECT_EQ(child->Wait()->shell_code(), 0);
    });
    auto fs = os::OpenRealFs(dir_.path());
    auto text = os::ReadFile(**fs, "out/text", 1 << 16);
    return text ? *text : text.error().message();
  }

  static std::set<std::string> Names(const std::string& dir) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir)) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }
  static long long ModifiedNs(const std::string& path) {
    struct stat st = {};
    EXPECT_EQ(::stat(path.c_str(), &st), 0);
    return st.st_mtim.tv_sec * 1'000'000'000ll + st.st_mtim.tv_nsec;
  }

 private:
  os::testing::TempDir dir_;
};

INSTANTIATE_TEST_SUITE_P(Users,
                         PrivateNamespace,
                         ::testing::Values(0u, kNobody),
                         [](const auto& test) {
                           return std::string(test.param == 0 ? "Root" : "Nobody");
                         });

TEST_P(PrivateNamespace, ShowsTheTreeReadOnlyWhereNothingWas) {
  const auto names = Names(Host(""));
  const auto modified = ModifiedNs(Host(""));
  const std::string said = Run({Host("app/model_cache/x")}, R"(
    cat $H/app/model_cache/x/weights; echo
    cat $H/app/model_cache/x/sub/more; echo
    echo no >$H/app/model_cache/x/weights
    touch $H/app/model_cache/x/new
    ls -m $H $H/app)");
  EXPECT_NE(said.find("content of tree/weights\ncontent of tree/sub/more\n"), std::string::npos)
      << said;
  EXPECT_NE(said.find("weights: Read-only file system"), std::string::npos) << said;
  EXPECT_NE(said.find("new': Read-only file system"), std::string::npos) << said;
  EXPECT_NE(said.find("app, dir, empty, file, link, linked_dir"), std::string::npos) << said;
  EXPECT_EQ(Names(Host("")), names);
  EXPECT_EQ(ModifiedNs(Host("")), modified);
}

TEST_P(PrivateNamespace, TheShadowedDirectoryShowsWhatItHeld) {
  const std::string said = Run({Host("app/x")}, R"(
    cat $H/file $H/link $H/dir/inner; echo
    readlink $H/link
    echo written >$H/dir/new
    echo written >$H/file
    touch $H/new
    true)");
  EXPECT_NE(said.find("content of host/filecontent of host/filecontent of host/dir/inner\nfile\n"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("new': Read-only file system"), std::string::npos) << said;
  EXPECT_EQ(Names(Host("dir")), (std::set<std::string>{"inner", "new"}));
  EXPECT_EQ(std::filesystem::file_size(Host("file")), 8u);
}

TEST_P(PrivateNamespace, WorksBelowTheRootDirectory) {
  const std::string top = "bdn-test-" + os::RandomName();
  const auto names = Names("/");
  const std::string said = Run({'/' + top + "/model_cache/x"},
                               "cat /" + top +
                                   "/model_cache/x/weights; echo; ls -A1 /; echo end\n"
                                   "touch /" +
                                   top +
                                   "/new\n"
                                   "echo x >/dev/null && test -r /proc/self/stat && echo devproc");
  EXPECT_TRUE(said.starts_with("content of tree/weights\n")) << said;
  for (const std::string& name : names) {
    EXPECT_NE(said.find('\n' + name + '\n'), std::string::npos) << name;
  }
  EXPECT_NE(said.find('\n' + top + '\n'), std::string::npos) << said;
  EXPECT_NE(said.find("Read-only file system"), std::string::npos) << said;
  EXPECT_NE(said.find("devproc"), std::string::npos) << said;
  EXPECT_EQ(Names("/"), names);
  EXPECT_FALSE(std::filesystem::exists('/' + top));
}

TEST_P(PrivateNamespace, SeveralTreesShareMissingParentsAndShadowsNest) {
  const std::string top = "/bdn-test-" + os::RandomName();
  const std::string said =
      Run({top + "/a", top + "/b/c", Host("x/y"), Host("empty/z"), Host("dir")},
          "cat " + top + "/a/weights " + top +
              "/b/c/weights $H/x/y/weights $H/empty/z/weights "
              "$H/dir/weights | sed 's/content of/\\n&/g' | grep -c content");
  EXPECT_EQ(said, "5\n");
  EXPECT_TRUE(Names(Host("empty")).empty());
  EXPECT_FALSE(std::filesystem::exists(top));
}

TEST_P(PrivateNamespace, CoversADirectoryThatExists) {
  const std::string said = Run({Host("dir")}, "ls -m $H/dir; touch $H/dir/n; touch $H/beside");
  EXPECT_TRUE(said.starts_with("sub, weights\n")) << said;
  EXPECT_NE(said.find("n': Read-only file system"), std::string::npos) << said;
  EXPECT_TRUE(std::filesystem::exists(Host("beside")));  // nothing was shadowed
  EXPECT_EQ(Names(Host("dir")), std::set<std::string>{"inner"});
}

TEST_P(PrivateNamespace, FollowsALinkedParent) {
  const std::string said =
      Run({Host("linked_dir/x")}, "cat $H/linked_dir/x/weights $H/../real/x/weights");
  EXPECT_EQ(said, "content of tree/weightscontent of tree/weights");
  EXPECT_TRUE(Names(Host("../real")).empty());
}

TEST_P(PrivateNamespace, KeepsTheWorkingDirectoryAlsoInAShadow) {
  testing::RunIsolated(0, [&] {
    ASSERT_EQ(::chdir(Host("dir").c_str()), 0);
    const std::string said = Run({Host("app/x"), "/bdn-test-" + os::RandomName()},
                                 "pwd; cat inner; cat ../app/x/weights; /bin/pwd");
    EXPECT_EQ(said, Host("dir") + "\ncontent of host/dir/innercontent of tree/weights" +
                        Host("dir") + '\n');
    ASSERT_EQ(::chdir(Host("").c_str()), 0);
    EXPECT_EQ(Run({Host("app/x")}, "cat app/x/weights"), "content of tree/weights");
  });
}

TEST_P(PrivateNamespace, ADirectoryForAnybodyStaysWritableAndPrivate) {
  ASSERT_EQ(::chmod(Host("empty").c_str(), 01777), 0);
  const std::string said = Run({Host("empty/m")}, "echo hi >$H/empty/mine; cat $H/empty/mine");
  EXPECT_EQ(said, "hi\n");
  EXPECT_TRUE(Names(Host("empty")).empty());
}

TEST_P(PrivateNamespace, TheCommandKeepsItsUserAndGainsNoPower) {
  const std::string said = Run({Host("app/x")}, R"(
    id -u; id -g; grep CapEff /proc/self/status
    mount -o remount,bind,rw $H/app/x 2>/dev/null && echo remounted
    umount $H/app/x 2>/dev/null && echo unmounted
    true)");
  const bool root = ::geteuid() == 0 && GetParam() == 0;
  const std::string uid = std::to_string(::geteuid() == 0 ? GetParam() : ::geteuid());
  EXPECT_TRUE(said.starts_with(uid + '\n')) << said;
  if (root) return;  // root may do on the host what it likes
  EXPECT_NE(said.find("CapEff:\t0000000000000000"), std::string::npos) << said;
  EXPECT_EQ(said.find("mounted"), std::string::npos) << said;
}

TEST_P(PrivateNamespace, SaysWhatIsMissing) {
  testing::RunIsolated(GetParam(), [&] {
    const std::vector<TreeMount> trees = {{tree() + "/gone", Host("app/x")}};
    auto plan = PlanNamespaceHere(trees);
    ASSERT_TRUE(plan);
    os::SpawnOptions options;
    options.argv = {"/bin/true"};
    options.in_child = [&]() noexcept { return EnterNamespace(*plan); };
    auto child = os::Spawn(std::move(options));
    ASSERT_FALSE(child);
    EXPECT_EQ(child.error().code(), Code::kNotFound);
    EXPECT_EQ(child.error().message(), "bind " + tree() + "/gone: No such file or directory");
    const std::vector<TreeMount> onto_file = {{tree(), Host("file")}};
    EXPECT_EQ(PlanNamespaceHere(onto_file).error().code(), Code::kFailedPrecondition);
  });
}

}  // namespace
}  // namespace bdn::mount
