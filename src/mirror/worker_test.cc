#include "mirror/worker.h"

#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "mirror/spec.h"
#include "mirror/testing/mirror_world.h"
#include "source/testing/faulty_source.h"

namespace bdn::mirror {
namespace {

using namespace bdn::mirror::testing;  // NOLINT(google-build-using-namespace): the test's own world
using source::testing::FaultySource;
using source::testing::SourceFault;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using store::MirrorState;

// Time passes only when the test says so; sleepers really wait for it.
class SteppedClock final : public Clock {
 public:
  WallTime Now() const override { return WallTime(std::chrono::hours(1000)) + passed(); }
  MonoTime Monotonic() const override { return MonoTime(std::chrono::hours(1)) + passed(); }
  bool SleepFor(std::stop_token stop, Duration wait) const override {
    Duration until{0};
    state_.Change([&](State& s) {
      until = s.passed + wait;
      s.sleepers += 1;
    });
    const bool slept = state_.Wait(stop, [&](State& s) { return s.passed >= until; });
    state_.Change([](State& s) { s.sleepers -= 1; });
    return slept;
  }
  void Advance(Duration by) {
    state_.Change([&](State& s) { s.passed += by; });
  }
  void AwaitSleepers(int count) const {
    state_.Wait([&](State& s) { return s.sleepers >= count; });
  }

 private:
  struct State {
    Duration passed{0};
    int sleepers = 0;
  };
  Duration passed() const {
    return state_.With([](const State& s) { return s.passed; });
  }
  mutable Guarded<State> state_;
};

// The factory's product: a source that the test owns.
class Borrowed final : public source::Source {
 public:
  explicit Borrowed(source::Source& inner) : inner_(inner) {}
  Result<source::Pin> Resolve(const Context& ctx) override { return inner_.Resolve(ctx); }
  Result<std::vector<source::RemoteFile>> List(const Context& ctx,
                                               const source::Pin& pin) override {
    return inner_.List(ctx, pin);
  }
  Status Read(const Context& ctx,
              const source::Pin& pin,
              const source::RemoteFile& file,
              net::ByteRange range,
              const source::ByteSink& sink) override {
    return inner_.Read(ctx, pin, file, range, sink);
  }

 private:
  source::Source& inner_;
};

class MirrorWorkerTest : public ::testing::Test {
 protected:
  MirrorWorkerTest() { Use(world_.source); }

  void Use(source::Source& source) { source_ = &source; }

  MirrorWorker MakeWorker(const std::string& owner = "w1", std::size_t jobs = 1) {
    MirrorWorkerOptions options;
    options.owner = owner;
    options.jobs = jobs;
    return MirrorWorker(
        *world_.metadata, mirrorer_, clock_,
        [this](const Context&, const store::Mirror&) -> Result<std::unique_ptr<source::Source>> {
          if (factory_error_) return *factory_error_;
          return std::make_unique<Borrowed>(*source_);
        },
        [this](const std::string& id) {
          changes_.Change([&](auto& changes) { changes.push_back(id); });
        },
        options);
  }

  std::string Queue(const std::string& id) {
    store::Mirror mirror;
    mirror.id = id;
    mirror.scope = world_.scope;
    mirror.key = model::MirrorKey(world_.weights);
    mirror.source = world_.weights.source;
    mirror.spec = SpecToJson(world_.weights);
    mirror.created_at = clock_.Now();
    store::Deployment deployment;
    deployment.id = "d-" + id;
    deployment.org = world_.scope.org;
    deployment.name = "model";
    deployment.created_at = clock_.Now();
    deployment.mounts = {
        {.mount_location = "/w", .source = world_.weights.source, .mirror_id = ""}};
    auto created = world_.metadata->CreateDeployment(deployment, {mirror});
    EXPECT_TRUE(created) << (created ? "" : created.error().message());
    return created ? created->mounts[0].mirror_id : "";
  }
  store::Mirror Row(const std::string& id) {
    auto row = world_.metadata->GetMirror(id);
    EXPECT_TRUE(row);
    return row ? *row : store::Mirror{};
  }
  bool RunOne(MirrorWorker& worker) {
    auto worked = worker.RunOne(ctx_);
    EXPECT_TRUE(worked) << (worked ? "" : worked.error().message());
    return worked && *worked;
  }

