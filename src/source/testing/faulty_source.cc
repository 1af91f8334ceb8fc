#include "source/testing/faulty_source.h"

#include <utility>
#include <vector>

namespace bdn::source::testing {

bool FaultySource::Fires(bool is_read) {
  return state_.With([&](State& s) {
    if (plan_.only_reads && !is_read) return false;
    const int operation = s.operations++;
    const bool fires = plan_.operation >= 0 && (plan_.forever ? operation >= plan_.operation
                                                              : operation == plan_.operation);
    s.fired = s.fired || fires;
    return fires;
  });
}

Error FaultySource::Failure() const {
  return Error(plan_.code, "injected fault");
}

Status FaultySource::Stall(const Context& ctx) const {
  // A wait that only the context ends.
  Guarded<bool> never(false);
  never.Wait(ctx.stop(), [](const bool& done) { return done; });
  return Error(Code::kCancelled, "cancelled while stalled");
}

Result<Pin> FaultySource::Resolve(const Context& ctx) {
  if (!Fires(false)) return inner_.Resolve(ctx);
  if (plan_.fault == SourceFault::kStall) BDN_TRY(Stall(ctx));
  return Failure();
}

Result<std::vector<RemoteFile>> FaultySource::List(const Context& ctx, const Pin& pin) {
  if (!Fires(false)) return inner_.List(ctx, pin);
  if (plan_.fault == SourceFault::kStall) BDN_TRY(Stall(ctx));
  return Failure();
}

Result<RemoteFile> FaultySource::Describe(const Context& ctx,
                                          const Pin& pin,
                                          const RemoteFile& file) {
  if (!Fires(false)) return inner_.Describe(ctx, pin, file);
  if (plan_.fault == SourceFault::kStall) BDN_TRY(Stall(ctx));
  return Failure();
}

Status FaultySource::Read(const Context& ctx,
                          const Pin& pin,
                          const RemoteFile& file,
                          net::ByteRange range,
                          const ByteSink& sink) {
  if (!Fires(true)) return inner_.Read(ctx, pin, file, range, sink);
  if (plan_.fault == SourceFault::kFail) return Failure();
  if (plan_.fault == SourceFault::kStall) return Stall(ctx);
  if (range.size() == 0) return Failure();

  std::vector<std::byte> bytes;
  bytes.reserve(range.size() + 1);
  BDN_TRY(inner_.Read(ctx, pin, file, range, [&](std::span<const std::byte> piece) -> Status {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    return {};
  }));
  switch (plan_.fault) {
    case SourceFault::kFailHalf:
      bytes.resize(bytes.size() / 2);
      break;
    case SourceFault::kFlipByte:
      bytes[bytes.size() / 2] ^= std::byte{1};
      break;
    case SourceFault::kTruncate:
      bytes.pop_back();
      break;
    case SourceFault::kOverrun:
      bytes.push_back(std::byte{0});
      break;
    case SourceFault::kFail:
    case SourceFault::kStall:
      break;
  }
  if (!bytes.empty()) BDN_TRY(sink(bytes));
  if (plan_.fault == SourceFault::kFailHalf) return Failure();
  return {};
}

}  // namespace bdn::source::testing
