#pragma once
// Where objects rest: the read interface that every tier offers, and the write half that the origin
// adds.
//
// Implementations: DirectoryStore (store/directory_store.h), testing::MemoryStore,
// testing::FaultyStore; all pass testing/object_store_conformance.h.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/context.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "os/fs.h"

namespace bdn::store {

enum class ObjectKind : std::uint8_t { kChunk, kChunkmap, kManifest };
std::string_view KindName(ObjectKind kind);  // "chunk", "chunkmap", "manifest"

// Who may share bytes: dedup and access go by organisation and namespace.
struct Scope {
  std::string org;
  std::string ns;
  friend auto operator<=>(const Scope&, const Scope&) = default;
};

// One path segment of a key.
inline constexpr std::size_t kScopePartBytesMax = 255;
// kInvalidArgument unless org and namespace may become path segments of a key: letters, digits,
// '.', '_', '-', not '.' first. Every store checks this before it touches anything.
Status CheckScope(const Scope& scope);

// "bdn/<org>/<namespace>/objects/b3/aa/bb/<hex>"
std::string FullKey(const Scope& scope, const crypto::Digest& digest);
// "application/vnd.baseten.bdn.manifest.v1+zstd"
std::string ContentType(ObjectKind kind, bool zstd);
struct TypedContent {
  ObjectKind kind;
  bool zstd;
};
// Any other type is kUnsupported, never guessed.
Result<TypedContent> ParseContentType(std::string_view type);

struct ObjectInfo {
  crypto::Digest digest;
  ObjectKind kind = ObjectKind::kChunk;
  bool zstd = false;
  std::uint64_t stored_bytes = 0;  // as at rest: compressed where zstd
  WallTime stored_at;
};

// An object opened for reading; stays readable when the object is deleted meanwhile.
struct OpenObject {
  ObjectInfo info;
  std::unique_ptr<os::File> file;
  std::uint64_t offset = 0;  // where the stored bytes begin in the file
};

using ByteSink = std::function<Status(std::span<const std::byte>)>;

// A chunk in the caller's memory.
struct ChunkBytes {
  crypto::Digest digest;
  std::span<const std::byte> bytes;
};

// Thread-safe. `Get` of a store that is a directory reads files; of a remote tier, HTTP.
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;
  // The uncompressed bytes of a whole object, verified against its digest *before* Get returns
  // success; `sink` may have seen them already, so it must not publish before that.
  // Errors: kNotFound, kCorrupt (digest or kind differ), kUnavailable, kTimeout, kCancelled.
  virtual Status Get(const Context& ctx,
                     const Scope& scope,
                     ObjectKind kind,
                     const crypto::Digest& digest,
                     const ByteSink& sink) = 0;
};

// One chunk that is written while it arrives, so that every piece goes to the disk while it is in
// the CPU's cache. Invisible until Commit; dropped without it, nothing stays. Not thread-safe.
class ChunkWriter {
 public:
  virtual ~ChunkWriter() = default;
  virtual Status Write(std::span<const std::byte> piece) = 0;
  // As Put of what was written; once. kUnsupported for the rare content that cannot rest as it is:
  // then Put it.
  virtual Result<bool> Commit(const Context& ctx, const crypto::Digest& digest) = 0;
};

// The durable store. Put makes an object visible only complete, verified and durable.
class ObjectStore : public ObjectReader {
 public:
  // Stores `bytes` (uncompressed), which must hash to `digest` (kCorrupt otherwise); manifests and
  // chunkmaps are compressed at rest. Returns false when the object was there already (its age is
  // renewed, so that a running GC spares it). After success the object survives a power cut.
  // A damaged object of the name, where the damage shows in its length or its header, is replaced.
  // Errors: kCorrupt (bytes are not those of `digest`), kFailedPrecondition (the object is there
  // as another kind: one digest has one kind in a scope), kResourceExhausted (disk full),
  // kUnavailable.
  virtual Result<bool> Put(const Context& ctx,
                           const Scope& scope,
                           ObjectKind kind,
                           const crypto::Digest& digest,
                           std::span<const std::byte> bytes) = 0;
  // Put of many small chunks, each visible only whole; after success all of them survive a power
  // cut, after failure some may be there. (The default puts one after another; a store that has to
  // flush a disk overrides it to flush for all at once.)
  virtual Status PutChunks(const Context& ctx,
                           const Scope& scope,
                           std::span<const ChunkBytes> chunks);
  // A chunk of `size` bytes to be written piece by piece; null where that is no better than Put.
  virtual Result<std::unique_ptr<ChunkWriter>> StartChunk(const Context& ctx,
                                                          const Scope& scope,
                                                          std::uint64_t size);
  // Renews the age of the object and tells whether it is there. (A mirror that reuses it must hold
  // it against GC.)
  virtual Result<bool> Touch(const Context& ctx,
                             const Scope& scope,
                             const crypto::Digest& digest) = 0;
  // Touch of many at once: the first that is not there, nullopt when all are. Those before it may
  // have been renewed. (The default touches one after another; a store that has to flush a disk
  // overrides it to flush once for all.)
  virtual Result<std::optional<crypto::Digest>> TouchAll(const Context& ctx,
                                                         const Scope& scope,
                                                         std::span<const crypto::Digest> digests);
  virtual Result<ObjectInfo> Stat(const Context& ctx,
                                  const Scope& scope,
                                  const crypto::Digest& digest) = 0;
  // For serving: kUnsupported where a store has no files.
  virtual Result<OpenObject> Open(const Context& ctx,
                                  const Scope& scope,
                                  const crypto::Digest& digest) = 0;
  // Every object of every scope, in no order.
  virtual Status List(const Context& ctx,
                      const std::function<Status(const Scope&, const ObjectInfo&)>& visit) = 0;
  // Deleting what is not there is success.
  virtual Status Delete(const Context& ctx, const Scope& scope, const crypto::Digest& digest) = 0;
  // Deletes the object only if it was last put or touched before `before`; false when it was not
  // there or is younger. A concurrent Touch that returned true, or Put that returned success,
  // leaves the object there: this is what GC calls. (The default, Stat then Delete, has a window
  // between the two; stores that are shared by threads override it.)
  virtual Result<bool> DeleteIfOlder(const Context& ctx,
                                     const Scope& scope,
                                     const crypto::Digest& digest,
                                     WallTime before);
  // Removes what crashed writers left, older than `age`; returns bytes freed. `dry_run` only
  // counts.
  virtual Result<std::uint64_t> Sweep(const Context& ctx, Duration age, bool dry_run) = 0;
};

// The whole object in memory; kResourceExhausted when larger than `bytes_max`.
Result<std::string> GetAll(const Context& ctx,
                           ObjectReader& store,
                           const Scope& scope,
                           ObjectKind kind,
                           const crypto::Digest& digest,
                           std::uint64_t bytes_max);

}  // namespace bdn::store
