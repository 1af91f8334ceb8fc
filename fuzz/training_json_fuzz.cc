// Whatever something in the place of a training store answers: lists and pages of files. Nothing
// may crash, and what is accepted survives being written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/training.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bdn::api;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)ProjectsFromJson(text);
  (void)JobsFromJson(text);
  (void)CheckpointFromJson(text);
  if (const auto checkpoints = CheckpointsFromJson(text)) {
    const auto again = CheckpointsFromJson(LoopsCheckpointsJson(*checkpoints));
    if (!again || again->size() != checkpoints->size()) std::abort();
  }
  if (const auto page = CheckpointFilesFromJson(text)) {
    const auto again = CheckpointFilesFromJson(CheckpointFilesJson(*page));
    if (!again || again->files.size() != page->files.size() ||
        again->total_count != page->total_count) {
      std::abort();
    }
  }
  return 0;
}
