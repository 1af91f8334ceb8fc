#include "mirror/worker.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "mirror/plan.h"
#include "mirror/spec.h"

namespace bdn::mirror {

Status RequeueMirrorsOfDeadWorkers(store::Metadata& metadata, WallTime now) {
  const store::MirrorError error{
      .code = std::string(FactsOf(Code::kCancelled).name),
      .message = "the process that ran it ended; the mirror is taken up where it was",
      .hint = ""};
  BDN_ASSIGN(const auto mirrors, metadata.ListOpenMirrors());
  for (const store::Mirror& mirror : mirrors) {
    if (mirror.state != store::MirrorState::kRunning) continue;
    BDN_TRY(metadata.FailMirror(mirror.id, mirror.lease_owner, error, /*retry=*/true, now, now));
  }
  return {};
}

// One mirror while it runs here.
struct MirrorWorker::Job {
  explicit Job(const store::Mirror& claimed) : row(claimed) {}

  const store::Mirror& row;
  std::stop_source stop;  // the lease is gone: end without a further word
  bool pinned = false;
  source::Pin pin;
  struct Shared {
    store::Progress progress;
    bool lost = false;
  };
  Guarded<Shared> shared;  // with the heartbeat's thread

  bool lost() const {
    return shared.With([](const Shared& s) { return s.lost; });
  }
  void Lose() {
    shared.With([](Shared& s) { s.lost = true; });
    stop.request_stop();
  }
  store::Progress progress() const {
    return shared.With([](const Shared& s) { return s.progress; });
  }
};

MirrorWorker::MirrorWorker(store::Metadata& metadata,
                           Mirrorer& mirrorer,
                           const Clock& clock,
                           SourceFactory make_source,
                           MirrorChanged changed,
                           MirrorWorkerOptions options)
    : metadata_(metadata),
      mirrorer_(mirrorer),
      clock_(clock),
      make_source_(std::move(make_source)),
      changed_(std::move(changed)),
      options_(std::move(options)) {}

// ---- the loops ----------------------------------------------------------------------------------

void MirrorWorker::Run(std::stop_token stop) {
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < std::max<std::size_t>(options_.jobs, 1); ++i) {
    threads.emplace_back([this, stop] {
      NameThisThread("bdn-mirror");
      Loop(stop);
    });
  }
}

void MirrorWorker::Loop(std::stop_token stop) {
  const Context ctx(clock_, stop);
  while (!stop.stop_requested()) {
    const std::uint64_t seen = queued_.count();
    const auto worked = RunOne(ctx);
    if (!worked && worked.error().code() != Code::kCancelled) {
      log::Error("cannot look for mirrors to run", {{"error", worked.error().message()}});
    }
    if (!worked || !*worked) queued_.Sleep(clock_, stop, seen, options_.poll);
  }
}

Result<bool> MirrorWorker::RunOne(const Context& ctx) {
  BDN_TRY(ctx.Check());
  BDN_ASSIGN(const auto claimed,
             metadata_.ClaimMirror(options_.owner, clock_.Now(), options_.lease));
  if (!claimed) return false;
  Changed(claimed->id);
  RunJob(ctx, *claimed);
  return true;
}

// ---- one mirror ---------------------------------------------------------------------------------

void MirrorWorker::RunJob(const Context& ctx, const store::Mirror& mirror) {
  Job job(mirror);
  job.shared.With([&](Job::Shared& s) { s.progress.phase = "resolving"; });
  std::optional<Result<MirrorResult>> outcome;
  {
    const std::jthread heartbeat([&](std::stop_token end) {
      NameThisThread("bdn-lease");
      Heartbeat(job, end);
    });
    outcome.emplace(Mirror(ctx.WithStop(job.stop.get_token()), job));
  }
  if (*outcome) {
    Finish(job, **outcome);
  } else if (job.lost()) {
    log::Info("mirror given up: it was stopped or another worker has it", {{"mirror", mirror.id}});
  } else if (!ctx.Check()) {
    GiveBack(job);
  } else if (!FinishWithOlder(ctx, job, outcome->error())) {
    Fail(job, outcome->error());
  }
  Changed(mirror.id);
}

