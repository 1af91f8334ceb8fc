#pragma once
// Context: deadline and cancellation handed down the call tree; the first parameter of everything
// that blocks.
#include <memory>
#include <optional>
#include <stop_token>

#include "base/clock.h"
#include "base/result.h"

namespace bdn {

// A value; copies share the same cancellation. Thread-safe.
class Context {
 public:
  // No deadline, cancelled by `stop` only. `clock` must outlive every copy.
  explicit Context(const Clock& clock, std::stop_token stop = {});

  // The child's deadline is the earlier of ours and now + timeout.
  Context WithTimeout(Duration timeout) const;
  // The child is cancelled when we are, or when `stop` is requested.
  Context WithStop(const std::stop_token& stop) const;

  // kCancelled, kTimeout, or nothing.
  Status Check() const;
  // Time left; nullopt without a deadline; never negative.
  std::optional<Duration> remaining() const;
  // Waits `wait`. kCancelled or kTimeout when that comes first (kTimeout at once when the deadline
  // lies before the end of the wait: nobody profits from waiting for it).
  Status Sleep(Duration wait) const;

  const Clock& clock() const { return *clock_; }
  std::stop_token stop() const { return stop_; }

 private:
  const Clock* clock_;
  std::stop_token stop_;
  std::optional<MonoTime> deadline_;
  std::shared_ptr<void> link_;  // keeps the callbacks that join two stop tokens alive
};

}  // namespace bdn
