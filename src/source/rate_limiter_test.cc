#include "source/rate_limiter.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"

namespace bdn::source {
namespace {

using namespace std::chrono_literals;

class RateLimiterTest : public ::testing::Test {
 protected:
  Duration Passed() const { return clock_.Monotonic() - start_; }
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  const MonoTime start_ = clock_.Monotonic();
};

TEST_F(RateLimiterTest, ThrottlingHalvesOncePerEventAndSuccessGrowsSlowly) {
  RateLimiter limiter({.concurrency_max = 16});
  EXPECT_EQ(limiter.concurrency(), 16);
  for (int i = 0; i < 16; ++i) limiter.Throttled(ctx_, "api", std::nullopt);
  EXPECT_EQ(limiter.concurrency(), 8);
  clock_.Advance(2s);
  limiter.Throttled(ctx_, "api", std::nullopt);
  EXPECT_EQ(limiter.concurrency(), 4);
  for (int i = 0; i < 5; ++i) limiter.Succeeded();
  EXPECT_EQ(limiter.concurrency(), 5);
  for (int i = 0; i < 1000; ++i) limiter.Succeeded();
  EXPECT_EQ(limiter.concurrency(), 16);
}

TEST_F(RateLimiterTest, ConcurrencyNeverFallsBelowOne) {
  RateLimiter limiter({.concurrency_max = 2});
  for (int i = 0; i < 10; ++i) {
    limiter.Throttled(ctx_, "api", std::nullopt);
    clock_.Advance(2s);
  }
  EXPECT_EQ(limiter.concurrency(), 1);
  EXPECT_TRUE(limiter.Acquire(ctx_, "api"));
}

TEST_F(RateLimiterTest, APauseHoldsBackItsBucketOnly) {
  RateLimiter limiter;
  limiter.Throttled(ctx_, "api", 30s);
  ASSERT_TRUE(limiter.Acquire(ctx_, "resolvers"));
  EXPECT_EQ(Passed(), 0s);
  ASSERT_TRUE(limiter.Acquire(ctx_, "api"));
  EXPECT_EQ(Passed(), 30s);
}

TEST_F(RateLimiterTest, SpreadsTheRestOfANearlyUsedWindow) {
  RateLimiter limiter;
  limiter.SawWindow(ctx_, "api", {.remaining = 200, .reset = 100s, .quota = 500});
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(limiter.Acquire(ctx_, "api"));
  EXPECT_EQ(Passed(), 0s);
  limiter.SawWindow(ctx_, "api", {.remaining = 10, .reset = 100s, .quota = 500});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(limiter.Acquire(ctx_, "api"));
  EXPECT_EQ(Passed(), 30s);
  limiter.SawWindow(ctx_, "api", {.remaining = 0, .reset = 70s, .quota = 500});
  ASSERT_TRUE(limiter.Acquire(ctx_, "api"));
  EXPECT_GE(Passed(), 101s);
  limiter.SawWindow(ctx_, "api", {.remaining = 499, .reset = 300s, .quota = 500});
  const auto before = Passed();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(limiter.Acquire(ctx_, "api"));
  EXPECT_EQ(Passed(), before);
}

TEST_F(RateLimiterTest, OneStrangeAnswerDoesNotStopAProcessForADay) {
  RateLimiter limiter;
  limiter.Throttled(ctx_, "api", std::chrono::hours(24));
  ASSERT_TRUE(limiter.Acquire(ctx_, "api"));
  EXPECT_EQ(Passed(), 10min);
  limiter.SawWindow(ctx_, "api", {.remaining = 0, .reset = 4'000'000'000s, .quota = 5});
  ASSERT_TRUE(limiter.Acquire(ctx_, "api"));
  EXPECT_EQ(Passed(), 20min + 1s);
}

TEST_F(RateLimiterTest, DeadlineEndsTheWait) {
  RateLimiter limiter;
  limiter.Throttled(ctx_, "api", 30s);
  const auto slot = limiter.Acquire(ctx_.WithTimeout(1s), "api");
  ASSERT_FALSE(slot);
  EXPECT_EQ(slot.error().code(), Code::kTimeout);
}

TEST_F(RateLimiterTest, SlotsBoundWhatIsInFlightAndCancellationWakes) {
  RateLimiter limiter({.concurrency_max = 3});
  std::atomic<int> active = 0;
  std::atomic<int> most = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (int k = 0; k < 200; ++k) {
          const auto slot = limiter.Acquire(ctx_, "x");
          const int now = ++active;
          int seen = most;
          while (now > seen && !most.compare_exchange_weak(seen, now)) {
          }
          --active;
        }
      });
    }
  }
  EXPECT_LE(most, 3);
  EXPECT_EQ(limiter.in_flight(), 0);

  std::vector<RateLimiter::Slot> slots;
  for (int i = 0; i < 3; ++i) slots.push_back(*limiter.Acquire(ctx_, "x"));
  std::stop_source stop;
  Code code = Code::kInternal;
  std::jthread waiter([&] {
    const auto slot = limiter.Acquire(ctx_.WithStop(stop.get_token()), "x");
    if (!slot) code = slot.error().code();
  });
  stop.request_stop();
  waiter.join();
  EXPECT_EQ(code, Code::kCancelled);
}

TEST(RateLimiters, SameHostAndCredentialShareOne) {
  RateLimiters limiters;
  const auto a = limiters.For("hub", "token");
  EXPECT_EQ(a, limiters.For("hub", "token"));
  EXPECT_NE(a, limiters.For("hub", ""));
  EXPECT_NE(a, limiters.For("hub", "other"));
  EXPECT_NE(a, limiters.For("cdn", "token"));
}

TEST(RateLimiters, ManyHostsDoNotGrowItWithoutBound) {
  RateLimiters limiters;
  const auto kept = limiters.For("hub", "token");
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(limiters.For("h" + std::to_string(i), ""));
  EXPECT_EQ(kept, limiters.For("hub", "token"));
}

}  // namespace
}  // namespace bdn::source
