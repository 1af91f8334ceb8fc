#include "source/retry.h"

#include <fmt/format.h>

namespace bdn::source {

void RetryBudget::Progress() {
  attempts_ = 0;
  throttles_ = 0;
  failing_since_.reset();
}

Status RetryBudget::GiveUp(const Error& error, int tries) const {
  if (tries <= 1) return error;
  Error out(error.code(), fmt::format("{} (gave up after {} tries)", error.message(), tries));
  if (!error.hint().empty()) out = std::move(out).WithHint(error.hint());
  if (const auto wait = error.retry_after()) out = std::move(out).WithRetryAfter(*wait);
  return out;
}

Status RetryBudget::Wait(const Context& ctx, const Error& error) {
  const auto ended = [&](const Error& why) {
    if (why.code() != Code::kTimeout) return why;
    return Error(Code::kTimeout,
                 fmt::format("{}; the last failure was: {}", why.message(), error.message()));
  };
  if (error.code() == Code::kCancelled) return error;
  if (auto status = ctx.Check(); !status) return ended(status.error());
  if (!error.retryable()) return error;

  const MonoTime now = ctx.clock().Monotonic();
  if (!failing_since_) failing_since_ = now;
  const bool throttled = error.code() == Code::kRateLimited || error.retry_after().has_value();
  int& count = throttled ? throttles_ : attempts_;
  ++count;
  const int tries = attempts_ + throttles_;
  const Duration delay =
      BackoffDelay(options_.backoff, count, random_ ? random_() : 0.5, error.retry_after());
  const Duration limit = throttled ? options_.throttled_max : options_.without_progress_max;
  if (!throttled && attempts_ >= options_.backoff.attempts_max) return GiveUp(error, tries);
  // Time spent waiting because we were asked to must not count against an ordinary failure after
  // it, so that one is bounded by attempts alone once throttling took part.
  if ((throttled || throttles_ == 0) && now - *failing_since_ + delay > limit) {
    return GiveUp(error, tries);
  }
  if (auto status = ctx.Sleep(delay); !status) return ended(status.error());
  return {};
}

}  // namespace bdn::source
