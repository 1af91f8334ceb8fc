#pragma once
// The decisions of a mirror as functions over values: which files, which of their bytes are there
// already, which ranges to fetch, what the result looks like. Nothing here does I/O.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/digest.h"
#include "model/config.h"
#include "model/manifest.h"
#include "net/http.h"
#include "source/source.h"
#include "store/metadata.h"

namespace bdn::mirror {

struct Selection {
  std::vector<source::RemoteFile> files;  // by path
  std::uint64_t bytes = 0;
  std::vector<std::string> warnings;  // patterns that probably mean something else
};

// A source as it may stand in logs and errors: an https:// address without its query, which may be
// a signature and so a secret.
std::string ShownSource(const std::string& source);

// Applies the patterns of `weights` to a listing.
// Errors: kInvalidArgument when nothing is selected (says how many files were listed, names the
//         patterns and the first files), when a pattern is malformed, and when names of selected
//         files cannot become a tree (all of them are named, up to a limit); kResourceExhausted for
//         more than model::kManifestEntriesMax files.
Result<Selection> Select(std::vector<source::RemoteFile> listing,
                         const model::WeightsSource& weights);

// What we know of a file before it is fetched, as the question to Metadata. `digest` is empty.
store::KnownFile KnownFileOf(const source::Pin& pin, const source::RemoteFile& file);
// "sha256:<hex>" when the publisher says so; empty otherwise. The only hash that is a key across
// sources: git's SHA-1 names are kept to their source, because two contents with one name can be
// made.
std::string ContentHashKey(const source::RemoteFile& file);
// Whether (etag, version, hash) tell one content of this path from another: without any of them
// nothing may be reused by name.
bool HasContentIdentity(const source::RemoteFile& file);
// The record under which chunks of an unfinished file are kept, the same after a restart. 64 hex
// digits. A file without a content identity is tied to the pin.
std::string PartialKey(const source::Pin& pin,
                       const source::RemoteFile& file,
                       std::uint64_t chunk_bytes);
// Files with the same key have the same content, so one download serves all of them. Unique to the
// scope.
std::string FlightKey(const store::Scope& scope,
                      const source::Pin& pin,
                      const source::RemoteFile& file);

// One chunk of a file that is being mirrored; `digest` is set when its bytes are in the store.
struct ChunkSlot {
  net::ByteRange range;
  std::optional<crypto::Digest> digest;
};

// Cuts at multiples of `chunk_bytes`. An empty file has no chunks.
std::vector<ChunkSlot> CutIntoChunks(std::uint64_t size, std::uint64_t chunk_bytes);
// Takes over the stored chunks that lie exactly on a slot; others (cut at another size) are left.
// Returns the bytes that need no fetching any more.
std::uint64_t AdoptChunks(std::vector<ChunkSlot>& slots, std::span<const model::Chunk> stored);

// The chunkmap of a file whose slots all have digests (checked).
model::Chunkmap ChunkmapOf(std::uint64_t size, const std::vector<ChunkSlot>& slots);

// Where the bytes of one finished file are, as in a manifest entry.
struct FileResult {
  bool chunked = false;
  std::optional<crypto::Digest> digest;  // none: empty file
};

// What the patterns leave of a tree that is stored already.
struct StoredSelection {
  std::optional<model::Manifest> manifest;  // none: everything is selected, the tree's own serves
  std::vector<std::string> warnings;
};
// Files and symbolic links are selected by their paths; of the directories those stay that have
// something selected below them. Errors as Select.
Result<StoredSelection> SelectStored(const model::Manifest& tree,
                                     const model::WeightsSource& weights,
                                     const source::Pin& pin);

// `results[i]` belongs to `files[i]`.
model::Manifest ManifestOf(const std::string& source_uri,
                           const source::Pin& pin,
                           const std::vector<source::RemoteFile>& files,
                           const std::vector<FileResult>& results);

}  // namespace bdn::mirror
