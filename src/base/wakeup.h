#pragma once
// Sleeping until there is news. Whoever looks for work takes the count first, so that news between
// the look and the sleep ends the sleep at once:
//   const std::uint64_t seen = wakeup.count();
//   if (!LookForWork()) wakeup.Sleep(clock, stop, seen, kLookAgain);
#include <cstdint>
#include <map>
#include <stop_token>

#include "base/clock.h"
#include "base/guarded.h"

namespace bdn {

// Thread-safe.
class Wakeup {
 public:
  std::uint64_t count() const;
  // Ends the sleep of everybody. Cheap.
  void Wake();
  // Returns when Wake was called since the count was `seen`, when `wait` has passed on `clock`, or
  // when `stop` is requested.
  void Sleep(const Clock& clock,
             const std::stop_token& stop,
             std::uint64_t seen,
             Duration wait) const;

 private:
  struct State {
    std::map<std::uint64_t, std::stop_source> sleepers;
    std::uint64_t next_id = 0;
    std::uint64_t count = 0;
  };
  mutable Guarded<State> state_;
};

}  // namespace bdn
