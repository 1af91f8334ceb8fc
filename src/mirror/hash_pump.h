#pragma once
// The publisher's hash of a large file wants its bytes in order; the chunks come in any order. The
// pump is the place between the two.
//
// Whoever stores a chunk says so and then pumps: everything that is ready in order is hashed, by
// one thread at a time, while the others go on fetching. A chunk that comes early keeps its buffer
// when that is cheap; otherwise the buffer is given back and the chunk is read from the store when
// its turn comes, like the chunks that an earlier run stored. So the pump never needs memory to
// make progress and cannot deadlock on the budget: its buffers wait only for chunks that are being
// fetched already, because chunks are claimed in order and with their memory in hand.
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/byte_budget.h"
#include "base/context.h"
#include "base/guarded.h"
#include "crypto/digest.h"
#include "source/content_verifier.h"
#include "source/source.h"

namespace bdn::mirror {

// Memory of one chunk, counted by the budget for as long as it lives.
struct ChunkBuffer {
  ByteBudget::Lease lease;
  std::unique_ptr<std::byte[]> bytes;
  std::size_t size = 0;
  std::span<const std::byte> content() const { return {bytes.get(), size}; }
};

// Thread-safe.
class HashPump {
 public:
  using ReadBack = std::function<Status(
      const Context& ctx, const crypto::Digest& chunk, const source::ByteSink& sink)>;

  // `hold_chunks_max`: how far ahead of the hash a buffer may be kept.
  HashPump(const source::RemoteFile& file, std::size_t chunks, std::size_t hold_chunks_max);

  // Chunk `index` is in the store. `buffer` has its bytes, or is empty when they must be read back;
  // `may_hold` false gives it back unless it is the very next.
  void Stored(std::size_t index, const crypto::Digest& digest, ChunkBuffer buffer, bool may_hold);
  // Hashes what is ready, unless another thread is at it (which then takes what is ours, too).
  // After an error (that of read_back, kCancelled) nothing is hashed any more.
  Status Pump(const Context& ctx, const ReadBack& read_back);
  // The verifier's judgement, once every chunk was stored and every Pump has returned.
  Status Finish();
  bool is_pointer_by_mistake() const { return verifier_.is_pointer_by_mistake(); }

 private:
  struct Cell {
    std::optional<crypto::Digest> digest;  // set: stored
    ChunkBuffer buffer;
  };
  struct State {
    std::vector<Cell> cells;
    std::size_t next = 0;
    bool busy = false;  // somebody owns verifier_
  };
  std::optional<Cell> Take();
  Status HashOne(const Context& ctx, const Cell& cell, const ReadBack& read_back);

  const std::size_t hold_chunks_max_;
  Guarded<State> state_;
  source::ContentVerifier verifier_;  // belongs to the thread that set busy
};

}  // namespace bdn::mirror
