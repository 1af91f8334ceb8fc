#pragma once
// A clock that stands still until a test moves it. A sleep moves it by exactly its length and
// returns at once, so that code with back-off runs in no time and the waits can be asserted.
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"

namespace bdn::testing {

class ManualClock final : public Clock {
 public:
  WallTime Now() const override {
    return kStart + state_.With([](const State& s) { return s.passed; });
  }
  MonoTime Monotonic() const override {
    return MonoTime(std::chrono::hours(1)) + state_.With([](const State& s) { return s.passed; });
  }
  bool SleepFor(std::stop_token stop, Duration wait) const override {
    if (stop.stop_requested()) return false;
    state_.With([&](State& s) {
      s.passed += wait;
      s.sleeps.push_back(wait);
    });
    return true;
  }
  void Advance(Duration by) {
    state_.With([&](State& s) { s.passed += by; });
  }
  std::vector<Duration> sleeps() const {
    return state_.With([](const State& s) { return s.sleeps; });
  }

 private:
  struct State {
    Duration passed{0};
    std::vector<Duration> sleeps;
  };
  static constexpr WallTime kStart{std::chrono::seconds(1'767'225'600)};  // 2026-01-01T00:00:00Z
  mutable Guarded<State> state_;
};

}  // namespace bdn::testing
