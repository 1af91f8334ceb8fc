#include "mirror/hash_pump.h"

#include <algorithm>
#include <utility>

namespace bdn::mirror {
namespace {

constexpr std::size_t kPieceBytes = 256 << 10;  // between two looks at the context

}  // namespace

HashPump::HashPump(const source::RemoteFile& file, std::size_t chunks, std::size_t hold_chunks_max)
    : hold_chunks_max_(hold_chunks_max), verifier_(file) {
  state_.With([&](State& s) { s.cells.resize(chunks); });
}

void HashPump::Stored(std::size_t index,
                      const crypto::Digest& digest,
                      ChunkBuffer buffer,
                      bool may_hold) {
  state_.With([&](State& s) {
    Cell& cell = s.cells[index];
    cell.digest = digest;
    const bool next = index == s.next;
    if (next || (may_hold && index - s.next <= hold_chunks_max_)) cell.buffer = std::move(buffer);
  });
  // A buffer that was not kept dies here, outside of the lock.
}

std::optional<HashPump::Cell> HashPump::Take() {
  return state_.With([](State& s) -> std::optional<Cell> {
    if (s.next == s.cells.size() || !s.cells[s.next].digest) return std::nullopt;
    return std::move(s.cells[s.next]);
  });
}

Status HashPump::HashOne(const Context& ctx, const Cell& cell, const ReadBack& read_back) {
  if (!cell.buffer.bytes) {
    return read_back(ctx, *cell.digest, [&](std::span<const std::byte> piece) -> Status {
      verifier_.Update(piece);
      return ctx.Check();
    });
  }
  std::span<const std::byte> left = cell.buffer.content();
  while (!left.empty()) {
    BDN_TRY(ctx.Check());
    const std::size_t size = std::min(left.size(), kPieceBytes);
    verifier_.Update(left.first(size));
    left = left.subspan(size);
  }
  return {};
}

Status HashPump::Pump(const Context& ctx, const ReadBack& read_back) {
  for (;;) {
    const bool mine = state_.With([](State& s) {
      if (s.busy || s.next == s.cells.size() || !s.cells[s.next].digest) return false;
      s.busy = true;
      return true;
    });
    if (!mine) return {};
    std::optional<Cell> cell = Take();
    const Status hashed = HashOne(ctx, *cell, read_back);
    cell.reset();
    // After an error `busy` stays set: the verifier has seen half a chunk, nobody may go on.
    BDN_TRY(hashed);
    state_.With([](State& s) {
      s.next += 1;
      s.busy = false;
    });
  }
}

Status HashPump::Finish() {
  return verifier_.Finish();
}

}  // namespace bdn::mirror