  World world_;
  SteppedClock clock_;
  Context ctx_{clock_};
  ThreadPool pool_{{.name = "fetch", .threads = 4}};
  Mirrorer mirrorer_{world_.objects, *world_.metadata, pool_, world_.options};
  source::Source* source_ = nullptr;
  std::optional<Error> factory_error_;
  Guarded<std::vector<std::string>> changes_;
};

TEST_F(MirrorWorkerTest, RunsAQueuedMirrorToItsEnd) {
  const std::string content = PatternBytes(2500, 1);
  world_.source.Publish("m", content);
  world_.source.Warn("the repository was renamed");
  const std::string id = Queue("m1");
  MirrorWorker worker = MakeWorker();
  EXPECT_TRUE(RunOne(worker));
  const store::Mirror row = Row(id);
  EXPECT_EQ(row.state, MirrorState::kDone);
  EXPECT_EQ(row.pin, "rev-1");
  EXPECT_EQ(row.pin_type, "memory-revision");
  EXPECT_EQ(row.warnings, (std::vector<std::string>{"the repository was renamed"}));
  EXPECT_EQ(row.progress.bytes_done, content.size());
  ASSERT_TRUE(row.manifest);
  EXPECT_TRUE((world_.TreeOf(*row.manifest) == Tree{{"m", content}}));
  EXPECT_FALSE(RunOne(worker)) << "nothing is left to do";
  EXPECT_GE(changes_.With([](const auto& c) { return c.size(); }), 4u);
}

TEST_F(MirrorWorkerTest, SamePinAgainListsAndFetchesNothing) {
  world_.source.Publish("m", PatternBytes(2500, 1));
  MirrorWorker worker = MakeWorker();
  Queue("m1");
  EXPECT_TRUE(RunOne(worker));
  world_.source.ForgetCalls();
  const std::string again = Queue("m2");
  EXPECT_TRUE(RunOne(worker));
  const store::Mirror row = Row(again);
  EXPECT_EQ(row.state, MirrorState::kDone);
  EXPECT_EQ(row.progress.bytes_reused, 2500u);
  EXPECT_EQ(world_.source.resolves(), 1);
  EXPECT_EQ(world_.source.lists(), 0);
  EXPECT_TRUE(world_.source.reads().empty());
}

TEST_F(MirrorWorkerTest, PatternTrapsBecomeWarningsOnTheRow) {
  world_.source.Publish("m.safetensors", "x");
  world_.source.Publish("sub/n.safetensors", "x");
  world_.weights = World::Weights({{"*.safetensors"}});
  const std::string id = Queue("m1");
  MirrorWorker worker = MakeWorker();
  EXPECT_TRUE(RunOne(worker));
  ASSERT_EQ(Row(id).warnings.size(), 1u);
  EXPECT_NE(Row(id).warnings[0].find("**/*.safetensors"), std::string::npos);
}

TEST_F(MirrorWorkerTest, PermanentErrorsFailAtOnceWithTheWayOut) {
  world_.source.Publish("sub/m.safetensors", "x");
  world_.weights = World::Weights({{"*.safetensors"}});
  const std::string id = Queue("m1");
  MirrorWorker worker = MakeWorker();
  EXPECT_TRUE(RunOne(worker));
  const store::Mirror row = Row(id);
  EXPECT_EQ(row.state, MirrorState::kFailed);
  EXPECT_EQ(row.error.code, "invalid_argument");
  EXPECT_NE(row.error.message.find("No files matched"), std::string::npos);
  EXPECT_NE(row.error.hint.find("**/*.safetensors"), std::string::npos);
  EXPECT_EQ(row.attempts, 1);
}

TEST_F(MirrorWorkerTest, ErrorOfTheFactoryIsTheMirrors) {
  factory_error_ = Error(Code::kNotFound, "no secret \"hf_access_token\"");
  const std::string id = Queue("m1");
  MirrorWorker worker = MakeWorker();
  EXPECT_TRUE(RunOne(worker));
  EXPECT_EQ(Row(id).state, MirrorState::kFailed);
  EXPECT_EQ(Row(id).error.code, "not_found");
}

TEST_F(MirrorWorkerTest, RetryableErrorsWaitLongerAndLongerThenFail) {
  world_.source.Publish("m", PatternBytes(500, 1));
  FaultySource faulty(world_.source, {.operation = 0, .forever = true});
  Use(faulty);
  const std::string id = Queue("m1");
  MirrorWorker worker = MakeWorker();
  Duration waited{0};
  Duration last{0};
  int attempts = 0;
  while (Row(id).state != MirrorState::kFailed) {
    ASSERT_TRUE(RunOne(worker));
    ++attempts;
    const store::Mirror row = Row(id);
    EXPECT_FALSE(row.error.message.empty());
    if (row.state == MirrorState::kFailed) break;
    const Duration wait = row.not_before - clock_.Now();
    EXPECT_GE(wait, last);
    last = wait;
    waited += wait;
    EXPECT_FALSE(RunOne(worker)) << "not before its time";
    clock_.Advance(wait);
  }
  EXPECT_EQ(attempts, 8);
  EXPECT_GT(waited, minutes(10));
  EXPECT_NE(Row(id).error.message.find("given up after 8 attempts"), std::string::npos);
}

TEST_F(MirrorWorkerTest, WishOfTheOtherSideIsHonoured) {
  world_.source.Publish("m", PatternBytes(500, 1));
  world_.source.OnRead([](const Context&, const MemorySource::ReadCall&) -> Status {
    return Error(Code::kRateLimited, "slow down").WithRetryAfter(seconds(90));
  });
  const std::string id = Queue("m1");
  MirrorWorker worker = MakeWorker();
  EXPECT_TRUE(RunOne(worker));
  EXPECT_EQ(Row(id).state, MirrorState::kQueued);
  EXPECT_GE(Row(id).not_before - clock_.Now(), seconds(90));
}

TEST_F(MirrorWorkerTest, AttemptsThatFetchSomethingDoNotUseUpThePatience) {
  // Every attempt is cut off after one more chunk: twenty attempts for one file.
  world_.source.Publish("m", PatternBytes(20 * kChunk, 1));
  int reads = 0;
  world_.source.OnRead([&](const Context&, const MemorySource::ReadCall&) -> Status {
    if (++reads % 2 == 0) return Error(Code::kUnavailable, "reset");
    return {};
  });
  world_.options.parallel = 1;
  Mirrorer one_by_one(world_.objects, *world_.metadata, world_.executor, world_.options);
  MirrorWorkerOptions options;
  options.owner = "w";
  MirrorWorker worker(
      *world_.metadata, one_by_one, clock_,
      [this](const Context&, const store::Mirror&) -> Result<std::unique_ptr<source::Source>> {
        return std::make_unique<Borrowed>(world_.source);
      },
      {}, options);
  const std::string id = Queue("m1");
  for (int i = 0; i < 30 && Row(id).state != MirrorState::kDone; ++i) {
    ASSERT_TRUE(RunOne(worker));
    ASSERT_NE(Row(id).state, MirrorState::kFailed) << Row(id).error.message;
    clock_.Advance(minutes(11));
  }
  EXPECT_EQ(Row(id).state, MirrorState::kDone);
  EXPECT_GT(Row(id).attempts, 8);
  EXPECT_EQ(world_.source.bytes_served(), 20 * kChunk);
}

TEST_F(MirrorWorkerTest, UnreachableSourceFallsBackToTheNewestMirrorWithAWarning) {
  world_.source.Publish("m", "one");
  MirrorWorker worker = MakeWorker();
  const std::string first = Queue("m1");
  EXPECT_TRUE(RunOne(worker));
  FaultySource down(world_.source, {.operation = 0, .code = Code::kTimeout, .forever = true});
  Use(down);
  const std::string second = Queue("m2");
  EXPECT_TRUE(RunOne(worker));
  const store::Mirror row = Row(second);
  EXPECT_EQ(row.state, MirrorState::kDone);
  EXPECT_EQ(row.manifest, Row(first).manifest);
  EXPECT_EQ(row.pin, "rev-1");
  ASSERT_EQ(row.warnings.size(), 1u);
  EXPECT_NE(row.warnings[0].find("rev-1"), std::string::npos);
  EXPECT_NE(row.warnings[0].find("could not be reached"), std::string::npos);
}

TEST_F(MirrorWorkerTest, NoFallbackAfterThePinNorToWhatIsGoneNorForOtherErrors) {
  world_.source.Publish("m", "one");
  MirrorWorker worker = MakeWorker();
  const std::string first = Queue("m1");
  EXPECT_TRUE(RunOne(worker));

  FaultySource denies(world_.source, {.operation = 0, .code = Code::kPermissionDenied});
  Use(denies);
  const std::string denied = Queue("m2");
  EXPECT_TRUE(RunOne(worker));
  EXPECT_EQ(Row(denied).state, MirrorState::kFailed);

  world_.source.Publish("m", "two");
  FaultySource late(world_.source, {.operation = 1, .forever = true});
  Use(late);
  const std::string after_pin = Queue("m3");
  EXPECT_TRUE(RunOne(worker));
  EXPECT_EQ(Row(after_pin).state, MirrorState::kQueued) << "a newer pin is known: try again";
  EXPECT_EQ(Row(after_pin).pin, "rev-2");

  ASSERT_TRUE(world_.objects.Delete(world_.ctx, world_.scope, *Row(first).manifest));
  FaultySource down(world_.source, {.operation = 0, .forever = true});
  Use(down);
  clock_.Advance(minutes(11));
  EXPECT_TRUE(RunOne(worker));
  EXPECT_EQ(Row(after_pin).state, MirrorState::kQueued);
}

// Holds every read until the test lets go.
class Gate {
 public:
  explicit Gate(MemorySource& source) {
    source.OnRead([this](const Context& ctx, const MemorySource::ReadCall&) -> Status {
      state_.Change([](State& s) { s.waiting += 1; });
      state_.Wait(ctx.stop(), [](State& s) { return s.open; });
      return ctx.Check();
    });
  }
  void AwaitReaders(int count = 1) {
    state_.Wait([&](State& s) { return s.waiting >= count; });
  }
  void Open() {
    state_.Change([](State& s) { s.open = true; });
  }

