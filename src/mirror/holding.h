#pragma once
// Is what we know still in the store? Looking renews the age of the objects, which holds them
// against a garbage collection that runs meanwhile.
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/context.h"
#include "base/result.h"
#include "mirror/plan.h"
#include "model/manifest.h"
#include "store/object_store.h"

namespace bdn::mirror {

// True when every object of the file is there. A chunkmap that is missing or damaged is false, not
// an error. Errors: kUnavailable and the like of the store.
Result<bool> HoldFile(const Context& ctx,
                      store::ObjectStore& objects,
                      const store::Scope& scope,
                      const FileResult& file);
// Those of `chunks` that are there.
Result<std::vector<model::Chunk>> HoldChunks(const Context& ctx,
                                             store::ObjectStore& objects,
                                             const store::Scope& scope,
                                             const std::vector<model::Chunk>& chunks);
// nullopt when it is missing or damaged.
Result<std::optional<model::Chunkmap>> ReadChunkmap(const Context& ctx,
                                                    store::ObjectStore& objects,
                                                    const store::Scope& scope,
                                                    const crypto::Digest& digest);
// The manifest, when it and everything below it is there.
Result<std::optional<model::Manifest>> HoldManifest(const Context& ctx,
                                                    store::ObjectStore& objects,
                                                    const store::Scope& scope,
                                                    const crypto::Digest& digest);

// Put, with an error that cannot be taken for a changed source when the store has the same bytes as
// an object of another kind.
Status PutObject(const Context& ctx,
                 store::ObjectStore& objects,
                 const store::Scope& scope,
                 store::ObjectKind kind,
                 const crypto::Digest& digest,
                 std::span<const std::byte> bytes);
// The same for many small chunks.
Status PutChunks(const Context& ctx,
                 store::ObjectStore& objects,
                 const store::Scope& scope,
                 std::span<const store::ChunkBytes> chunks);

// A chunk that was written piece by piece where the store can do that (`writer` may be null), else
// `bytes` put at once.
Status CommitChunk(const Context& ctx,
                   store::ObjectStore& objects,
                   const store::Scope& scope,
                   std::unique_ptr<store::ChunkWriter> writer,
                   const crypto::Digest& digest,
                   std::span<const std::byte> bytes);

}  // namespace bdn::mirror
