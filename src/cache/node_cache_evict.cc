#include <utility>

#include "cache/file_fill.h"
#include "cache/node_cache_impl.h"

namespace bdn::cache {
namespace {

bool IsIdle(const PartialRecord& partial) {
  return partial.users == 0 && !partial.filling && !partial.removing;
}

}  // namespace

Result<std::vector<TreeInfo>> Cache::List() {
  return state_.With([](CacheState& s) {
    std::vector<TreeInfo> infos;
    for (const auto& [digest, tree] : s.trees) {
      infos.push_back({digest, tree.bytes, tree.files, tree.last_used, tree.leases});
    }
    return infos;
  });
}

Result<CacheUsage> Cache::Usage() {
  return state_.With([](CacheState& s) {
    return CacheUsage{.used_bytes = s.used_bytes,
                      .partial_bytes = s.partial_bytes,
                      .reserved_bytes = s.reserved_bytes};
  });
}

// Files that only files/ names any more and no fill relies on. A file is claimed before it is
// looked at: from then on no fill pins it, so the look stays true until the removal.
Result<std::uint64_t> Cache::RemoveUnlinkedFiles(bool dry_run) {
  std::vector<std::string> candidates;
  state_.With([&](CacheState& s) {
    for (const auto& [name, file] : s.files) {
      if (file.pins == 0 && !file.removing) candidates.push_back(name);
    }
  });
  std::uint64_t freed = 0;
  for (const auto& name : candidates) {
    const bool taken = state_.With([&](CacheState& s) {
      const auto it = s.files.find(name);
      if (it == s.files.end() || it->second.pins > 0 || it->second.removing) return false;
      if (!dry_run) it->second.removing = true;
      return true;
    });
    if (!taken) continue;
    bool gone = false;
    const Status removed = [&]() -> Status {
      auto info = fs_->Stat("files/" + name);
      if (!info) {
        gone = info.error().code() == Code::kNotFound;
        if (gone) return {};
        return std::move(info).error();
      }
      if (info->links > 1) return {};
      if (!dry_run) BDN_TRY(fs_->Remove("files/" + name));
      gone = true;
      freed += info->size_bytes;
      return {};
    }();
    if (!dry_run) {
      state_.Change([&](CacheState& s) {
        const auto it = s.files.find(name);
        it->second.removing = false;
        if (!gone) return;
        s.used_bytes -= it->second.size;
        s.files.erase(it);
      });
    }
    BDN_TRY(removed);
  }
  return freed;
}

// What ended fills left and no running one goes on with.
Result<std::uint64_t> Cache::RemoveIdlePartials(bool dry_run) {
  std::uint64_t freed = 0;
  std::vector<std::string> names;
  state_.With([&](CacheState& s) {
    for (const auto& [name, partial] : s.partials) {
      if (IsIdle(partial)) names.push_back(name);
    }
  });
  for (const auto& name : names) {
    if (dry_run) {
      freed += state_.With([&](CacheState& s) {
        const auto it = s.partials.find(name);
        return it == s.partials.end() ? std::uint64_t{0} : it->second.bytes;
      });
      continue;
    }
    const std::uint64_t bytes = state_.With([&](CacheState& s) -> std::uint64_t {
      const auto it = s.partials.find(name);
      if (it == s.partials.end() || !IsIdle(it->second)) return 0;
      it->second.removing = true;
      return it->second.bytes;
    });
    if (bytes == 0) continue;
    (void)fs_->Remove(name + std::string(kMarksSuffix));
    const Status removed = fs_->Remove(name);
    const bool gone = removed || removed.error().code() == Code::kNotFound;
    state_.Change([&](CacheState& s) {
      const auto it = s.partials.find(name);
      it->second.removing = false;
      if (!gone) return;
      s.partial_bytes -= bytes;
      s.partials.erase(it);
    });
    if (!gone) return removed.error();
    freed += bytes;
  }
  return freed;
}

Status Cache::RemoveTreeDir(const crypto::Digest& manifest) {
  const std::string dir = TreeDir(manifest);
  const Status unmarked = fs_->Remove(dir + "/manifest");
  if (unmarked) {
    BDN_TRY(fs_->SyncDir(dir));
  } else if (unmarked.error().code() != Code::kNotFound &&
             unmarked.error().code() != Code::kFailedPrecondition) {  // not even a directory
    return unmarked;
  }
  return os::RemoveTree(*fs_, dir);
}

// Names that an earlier removal could not take away keep their files from being freed.
void Cache::RemoveBrokenTrees() {
  const auto broken = state_.With([](CacheState& s) { return s.broken_trees; });
  for (const auto& manifest : broken) {
    const bool taken = state_.With([&](CacheState& s) {
      return s.broken_trees.contains(manifest) && s.busy_trees.insert(manifest).second;
    });
    if (!taken) continue;
    const Status removed = RemoveTreeDir(manifest);
    state_.Change([&](CacheState& s) {
      s.busy_trees.erase(manifest);
      if (removed) s.broken_trees.erase(manifest);
    });
  }
}

Result<std::uint64_t> Cache::RemoveTreeAndFiles(const crypto::Digest& manifest) {
  const bool taken = state_.With([&](CacheState& s) {
    const auto it = s.trees.find(manifest);
    if (it == s.trees.end() || it->second.leases > 0) return false;
    s.trees.erase(it);
    s.busy_trees.insert(manifest);
    return true;
  });
  if (!taken) return 0;
  const Status removed = RemoveTreeDir(manifest);
  state_.Change([&](CacheState& s) {
    s.busy_trees.erase(manifest);
    if (!removed) s.broken_trees.insert(manifest);
  });
  BDN_TRY(removed);
  return RemoveUnlinkedFiles(false);
}

Result<std::uint64_t> Cache::Evict(std::uint64_t bytes, bool dry_run) {
  if (!dry_run) RemoveBrokenTrees();
  BDN_ASSIGN(std::uint64_t freed, RemoveUnlinkedFiles(dry_run));
  if (freed < bytes) {
    BDN_ASSIGN(const std::uint64_t more, RemoveIdlePartials(dry_run));
    freed += more;
  }
  const auto trees = state_.With([](CacheState& s) { return s.trees; });
  for (const auto& manifest : EvictionOrder(trees)) {
    if (freed >= bytes) break;
    if (dry_run) {
      // An upper bound: files shared with a tree that stays are counted too.
      freed += trees.at(manifest).bytes;
      continue;
    }
    BDN_ASSIGN(const std::uint64_t more, RemoveTreeAndFiles(manifest));
    freed += more;
  }
  return freed;
}

}  // namespace bdn::cache