Result<MirrorResult> MirrorWorker::Mirror(const Context& ctx, Job& job) {
  BDN_ASSIGN(const model::WeightsSource weights, SpecFromJson(job.row.spec));
  const MirrorRequest request{.scope = job.row.scope, .weights = weights};
  const auto on_pin = [&](const source::Pin& pin) { return OnPin(job, pin); };
  const auto on_progress = [&](const store::Progress& progress) {
    return OnProgress(job, progress);
  };
  if (options_.find_stored) {
    BDN_ASSIGN(const auto tree, options_.find_stored(ctx, job.row));
    if (tree) return mirrorer_.Adopt(ctx, *tree, request, on_pin, on_progress);
  }
  BDN_ASSIGN(const std::unique_ptr<source::Source> source, make_source_(ctx, job.row));
  return mirrorer_.Run(ctx, *source, request, on_pin, on_progress);
}

// The row gets it with the next heartbeat; a new phase at once.
Status MirrorWorker::OnProgress(Job& job, const store::Progress& progress) {
  const bool new_phase = job.shared.With(
      [&](Job::Shared& s) { return std::exchange(s.progress, progress).phase != progress.phase; });
  if (!new_phase) return {};
  Status updated =
      metadata_.UpdateMirror(job.row.id, options_.owner, progress, clock_.Now(), options_.lease);
  if (!updated && updated.error().code() == Code::kFailedPrecondition) {
    job.Lose();
    return updated;
  }
  Log(job, "write progress", updated);
  Changed(job.row.id);
  return {};
}

Status MirrorWorker::OnPin(Job& job, const source::Pin& pin) {
  job.pinned = true;
  job.pin = pin;
  Status set = metadata_.SetMirrorPin(job.row.id, options_.owner, pin.fingerprint,
                                      pin.fingerprint_type, pin.warnings);
  if (!set && set.error().code() == Code::kFailedPrecondition) job.Lose();
  if (set) Changed(job.row.id);
  return set;
}

void MirrorWorker::Heartbeat(Job& job, std::stop_token end) {
  MonoTime leased_until = clock_.Monotonic() + options_.lease;
  while (clock_.SleepFor(end, options_.heartbeat)) {
    const MonoTime asked_at = clock_.Monotonic();
    const Status beaten = metadata_.UpdateMirror(job.row.id, options_.owner, job.progress(),
                                                 clock_.Now(), options_.lease);
    if (beaten) {
      leased_until = asked_at + options_.lease;
      Changed(job.row.id);
      continue;
    }
    Log(job, "renew the lease", beaten);
    const bool taken = beaten.error().code() == Code::kFailedPrecondition;
    if (taken || clock_.Monotonic() >= leased_until) {
      job.Lose();
      return;
    }
  }
}

// ---- the outcome --------------------------------------------------------------------------------

void MirrorWorker::Finish(Job& job, const MirrorResult& result) {
  failures_.With([&](auto& failures) { failures.erase(job.row.id); });
  if (!result.warnings.empty()) {
    std::vector<std::string> warnings = result.pin.warnings;
    warnings.insert(warnings.end(), result.warnings.begin(), result.warnings.end());
    Log(job, "write its warnings",
        metadata_.SetMirrorPin(job.row.id, options_.owner, result.pin.fingerprint,
                               result.pin.fingerprint_type, warnings));
  }
  // When this fails the lease ends, and whoever takes the mirror over finds everything in place.
  Log(job, "finish it",
      metadata_.FinishMirror(job.row.id, options_.owner, result.manifest, result.progress,
                             clock_.Now()));
}

