#include "mirror/progress.h"

#include <algorithm>
#include <utility>

namespace bdn::mirror {

Status ProgressReporter::Phase(std::string name) {
  state_.With([&](State& s) { s.progress.phase = std::move(name); });
  return Tell(true);
}

void ProgressReporter::Restart(std::uint64_t files, std::uint64_t bytes) {
  state_.With([&](State& s) {
    const std::string phase = s.progress.phase;
    s.progress = {};
    s.progress.phase = phase;
    s.progress.files = files;
    s.progress.bytes = bytes;
  });
}

void ProgressReporter::FileDone() {
  state_.With([](State& s) { s.progress.files_done += 1; });
}

void ProgressReporter::Reused(std::uint64_t bytes) {
  state_.With([&](State& s) {
    s.progress.bytes_done += bytes;
    s.progress.bytes_reused += bytes;
  });
}

Status ProgressReporter::Fetched(std::uint64_t bytes) {
  state_.With([&](State& s) {
    s.progress.bytes_done += bytes;
    s.fetched_total += bytes;
  });
  return Tick();
}

void ProgressReporter::Undo(std::uint64_t fetched_bytes, std::uint64_t reused_bytes) {
  state_.With([&](State& s) {
    s.progress.bytes_done -= std::min(s.progress.bytes_done, fetched_bytes + reused_bytes);
    s.progress.bytes_reused -= std::min(s.progress.bytes_reused, reused_bytes);
  });
}

Status ProgressReporter::Tick() {
  return Tell(false);
}

Status ProgressReporter::TellNow() {
  return Tell(true);
}

Status ProgressReporter::Tell(bool now) {
  const MonoTime time = clock_.Monotonic();
  std::optional<store::Progress> shown;
  std::optional<Error> failed;
  state_.With([&](State& s) {
    failed = s.sink_error;
    if (failed || (!now && (s.telling || time < s.next))) return;
    s.telling = true;
    s.next = time + interval_;
    s.meter.Sample(time, s.fetched_total);
    s.progress.rate = s.meter.bytes_per_second();
    const std::uint64_t left = s.progress.bytes - std::min(s.progress.bytes, s.progress.bytes_done);
    s.progress.eta = s.progress.phase == "fetching" ? s.meter.Eta(left) : std::nullopt;
    shown = s.progress;
  });
  if (failed) return *failed;
  if (!shown) return {};
  Status told = sink_ ? sink_(*shown) : Status();
  state_.With([&](State& s) {
    s.telling = false;
    if (!told) s.sink_error = told.error();
  });
  return told;
}

store::Progress ProgressReporter::Snapshot() const {
  return state_.With([](const State& s) { return s.progress; });
}

std::optional<Error> ProgressReporter::sink_error() const {
  return state_.With([](const State& s) { return s.sink_error; });
}

}  // namespace bdn::mirror
