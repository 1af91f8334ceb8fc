#pragma once
#include <cstdint>
#include <utility>

#include "base/context.h"
#include "base/guarded.h"
#include "base/result.h"

namespace bdn {

// Bounds the bytes held in memory by many workers. Acquire blocks until the bytes are free; one
// waiter at a time is next, and nobody overtakes it, so a large request is not starved by small
// ones. A request larger than the whole budget is granted alone, when nothing else is held.
// Thread-safe.
class ByteBudget {
 public:
  explicit ByteBudget(std::uint64_t limit_bytes) : limit_(limit_bytes) {}

  // Gives its bytes back when it dies. Movable.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept { *this = std::move(other); }
    Lease& operator=(Lease&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Lease() { Release(); }
    void Release();
    std::uint64_t bytes() const { return bytes_; }

   private:
    friend class ByteBudget;
    Lease(ByteBudget* budget, std::uint64_t bytes) : budget_(budget), bytes_(bytes) {}
    ByteBudget* budget_ = nullptr;
    std::uint64_t bytes_ = 0;
  };

  // kCancelled when the context is stopped first.
  Result<Lease> Acquire(const Context& ctx, std::uint64_t bytes);
  std::uint64_t held_bytes() const;
  std::uint64_t limit_bytes() const { return limit_; }

 private:
  struct State {
    std::uint64_t held = 0;
    std::uint64_t next_ticket = 0;
    std::uint64_t serving = 0;
  };
  const std::uint64_t limit_;
  Guarded<State> state_;
};

}  // namespace bdn
