#include "os/process.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/errno_error.h"

namespace bdn::os {
namespace {

constexpr std::size_t kReportBytesMax = 2048;  // below PIPE_BUF, so that one write is whole
constexpr int kExitOfFailedSpawn = 127;        // nobody sees it: the parent reads the report

// The message of a child that could not start: errno, then the text.
struct Report {
  int error_number;
  std::array<char, kReportBytesMax> text;
};

std::size_t Append(Report& report, std::size_t at, const char* text) noexcept {
  while (*text != '\0' && at < report.text.size()) report.text[at++] = *text++;
  return at;
}

[[noreturn]] void FailChild(int report_fd, const ChildFailure& failure) noexcept {
  Report report;
  report.error_number = failure.error_number;
  std::size_t size = Append(report, 0, failure.what);
  if (*failure.path != '\0') {
    size = Append(report, size, " ");
    size = Append(report, size, failure.path);
  }
  // If even this fails, the parent sees an end of file without an exec and says so.
  static_cast<void>(!::write(report_fd, &report, offsetof(Report, text) + size));
  ::_exit(kExitOfFailedSpawn);
}

// NULL-terminated for execve.
std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& s : strings) pointers.push_back(s.data());
  pointers.push_back(nullptr);
  return pointers;
}

// The files to try, in order, as execvp(3) does, from the child's own PATH.
std::vector<std::string> Candidates(const std::string& command,
                                    const std::vector<std::string>& environment) {
  if (command.find('/') != std::string::npos) return {command};
  std::string_view path = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string& variable : environment) {
    if (variable.starts_with("PATH=")) path = std::string_view(variable).substr(5);
  }
  std::vector<std::string> files;
  while (true) {
    const std::size_t colon = path.find(':');
    const std::string_view dir = path.substr(0, colon);
    files.push_back((dir.empty() ? "." : std::string(dir)) + '/' + command);
    if (colon == std::string_view::npos) return files;
    path.remove_prefix(colon + 1);
  }
}

struct Prepared {
  std::vector<std::string> files;
  std::vector<char*> argv;
  std::vector<char*> environment;
  std::string command;
  bool own_group = false;
  int report_fd = -1;
  std::move_only_function<ChildFailure() noexcept>* in_child = nullptr;
};

// The child's whole life before the exec. Only system calls.
[[noreturn]] void RunChild(const Prepared& prepared) noexcept {
  if (prepared.own_group && ::setpgid(0, 0) != 0) {
    FailChild(prepared.report_fd, {errno, "make a process group for", prepared.command.c_str()});
  }
  if (*prepared.in_child) {
    const ChildFailure failure = (*prepared.in_child)();
    if (failure.error_number != 0) FailChild(prepared.report_fd, failure);
  }
  struct sigaction default_action = {};
  default_action.sa_handler = SIG_DFL;
  ::sigaction(SIGPIPE, &default_action, nullptr);  // we ignore it; a command should not
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  int best = ENOENT;
  for (const std::string& file : prepared.files) {
    ::execve(file.c_str(), prepared.argv.data(), prepared.environment.data());
    if (errno != ENOENT && errno != ENOTDIR) best = errno;
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) break;
  }
  FailChild(prepared.report_fd, {best, "run", prepared.command.c_str()});
}

Status CheckStrings(const SpawnOptions& options) {
  if (options.argv.empty() || options.argv.front().empty()) {
    return Error(Code::kInvalidArgument, "run: no command given");
  }
  for (const auto* const strings : {&options.argv, &options.environment}) {
    for (const std::string& s : *strings) {
      if (s.find('\0') != std::string::npos) {
        return Error(Code::kInvalidArgument, "run: an argument contains a NUL byte");
      }
    }
  }
  return {};
}

Result<ExitStatus> Reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return ErrnoError(errno, "wait for process " + std::to_string(pid));
  }
  if (WIFSIGNALED(status)) return ExitStatus{.code = 0, .signal = WTERMSIG(status)};
  return ExitStatus{.code = WEXITSTATUS(status), .signal = 0};
}