// The publisher cannot be reached, but what it published before is here: once mirrored, a push does
// not depend on it any more.
bool MirrorWorker::FinishWithOlder(const Context& ctx, Job& job, const Error& error) {
  const Code code = error.code();
  const bool unreachable =
      code == Code::kUnavailable || code == Code::kTimeout || code == Code::kRateLimited;
  if (!unreachable || job.pinned) return false;
  const auto done = metadata_.FindDoneMirror(job.row.scope, job.row.key, "");
  if (!done || !*done || !(*done)->manifest) return false;
  const store::Mirror& older = **done;
  const auto held = mirrorer_.Hold(ctx, job.row.scope, *older.manifest);
  if (!held || !*held) return false;

  std::vector<std::string> warnings = older.warnings;
  warnings.push_back(fmt::format("{} could not be reached ({}): using {} {}, mirrored earlier",
                                 ShownSource(job.row.source), error.message(),
                                 older.pin_type.empty() ? "pin" : older.pin_type, older.pin));
  const Status pinned =
      metadata_.SetMirrorPin(job.row.id, options_.owner, older.pin, older.pin_type, warnings);
  Log(job, "write its pin", pinned);
  if (!pinned) return false;
  const Status finished =
      metadata_.FinishMirror(job.row.id, options_.owner, *older.manifest, **held, clock_.Now());
  Log(job, "finish it", finished);
  if (finished) failures_.With([&](auto& failures) { failures.erase(job.row.id); });
  return finished.has_value();
}

// Failures in a row of this mirror, this one included; one that fetched something starts anew.
int MirrorWorker::CountFailure(const Job& job) {
  const store::Progress progress = job.progress();
  const bool fetched = progress.bytes_done > progress.bytes_reused;
  return failures_.With([&](auto& failures) {
    int& count = failures[job.row.id];
    count = fetched ? 1 : count + 1;
    return count;
  });
}

void MirrorWorker::Fail(Job& job, const Error& error) {
  const int in_a_row = CountFailure(job);
  const bool retry = error.retryable() && in_a_row < options_.attempts_max &&
                     job.row.attempts < options_.attempts_hard_max;
  Duration wait{0};
  if (retry) {
    const double unit =
        failures_.With([&](auto&) { return 0.5 + options_.random() / 2; });  // one at a time
    wait = BackoffDelay(options_.backoff, in_a_row, unit, error.retry_after());
  } else {
    failures_.With([&](auto& failures) { failures.erase(job.row.id); });
  }
  store::MirrorError shown;
  shown.code = std::string(FactsOf(error.code()).name);
  shown.message = error.message();
  shown.hint = error.hint();
  if (!retry && error.retryable()) {
    shown.message = fmt::format("given up after {} attempts: {}", job.row.attempts, shown.message);
  }
  const WallTime now = clock_.Now();
  const auto level = retry ? log::Level::kWarn : log::Level::kError;
  log::Write(
      level, retry ? "mirror attempt failed" : "mirror failed",
      {{"mirror", job.row.id}, {"source", ShownSource(job.row.source)}, {"error", shown.message}});
  Log(job, "write its failure",
      metadata_.FailMirror(job.row.id, options_.owner, shown, retry, now + wait, now));
}

void MirrorWorker::GiveBack(Job& job) {
  const store::MirrorError error{
      .code = std::string(FactsOf(Code::kCancelled).name),
      .message = "the worker was stopped; another takes the mirror up where it was",
      .hint = ""};
  const WallTime now = clock_.Now();
  Log(job, "give it back",
      metadata_.FailMirror(job.row.id, options_.owner, error, /*retry=*/true, now, now));
}

void MirrorWorker::Log(const Job& job, const std::string& what, const Status& status) const {
  if (status) return;
  log::Warn("mirror: cannot " + what,
            {{"mirror", job.row.id}, {"error", status.error().message()}});
}

void MirrorWorker::Changed(const std::string& id) const {
  if (changed_) changed_(id);
}

}  // namespace bdn::mirror
