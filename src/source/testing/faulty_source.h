#pragma once
// Another source that goes wrong once (or from then on), at the operation that the test names:
// for exhaustive fault tests over n = 0, 1, 2, … until fired() stays false.
#include <cstdint>

#include "base/guarded.h"
#include "source/source.h"

namespace bdn::source::testing {

enum class SourceFault : std::uint8_t {
  kFail,      // the call returns the error, nothing was delivered
  kFailHalf,  // a Read delivers half of its range, then returns the error
  kFlipByte,  // a Read delivers one wrong byte and succeeds
  kTruncate,  // a Read delivers all but its last byte and succeeds (a source with a bug)
  kOverrun,   // a Read delivers one byte too many and succeeds (a source with a bug)
  kStall,     // the call blocks until its context is cancelled
};

// Counts Resolve, List, Describe and Read as operations 0, 1, 2, … Thread-safe; `inner` is
// borrowed.
class FaultySource final : public Source {
 public:
  struct Plan {
    int operation = -1;  // the one that goes wrong; -1: none
    SourceFault fault = SourceFault::kFail;
    Code code = Code::kUnavailable;
    bool forever = false;     // every operation from this one on
    bool only_reads = false;  // count Read only
  };
  FaultySource(Source& inner, Plan plan) : inner_(inner), plan_(plan) {}

  bool fired() const {
    return state_.With([](const State& s) { return s.fired; });
  }
  int operations() const {
    return state_.With([](const State& s) { return s.operations; });
  }

  Result<Pin> Resolve(const Context& ctx) override;
  Result<std::vector<RemoteFile>> List(const Context& ctx, const Pin& pin) override;
  Result<RemoteFile> Describe(const Context& ctx, const Pin& pin, const RemoteFile& file) override;
  Status Read(const Context& ctx,
              const Pin& pin,
              const RemoteFile& file,
              net::ByteRange range,
              const ByteSink& sink) override;

 private:
  struct State {
    int operations = 0;
    bool fired = false;
  };
  bool Fires(bool is_read);
  Error Failure() const;
  Status Stall(const Context& ctx) const;

  Source& inner_;
  const Plan plan_;
  Guarded<State> state_;
};

}  // namespace bdn::source::testing
