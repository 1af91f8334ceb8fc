#pragma once
// Runs part of a test in a child process: as another user, or in a mount namespace of its own.
#include <cstdio>
#include <functional>

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bdn::mount::testing {

// `body` runs in a forked child under user and group `id` (where this process is root; else as the
// caller). Its failed expectations are printed, and fail the calling test.
inline void RunIsolated(unsigned id, const std::function<void()>& body) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    if (id != 0 && ::geteuid() == 0) {
      EXPECT_EQ(::setgroups(0, nullptr), 0);
      EXPECT_EQ(::setresgid(id, id, id), 0);
      EXPECT_EQ(::setresuid(id, id, id), 0);
      // A change of user makes /proc/self root's; an exec, as of a login shell, would undo that.
      EXPECT_EQ(::prctl(PR_SET_DUMPABLE, 1), 0);
    }
    body();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0) << "the isolated part failed, see above";
}

}  // namespace bdn::mount::testing
