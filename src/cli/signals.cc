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

// The one place a signal handler's target can be: a process has one set of signals.
Guarded<std::function<void(int)>>& Forwarding() {
  static Guarded<std::function<void(int)>> handler;
  return handler;
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
    const bool forwarded = Forwarding().With([&](auto& handler) {
      if (handler && info.ssi_code != SI_KERNEL) handler(number);
      return static_cast<bool>(handler);
    });
    if (forwarded || number == SIGUSR1 || number == SIGUSR2) continue;
    if (!source_.request_stop()) _exit(128 + number);
  }
}

SignalForward::SignalForward(std::function<void(int)> handler) {
  Forwarding().With([&](auto& slot) { slot = std::move(handler); });
}

SignalForward::~SignalForward() {
  Forwarding().With([](auto& slot) { slot = nullptr; });
}

}  // namespace bdn::cli
