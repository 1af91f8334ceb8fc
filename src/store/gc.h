#pragma once
// Garbage collection: deletes objects that no root reaches and that nobody has put or touched for a
// while.
//
// It runs beside mirrors, with no lock, and is safe because of four rules:
//   1. Only objects last put or touched before a cut-off are candidates: the grace period, or the
//      start of the oldest mirror that is under way, whichever is earlier.
//   2. Manifests and chunkmaps that are spared for their age keep alive what they name.
//   3. Metadata forgets every promise of a candidate before the first one is deleted, and roots
//      that appeared meanwhile are marked after that.
//   4. Deletion goes top down: manifests, chunkmaps, chunks. Each object's age is checked again in
//      one step with its deletion; one that was touched meanwhile keeps alive what it names.
// So a mirror that finds a file known, touches its manifest, chunkmap or chunk, and is told that it
// is there, may rely on everything below it.
//
// A root that cannot be read ends the run before anything is deleted. A failure in the middle
// leaves garbage for the next run, nothing else.
#include <cstdint>
#include <vector>

#include "base/context.h"
#include "base/result.h"
#include "store/metadata.h"
#include "store/object_store.h"

namespace bdn::store {

struct GcOptions {
  // How long an object without a root stays: longer than any push takes from its first object to
  // its version.
  Duration grace = std::chrono::hours(24);
  // Partial chunks of files that nobody has continued for so long are given up. They are roots
  // until the run after.
  Duration partial_expiry = std::chrono::hours(7 * 24);
  // Changes nothing, and lists in `GcReport::items` what a run would delete.
  bool dry_run = false;
};

struct GcItem {
  Scope scope;
  crypto::Digest digest;
  ObjectKind kind = ObjectKind::kChunk;
  std::uint64_t bytes = 0;
};

struct GcReport {
  std::uint64_t scanned = 0;
  std::uint64_t kept = 0;
  std::uint64_t deleted = 0;           // in a dry run: would be
  std::uint64_t bytes = 0;             // at rest, of what was deleted
  std::uint64_t temporary_bytes = 0;   // that crashed writers left
  std::uint64_t forgotten_rows = 0;    // of metadata
  std::uint64_t expired_partials = 0;  // chunks
  std::vector<GcItem> items;           // of a dry run
};

// Time and memory are linear in the number of objects (about 100 bytes each).
// Errors: kFailedPrecondition when a root cannot be read because it is missing or damaged; those of
// the stores.
Result<GcReport> CollectGarbage(const Context& ctx,
                                ObjectStore& objects,
                                Metadata& metadata,
                                const GcOptions& options = {});

}  // namespace bdn::store
