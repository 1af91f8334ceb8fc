#pragma once
// Counts what a mirror does and tells its ProgressSink now and then.
#include <optional>
#include <string>

#include "base/context.h"
#include "base/guarded.h"
#include "mirror/mirror.h"
#include "mirror/rate_meter.h"
#include "store/metadata.h"

namespace bdn::mirror {

// Thread-safe. The sink is called without a lock held, by one thread at a time.
class ProgressReporter {
 public:
  ProgressReporter(const Clock& clock, ProgressSink sink, Duration interval)
      : clock_(clock), sink_(std::move(sink)), interval_(interval) {}

  // Starts a phase and tells at once. For the thread that runs the mirror, while no worker does.
  Status Phase(std::string name);
  // Forgets the counts: a restart begins again with the listing.
  void Restart(std::uint64_t files, std::uint64_t bytes);

  void FileDone();
  void Reused(std::uint64_t bytes);
  // Tells when the interval has passed.
  Status Fetched(std::uint64_t bytes);
  // Takes back what was counted for a file that has to be fetched again.
  void Undo(std::uint64_t fetched_bytes, std::uint64_t reused_bytes);
  Status Tick();
  // Tells at once: the last word of an attempt that failed.
  Status TellNow();

  store::Progress Snapshot() const;
  // What the sink returned when it ended the mirror (a lease that was lost).
  std::optional<Error> sink_error() const;

 private:
  struct State {
    store::Progress progress;
    std::uint64_t fetched_total = 0;  // never taken back: what the rate is made of
    RateMeter meter;
    MonoTime next;
    bool telling = false;
    std::optional<Error> sink_error;
  };
  Status Tell(bool now);

  const Clock& clock_;
  const ProgressSink sink_;
  const Duration interval_;
  Guarded<State> state_;
};

}  // namespace bdn::mirror
