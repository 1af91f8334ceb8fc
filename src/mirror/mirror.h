#pragma once
// The mirror: source → pin, list, filter, skip what is known, fetch in parallel, verify, chunk,
// write. Nothing is visible before it is durable; a killed mirror resumes from the chunks that are
// there.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "base/context.h"
#include "base/executor.h"
#include "base/result.h"
#include "model/config.h"
#include "source/source.h"
#include "store/metadata.h"
#include "store/object_store.h"

namespace bdn::mirror {

// What happened, for the row and for people; called from one thread at a time, at most every
// `interval` and at each change of phase.
using ProgressSink = std::function<Status(const store::Progress&)>;

struct MirrorRequest {
  store::Scope scope;
  model::WeightsSource weights;
};

struct MirrorResult {
  source::Pin pin;
  crypto::Digest manifest;
  store::Progress progress;
  bool reused_whole = false;          // a finished mirror with this key and pin was there
  std::vector<std::string> warnings;  // beside those of the pin
};

// A tree that rests in the mirror's scope already, as a checkpoint does: nothing is fetched.
struct StoredTree {
  source::Pin pin;
  crypto::Digest manifest;
};

struct MirrorerOptions {
  std::uint64_t chunk_bytes = 16ull << 20;
  std::size_t parallel = 8;                       // ranges in flight, over all files
  std::uint64_t memory_bytes_max = 512ull << 20;  // chunk buffers, over all mirrors of this process
  Duration progress_interval = std::chrono::milliseconds(500);
  int restarts_max = 2;  // when the source changes meanwhile
  // Objects that were stored or found longer ago than this are looked at again before the manifest
  // refers to them. A garbage collection has to spare what is younger than twice this.
  Duration hold_again_after = std::chrono::minutes(15);
};

class Mirrorer {
 public:
  Mirrorer(store::ObjectStore& objects,
           store::Metadata& metadata,
           Executor& fetchers,
           MirrorerOptions options);
  ~Mirrorer();

  // Runs one mirror to its end. `on_pin` is called once the mutable name is resolved.
  // Errors: those of Source; kInvalidArgument when the patterns select nothing ("No files matched
  //         …, listed N"); kResourceExhausted (disk full); kCorrupt (content does not match the
  //         publisher's hash, twice). After an error everything complete stays for the next
  //         attempt.
  Result<MirrorResult> Run(const Context& ctx,
                           source::Source& source,
                           const MirrorRequest& request,
                           const std::function<Status(const source::Pin&)>& on_pin,
                           const ProgressSink& progress);

  // The version of a tree that is stored: its own manifest where every file is selected, else one
  // that names the selected files and links. Copies nothing; renews the age of all its objects.
  // Errors: as Run; kCorrupt when something of the tree is missing.
  Result<MirrorResult> Adopt(const Context& ctx,
                             const StoredTree& tree,
                             const MirrorRequest& request,
                             const std::function<Status(const source::Pin&)>& on_pin,
                             const ProgressSink& progress);

  // Whether a finished version is still complete in the store, and how large it is; renews the age
  // of all its objects. nullopt when something is missing.
  Result<std::optional<store::Progress>> Hold(const Context& ctx,
                                              const store::Scope& scope,
                                              const crypto::Digest& manifest);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bdn::mirror
