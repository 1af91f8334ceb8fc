#pragma once
// Counts what a fill has and reports it, at most ten times a second and at each change of phase.
// Thread-safe. Internal to this component.
#include <cstdint>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/guarded.h"
#include "cache/node_cache.h"
#include "model/manifest.h"

namespace bdn::cache {

class FillMeter {
 public:
  FillMeter(const Clock& clock, const std::function<void(const FillProgress&)>& report)
      : clock_(clock), report_(report) {}

  void Phase(const std::string& phase) {
    state_.With([&](State& s) {
      s.progress.phase = phase;
      s.progress.rate = 0;
      Report(s);
    });
  }

  // The end. A version that was here already is reused as a whole.
  void Ready(std::uint64_t bytes, std::uint64_t files) {
    state_.With([&](State& s) {
      FillProgress& p = s.progress;
      if (p.bytes == 0) p.bytes_reused = bytes;
      if (p.files == 0) p.files = files;
      p.bytes = bytes;
      p.bytes_done = bytes;
      p.files_done = p.files;
      p.phase = "ready";
      p.rate = 0;
      Report(s);
    });
  }

  // What is not missing is reused.
  void Start(const model::Manifest& manifest,
             std::uint64_t missing_bytes,
             std::uint64_t missing_files) {
    state_.With([&](State& s) {
      s.started = clock_.Monotonic();
      s.progress.phase = "fetching";
      s.progress.bytes = manifest.total_size;
      s.progress.files = 0;
      for (const auto& entry : manifest.entries) {
        s.progress.files += entry.type == model::EntryType::kFile ? 1 : 0;
      }
      s.progress.files_done = s.progress.files - std::min(s.progress.files, missing_files);
      s.progress.bytes_reused = manifest.total_size - std::min(manifest.total_size, missing_bytes);
      s.progress.bytes_done = s.progress.bytes_reused;
      Report(s);
    });
  }

  void Bytes(std::uint64_t bytes, bool reused) {
    state_.With([&](State& s) {
      s.progress.bytes_done += bytes;
      (reused ? s.progress.bytes_reused : s.fetched) += bytes;
      const MonoTime now = clock_.Monotonic();
      if (now - s.reported < std::chrono::milliseconds(100)) return;
      const double seconds = std::chrono::duration<double>(now - s.started).count();
      // Earlier than this the first bytes of a connection say little about what is to come.
      if (seconds > 0.5) s.progress.rate = static_cast<double>(s.fetched) / seconds;
      s.reported = now;
      Report(s);
    });
  }

  void File() {
    state_.With([](State& s) { s.progress.files_done += 1; });
  }

 private:
  struct State {
    FillProgress progress;
    std::uint64_t fetched = 0;
    MonoTime started;
    MonoTime reported;
  };
  void Report(const State& s) { report_(s.progress); }

  const Clock& clock_;
  const std::function<void(const FillProgress&)>& report_;
  Guarded<State> state_;
};

}  // namespace bdn::cache
