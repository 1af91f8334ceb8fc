#include "cli/identity_file.h"

#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/testing/manual_clock.h"
#include "os/testing/temp_dir.h"

namespace bdn::cli {
namespace {

class IdentityFileTest : public ::testing::Test {
 protected:
  IdentityFile::Fetch Fetch() {
    return [this](const Context&) -> Result<api::IdentityTokenBody> {
      ++calls_;
      if (fail_) return Error(Code::kUnavailable, "down");
      return api::IdentityTokenBody{.token = "token-" + std::to_string(calls_),
                                    .expires_at = FormatRfc3339(clock_.Now() + life_)};
    };
  }
  static std::string Content(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  os::testing::TempDir dir_;
  Duration life_ = std::chrono::hours(1);
  bool fail_ = false;
  int calls_ = 0;
};

TEST_F(IdentityFileTest, IsThereFromTheStartForItsOwnerAndGoneInTheEnd) {
  std::string path;
  {
    auto file = IdentityFile::Make(ctx_, Fetch(), dir_.path());
    ASSERT_TRUE(file) << file.error().message();
    path = (*file)->path();
    EXPECT_EQ(Content(path), "token-1");
    struct ::stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0400u);
    const std::string parent = path.substr(0, path.rfind('/'));
    ASSERT_EQ(::stat(parent.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  EXPECT_NE(::access(path.substr(0, path.rfind('/')).c_str(), F_OK), 0);
}

TEST_F(IdentityFileTest, IsReplacedByRenameLongBeforeItEnds) {
  auto made = IdentityFile::Make(ctx_, Fetch(), dir_.path());
  ASSERT_TRUE(made);
  IdentityFile& file = **made;
  std::ifstream open_before(file.path());
  EXPECT_EQ(file.Renew(ctx_), std::chrono::minutes(40));
  EXPECT_EQ(Content(file.path()), "token-2");
  std::stringstream old;
  old << open_before.rdbuf();
  EXPECT_EQ(old.str(), "token-1") << "a reader keeps what it opened";
}

TEST_F(IdentityFileTest, AFailureKeepsTheOldTokenAndTriesAgainSoon) {
  auto made = IdentityFile::Make(ctx_, Fetch(), dir_.path());
  ASSERT_TRUE(made);
  IdentityFile& file = **made;
  fail_ = true;
  EXPECT_EQ(file.Renew(ctx_), std::chrono::seconds(60));
  clock_.Advance(std::chrono::minutes(59));
  EXPECT_EQ(file.Renew(ctx_), std::chrono::seconds(6));
  clock_.Advance(std::chrono::hours(1));
  EXPECT_EQ(file.Renew(ctx_), std::chrono::seconds(1));
  EXPECT_EQ(Content(file.path()), "token-1");
  fail_ = false;
  file.Renew(ctx_);
  EXPECT_EQ(Content(file.path()), "token-5");
}

TEST_F(IdentityFileTest, AThreadKeepsItFreshUntilTheEnd) {
  const Context real{RealClock()};
  int calls = 0;
  Guarded<int> seen(0);
  {
    auto made = IdentityFile::Make(
        real,
        [&](const Context&) -> Result<api::IdentityTokenBody> {
          seen.Change([&](int& n) { n = ++calls; });
          return api::IdentityTokenBody{.token = "t",
                                        .expires_at = FormatRfc3339(RealClock().Now())};
        },
        dir_.path());
    ASSERT_TRUE(made);
    (*made)->KeepFresh(real);
    seen.Wait([](int& n) { return n >= 2; });
  }
  EXPECT_GE(calls, 2);
}

TEST_F(IdentityFileTest, ARunDoesNotStartWithoutItsFirstToken) {
  fail_ = true;
  EXPECT_FALSE(IdentityFile::Make(ctx_, Fetch(), dir_.path()));
  EXPECT_EQ(::rmdir(dir_.path().c_str()), 0) << "nothing is left behind";
  ASSERT_EQ(::mkdir(dir_.path().c_str(), 0700), 0);
}

}  // namespace
}  // namespace bdn::cli
