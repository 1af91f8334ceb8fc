#pragma once
// How often and how long a source tries again: one table for every provider. Pure arithmetic plus
// Context::Sleep; it knows nothing about what is tried.
#include <chrono>
#include <functional>
#include <optional>

#include "base/backoff.h"
#include "base/context.h"
#include "base/result.h"

namespace bdn::source {

// A random number in [0, 1) for jitter. Must be safe to call from several threads.
using UnitRandom = std::function<double()>;

struct RetryOptions {
  BackoffOptions backoff{.base = std::chrono::milliseconds(500),
                         .cap = std::chrono::seconds(10),
                         .attempts_max = 8,
                         .retry_after_max = std::chrono::minutes(10)};
  // Failures (not throttling) without one byte of progress for so long end the call.
  Duration without_progress_max = std::chrono::minutes(5);
  // Being asked to wait does not use up attempts, but this much time without progress ends it too.
  Duration throttled_max = std::chrono::minutes(30);
};

// The retries of one operation. Not thread-safe: one per call.
//
//   RetryBudget budget(options, random);
//   for (;;) {
//     auto r = Try();
//     if (r) return r;
//     BDN_TRY(budget.Wait(ctx, r.error()));
//   }
class RetryBudget {
 public:
  RetryBudget(const RetryOptions& options, const UnitRandom& random)
      : options_(options), random_(random) {}

  // Something arrived: a large file must not die of ten resets that it recovered from.
  void Progress();

  // Decides about `error`: waits and returns nothing when the operation should be tried again, else
  // returns the error to report. An error with retry_after (429, or 503 that names a time) is
  // throttling: it waits that long.
  // Errors: `error` itself when it is not retryable or the budget is used up (the message then says
  //         after how many tries); kCancelled; kTimeout with the last failure in its message when
  //         the context's deadline comes first.
  Status Wait(const Context& ctx, const Error& error);

  // Failures in a row without progress.
  int attempts() const { return attempts_; }

 private:
  Status GiveUp(const Error& error, int tries) const;

  const RetryOptions& options_;
  const UnitRandom& random_;
  int attempts_ = 0;
  int throttles_ = 0;
  std::optional<MonoTime> failing_since_;
};

}  // namespace bdn::source
