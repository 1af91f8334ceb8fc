#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/backoff.h"
#include "base/byte_budget.h"
#include "base/executor.h"
#include "base/singleflight.h"
#include "base/testing/manual_clock.h"
#include "base/testing/step_executor.h"
#include "base/wakeup.h"

namespace bdn {
namespace {

using namespace std::chrono_literals;

Result<int> Half(int x) {
  if (x % 2 != 0) return Error(Code::kInvalidArgument, "odd");
  return x / 2;
}
Result<int> Quarter(int x) {
  BDN_ASSIGN(int half, Half(x));
  return Half(half);
}

TEST(Result, FirstErrorStopsTheChain) {
  EXPECT_EQ(Quarter(6).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(*Quarter(8), 2);
}

TEST(Result, IsSmall) {
  EXPECT_EQ(sizeof(Error), sizeof(void*));
  EXPECT_EQ(sizeof(Status), 2 * sizeof(void*));
}

TEST(Error, ContextIsOutermostFirst) {
  Error error(Code::kNotFound, "no such file");
  EXPECT_EQ(std::move(error).Context("read a").Context("mirror m").message(),
            "mirror m: read a: no such file");
}

TEST(Error, EveryCodeHasOneRowInOrder) {
  for (int i = 0; i < kCodeCount; ++i) {
    const auto code = static_cast<Code>(i);
    EXPECT_EQ(FactsOf(code).code, code);
    EXPECT_EQ(CodeFromName(FactsOf(code).name), code);
  }
  EXPECT_EQ(CodeFromHttpStatus(502), Code::kUnavailable);
  EXPECT_EQ(CodeFromHttpStatus(404), Code::kNotFound);
}

TEST(Clock, FormatsAndParsesTheSameInstant) {
  const auto t = ParseRfc3339("2026-11-23T03:44:41.5+01:00");
  ASSERT_TRUE(t);
  EXPECT_EQ(FormatRfc3339(*t), "2026-11-23T02:44:41Z");
  EXPECT_EQ(ParseHttpDate(FormatHttpDate(*t)), *t - 500ms);
  EXPECT_FALSE(ParseRfc3339("2026-13-01T00:00:00Z"));
  EXPECT_FALSE(ParseHttpDate("nonsense"));
  EXPECT_FALSE(ParseHttpDate("Mon, 23 Nov 5026 03:44:41 GMT"));
  EXPECT_FALSE(ParseRfc3339("9999-12-31T23:59:59Z"));
}

TEST(Context, ChildTakesTheEarlierDeadline) {
  testing::ManualClock clock;
  const Context parent = Context(clock).WithTimeout(5s);
  const Context child = parent.WithTimeout(60s);
  EXPECT_EQ(child.remaining(), 5s);
  clock.Advance(6s);
  EXPECT_EQ(child.Check().error().code(), Code::kTimeout);
}

TEST(Context, StopReachesChildrenOfBothParents) {
  testing::ManualClock clock;
  std::stop_source a;
  std::stop_source b;
  const Context child = Context(clock, a.get_token()).WithStop(b.get_token());
  EXPECT_TRUE(child.Check());
  b.request_stop();
  EXPECT_EQ(child.Check().error().code(), Code::kCancelled);
}

TEST(Context, SleepDoesNotWaitPastTheDeadline) {
  testing::ManualClock clock;
  const Context ctx = Context(clock).WithTimeout(1s);
  EXPECT_EQ(ctx.Sleep(2s).error().code(), Code::kTimeout);
  EXPECT_TRUE(clock.sleeps().empty());
}

TEST(TaskGroup, FirstErrorCancelsTheRest) {
  testing::StepExecutor executor;
  TaskGroup group(executor, Context(RealClock()));
  int ran = 0;
  group.Run([&](const Context&) -> Status {
    ++ran;
    return Error(Code::kCorrupt, "bad");
  });
  group.Run([&](const Context&) -> Status {
    ++ran;
    return {};
  });
  EXPECT_EQ(group.Wait().error().code(), Code::kCorrupt);
  EXPECT_EQ(ran, 1);
  executor.RunAll();
}

TEST(TaskGroup, NestsOnOnePoolOfOneThread) {
  ThreadPool pool({.name = "one", .threads = 1});
  const Context ctx(RealClock());
  TaskGroup outer(pool, ctx);
  std::atomic<int> done = 0;
  for (int i = 0; i < 4; ++i) {
    outer.Run([&](const Context& c) -> Status {
      TaskGroup inner(pool, c);
      for (int j = 0; j < 4; ++j) {
        inner.Run([&](const Context&) -> Status {
          ++done;
          return {};
        });
      }
      return inner.Wait();
    });
  }
  EXPECT_TRUE(outer.Wait());
  EXPECT_EQ(done, 16);
}

TEST(ThreadPool, RunsEverythingThatWasPostedBeforeItDies) {
  std::atomic<int> done = 0;
  {
    ThreadPool pool({.name = "p", .threads = 3, .queue_max = 2});
    for (int i = 0; i < 100; ++i) pool.Post([&] { ++done; });
  }
  EXPECT_EQ(done, 100);
}

TEST(Singleflight, SharesOneRunAndItsError) {
  Singleflight<int, int> flights;
  std::atomic<int> runs = 0;
  std::atomic<int> waiting = 0;
  std::vector<std::jthread> threads;
  std::atomic<int> errors = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      ++waiting;
      auto r = flights.Do(Context(RealClock()), 7, [&](const Context&) -> Result<int> {
        ++runs;
        while (waiting < 4) std::this_thread::yield();
        return Error(Code::kNotFound, "gone");
      });
      if (!r && r.error().code() == Code::kNotFound) ++errors;
    });
  }
  threads.clear();
  EXPECT_EQ(errors, 4);
  EXPECT_GE(runs, 1);
}

