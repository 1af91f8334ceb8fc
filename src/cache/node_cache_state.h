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

namespace bdn::cache {

struct FileRecord {
  std::uint64_t size = 0;
  int pins = 0;           // fills that rely on it
  bool removing = false;  // being unlinked; wait until the record is gone
  // Written, not yet proven durable: after a restart its content is checked before it is used.
  bool proven = true;
};

struct TreeRecord {
  int leases = 0;
  WallTime last_used;
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
};

struct CacheState {
  std::map<std::string, FileRecord> files;  // by name below files/: "ab/<hex>.<mode>"
  std::map<crypto::Digest, TreeRecord> trees;
  std::set<crypto::Digest> busy_trees;  // being removed
  std::uint64_t used_bytes = 0;         // of files/
  std::uint64_t reserved_bytes = 0;     // promised to fills and not yet in used_bytes
};

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
