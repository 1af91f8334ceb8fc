#include "os/process.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fs.h"
#include "os/real_fs.h"
#include "os/testing/temp_dir.h"

namespace bdn::os {
namespace {

const std::vector<std::string> kEnvironment = {"PATH=/nowhere:/usr/bin:/bin", "BDN_X=from parent"};

// Runs a shell script that may write to $1, a file; returns what is in it, and the exit status.
struct Ran {
  ExitStatus status;
  std::string output;
};
Ran RunShell(const std::string& script, SpawnOptions options = {}) {
  const testing::TempDir dir;
  options.argv = {"sh", "-c", script, "sh", dir.path() + "/out"};
  options.environment = kEnvironment;
  auto child = Spawn(std::move(options));
  EXPECT_TRUE(child) << child.error().message();
  if (!child) return {};
  const auto status = child->Wait();
  EXPECT_TRUE(status);
  auto content = ReadFile(**OpenRealFs(dir.path()), "out", 4096);
  return {*status, content ? *content : ""};
}

TEST(Spawn, GivesArgumentsEnvironmentAndExitCode) {
  const Ran ran = RunShell("printf %s \"$BDN_X\" >\"$1\"; exit 7");
  EXPECT_EQ(ran.output, "from parent");
  EXPECT_EQ(ran.status.code, 7);
  EXPECT_EQ(ran.status.shell_code(), 7);
}

TEST(Spawn, ReportsTheSignalThatKilled) {
  const Ran ran = RunShell("kill -TERM $$");
  EXPECT_EQ(ran.status.signal, SIGTERM);
  EXPECT_EQ(ran.status.shell_code(), 128 + SIGTERM);
}

TEST(Spawn, SaysThatThereIsNoSuchCommand) {
  auto missing = Spawn({.argv = {"bdn-no-such-command"}, .environment = kEnvironment});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Code::kNotFound);
  EXPECT_NE(missing.error().message().find("run bdn-no-such-command"), std::string::npos);
  EXPECT_EQ(Spawn({.argv = {"/etc/passwd"}, .environment = {}}).error().code(),
            Code::kPermissionDenied);
  EXPECT_EQ(Spawn({.argv = {}, .environment = {}}).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Spawn({.argv = {std::string("a\0b", 3)}, .environment = {}}).error().code(),
            Code::kInvalidArgument);
}

TEST(Spawn, RunsTheHookInTheChildOnly) {
  const pid_t parent = ::getpid();
  SpawnOptions options;
  options.in_child = [&]() noexcept -> ChildFailure {
    if (::getpid() == parent) return {EINVAL, "ran in the parent", ""};
    if (::chdir("/usr") != 0) return {errno, "change directory to", "/usr"};
    return {};
  };
  EXPECT_EQ(RunShell("pwd >\"$1\"", std::move(options)).output, "/usr\n");
  EXPECT_EQ(::getpid(), parent);
}

TEST(Spawn, ReportsTheHooksFailure) {
  SpawnOptions options{.argv = {"true"}, .environment = kEnvironment};
  options.in_child = []() noexcept -> ChildFailure { return {EACCES, "mount", "/some/where"}; };
  auto child = Spawn(std::move(options));
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code(), Code::kPermissionDenied);
  EXPECT_EQ(child.error().message(), "mount /some/where: Permission denied");
}

TEST(Spawn, LeadsItsOwnGroupWhenAsked) {
  SpawnOptions options{.argv = {"sleep", "60"}, .environment = kEnvironment};
  options.own_process_group = true;
  auto child = Spawn(std::move(options));
  ASSERT_TRUE(child);
  EXPECT_EQ(::getpgid(child->pid()), child->pid());
  EXPECT_TRUE(child->Signal(SIGTERM));
  EXPECT_EQ(child->Wait()->signal, SIGTERM);
  EXPECT_EQ(child->Signal(SIGTERM).error().code(), Code::kNotFound);
}

TEST(Spawn, WorksWhileOtherThreadsAllocate) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([](const std::stop_token& stop) {
      while (!stop.stop_requested()) std::string(1000, 'x').append("y");
    });
  }
  for (int i = 0; i < 20; ++i) EXPECT_EQ(RunShell("exit 3").status.code, 3);
}

TEST(SignalForwarder, HandsSignalsOnAndReturnsTheExit) {
  const std::array signals{SIGUSR1, SIGTERM};
  auto forwarder = SignalForwarder::Make(signals);
  ASSERT_TRUE(forwarder);
  const testing::TempDir dir;
  ASSERT_EQ(::mkfifo((dir.path() + "/ready").c_str(), 0600), 0);
  auto child =
      Spawn({.argv = {"sh", "-c", "trap 'exit 9' USR1; echo >\"$1\"; while :; do sleep 0.01; done",
                      "sh", dir.path() + "/ready"},
             .environment = kEnvironment});
  ASSERT_TRUE(child);
  {  // the line comes when the trap stands
    const UniqueFd ready(::open((dir.path() + "/ready").c_str(), O_RDONLY | O_CLOEXEC));
    char byte = 0;
    ASSERT_EQ(::read(ready.get(), &byte, 1), 1);
  }
  ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
  const auto status = forwarder->WaitFor(*child);
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(status->code, 9) << status->signal;
}

}  // namespace
}  // namespace bdn::os
