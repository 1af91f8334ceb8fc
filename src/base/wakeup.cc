#include "base/wakeup.h"

#include <optional>
#include <utility>

namespace bdn {

std::uint64_t Wakeup::count() const {
  return state_.With([](const State& state) { return state.count; });
}

void Wakeup::Wake() {
  const auto sleepers = state_.With([](State& state) {
    state.count += 1;
    return std::exchange(state.sleepers, {});
  });
  for (const auto& [id, sleeper] : sleepers) std::stop_source(sleeper).request_stop();
}

void Wakeup::Sleep(const Clock& clock,
                   const std::stop_token& stop,
                   std::uint64_t seen,
                   Duration wait) const {
  std::stop_source awake;
  const auto id = state_.With([&](State& state) -> std::optional<std::uint64_t> {
    if (state.count != seen) return std::nullopt;
    state.sleepers.emplace(state.next_id, awake);
    return state.next_id++;
  });
  if (!id) return;
  {
    const std::stop_callback forward(stop, [&] { awake.request_stop(); });
    clock.SleepFor(awake.get_token(), wait);
  }
  state_.With([&](State& state) { state.sleepers.erase(*id); });
}

}  // namespace bdn
