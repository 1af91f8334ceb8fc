#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <utility>

namespace bdn {

// Guarded<T> owns a T that can be reached only while its mutex is held, so "which lock guards this
// field" is answered by the type and not by a comment. Never block on I/O inside With().
//   Guarded<State> state_;
//   state_.With([](State& s) { s.active += 1; });
//   state_.Wait(stop, [](State& s) { return s.active == 0; });
// Thread-safe; neither copyable nor movable.
template <class T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  template <class F>
  decltype(auto) With(F&& f) {
    std::lock_guard lock(mutex_);
    return std::invoke(std::forward<F>(f), value_);
  }
  template <class F>
  decltype(auto) With(F&& f) const {
    std::lock_guard lock(mutex_);
    return std::invoke(std::forward<F>(f), value_);
  }

  // Changes the value and wakes every waiter.
  template <class F>
  void Change(F&& f) {
    {
      std::lock_guard lock(mutex_);
      std::invoke(std::forward<F>(f), value_);
    }
    changed_.notify_all();
  }

  // Waits until ready(value) is true, asked again after each Change(). False when `stop` was
  // requested first.
  template <class P>
  bool Wait(std::stop_token stop, P ready) {
    std::unique_lock lock(mutex_);
    return changed_.wait(lock, std::move(stop), [&] { return ready(value_); });
  }
  // The same for at most `wait` of the machine's time; false also when that passed.
  template <class Rep, class Period, class P>
  bool WaitFor(std::stop_token stop, std::chrono::duration<Rep, Period> wait, P ready) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::move(stop), wait, [&] { return ready(value_); });
  }
  template <class P>
  void Wait(P ready) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ready(value_); });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  T value_;
};

}  // namespace bdn
