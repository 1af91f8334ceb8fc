#pragma once
#include <functional>
#include <memory>
#include <stop_token>
#include <thread>

namespace bdn::cli {

// Turns SIGINT, SIGTERM and SIGHUP into a stop request; a second one ends the process at once with
// 128 + signal. Made once, by main, before any other thread: it blocks these signals in all of
// them. SIGPIPE is ignored.
class SignalStop {
 public:
  SignalStop();
  ~SignalStop();
  std::stop_token token() const { return source_.get_token(); }

 private:
  void Watch(std::stop_token ended);
  std::stop_source source_;
  int signal_fd_;
  int wake_fd_;
  std::jthread thread_;
};

// While it lives, signals go to `handler` (on another thread) instead of stopping the program. What
// the terminal sends (Ctrl-C) reaches a child in the foreground by itself, so it is handed on only
// when `from_terminal` says that the child is elsewhere.
class SignalForward {
 public:
  SignalForward(std::function<void(int)> handler, bool from_terminal);
  ~SignalForward();
};

}  // namespace bdn::cli
