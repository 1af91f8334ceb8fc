#include "mirror/finished_files.h"

#include <iterator>
#include <utility>

#include "mirror/holding.h"

namespace bdn::mirror {
namespace {

// Bounds how long finished files wait for their record.
constexpr std::ptrdiff_t kTogetherMax = 1024;

}  // namespace

Status FinishedFiles::Add(const Context& ctx, FinishedFile file) {
  const bool writes = pending_.With([&](Pending& pending) {
    pending.files.push_back(std::move(file));
    return !std::exchange(pending.being_written, true);
  });
  if (!writes) return {};  // whoever writes now takes ours along next
  for (;;) {
    std::vector<FinishedFile> taken = Take();
    const bool more = !taken.empty();
    Status written = Write(ctx, std::move(taken));
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

std::vector<FinishedFile> FinishedFiles::Take() {
  return pending_.With([&](Pending& pending) {
    if (std::ssize(pending.files) <= kTogetherMax) return std::exchange(pending.files, {});
    const auto end = pending.files.begin() + kTogetherMax;
    std::vector<FinishedFile> taken(std::move_iterator(pending.files.begin()),
                                    std::move_iterator(end));
    pending.files.erase(pending.files.begin(), end);
    return taken;
  });
}

Status FinishedFiles::Flush(const Context& ctx) {
  for (;;) {
    std::vector<FinishedFile> taken = Take();
    if (taken.empty()) return {};
    BDN_TRY(Write(ctx, std::move(taken)));
  }
}

Status FinishedFiles::Write(const Context& ctx, std::vector<FinishedFile> files) {
  if (files.empty()) return {};
  std::vector<store::ChunkBytes> chunks;
  std::vector<store::KnownFile> known;
  for (const FinishedFile& file : files) {
    if (file.content.bytes) chunks.push_back({*file.result.digest, file.content.content()});
    if (file.known) known.push_back(*file.known);
  }
  Status written = PutChunks(ctx, objects_, scope_, chunks);
  if (written) {
    for (FinishedFile& file : files) file.content = {};  // others may wait for the memory
    if (!known.empty()) written = metadata_.PutKnownFiles(scope_, known);
  }
  if (!written) {
    // The mirror ends with this error; its last Flush tries once more to save the work.
    pending_.With([&](Pending& pending) {
      std::move(files.begin(), files.end(), std::back_inserter(pending.files));
    });
    return written;
  }
  for (FinishedFile& file : files) file.token.Finish(file.result);
  return {};
}

}  // namespace bdn::mirror
