#include "cache/node_cache.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/guarded.h"
#include "base/log.h"
#include "base/singleflight.h"
#include "cache/file_fill.h"
#include "cache/fill_meter.h"
#include "cache/node_cache_state.h"
#include "cache/tree.h"

namespace bdn::cache {
namespace {

class Cache final : public NodeCache, public std::enable_shared_from_this<Cache> {
 public:
  Cache(std::unique_ptr<os::Fs> fs,
        store::ObjectReader& upstream,
        Executor& fetchers,
        const Clock& clock,
        NodeCacheOptions options)
      : fs_(std::move(fs)),
        upstream_(upstream),
        fetchers_(fetchers),
        clock_(clock),
        options_(options) {}

  Status Recover();

  Result<std::unique_ptr<TreeLease>> Acquire(
      const Context& ctx,
      const store::Scope& scope,
      const crypto::Digest& manifest,
      const std::function<void(const FillProgress&)>& progress) override;
  Result<std::vector<TreeInfo>> List() override;
  Result<std::uint64_t> Evict(std::uint64_t bytes, bool dry_run) override;

 private:
  class Lease;
  struct Plan;

  std::unique_ptr<TreeLease> TryLease(const crypto::Digest& manifest);
  Status Fill(const Context& ctx,
              const store::Scope& scope,
              const crypto::Digest& manifest,
              FillMeter& meter);
  Plan PlanFill(const model::Manifest& manifest);
  Status Reserve(std::uint64_t bytes);
  Status FetchFile(const Context& ctx,
                   const store::Scope& scope,
                   const std::string& name,
                   const model::ManifestEntry& entry,
                   FillMeter& meter);
  Status CommitTree(const crypto::Digest& manifest,
                    const std::string& text,
                    const model::Manifest& tree);
  Status LinkFile(const std::string& name, const std::string& to);
  Result<std::uint64_t> RemoveTreeAndFiles(const crypto::Digest& manifest);
  Result<std::uint64_t> RemoveUnlinkedFiles(bool dry_run);
  Status RecoverTrees();
  Status RecoverFiles();
  Status RecoverPartials();

  std::unique_ptr<os::Fs> fs_;
  store::ObjectReader& upstream_;
  Executor& fetchers_;
  const Clock& clock_;
  const NodeCacheOptions options_;
  Guarded<CacheState> state_;
  Singleflight<crypto::Digest, bool> fills_;
  Singleflight<std::string, bool> files_;
};

std::string TreeDir(const crypto::Digest& manifest) {
  return "trees/" + manifest.hex();
}

class Cache::Lease final : public TreeLease {
 public:
  Lease(std::shared_ptr<Cache> cache, const crypto::Digest& manifest)
      : cache_(std::move(cache)), manifest_(manifest) {}
  ~Lease() override {
    cache_->state_.Change([&](CacheState& s) { s.trees.at(manifest_).leases -= 1; });
  }
  const crypto::Digest& manifest() const override { return manifest_; }
  std::string path() const override { return cache_->fs_->HostPath(TreeDir(manifest_) + "/root"); }

