#include "base/byte_budget.h"

namespace bdn {

void ByteBudget::Lease::Release() {
  if (budget_ == nullptr) return;
  budget_->state_.Change([&](State& s) { s.held -= bytes_; });
  budget_ = nullptr;
  bytes_ = 0;
}

Result<ByteBudget::Lease> ByteBudget::Acquire(const Context& ctx, std::uint64_t bytes) {
  BDN_TRY(ctx.Check());
  bool queued = false;
  // One gate: whoever holds `turn` is first in line, the others wait for the gate.
  const bool granted = state_.Wait(ctx.stop(), [&](State& s) {
    if (!queued && s.next_ticket == s.serving) {
      s.next_ticket += 1;
      queued = true;
    }
    if (!queued) return false;
    const bool fits = s.held + bytes <= limit_ || s.held == 0;
    if (!fits) return false;
    s.held += bytes;
    s.serving += 1;
    return true;
  });
  if (!granted) {
    state_.Change([&](State& s) {
      if (queued) s.serving += 1;
    });
    return Error(Code::kCancelled, "cancelled while waiting for memory budget");
  }
  state_.Change([](State&) {});
  return Lease(this, bytes);
}

std::uint64_t ByteBudget::held_bytes() const {
  return state_.With([](const State& s) { return s.held; });
}

}  // namespace bdn