// Reads the child's report; success is an end of file, which the exec caused.
Status ReadReport(int fd) {
  Report report;
  ssize_t n = ::read(fd, &report, sizeof(report));
  while (n < 0 && errno == EINTR) n = ::read(fd, &report, sizeof(report));
  if (n < 0) return ErrnoError(errno, "read the report of a new process");
  constexpr auto kHeader = static_cast<ssize_t>(offsetof(Report, text));
  if (n < kHeader) return {};
  return ErrnoError(report.error_number,
                    std::string_view(report.text.data(), static_cast<std::size_t>(n - kHeader)));
}

}  // namespace

Result<ExitStatus> Child::Wait() {
  return Reap(pid_);
}

Status Child::Signal(int signal) {
  // The pidfd cannot hit a stranger who got the number; a group has no such handle, but its number
  // stays taken until its leader was waited for.
  const long r = own_group_ ? ::kill(-pid_, signal)
                            : ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
  if (r == 0) return {};
  const int error_number = errno;
  const std::string what = "send signal to process " + std::to_string(pid_);
  if (error_number == ESRCH) return Error(Code::kNotFound, what + ": it has ended");
  return ErrnoError(error_number, what);
}

Result<Child> Spawn(SpawnOptions options) {
  BDN_TRY(CheckStrings(options));
  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return ErrnoError(errno, "run: make a pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const Prepared prepared{.files = Candidates(options.argv.front(), options.environment),
                          .argv = Pointers(options.argv),
                          .environment = Pointers(options.environment),
                          .command = options.argv.front(),
                          .own_group = options.own_process_group,
                          .report_fd = write_end.get(),
                          .in_child = &options.in_child};
  // Blocked until the child has set its own mask: our handlers must not run in it.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  // Without the handlers of pthread_atfork(3): they allocate, take locks and, in a ThreadSanitizer
  // build, start a thread, with which the child could not make a user namespace.
  const pid_t pid = ::_Fork();
  if (pid == 0) RunChild(prepared);
  const int fork_errno = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return ErrnoError(fork_errno, "run: start a process");
  // Cannot fail for lack of the process: it is ours and not waited for.
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  const int pidfd_errno = errno;
  write_end.Reset();
  Status started = ReadReport(read_end.get());
  if (started && !pidfd.valid()) {
    ::kill(pid, SIGKILL);
    started = ErrnoError(pidfd_errno, "run: open a handle of process " + std::to_string(pid));
  }
  if (!started) {
    static_cast<void>(Reap(pid));
    return std::move(started).error();
  }
  return Child(pid, std::move(pidfd), options.own_process_group);
}

struct SignalForwarder::State {
  sigset_t before;
  UniqueFd fd;
};

SignalForwarder::SignalForwarder(std::unique_ptr<State> state) : state_(std::move(state)) {}
SignalForwarder::SignalForwarder(SignalForwarder&&) noexcept = default;
SignalForwarder::~SignalForwarder() {
  if (state_) ::pthread_sigmask(SIG_SETMASK, &state_->before, nullptr);
}

Result<SignalForwarder> SignalForwarder::Make(std::span<const int> signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) {
    if (::sigaddset(&set, signal) != 0) return ErrnoError(errno, "forward signals");
  }
  auto state = std::make_unique<State>();
  state->fd = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!state->fd.valid()) return ErrnoError(errno, "forward signals");
  ::pthread_sigmask(SIG_BLOCK, &set, &state->before);
  return SignalForwarder(std::move(state));
}

Result<ExitStatus> SignalForwarder::WaitFor(Child& child) {
  while (true) {
    std::array<pollfd, 2> fds{{{.fd = child.pidfd(), .events = POLLIN, .revents = 0},
                               {.fd = state_->fd.get(), .events = POLLIN, .revents = 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) {
      return ErrnoError(errno, "wait for a process");
    }
    signalfd_siginfo info = {};
    while (::read(state_->fd.get(), &info, sizeof(info)) == sizeof(info)) {
      // SI_KERNEL: from the terminal, which sent it to the whole foreground group.
      if (info.ssi_code == SI_KERNEL && !child.own_group()) continue;
      const Status sent = child.Signal(static_cast<int>(info.ssi_signo));
      if (!sent && sent.error().code() != Code::kNotFound) return sent.error();
    }
    if ((fds[0].revents & POLLIN) != 0) return child.Wait();
  }
}

}  // namespace bdn::os
