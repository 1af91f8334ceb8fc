#include "mirror/known_batch.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace bdn::mirror {

Status KnownBatch::Add(store::KnownFile file, FileFlights::Token token) {
  const bool writes = pending_.With([&](Pending& pending) {
    pending.files.push_back(std::move(file));
    pending.tokens.push_back(std::move(token));
    return !std::exchange(pending.being_written, true);
  });
  if (!writes) return {};  // whoever writes now takes ours along next
  for (;;) {
    Pending taken = Take();
    const bool more = !taken.files.empty();
    Status written = Write(std::move(taken));
    if (!more || !written) {
      const bool late = pending_.With([&](Pending& pending) {
        const bool again = written && !pending.files.empty();
        if (!again) pending.being_written = false;
        return again;
      });
      if (!late) return written;
    }
  }
}

KnownBatch::Pending KnownBatch::Take() {
  Pending taken;
  pending_.With([&](Pending& pending) {
    std::swap(taken.files, pending.files);
    std::swap(taken.tokens, pending.tokens);
  });
  return taken;
}

Status KnownBatch::Flush() {
  return Write(Take());
}

Status KnownBatch::Write(Pending pending) {
  if (pending.files.empty()) return {};
  if (Status put = metadata_.PutKnownFiles(scope_, pending.files); !put) {
    // The mirror ends with this error; its last Flush tries once more to save the work.
    pending_.With([&](Pending& kept) {
      std::move(pending.files.begin(), pending.files.end(), std::back_inserter(kept.files));
      std::move(pending.tokens.begin(), pending.tokens.end(), std::back_inserter(kept.tokens));
    });
    return put;
  }
  for (std::size_t i = 0; i < pending.files.size(); ++i) {
    const store::KnownFile& file = pending.files[i];
    pending.tokens[i].Finish({.chunked = file.chunked, .digest = file.digest});
  }
  return {};
}

}  // namespace bdn::mirror
