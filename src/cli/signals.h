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
// the terminal sends (Ctrl-C) reaches a child in the foreground by itself and is not handed on.
class SignalForward {
 public:
  explicit SignalForward(std::function<void(int)> handler);
  ~SignalForward();
};

}  // namespace bdn::cli
