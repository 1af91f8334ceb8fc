#include "cli/signals.h"

#include <array>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/executor.h"
#include "base/guarded.h"

namespace bdn::cli {
namespace {

struct Target {
  std::function<void(int)> handler;
  bool from_terminal = false;
  int missed = 0;  // a signal that came while there was no handler
};

// The one place a signal handler's target can be: a process has one set of signals.
Guarded<Target>& Forwarding() {
  static Guarded<Target> target;
  return target;
}

sigset_t Watched() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) sigaddset(&set, s);
  return set;
}

}  // namespace

SignalStop::SignalStop() {
  const sigset_t set = Watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal_fd_ = signalfd(-1, &set, SFD_CLOEXEC);
  wake_fd_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::jthread([this](std::stop_token ended) { Watch(std::move(ended)); });
}

SignalStop::~SignalStop() {
  thread_.request_stop();
  eventfd_write(wake_fd_, 1);
  thread_.join();
  close(signal_fd_);
  close(wake_fd_);
}

void SignalStop::Watch(std::stop_token ended) {
  NameThisThread("signals");
  while (!ended.stop_requested()) {
    std::array<pollfd, 2> fds{{{signal_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), -1) <= 0 || fds[0].revents == 0) continue;
    signalfd_siginfo info{};
    if (read(signal_fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
    const int number = static_cast<int>(info.ssi_signo);
    const bool forwarded = Forwarding().With([&](Target& target) {
      const bool wanted = info.ssi_code != SI_KERNEL || target.from_terminal;
      if (target.handler && wanted) target.handler(number);
      if (!target.handler) target.missed = number;
      return static_cast<bool>(target.handler);
    });
    if (forwarded || number == SIGUSR1 || number == SIGUSR2) continue;
    if (!source_.request_stop()) _exit(128 + number);
  }
}

SignalForward::SignalForward(std::function<void(int)> handler, bool from_terminal) {
  Forwarding().With([&](Target& target) {
    // The child ran already when this one came.
    if (target.missed != 0) handler(target.missed);
    target = {std::move(handler), from_terminal};
  });
}

SignalForward::~SignalForward() {
  Forwarding().With([](Target& target) { target = {}; });
}

}  // namespace bdn::cli
