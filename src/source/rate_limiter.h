#pragma once
// How hard we may push one host with one credential. Limits of providers count per account or
// address and not per file, so everything in the process that talks to the same host with the same
// credential shares one RateLimiter.
//
// Three mechanisms, all fed by the answers:
//   concurrency  AIMD: halved when the host throttles, +1 per round of successes otherwise;
//   pauses       a bucket ("api", "resolvers") that asked to wait holds back everybody;
//   pacing       when a bucket's window is nearly used up, the rest of its requests is spread over
//                the rest of its time instead of running into the wall.
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/context.h"
#include "base/guarded.h"
#include "base/result.h"

namespace bdn::source {

struct RateLimiterOptions {
  int concurrency_max = 64;  // requests in flight at the start, and never more
  int concurrency_min = 1;
  // Requests in flight are throttled together; that is one event and halves once.
  Duration decrease_interval = std::chrono::seconds(1);
  // Pacing begins when less than quota / this remains.
  std::uint64_t pace_below_quota_divisor = 10;
  std::uint64_t pace_below_when_quota_unknown = 20;
  // A longer wish of the host is cut to this: one strange answer must not stop a process for a day.
  Duration pause_max = std::chrono::minutes(10);
};

// Thread-safe.
class RateLimiter {
 public:
  explicit RateLimiter(RateLimiterOptions options = {}) : options_(options) {
    state_.With([&](State& s) { s.limit = options_.concurrency_max; });
  }

  // The right to have one request in flight; given back when it goes.
  class [[nodiscard]] Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    Slot& operator=(Slot&& other) noexcept {
      std::swap(owner_, other.owner_);
      return *this;
    }
    ~Slot() { Release(); }
    void Release();

   private:
    friend class RateLimiter;
    explicit Slot(RateLimiter* owner) : owner_(owner) {}
    RateLimiter* owner_ = nullptr;
  };

  // Waits for the bucket's pause and pace, then for a free slot. kCancelled, kTimeout.
  Result<Slot> Acquire(const Context& ctx, std::string_view bucket);

  // What the answers said.
  void Succeeded();
  void Throttled(const Context& ctx,
                 std::string_view bucket,
                 std::optional<std::chrono::milliseconds> wait);
  struct Window {
    std::uint64_t remaining = 0;
    std::chrono::seconds reset{0};
    std::optional<std::uint64_t> quota;
  };
  void SawWindow(const Context& ctx, std::string_view bucket, const Window& window);

  int concurrency() const;
  int in_flight() const;

 private:
  struct Bucket {
    MonoTime paused_until{};
    MonoTime next_at{};  // the earliest start of the next request when paced
    Duration spacing{0};
  };
  struct State {
    double limit = 1;
    int active = 0;
    std::optional<MonoTime> decreased_at;
    std::map<std::string, Bucket, std::less<>> buckets;  // a handful: names are ours
  };
  static Bucket& BucketOf(State& state, std::string_view name);
  // When a request of that bucket may start; takes its place in the queue.
  MonoTime Reserve(std::string_view bucket, MonoTime now);

  const RateLimiterOptions options_;
  Guarded<State> state_;
};

// The limiters of a process, by host and credential. Thread-safe.
class RateLimiters {
 public:
  explicit RateLimiters(RateLimiterOptions options = {}) : options_(options) {}

  // `host` is the URL's authority. The credential is kept as a hash only; empty for anonymous.
  std::shared_ptr<RateLimiter> For(std::string_view host, std::string_view credential);

 private:
  // Redirects choose the hosts, so the map is bounded; what nobody uses goes first.
  static constexpr std::size_t kEntriesMax = 512;
  const RateLimiterOptions options_;
  Guarded<std::map<std::string, std::shared_ptr<RateLimiter>>> limiters_;
};

}  // namespace bdn::source
