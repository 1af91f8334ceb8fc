#include "source/retry.h"

#include <memory>
#include <numeric>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"

namespace bdn::source {
namespace {

using namespace std::chrono_literals;

class RetryBudgetTest : public ::testing::Test {
 protected:
  Duration Slept() const {
    const auto sleeps = clock_.sleeps();
    return std::accumulate(sleeps.begin(), sleeps.end(), Duration{});
  }
  RetryOptions options_;
  UnitRandom random_ = [] { return 0.5; };
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  const Error down_{Code::kUnavailable, "connection refused"};
};

TEST_F(RetryBudgetTest, GivesUpAfterTheLastAttemptAndSaysSo) {
  RetryBudget budget(options_, random_);
  for (int i = 1; i < options_.backoff.attempts_max; ++i) EXPECT_TRUE(budget.Wait(ctx_, down_));
  const auto end = budget.Wait(ctx_, down_);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code(), Code::kUnavailable);
  EXPECT_EQ(end.error().message(), "connection refused (gave up after 8 tries)");
}

TEST_F(RetryBudgetTest, ProgressStartsAgain) {
  RetryBudget budget(options_, random_);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(budget.Wait(ctx_, down_));
    budget.Progress();
  }
  EXPECT_EQ(clock_.sleeps().back(), clock_.sleeps().front());
}

TEST_F(RetryBudgetTest, PermanentErrorsComeBackAtOnce) {
  RetryBudget budget(options_, random_);
  const auto end = budget.Wait(ctx_, Error(Code::kNotFound, "no"));
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().message(), "no");
  EXPECT_TRUE(clock_.sleeps().empty());
}

TEST_F(RetryBudgetTest, ThrottlingWaitsAsAskedAndCostsNoAttempt) {
  RetryBudget budget(options_, random_);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(budget.Wait(ctx_, Error(Code::kRateLimited, "slow").WithRetryAfter(60s)));
  }
  EXPECT_EQ(budget.attempts(), 0);
  EXPECT_GE(Slept(), 20 * 60s);
}

TEST_F(RetryBudgetTest, ThrottlingIsBoundedByTime) {
  RetryBudget budget(options_, random_);
  int waits = 0;
  while (budget.Wait(ctx_, Error(Code::kRateLimited, "slow").WithRetryAfter(60s))) ++waits;
  EXPECT_LE(Slept(), options_.throttled_max);
  EXPECT_GE(waits, 28);
}

TEST_F(RetryBudgetTest, StallsAreBoundedByTime) {
  RetryBudget budget(options_, random_);
  int waits = 0;
  while (budget.Wait(ctx_, Error(Code::kTimeout, "no byte for 60 s"))) {
    clock_.Advance(2min);
    ++waits;
  }
  EXPECT_EQ(waits, 3);
}

TEST_F(RetryBudgetTest, DeadlineEndsItAndKeepsTheCause) {
  RetryBudget budget(options_, random_);
  const auto end =
      budget.Wait(ctx_.WithTimeout(1s), Error(Code::kRateLimited, "slow down").WithRetryAfter(60s));
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code(), Code::kTimeout);
  EXPECT_NE(end.error().message().find("slow down"), std::string::npos);
}

TEST_F(RetryBudgetTest, CancellationEndsIt) {
  RetryBudget budget(options_, random_);
  // On the heap: g++ 12 with sanitizers takes a local stop_source for uninitialised.
  const auto stop = std::make_unique<std::stop_source>();
  stop->request_stop();
  const auto end = budget.Wait(ctx_.WithStop(stop->get_token()), down_);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace bdn::source
