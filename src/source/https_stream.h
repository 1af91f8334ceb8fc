#pragma once
// One whole body for the ranges of a file: for servers that do not send ranges. Internal to
// https*.cc.
//
// A thread of its own reads the body from the beginning and hands each piece to the reader whose
// range it lies in, who takes it on the reader's own thread; nothing is kept. While nobody wants
// the next bytes the body stands still for a moment, then goes on to the next range that is wanted.
// Who comes too late waits for the next body. Readers that ask in the order of the file, several at
// a time, as mirrors do, share one.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <thread>

#include "base/context.h"
#include "base/guarded.h"
#include "base/result.h"
#include "net/http.h"
#include "source/source.h"

namespace bdn::source {

// Thread-safe.
class HttpsStream {
 public:
  // Reads the whole body into `sink`, once; the error of `sink` ends it.
  using Open = std::function<Status(const Context&, const ByteSink& sink)>;
  explicit HttpsStream(Open open) : open_(std::move(open)) {}

  // [*pos, end) to `sink`; *pos follows. `*final`: the error is the sink's own.
  // Errors: of the sink, of Open, kCancelled, kTimeout.
  Status Read(
      const Context& ctx, std::uint64_t* pos, std::uint64_t end, const ByteSink& sink, bool* final);

 private:
  struct Want {
    std::uint64_t next = 0;
    std::uint64_t end = 0;
    std::span<const std::byte> piece = {};  // offered; borrowed until it is taken
    std::optional<Error> error = {};
  };
  struct State {
    std::uint64_t next_id = 1;
    std::map<std::uint64_t, Want> wants;
    bool running = false;
    std::uint64_t at = 0;       // of the body's next byte
    std::uint64_t skip_to = 0;  // nobody came for what lies in front of this
  };

  void Run(const Clock& clock, const std::stop_token& stop);
  // What the body does next.
  struct Turn {
    enum Kind : std::uint8_t { kOffered, kSkip, kGrace, kIdle, kOver } kind = kIdle;
    std::uint64_t id = 0;   // kOffered: to whom
    std::size_t count = 0;  // kOffered, kSkip: of the piece's bytes
  };
  static Turn NextTurn(State& state, std::span<const std::byte> bytes);
  // For somebody who wants the next bytes; `any`: for anything. False: the body is over.
  bool AwaitWant(const std::stop_token& stop, bool any);
  // A piece of the body, on the body's thread.
  Status Distribute(const std::stop_token& stop, std::span<const std::byte> bytes);
  void StartUnlessRunning(const Clock& clock);
  // Takes what is offered; nullopt: nothing happened within the wait.
  std::optional<Status> Take(std::uint64_t id,
                             std::uint64_t* pos,
                             const ByteSink& sink,
                             bool* final);

  const Open open_;
  Guarded<State> state_;
  Guarded<std::jthread> thread_;  // last: it ends before what it uses
};

}  // namespace bdn::source
