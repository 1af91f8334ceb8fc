#pragma once
// A directory becomes a volume version: read, cut into chunks, hash, hand over what the origin does
// not have. The same cuts and names as a mirror, so both share bytes.
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/context.h"
#include "base/executor.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "model/manifest.h"
#include "os/fs.h"
#include "store/object_store.h"

namespace bdn::mirror {

// Where the objects go: an HTTP origin, or a store in this process. Both are called concurrently.
struct ObjectUpload {
  std::function<Result<bool>(const Context&, const crypto::Digest&)> has;
  std::function<Status(
      const Context&, store::ObjectKind, const crypto::Digest&, std::span<const std::byte>)>
      put;
};

struct PushProgress {
  std::uint64_t files = 0;
  std::uint64_t files_done = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_reused = 0;  // the origin had them
};

struct PushedTree {
  crypto::Digest manifest;
  PushProgress progress;
};

// Pushes everything below `tree`. Directories, modes and symbolic links are kept; a link that leads
// out of the tree, a device, a socket or a name that may not be in a manifest is kInvalidArgument.
// A file that changes while it is read is kFailedPrecondition. Memory: `parallel` chunks.
// `provenance` goes into the manifest.
Result<PushedTree> PushTree(const Context& ctx,
                            os::Fs& tree,
                            const ObjectUpload& upload,
                            Executor& executor,
                            const std::function<void(const PushProgress&)>& progress,
                            std::optional<model::Provenance> provenance = std::nullopt);

}  // namespace bdn::mirror
