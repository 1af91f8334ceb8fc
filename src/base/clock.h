#pragma once
// Time as a dependency: nothing below main() reads a clock or sleeps by itself.
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace bdn {

using Duration = std::chrono::nanoseconds;
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime Now() const = 0;        // for time stamps and expiry dates
  virtual MonoTime Monotonic() const = 0;  // for deadlines and rates
  // Waits `wait` or until `stop` is requested. Returns false when it was stopped.
  virtual bool SleepFor(std::stop_token stop, Duration wait) const = 0;
};

// The machine's clock. The only place that reads it.
const Clock& RealClock();

// RFC 3339 in UTC, seconds: "2026-11-23T03:44:41Z".
std::string FormatRfc3339(WallTime time);
// Accepts fractional seconds (cut to nanoseconds) and numeric offsets. Years before 1678 or after
// 2261 do not fit a WallTime and are nullopt, here and in ParseHttpDate.
std::optional<WallTime> ParseRfc3339(std::string_view text);
// RFC 9110 §5.6.7 IMF-fixdate: "Mon, 23 Nov 2026 03:44:41 GMT".
std::string FormatHttpDate(WallTime time);
std::optional<WallTime> ParseHttpDate(std::string_view text);

}  // namespace bdn
