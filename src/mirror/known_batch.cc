#include "mirror/known_batch.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace bdn::mirror {

Status KnownBatch::Add(store::KnownFile file, FileFlights::Token token) {
  Pending full;
  pending_.With([&](Pending& pending) {
    pending.bytes += file.size;
    pending.files.push_back(std::move(file));
    pending.tokens.push_back(std::move(token));
    if (pending.bytes >= bytes_max_ || pending.files.size() >= kFilesMax) {
      std::swap(full, pending);
    }
  });
  return Write(std::move(full));
}

Status KnownBatch::Flush() {
  Pending taken;
  pending_.With([&](Pending& pending) { std::swap(taken, pending); });
  return Write(std::move(taken));
}

Status KnownBatch::Write(Pending pending) {
  if (pending.files.empty()) return {};
  if (Status put = metadata_.PutKnownFiles(scope_, pending.files); !put) {
    // The mirror ends with this error; its last Flush tries once more to save the work.
    pending_.With([&](Pending& kept) {
      kept.bytes += pending.bytes;
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
