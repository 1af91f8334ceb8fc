#pragma once
// The rule that keeps a slow peer from holding a worker thread: over each `window` of time spent
// waiting for the peer, at least bytes_per_second_min must have moved. Time that our own side needs
// does not count. Pure; one thread at a time.
#include <cstdint>

#include "base/clock.h"

namespace bdn::net {

class RateGuard {
 public:
  RateGuard(std::uint64_t bytes_per_second_min, Duration window)
      : bytes_per_window_(BytesPerWindow(bytes_per_second_min, window)), window_(window) {}

  void OnBytes(std::uint64_t bytes) { moved_ += bytes; }
  // How much longer to wait before asking OnWaited again; positive.
  Duration patience() const { return window_ - waited_; }
  // False when the peer is too slow. `undelivered`: bytes that the kernel took from us and has not
  // brought to the peer yet (SIOCOUTQ); asked only at the end of a window.
  template <class Undelivered>
  bool OnWaited(Duration waited, Undelivered&& undelivered) {
    waited_ += waited;
    if (waited_ < window_) return true;
    waited_ = Duration::zero();
    const std::uint64_t behind = undelivered();
    const std::uint64_t delivered = moved_ > behind ? moved_ - behind : 0;
    const bool fast_enough = delivered >= counted_ + bytes_per_window_;
    if (delivered > counted_) counted_ = delivered;
    return fast_enough;
  }

 private:
  static std::uint64_t BytesPerWindow(std::uint64_t rate, Duration window) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(window).count();
    // One byte at least, or a rate of zero would let a dead peer wait for ever.
    const std::uint64_t bytes = rate * static_cast<std::uint64_t>(ms) / 1000;
    return bytes == 0 ? 1 : bytes;
  }

  std::uint64_t bytes_per_window_;
  Duration window_;
  Duration waited_{0};
  std::uint64_t moved_ = 0;    // handed to or taken from the kernel
  std::uint64_t counted_ = 0;  // delivered up to the end of the last window
};

}  // namespace bdn::net