TEST(ByteBudget, NeverHoldsMoreThanTheLimitUnlessOneRequestIsLarger) {
  ByteBudget budget(100);
  const Context ctx(RealClock());
  {
    auto big = budget.Acquire(ctx, 500);
    ASSERT_TRUE(big);
    EXPECT_EQ(budget.held_bytes(), 500u);
  }
  ThreadPool pool({.name = "b", .threads = 4});
  TaskGroup group(pool, ctx);
  std::atomic<bool> over = false;
  for (int i = 0; i < 200; ++i) {
    group.Run([&](const Context& c) -> Status {
      BDN_ASSIGN(auto lease, budget.Acquire(c, 30));
      if (budget.held_bytes() > 100) over = true;
      return {};
    });
  }
  EXPECT_TRUE(group.Wait());
  EXPECT_FALSE(over);
  EXPECT_EQ(budget.held_bytes(), 0u);
}

TEST(ByteBudget, AStoppedWaiterLetsTheNextOneIn) {
  ByteBudget budget(10);
  const Context ctx(RealClock());
  auto held = budget.Acquire(ctx, 10);
  std::stop_source stop;
  std::jthread waiter([&] { EXPECT_FALSE(budget.Acquire(ctx.WithStop(stop.get_token()), 5)); });
  stop.request_stop();
  waiter.join();
  held->Release();
  EXPECT_TRUE(budget.Acquire(ctx, 5));
}

TEST(Wakeup, NewsSinceTheLookEndsTheSleepAtOnce) {
  const bdn::testing::ManualClock clock;
  Wakeup wakeup;
  const std::uint64_t seen = wakeup.count();
  wakeup.Wake();
  wakeup.Sleep(clock, {}, seen, 1h);
  EXPECT_TRUE(clock.sleeps().empty());
  wakeup.Sleep(clock, {}, wakeup.count(), 1h);
  EXPECT_EQ(clock.sleeps(), std::vector<Duration>{1h});
}

TEST(Wakeup, WakeAndStopEndTheSleepOfAnotherThread) {
  Wakeup wakeup;
  const std::uint64_t seen = wakeup.count();
  const auto sleep = [&](std::stop_token stop) { wakeup.Sleep(RealClock(), stop, seen, 1h); };
  std::jthread one(sleep);
  std::jthread two(sleep);
  one.request_stop();
  one.join();
  wakeup.Wake();
  two.join();
}

TEST(Backoff, GrowsToTheCapAndHonoursTheOtherSide) {
  const BackoffOptions o{.base = 100ms, .cap = 1s};
  EXPECT_LE(BackoffDelay(o, 1, 0.999, {}), 100ms + 1ns);
  EXPECT_GE(BackoffDelay(o, 4, 0.999, {}), 790ms);
  EXPECT_LE(BackoffDelay(o, 40, 0.999, {}), 1s + 1ns);
  EXPECT_GE(BackoffDelay(o, 1, 0.0, 3000ms), 3s);
  EXPECT_LE(BackoffDelay(o, 1, 0.5, std::chrono::hours(5)), 10min + 100ms);
}

}  // namespace
}  // namespace bdn
