#pragma once
// Bytes per second, smoothed, as pure arithmetic: no clock, no lock.
#include <cmath>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace bdn::mirror {

// An exponential moving average over `kWindow`, corrected for its start so that the first seconds
// of a transfer are not shown too low. A pause makes the rate fall. Not thread-safe.
class RateMeter {
 public:
  // `total` counts up from any start: bytes fetched so far. Calls that come closer together than
  // kSampleMin are gathered.
  void Sample(MonoTime now, std::uint64_t total) {
    if (!last_time_) {
      last_time_ = now;
      last_total_ = total;
      return;
    }
    const Duration passed = now - *last_time_;
    if (passed < kSampleMin) return;
    const double seconds = Seconds(passed);
    const double bytes = total >= last_total_ ? static_cast<double>(total - last_total_) : 0;
    const double keep = std::exp(-seconds / Seconds(kWindow));
    average_ = average_ * keep + (bytes / seconds) * (1 - keep);
    weight_ = weight_ * keep + (1 - keep);
    last_time_ = now;
    last_total_ = total;
  }

  // 0 before the second sample.
  double bytes_per_second() const { return weight_ > 0 ? average_ / weight_ : 0; }

  // Seconds until `left` bytes are through; nullopt when nothing moves.
  std::optional<double> Eta(std::uint64_t left) const {
    if (left == 0) return 0;
    const double rate = bytes_per_second();
    if (rate < 1) return std::nullopt;
    return static_cast<double>(left) / rate;
  }

  static constexpr Duration kWindow = std::chrono::seconds(10);
  static constexpr Duration kSampleMin = std::chrono::milliseconds(100);

 private:
  static double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

  std::optional<MonoTime> last_time_;
  std::uint64_t last_total_ = 0;
  double average_ = 0;  // as if the rate had been 0 before the first sample …
  double weight_ = 0;   // … and the share of the window that is ours, to divide that out again
};

}  // namespace bdn::mirror
