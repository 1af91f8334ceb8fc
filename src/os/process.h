#pragma once
// Starting a command and waiting for it, from a program that has threads.
//
// Between fork and exec only system calls are made: what they need (argument vectors, the
// candidates of the PATH search, the caller's plan) is computed before the fork, and a failure
// travels to the parent as a number and two texts that existed before.
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "os/unique_fd.h"

namespace bdn::os {

// What went wrong in the child; error_number 0 is success. The texts are not owned: literals, or
// strings that were made before the fork.
struct ChildFailure {
  int error_number = 0;
  const char* what = "";  // "mount"
  const char* path = "";  // "/app/model_cache"
};

struct SpawnOptions {
  // The command and its arguments. A command without '/' is searched in PATH of `environment`.
  std::vector<std::string> argv = {};
  std::vector<std::string> environment = {};  // "NAME=value", all of it: nothing is inherited
  // The child leads a new process group, so that a terminal's Ctrl-C does not reach it by itself.
  bool own_process_group = false;
  // Runs in the child before the exec, for mount namespaces and the like. Only system calls: no
  // allocation, no locks. The child is single-threaded.
  std::move_only_function<ChildFailure() noexcept> in_child = nullptr;
};

struct ExitStatus {
  int code = 0;    // of exit(2), when signal is 0
  int signal = 0;  // that killed it
  // What a shell would report: 128 + signal, or the code.
  int shell_code() const { return signal != 0 ? 128 + signal : code; }
};

// A running command. The destructor does not wait and does not kill: whoever spawned it waits.
// Not thread-safe, but for Signal while another thread waits.
class Child {
 public:
  Child(pid_t pid, UniqueFd pidfd, bool own_group)
      : pid_(pid), pidfd_(std::move(pidfd)), own_group_(own_group) {}
  pid_t pid() const { return pid_; }
  // Readable for poll(2) once the child has ended.
  int pidfd() const { return pidfd_.get(); }
  bool own_group() const { return own_group_; }
  // Blocks until the child has ended. Once.
  Result<ExitStatus> Wait();
  // To the child alone, or to its group when it leads one. kNotFound when it has ended.
  Status Signal(int signal);

 private:
  pid_t pid_;
  UniqueFd pidfd_;
  bool own_group_;
};

// Starts the command and returns once it runs: a failure of the hook or of exec is the error here.
// The child starts with the default action for SIGPIPE and with no signal blocked.
// Errors: kInvalidArgument (empty argv, NUL in a string), kNotFound (no such command),
// kPermissionDenied, kResourceExhausted (no process, no memory), what the hook's errno stands for.
Result<Child> Spawn(SpawnOptions options);

// Hands the signals that this process gets on to a child, the way `env` or `nice` would if they
// stayed around: Ctrl-C on a terminal reaches the child by itself (same process group), so that one
// is not sent twice.
//
// Make it in main() before any thread starts: the signals are blocked in the calling thread, and
// threads inherit that. The destructor restores the mask of the calling thread.
class SignalForwarder {
 public:
  // Usual: SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH.
  static Result<SignalForwarder> Make(std::span<const int> signals);
  SignalForwarder(SignalForwarder&&) noexcept;
  SignalForwarder& operator=(SignalForwarder&&) = delete;
  ~SignalForwarder();
  // Forwards until the child has ended.
  Result<ExitStatus> WaitFor(Child& child);

 private:
  struct State;
  explicit SignalForwarder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bdn::os
