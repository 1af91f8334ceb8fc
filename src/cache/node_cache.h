#pragma once
// The node cache: files assembled from verified chunks of an upstream tier, identical files stored
// once, and one tree of hard links per volume version.
//
//   <root>/files/aa/<digest>.<mode>    complete; the name is the digest of the content as manifests
//                                      name it and its mode; for a chunkmap's digest with ".map"
//   <root>/partial/<digest>.<mode>     being assembled, with <digest>.<mode>.marks beside it
//   <root>/trees/<manifest>/root/…     hard links, directories, symbolic links
//   <root>/trees/<manifest>/readers    the namespaces that were shown to have the version
//   <root>/trees/<manifest>/manifest   the stored manifest; written last: without it there is no
//   tree
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/executor.h"
#include "base/result.h"
#include "model/manifest.h"
#include "os/fs.h"
#include "store/object_store.h"

namespace bdn::cache {

struct FillProgress {
  std::string phase;  // "manifest", "fetching", "linking", "ready"
  std::uint64_t files = 0;
  std::uint64_t files_done = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_reused = 0;  // files or chunks that were here already
  double rate = 0;
};

struct NodeCacheOptions {
  std::uint64_t capacity_bytes = 0;  // 0: as much as the disk has
  // Of the disk this is kept free, or a twentieth of a smaller one.
  std::uint64_t reserve_bytes = 1ull << 30;
};

// A version that is complete on this node and may not be evicted while the lease lives.
class TreeLease {
 public:
  virtual ~TreeLease() = default;
  virtual const crypto::Digest& manifest() const = 0;
  virtual std::string path() const = 0;  // absolute, of the tree's root directory
};

struct TreeInfo {
  crypto::Digest manifest;
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  WallTime last_used;
  int leases = 0;
};

struct CacheUsage {
  std::uint64_t used_bytes = 0;      // complete files
  std::uint64_t partial_bytes = 0;   // half assembled ones of ended fills
  std::uint64_t reserved_bytes = 0;  // promised to running fills
};

class NodeCache {
 public:
  virtual ~NodeCache() = default;
  // Makes the version complete on this node (or finds it so) and leases it. One fill per version
  // and per file, however many ask. Capacity is reserved before the first byte; what is leased is
  // never evicted. A version that is here already is given to `scope` only once the tier above has
  // served its manifest in that scope: knowing a digest gives no bytes.
  // Errors: kNotFound, kPermissionDenied, kCorrupt, kResourceExhausted (says how much is needed and
  //         what holds the rest), kUnavailable, kTimeout, kCancelled. Whole chunks stay for the
  //         next attempt.
  virtual Result<std::unique_ptr<TreeLease>> Acquire(
      const Context& ctx,
      const store::Scope& scope,
      const crypto::Digest& manifest,
      const std::function<void(const FillProgress&)>& progress) = 0;
  virtual Result<std::vector<TreeInfo>> List() = 0;
  // Frees at least `bytes`: files that no tree names, what ended fills left, then trees that are
  // not leased, least recently used first; returns bytes freed (or that would be freed: `dry_run`).
  virtual Result<std::uint64_t> Evict(std::uint64_t bytes, bool dry_run) = 0;
  virtual Result<CacheUsage> Usage() = 0;
};

// Opens the cache in `fs`: removes half-made trees, keeps complete files and partial ones.
Result<std::unique_ptr<NodeCache>> OpenNodeCache(std::unique_ptr<os::Fs> fs,
                                                 store::ObjectReader& upstream,
                                                 Executor& fetchers,
                                                 const Clock& clock,
                                                 NodeCacheOptions options);

}  // namespace bdn::cache