 private:
  const std::shared_ptr<Cache> cache_;
  const crypto::Digest manifest_;
};

// What a version needs that is not here, with the files that it relies on pinned.
struct Cache::Plan {
  struct Missing {
    std::string name;
    const model::ManifestEntry* entry;
  };
  std::vector<std::string> pinned;
  std::vector<Missing> missing;
  std::uint64_t missing_bytes = 0;
};

// --- opening ---

Status Cache::Recover() {
  for (const char* dir : {"files", "partial", "trees"}) BDN_TRY(os::MakeDirs(*fs_, dir, true));
  BDN_TRY(RecoverTrees());
  BDN_TRY(RecoverFiles());
  return RecoverPartials();
}

Status Cache::RecoverTrees() {
  std::vector<std::string> names;
  BDN_TRY(fs_->List("trees", [&](const os::DirEntry& entry) -> Status {
    names.push_back(entry.name);
    return {};
  }));
  for (const auto& name : names) {
    const std::string dir = "trees/" + name;
    const auto digest = crypto::ParseDigestHex(name);
    const auto marker = fs_->Stat(dir + "/manifest");
    if (!digest || !marker) {
      BDN_TRY(os::RemoveTree(*fs_, dir));
      continue;
    }
    BDN_ASSIGN(const std::string text,
               os::ReadFile(*fs_, dir + "/manifest", model::kManifestBytesMax));
    const auto manifest = model::ParseManifest(text);
    if (!manifest) {
      log::Warn("a cached tree's manifest is damaged; the tree is removed", {{"tree", name}});
      BDN_TRY(os::RemoveTree(*fs_, dir));
      continue;
    }
    TreeRecord record;
    record.last_used = marker->modified;
    record.bytes = manifest->total_size;
    record.files = manifest->entries.size();
    state_.With([&](CacheState& s) { s.trees[*digest] = record; });
  }
  return {};
}

Status Cache::RecoverFiles() {
  std::vector<std::string> shards;
  BDN_TRY(fs_->List("files", [&](const os::DirEntry& entry) -> Status {
    shards.push_back(entry.name);
    return {};
  }));
  for (const auto& shard : shards) {
    std::vector<std::string> names;
    BDN_TRY(fs_->List("files/" + shard, [&](const os::DirEntry& entry) -> Status {
      names.push_back(shard + "/" + entry.name);
      return {};
    }));
    for (const auto& name : names) {
      BDN_ASSIGN(const os::FileInfo info, fs_->Stat("files/" + name));
      state_.With([&](CacheState& s) {
        // Only a tree that was committed proves that its files reached the disk.
        s.files[name] = {.size = info.size_bytes, .proven = info.links > 1};
        s.used_bytes += info.size_bytes;
      });
    }
  }
  return {};
}

// Temporary files of killed fills go; partial files stay, their bitmaps with them.
Status Cache::RecoverPartials() {
  std::set<std::string> names;
  BDN_TRY(fs_->List("partial", [&](const os::DirEntry& entry) -> Status {
    names.insert(entry.name);
    return {};
  }));
  for (const auto& name : names) {
    const bool orphan = name.ends_with(".map") && !names.contains(name.substr(0, name.size() - 4));
    if (name.starts_with("tmp-") || orphan) BDN_TRY(fs_->Remove("partial/" + name));
  }
  return {};
}

// --- acquiring ---

std::unique_ptr<TreeLease> Cache::TryLease(const crypto::Digest& manifest) {
  const WallTime now = clock_.Now();
  const bool here = state_.With([&](CacheState& s) {
    const auto it = s.trees.find(manifest);
    if (it == s.trees.end()) return false;
    it->second.leases += 1;
    it->second.last_used = now;
    return true;
  });
  if (!here) return nullptr;
  // The order of eviction survives a restart in the marker's time; losing it is harmless.
  (void)fs_->SetModified(TreeDir(manifest) + "/manifest", now);
  return std::make_unique<Lease>(shared_from_this(), manifest);
}

Result<std::unique_ptr<TreeLease>> Cache::Acquire(
    const Context& ctx,
    const store::Scope& scope,
    const crypto::Digest& manifest,
    const std::function<void(const FillProgress&)>& progress) {
  FillMeter meter(clock_, progress);
  for (;;) {
    if (auto lease = TryLease(manifest)) {
      meter.Phase("ready");
      return lease;
    }
    auto filled = fills_.Do(ctx, manifest, [&](const Context& fill_ctx) -> Result<bool> {
      const bool here = state_.With([&](CacheState& s) { return s.trees.contains(manifest); });
      if (!here) BDN_TRY(Fill(fill_ctx, scope, manifest, meter));
      return true;
    });
    if (!filled) {
      return std::move(filled).error().Context("prepare " + manifest.ToString());
    }
    // Evicted again between the two? Then once more.
  }
}

Cache::Plan Cache::PlanFill(const model::Manifest& manifest) {
  Plan plan;
  std::set<std::string> seen;
  for (const auto& entry : manifest.entries) {
    if (entry.type != model::EntryType::kFile) continue;
    std::string name = CacheFileName(entry.digest.value_or(crypto::Digest{}), entry.mode);
    if (!seen.insert(name).second) continue;
    // A file that is being removed right now is waited for: it will be missing after that.
    state_.Wait([&](CacheState& s) {
      const auto it = s.files.find(name);
      return it == s.files.end() || !it->second.removing;
    });
    const bool here = state_.With([&](CacheState& s) {
      const auto it = s.files.find(name);
      if (it == s.files.end() || it->second.removing || it->second.size != entry.size) return false;
      it->second.pins += 1;
      return true;
    });
    if (here) {
      plan.pinned.push_back(std::move(name));
    } else {
      plan.missing_bytes += entry.size;
      plan.missing.push_back({std::move(name), &entry});
    }
  }
  return plan;
}

Status Cache::Reserve(std::uint64_t bytes) {
  for (bool evicted = false;; evicted = true) {
    BDN_ASSIGN(const os::DiskSpace disk, fs_->Space());
    std::uint64_t excess = 0;
    std::uint64_t capacity = 0;
    state_.With([&](CacheState& s) {
      const std::uint64_t free =
          disk.available_bytes - std::min(disk.available_bytes, options_.reserve_bytes);
      capacity = s.used_bytes + free;
      if (options_.capacity_bytes != 0) capacity = std::min(capacity, options_.capacity_bytes);
      excess = BytesToFree(s.used_bytes, s.reserved_bytes, bytes, capacity);
      if (excess == 0) s.reserved_bytes += bytes;
    });
    if (excess == 0) return {};
    std::uint64_t freed = 0;
    if (!evicted) {
      BDN_ASSIGN(freed, Evict(excess, false));
    }
    if (freed > 0) continue;
    std::uint64_t leased = 0;
    state_.With([&](CacheState& s) {
      for (const auto& [digest, tree] : s.trees) leased += tree.leases > 0 ? tree.bytes : 0;
    });
    return Error(Code::kResourceExhausted,
                 fmt::format(
                     "the node cache needs {} more bytes and may use {} in all; {} are in use "
                     "by running models",
                     bytes, capacity, leased))
        .WithHint("stop a model that is not needed, make room on the disk, or raise --cache-size");
  }
}

Status Cache::FetchFile(const Context& ctx,
                        const store::Scope& scope,
                        const std::string& name,
                        const model::ManifestEntry& entry,
                        FillMeter& meter) {
  bool fetched = false;
  const auto pin_if_here = [&] {
    return state_.With([&](CacheState& s) {
      const auto it = s.files.find(name);
      if (it == s.files.end() || it->second.removing) return false;
      it->second.pins += 1;
      return true;
    });
  };
  const auto fetch = [&](const Context& file_ctx) -> Result<bool> {
    state_.Wait([&](CacheState& s) {
      const auto it = s.files.find(name);
      return it == s.files.end() || !it->second.removing;
    });
    if (state_.With([&](CacheState& s) { return s.files.contains(name); })) return true;
    BDN_TRY(os::MakeDirs(*fs_, "files/" + name.substr(0, 2)));
    const FillTarget target{*fs_, upstream_, fetchers_, scope};
    BDN_TRY(FillFile(file_ctx, target, entry, "files/" + name,
                     [&](std::uint64_t bytes, bool reused) { meter.Bytes(bytes, reused); }));
    state_.With([&](CacheState& s) {
      s.files[name] = {.size = entry.size, .pins = 1};  // born pinned: nobody may evict it first
      s.used_bytes += entry.size;
    });
    fetched = true;
    return true;
  };
  do {
    auto done = files_.Do(ctx, name, fetch);
    if (!done) return std::move(done).error();
  } while (!fetched && !pin_if_here());
  state_.With([&](CacheState& s) { s.reserved_bytes -= std::min(s.reserved_bytes, entry.size); });
  if (!fetched) meter.Bytes(entry.size, true);  // another fill brought it meanwhile
  meter.File();
  return {};
}

Status Cache::Fill(const Context& ctx,
                   const store::Scope& scope,
                   const crypto::Digest& digest,
                   FillMeter& meter) {
  meter.Phase("manifest");
  BDN_ASSIGN(const std::string text,
             store::GetAll(ctx, upstream_, scope, store::ObjectKind::kManifest, digest,
                           model::kManifestBytesMax));
  BDN_ASSIGN(const model::Manifest manifest, model::ParseManifest(text));
  state_.Wait([&](CacheState& s) { return !s.busy_trees.contains(digest); });

  Plan plan = PlanFill(manifest);
  std::atomic<std::uint64_t> unreturned = 0;
  const Status done = [&]() -> Status {
    // A file that no committed tree vouches for is believed after a look at its bytes.
    for (const auto& name : plan.pinned) {
      const bool proven = state_.With([&](CacheState& s) {
        const auto it = s.files.find(name);
        return it != s.files.end() && it->second.proven;
      });
      if (proven) continue;
      const auto entry =
          std::find_if(manifest.entries.begin(), manifest.entries.end(), [&](const auto& e) {
            return e.type == model::EntryType::kFile &&
                   CacheFileName(e.digest.value_or(crypto::Digest{}), e.mode) == name;
          });
      // Files of several chunks are synced before they get their name.
      if (entry->chunked || CheckWholeFile(*fs_, "files/" + name, *entry)) continue;
      BDN_TRY(fs_->Remove("files/" + name));
      state_.With([&](CacheState& s) {
        if (s.files.erase(name) > 0) s.used_bytes -= entry->size;
      });
      plan.missing.push_back({name, &*entry});
      plan.missing_bytes += entry->size;
    }
    std::erase_if(plan.pinned, [&](const std::string& name) {
      return state_.With([&](CacheState& s) { return !s.files.contains(name); });
    });
    BDN_TRY(Reserve(plan.missing_bytes));
    unreturned = plan.missing_bytes;
    meter.Start(manifest, plan.missing_bytes, plan.missing.size());
    TaskGroup group(fetchers_, ctx);
    Guarded<std::vector<std::string>> fetched;
    for (const auto& missing : plan.missing) {
      group.Run([&](const Context& task_ctx) -> Status {
        BDN_TRY(FetchFile(task_ctx, scope, missing.name, *missing.entry, meter));
        unreturned -= missing.entry->size;
        fetched.With([&](auto& names) { names.push_back(missing.name); });
        return {};
      });
    }
    const Status all = group.Wait();
    fetched.With(
        [&](auto& names) { plan.pinned.insert(plan.pinned.end(), names.begin(), names.end()); });
    BDN_TRY(all);
    meter.Phase("linking");
    return CommitTree(digest, text, manifest);
  }();
  state_.Change([&](CacheState& s) {
    s.reserved_bytes -= std::min<std::uint64_t>(s.reserved_bytes, unreturned);
    for (const auto& name : plan.pinned) {
      const auto it = s.files.find(name);
      if (it == s.files.end()) continue;  // found damaged and removed by another fill
      it->second.pins -= 1;
      if (done) it->second.proven = true;
    }
  });
  return done;
}

Status Cache::CommitTree(const crypto::Digest& digest,
                         const std::string& text,
                         const model::Manifest& manifest) {
  const std::string dir = TreeDir(digest);
  BDN_TRY(os::RemoveTree(*fs_, dir));
  BDN_TRY(fs_->MakeDir(dir));
  const Status built =
      BuildTree(*fs_, manifest, dir + "/root", [&](const auto& entry, const std::string& to) {
        return LinkFile(CacheFileName(entry.digest.value_or(crypto::Digest{}), entry.mode), to);
      });
  const Status committed = [&]() -> Status {
    BDN_TRY(built);
    // One flush for all small files and all names; only then the marker that says "complete".
    BDN_TRY(fs_->SyncAll());
    BDN_TRY(os::WriteFileDurably(*fs_, dir + "/manifest", text));
    return fs_->SyncDir("trees");
  }();
  if (!committed) {
    (void)os::RemoveTree(*fs_, dir);
    return committed;
  }
  state_.With([&](CacheState& s) {
    s.trees[digest] = {.leases = 0,
                       .last_used = clock_.Now(),
                       .bytes = manifest.total_size,
                       .files = manifest.entries.size()};
  });
  return {};
}

Status Cache::LinkFile(const std::string& name, const std::string& to) {
  Status linked = fs_->Link("files/" + name, to);
  if (linked || linked.error().code() != Code::kResourceExhausted) return linked;
  // The inode has as many names as the file system allows: a copy takes over as the one to link.
  const std::string copy = "partial/tmp-" + os::RandomName();
  BDN_TRY(CopyFile(*fs_, "files/" + name, copy));
  BDN_TRY(fs_->Rename(copy, "files/" + name));
  return fs_->Link("files/" + name, to);
}

// --- evicting ---

Result<std::vector<TreeInfo>> Cache::List() {
  return state_.With([](CacheState& s) {
    std::vector<TreeInfo> infos;
    for (const auto& [digest, tree] : s.trees) {
      infos.push_back({digest, tree.bytes, tree.files, tree.last_used, tree.leases});
    }
    return infos;
  });
}

// Files that only files/ names any more and no fill relies on.
Result<std::uint64_t> Cache::RemoveUnlinkedFiles(bool dry_run) {
  std::vector<std::string> candidates;
  state_.With([&](CacheState& s) {
    for (const auto& [name, file] : s.files) {
      if (file.pins == 0 && !file.removing) candidates.push_back(name);
    }
  });
  std::uint64_t freed = 0;
  for (const auto& name : candidates) {
    BDN_ASSIGN(const os::FileInfo info, fs_->Stat("files/" + name));
    if (info.links > 1) continue;
    const bool taken = dry_run || state_.With([&](CacheState& s) {
      FileRecord& file = s.files.at(name);
      if (file.pins > 0 || file.removing) return false;
      file.removing = true;
      return true;
    });
    if (!taken) continue;
    freed += info.size_bytes;
    if (dry_run) continue;
    const Status removed = fs_->Remove("files/" + name);
    state_.Change([&](CacheState& s) {
      if (removed) {
        s.used_bytes -= s.files.at(name).size;
        s.files.erase(name);
      } else {
        s.files.at(name).removing = false;
      }
    });
    BDN_TRY(removed);
  }
  return freed;
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
  const std::string dir = TreeDir(manifest);
  const Status removed = [&]() -> Status {
    // The marker first: from then on the tree is not there, whatever happens to the rest.
    BDN_TRY(fs_->Remove(dir + "/manifest"));
    BDN_TRY(fs_->SyncDir(dir));
    return os::RemoveTree(*fs_, dir);
  }();
  state_.Change([&](CacheState& s) { s.busy_trees.erase(manifest); });
  BDN_TRY(removed);
  return RemoveUnlinkedFiles(false);
}

Result<std::uint64_t> Cache::Evict(std::uint64_t bytes, bool dry_run) {
  BDN_ASSIGN(std::uint64_t freed, RemoveUnlinkedFiles(dry_run));
  const auto order = state_.With([](CacheState& s) { return EvictionOrder(s.trees); });
  for (const auto& manifest : order) {
    if (freed >= bytes) break;
    if (dry_run) {
      // An upper bound: files shared with a tree that stays are counted too.
      freed += state_.With([&](CacheState& s) { return s.trees.at(manifest).bytes; });
      continue;
    }
    BDN_ASSIGN(const std::uint64_t more, RemoveTreeAndFiles(manifest));
    freed += more;
  }
  return freed;
}

// The public object: leases keep the cache itself alive.
class CacheHandle final : public NodeCache {
 public:
  explicit CacheHandle(std::shared_ptr<Cache> cache) : cache_(std::move(cache)) {}
  Result<std::unique_ptr<TreeLease>> Acquire(
      const Context& ctx,
      const store::Scope& scope,
      const crypto::Digest& manifest,
      const std::function<void(const FillProgress&)>& progress) override {
    return cache_->Acquire(ctx, scope, manifest, progress);
  }
  Result<std::vector<TreeInfo>> List() override { return cache_->List(); }
  Result<std::uint64_t> Evict(std::uint64_t bytes, bool dry_run) override {
    return cache_->Evict(bytes, dry_run);
  }

 private:
  const std::shared_ptr<Cache> cache_;
};

}  // namespace

Result<std::unique_ptr<NodeCache>> OpenNodeCache(std::unique_ptr<os::Fs> fs,
                                                 store::ObjectReader& upstream,
                                                 Executor& fetchers,
                                                 const Clock& clock,
                                                 NodeCacheOptions options) {
  auto cache = std::make_shared<Cache>(std::move(fs), upstream, fetchers, clock, options);
  BDN_TRY(cache->Recover());
  return std::make_unique<CacheHandle>(std::move(cache));
}

}  // namespace bdn::cache
