#pragma once
// Retry delays as pure arithmetic, so that they are tested as a table.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace bdn {

struct BackoffOptions {
  Duration base = std::chrono::milliseconds(200);
  Duration cap = std::chrono::seconds(10);
  int attempts_max = 6;                                 // in a row without progress
  Duration retry_after_max = std::chrono::minutes(10);  // a longer wish is cut to this
};

// The wait before attempt `attempt` (1 = the first retry). Full jitter: uniform in
// (0, min(cap, base·2^(attempt-1))]; `unit` is a random number in [0, 1). A wish of the other side
// (`retry_after`) is honoured instead, with up to one base of jitter on top.
inline Duration BackoffDelay(const BackoffOptions& options,
                             int attempt,
                             double unit,
                             std::optional<std::chrono::milliseconds> retry_after) {
  const auto jitter = [&](Duration span) {
    return Duration(static_cast<std::int64_t>(static_cast<double>(span.count()) * unit) + 1);
  };
  if (retry_after) {
    return std::min<Duration>(*retry_after, options.retry_after_max) + jitter(options.base);
  }
  Duration span = options.base;
  for (int i = 1; i < attempt && span < options.cap; ++i) span *= 2;
  return jitter(std::min(span, options.cap));
}

}  // namespace bdn
