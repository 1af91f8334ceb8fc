#pragma once
// The node cache's bookkeeping, apart from its I/O: which files and trees are complete, what is in
// use, how many bytes are taken and promised. Internal to this component.
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "crypto/digest.h"
#include "store/object_store.h"

namespace bdn::cache {

struct FileRecord {
  std::uint64_t size = 0;
  int pins = 0;           // fills that rely on it
  bool removing = false;  // being unlinked; wait until the record is gone
  // Written, not yet proven durable: its content is checked before it is used. (True while this
  // process lives; a restart may follow a power cut.)
  bool proven = true;
};

struct TreeRecord {
  int leases = 0;
  WallTime last_used;
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  std::set<store::Scope> readers = {};  // were shown to have the version
};

// A file that an ended fill left half assembled.
struct PartialRecord {
  std::uint64_t bytes = 0;
  int users = 0;          // fills that count on it
  bool filling = false;   // one of them writes it
  bool removing = false;  // being unlinked; wait until the record is gone
};

struct CacheState {
  std::map<std::string, FileRecord> files;        // by CacheFileName
  std::map<std::string, PartialRecord> partials;  // by PartialName
  std::map<crypto::Digest, TreeRecord> trees;
  std::set<crypto::Digest> busy_trees;    // being made or removed
  std::set<crypto::Digest> broken_trees;  // not there, but some of their names still are
  std::uint64_t used_bytes = 0;           // of files/
  std::uint64_t partial_bytes = 0;        // of `partials`
  std::uint64_t reserved_bytes = 0;       // promised to fills and not yet in used_bytes
  std::uint64_t landed_bytes = 0;         // of these, what already took blocks of the disk
};

// Pure: what stays free of a disk of `total_bytes`.
inline std::uint64_t KeptFree(std::uint64_t total_bytes, std::uint64_t reserve_bytes) {
  return std::min(reserve_bytes, total_bytes / 20);
}

// Pure: what the cache may hold in all: its own bytes and what the disk has left for it.
inline std::uint64_t CapacityNow(const CacheState& s,
                                 std::uint64_t available_bytes,
                                 std::uint64_t reserve_bytes,
                                 std::uint64_t capacity_bytes) {
  const std::uint64_t free = available_bytes - std::min(available_bytes, reserve_bytes);
  const std::uint64_t all = s.used_bytes + s.partial_bytes + s.landed_bytes + free;
  return capacity_bytes == 0 ? all : std::min(all, capacity_bytes);
}

// Pure: how many bytes must go before `need` more fit; 0 when they fit.
inline std::uint64_t BytesToFree(std::uint64_t used,
                                 std::uint64_t reserved,
                                 std::uint64_t need,
                                 std::uint64_t capacity) {
  const std::uint64_t wanted = used + reserved + need;
  return wanted > capacity ? wanted - capacity : 0;
}

// Pure: trees in the order in which they may go: no lease, least recently used first.
inline std::vector<crypto::Digest> EvictionOrder(
    const std::map<crypto::Digest, TreeRecord>& trees) {
  std::vector<std::pair<WallTime, crypto::Digest>> idle;
  for (const auto& [digest, tree] : trees) {
    if (tree.leases == 0) idle.emplace_back(tree.last_used, digest);
  }
  std::sort(idle.begin(), idle.end());
  std::vector<crypto::Digest> order;
  for (const auto& [time, digest] : idle) order.push_back(digest);
  return order;
}

}  // namespace bdn::cache