 private:
  struct State {
    int waiting = 0;
    bool open = false;
  };
  Guarded<State> state_;
};

TEST_F(MirrorWorkerTest, StopGivesTheMirrorBackAtOnce) {
  world_.source.Publish("m", PatternBytes(2500, 1));
  Gate gate(world_.source);
  const std::string id = Queue("m1");
  MirrorWorker worker = MakeWorker();
  std::stop_source stop;
  std::jthread running([&] { worker.Run(stop.get_token()); });
  gate.AwaitReaders();
  EXPECT_EQ(Row(id).state, MirrorState::kRunning);
  stop.request_stop();
  running.join();
  EXPECT_EQ(Row(id).state, MirrorState::kQueued);
  EXPECT_LE(Row(id).not_before, clock_.Now());

  gate.Open();
  MirrorWorker next = MakeWorker("w2");
  EXPECT_TRUE(RunOne(next));
  EXPECT_EQ(Row(id).state, MirrorState::kDone);
}

TEST_F(MirrorWorkerTest, DeadlineEndsAMirrorWhoseSourceStands) {
  world_.source.Publish("m", PatternBytes(2500, 1));
  Gate gate(world_.source);
  std::jthread running([&] {
    const auto result = mirrorer_.Run(ctx_.WithTimeout(seconds(10)), world_.source,
                                      {.scope = world_.scope, .weights = world_.weights}, {}, {});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Code::kTimeout) << result.error().message();
  });
  gate.AwaitReaders();
  clock_.AwaitSleepers(1);
  clock_.Advance(seconds(10));
}

TEST_F(MirrorWorkerTest, HeartbeatKeepsTheLeaseWhileNothingMoves) {
  world_.source.Publish("m", PatternBytes(2500, 1));
  Gate gate(world_.source);
  const std::string id = Queue("m1");
  MirrorWorker worker = MakeWorker();
  std::jthread running([&] { EXPECT_TRUE(RunOne(worker)); });
  gate.AwaitReaders();
  for (int i = 0; i < 20; ++i) {
    clock_.AwaitSleepers(1);
    const WallTime lease = Row(id).lease_until;
    clock_.Advance(seconds(5));
    while (Row(id).lease_until == lease) std::this_thread::yield();
  }
  EXPECT_FALSE(*world_.metadata->ClaimMirror("thief", clock_.Now(), seconds(30)));
  gate.Open();
  running.join();
  EXPECT_EQ(Row(id).state, MirrorState::kDone);
}

TEST_F(MirrorWorkerTest, LostLeaseEndsTheMirrorWithoutAWord) {
  world_.source.Publish("m", PatternBytes(2500, 1));
  Gate gate(world_.source);
  const std::string id = Queue("m1");
  MirrorWorker worker = MakeWorker();
  std::jthread running([&] { EXPECT_TRUE(RunOne(worker)); });
  gate.AwaitReaders();
  // Another took it, as if this process had been frozen for a while.
  ASSERT_TRUE(*world_.metadata->ClaimMirror("w2", clock_.Now() + minutes(5), minutes(5)));
  clock_.AwaitSleepers(1);
  clock_.Advance(seconds(5));
  running.join();
  EXPECT_EQ(Row(id).state, MirrorState::kRunning);
  EXPECT_EQ(Row(id).lease_owner, "w2");
}

TEST_F(MirrorWorkerTest, MirrorOfADeadWorkerIsTakenUpWithoutWaitingForItsLease) {
  world_.source.Publish("m", PatternBytes(2500, 1));
  const std::string id = Queue("m1");
  ASSERT_TRUE(*world_.metadata->ClaimMirror("dead", clock_.Now(), minutes(5)));
  EXPECT_EQ(Row(id).state, MirrorState::kRunning);
  MirrorWorker worker = MakeWorker();
  ASSERT_TRUE(RequeueMirrorsOfDeadWorkers(*world_.metadata, clock_.Now()));
  EXPECT_EQ(Row(id).state, MirrorState::kQueued);
  EXPECT_TRUE(RunOne(worker));
  EXPECT_EQ(Row(id).state, MirrorState::kDone);
}

TEST_F(MirrorWorkerTest, StoppedMirrorIsAbandoned) {
  world_.source.Publish("m", PatternBytes(2500, 1));
  Gate gate(world_.source);
  const std::string id = Queue("m1");
  MirrorWorker worker = MakeWorker();
  std::jthread running([&] { EXPECT_TRUE(RunOne(worker)); });
  gate.AwaitReaders();
  ASSERT_TRUE(world_.metadata->SetDeploymentActive("d-m1", false));
  clock_.AwaitSleepers(1);
  clock_.Advance(seconds(5));
  running.join();
  EXPECT_EQ(Row(id).state, MirrorState::kStopped);
}

TEST_F(MirrorWorkerTest, RunsSeveralMirrorsAtOnceAndWakesForNewOnes) {
  world_.source.Publish("a.bin", PatternBytes(2500, 1));
  world_.source.Publish("b.bin", PatternBytes(2500, 2));
  MirrorWorker worker = MakeWorker("w1", 2);
  std::stop_source stop;
  std::jthread running([&] { worker.Run(stop.get_token()); });
  clock_.AwaitSleepers(2);  // idle
  Gate gate(world_.source);
  world_.weights = World::Weights({{"a.bin"}});
  const std::string a = Queue("m1");
  world_.weights = World::Weights({{"b.bin"}});
  const std::string b = Queue("m2");
  worker.Wake();
  gate.AwaitReaders(2);
  while (Row(a).state != MirrorState::kRunning || Row(b).state != MirrorState::kRunning) {
    std::this_thread::yield();
  }
  gate.Open();
  changes_.Wait([&](const auto&) {
    return Row(a).state == MirrorState::kDone && Row(b).state == MirrorState::kDone;
  });
  stop.request_stop();
}

TEST_F(MirrorWorkerTest, FailureOfTheMetadataAtAnyCallLosesNoMirror) {
  for (std::uint64_t n = 0;; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    World world;
    world.source.Publish("m", PatternBytes(2500, 1));
    store::testing::FaultyMetadata faulty(*world.metadata);
    Mirrorer mirrorer(world.objects, faulty, world.executor, world.options);
    MirrorWorkerOptions options;
    options.owner = "w";
    MirrorWorker worker(
        faulty, mirrorer, clock_,
        [&](const Context&, const store::Mirror&) -> Result<std::unique_ptr<source::Source>> {
          return std::make_unique<Borrowed>(world.source);
        },
        {}, options);
    std::swap(world.metadata, world_.metadata);
    const std::string id = Queue("m");
    std::swap(world.metadata, world_.metadata);
    faulty.FailAt(n);
    (void)worker.RunOne(ctx_);
    const bool fired = faulty.failures() > 0;
    faulty.Heal();
    // Whatever happened, after the waits and the end of a lease it gets done.
    for (int i = 0; i < 4 && world.metadata->GetMirror(id)->state != MirrorState::kDone; ++i) {
      clock_.Advance(minutes(11));
      ASSERT_TRUE(worker.RunOne(ctx_));
    }
    const auto row = *world.metadata->GetMirror(id);
    ASSERT_EQ(row.state, MirrorState::kDone) << row.error.message;
    EXPECT_EQ(world.TreeOf(*row.manifest).size(), 1u);
    if (!fired) break;
  }
}

}  // namespace
}  // namespace bdn::mirror
