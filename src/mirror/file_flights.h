#pragma once
// At most one download of a file at a time, over all mirrors of this process.
//
// Unlike base/singleflight.h nobody has to wait at once: who does not lead may go on with other
// files and come back, so a mirror never keeps its threads waiting while it has work of its own.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/context.h"
#include "base/guarded.h"
#include "mirror/plan.h"

namespace bdn::mirror {

// Thread-safe; must outlive its tokens.
class FileFlights {
 public:
  struct Outcome {
    bool landed = false;
    std::optional<FileResult> result;  // none: the leader gave up, somebody else may try
  };
  using Flight = Guarded<Outcome>;

  // Held by the one who downloads. Lands when it dies; with the result when Finish was called.
  class Token {
   public:
    Token() = default;
    Token(Token&& other) noexcept { *this = std::move(other); }
    Token& operator=(Token&& other) noexcept {
      std::swap(flights_, other.flights_);
      std::swap(key_, other.key_);
      std::swap(flight_, other.flight_);
      return *this;
    }
    ~Token() { Land(std::nullopt); }
    explicit operator bool() const { return flight_ != nullptr; }
    void Finish(const FileResult& result) { Land(result); }

   private:
    friend class FileFlights;
    void Land(std::optional<FileResult> result) {
      if (!flight_) return;
      flights_->flights_.With([&](auto& flights) { flights.erase(key_); });
      flight_->Change([&](Outcome& outcome) {
        outcome.landed = true;
        outcome.result = std::move(result);
      });
      flight_.reset();
    }
    FileFlights* flights_ = nullptr;
    std::string key_;
    std::shared_ptr<Flight> flight_;
  };

  struct Boarding {
    Token token;                     // set: lead
    std::shared_ptr<Flight> flight;  // set: another leads
  };
  Boarding Board(const std::string& key) {
    Boarding boarding;
    flights_.With([&](Flights& flights) {
      auto [it, fresh] = flights.try_emplace(key);
      if (!fresh) {
        boarding.flight = it->second;
        return;
      }
      it->second = std::make_shared<Flight>();
      boarding.token.flights_ = this;
      boarding.token.key_ = key;
      boarding.token.flight_ = it->second;
    });
    return boarding;
  }

  // What the leader made of it; an empty optional when it gave up. kCancelled when the context ends
  // first.
  static Result<std::optional<FileResult>> Await(const Context& ctx, Flight& flight) {
    if (!flight.Wait(ctx.stop(), [](const Outcome& outcome) { return outcome.landed; })) {
      return Error(Code::kCancelled, "cancelled while another mirror fetched the same file");
    }
    return flight.With([](const Outcome& outcome) { return outcome.result; });
  }

 private:
  using Flights = std::map<std::string, std::shared_ptr<Flight>, std::less<>>;
  Guarded<Flights> flights_;
};

}  // namespace bdn::mirror
