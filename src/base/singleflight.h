#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/context.h"
#include "base/guarded.h"
#include "base/result.h"

namespace bdn {

// Callers that ask for the same key at the same time share one piece of work and its outcome.
//
// The first caller does the work, with its own context. When it fails because *its* context was
// cancelled or timed out, one of those who waited takes over; every other error is shared.
// A waiter whose own context ends stops waiting. V must be copyable (use shared_ptr for the large).
// Thread-safe.
template <class K, class V>
class Singleflight {
 public:
  template <std::invocable<const Context&> F>
  Result<V> Do(const Context& ctx, const K& key, F&& work) {
    for (;;) {
      BDN_TRY(ctx.Check());
      bool leader = false;
      auto flight = flights_.With([&](Flights& flights) {
        auto [it, fresh] = flights.try_emplace(key);
        if (fresh) it->second = std::make_shared<Flight>();
        leader = fresh;
        return it->second;
      });
      if (leader) return Lead(ctx, key, *flight, std::forward<F>(work));
      if (!flight->Wait(ctx.stop(), [](auto& outcome) { return outcome.has_value(); })) {
        return Error(Code::kCancelled, "cancelled");
      }
      auto outcome = flight->With([](auto& o) { return *o; });
      if (outcome) return outcome;
      const Code code = outcome.error().code();
      if (code != Code::kCancelled && code != Code::kTimeout) return outcome;
    }
  }

 private:
  using Flight = Guarded<std::optional<Result<V>>>;
  using Flights = std::map<K, std::shared_ptr<Flight>>;

  template <class F>
  Result<V> Lead(const Context& ctx, const K& key, Flight& flight, F&& work) {
    Result<V> outcome = std::invoke(std::forward<F>(work), ctx);
    flights_.With([&](Flights& flights) { flights.erase(key); });
    flight.Change([&](auto& slot) { slot.emplace(outcome); });
    return outcome;
  }

  Guarded<Flights> flights_;
};

}  // namespace bdn
