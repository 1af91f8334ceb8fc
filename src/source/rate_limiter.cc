#include "source/rate_limiter.h"

#include <algorithm>
#include <cmath>

#include "crypto/hash.h"

namespace bdn::source {

void RateLimiter::Slot::Release() {
  if (owner_ == nullptr) return;
  std::exchange(owner_, nullptr)->state_.Change([](State& s) { --s.active; });
}

RateLimiter::Bucket& RateLimiter::BucketOf(State& state, std::string_view name) {
  const auto it = state.buckets.find(name);
  if (it != state.buckets.end()) return it->second;
  return state.buckets.emplace(name, Bucket{}).first->second;
}

MonoTime RateLimiter::Reserve(std::string_view bucket, MonoTime now) {
  return state_.With([&](State& s) {
    Bucket& b = BucketOf(s, bucket);
    const MonoTime at = std::max({now, b.paused_until, b.next_at});
    b.next_at = at + b.spacing;
    return at;
  });
}

Result<RateLimiter::Slot> RateLimiter::Acquire(const Context& ctx, std::string_view bucket) {
  for (;;) {
    BDN_TRY(ctx.Check());
    const MonoTime now = ctx.clock().Monotonic();
    const MonoTime at = Reserve(bucket, now);
    if (at > now) BDN_TRY(ctx.Sleep(at - now));
    const bool claimed = state_.Wait(ctx.stop(), [](State& s) {
      if (s.active >= std::max(1, static_cast<int>(s.limit))) return false;
      ++s.active;
      return true;
    });
    if (!claimed) return Error(Code::kCancelled, "cancelled");
    Slot slot(this);
    BDN_TRY(ctx.Check());
    // Somebody may have been throttled while we waited for the slot.
    const bool paused = state_.With(
        [&](State& s) { return BucketOf(s, bucket).paused_until > ctx.clock().Monotonic(); });
    if (!paused) return slot;
  }
}

void RateLimiter::Succeeded() {
  state_.Change([&](State& s) {
    s.limit = std::min<double>(options_.concurrency_max, s.limit + 1.0 / std::max(1.0, s.limit));
  });
}

void RateLimiter::Throttled(const Context& ctx,
                            std::string_view bucket,
                            std::optional<std::chrono::milliseconds> wait) {
  const MonoTime now = ctx.clock().Monotonic();
  state_.With([&](State& s) {
    if (!s.decreased_at || now - *s.decreased_at >= options_.decrease_interval) {
      s.limit = std::max<double>(options_.concurrency_min, std::floor(s.limit / 2));
      s.decreased_at = now;
    }
    Bucket& b = BucketOf(s, bucket);
    if (wait) {
      const Duration pause = std::min<Duration>(*wait, options_.pause_max);
      b.paused_until = std::max(b.paused_until, now + pause);
    }
  });
}

void RateLimiter::SawWindow(const Context& ctx, std::string_view bucket, const Window& window) {
  const MonoTime now = ctx.clock().Monotonic();
  const std::uint64_t low = window.quota ? *window.quota / options_.pace_below_quota_divisor
                                         : options_.pace_below_when_quota_unknown;
  const Duration reset = std::min<Duration>(window.reset, options_.pause_max);
  state_.With([&](State& s) {
    Bucket& b = BucketOf(s, bucket);
    if (window.remaining == 0) {
      b.spacing = Duration::zero();
      b.paused_until = std::max<MonoTime>(b.paused_until, now + reset + std::chrono::seconds(1));
    } else if (window.remaining >= low) {
      b.spacing = Duration::zero();
      b.next_at = now;
    } else {
      b.spacing = reset / static_cast<std::int64_t>(window.remaining);
      b.next_at = std::max(b.next_at, now + b.spacing);
      // Never later than the window's end: then a new quota begins.
      b.next_at = std::min<MonoTime>(b.next_at, now + reset + std::chrono::seconds(1));
    }
  });
}

int RateLimiter::concurrency() const {
  return state_.With([](const State& s) { return static_cast<int>(s.limit); });
}

int RateLimiter::in_flight() const {
  return state_.With([](const State& s) { return s.active; });
}

std::shared_ptr<RateLimiter> RateLimiters::For(std::string_view host, std::string_view credential) {
  std::string key(host);
  if (!credential.empty()) key += " " + crypto::Sha256Hex(credential);
  return limiters_.With([&](auto& limiters) {
    if (const auto it = limiters.find(key); it != limiters.end()) return it->second;
    if (limiters.size() >= kEntriesMax) {
      std::erase_if(limiters, [](const auto& entry) { return entry.second.use_count() == 1; });
    }
    auto limiter = std::make_shared<RateLimiter>(options_);
    // Full of limiters in use: this one is then shared by its holder's calls only.
    if (limiters.size() < kEntriesMax) limiters.emplace(key, limiter);
    return limiter;
  });
}

}  // namespace bdn::source
