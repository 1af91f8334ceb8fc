#include "cache/node_cache.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "cache/file_fill.h"
#include "cache/node_cache_impl.h"
#include "cache/tree.h"

namespace bdn::cache {

std::string TreeDir(const crypto::Digest& manifest) {
  return "trees/" + manifest.hex();
}

std::string WriteReaders(const std::set<store::Scope>& readers) {
  std::string text;
  for (const store::Scope& scope : readers) text += scope.org + "/" + scope.ns + "\n";
  return text;
}

std::set<store::Scope> ParseReaders(std::string_view text) {
  std::set<store::Scope> readers;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::size_t slash = line.find('/');
    if (slash == line.npos) continue;
    store::Scope scope{std::string(line.substr(0, slash)), std::string(line.substr(slash + 1))};
    if (store::CheckScope(scope)) readers.insert(std::move(scope));
  }
  return readers;
}

Cache::Cache(std::unique_ptr<os::Fs> fs,
             store::ObjectReader& upstream,
             Executor& fetchers,
             const Clock& clock,
             NodeCacheOptions options)
    : fs_(std::move(fs)),
      upstream_(upstream),
      fetchers_(fetchers),
      clock_(clock),
      options_(options) {}

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

// --- acquiring ---

std::unique_ptr<TreeLease> Cache::TryLease(const store::Scope& scope,
                                           const crypto::Digest& manifest) {
  const WallTime now = clock_.Now();
  const bool here = state_.With([&](CacheState& s) {
    const auto it = s.trees.find(manifest);
    if (it == s.trees.end() || !it->second.readers.contains(scope)) return false;
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
    if (auto lease = TryLease(scope, manifest)) {
      const TreeRecord tree = state_.With([&](CacheState& s) { return s.trees.at(manifest); });
      meter.Ready(tree.bytes, tree.files);
      return lease;
    }
    bool led = false;
    auto filled = fills_.Do(ctx, manifest, [&](const Context& fill_ctx) -> Result<bool> {
      led = true;
      const bool here = state_.With([&](CacheState& s) { return s.trees.contains(manifest); });
      if (here) {
        BDN_TRY(ProveReader(fill_ctx, scope, manifest));
      } else {
        BDN_TRY(Fill(fill_ctx, scope, manifest, meter));
      }
      return true;
    });
    if (!filled) {
      const Code code = filled.error().code();
      // What was refused may have been another namespace.
      if (!led && (code == Code::kNotFound || code == Code::kPermissionDenied)) continue;
      return std::move(filled).error().Context("prepare " + manifest.ToString());
    }
    // Evicted again between the two? Then once more.
  }
}

Status Cache::ProveReader(const Context& ctx,
                          const store::Scope& scope,
                          const crypto::Digest& manifest) {
  const auto text = store::GetAll(ctx, upstream_, scope, store::ObjectKind::kManifest, manifest,
                                  model::kManifestBytesMax);
  if (!text) return text.error();
  const auto readers = state_.With([&](CacheState& s) {
    const auto it = s.trees.find(manifest);
    if (it == s.trees.end()) return std::set<store::Scope>();  // evicted meanwhile
    std::set<store::Scope>& known = it->second.readers;
    if (known.size() >= kReadersMax) known.clear();
    known.insert(scope);
    return known;
  });
  if (readers.empty()) return {};
  // Saves asking again after a restart; losing it is harmless.
  (void)os::WriteFileDurably(*fs_, TreeDir(manifest) + "/readers", WriteReaders(readers));
  return {};
}

Cache::Plan Cache::PlanFill(const model::Manifest& manifest) {
  Plan plan;
  std::set<std::string> seen;
  for (const auto& entry : manifest.entries) {
    if (entry.type != model::EntryType::kFile) continue;
    std::string name = CacheFileName(entry);
    if (!seen.insert(name).second) continue;
    // A file that is being removed right now is waited for: it will be missing after that.
    state_.Wait([&](CacheState& s) {
      const auto it = s.files.find(name);
      return it == s.files.end() || !it->second.removing;
    });
    const bool here = state_.With([&](CacheState& s) {
      const auto it = s.files.find(name);
      if (it != s.files.end() && !it->second.removing) {
        it->second.pins += 1;
        return true;
      }
      std::uint64_t left = 0;
      if (entry.chunked) {
        const auto at = s.partials.find(PartialName(entry));
        if (at != s.partials.end() && !at->second.removing) {
          at->second.users += 1;
          left = std::min(at->second.bytes, entry.size);
        }
      }
      plan.missing.push_back(
          {.name = name, .entry = &entry, .promised = entry.size - left, .damaged = false});
      return false;
    });
    if (here) plan.pinned.push_back({std::move(name), &entry});
  }
  return plan;
}

Status Cache::Reserve(std::uint64_t bytes) {
  for (bool evicted = false;; evicted = true) {
    BDN_ASSIGN(const os::DiskSpace disk, fs_->Space());
    const std::uint64_t kept = KeptFree(disk.total_bytes, options_.reserve_bytes);
    std::uint64_t excess = 0;
    std::uint64_t capacity = 0;
    std::uint64_t leased = 0;
    state_.With([&](CacheState& s) {
      capacity = CapacityNow(s, disk.available_bytes, kept, options_.capacity_bytes);
      excess = BytesToFree(s.used_bytes + s.partial_bytes, s.reserved_bytes, bytes, capacity);
      if (excess == 0) s.reserved_bytes += bytes;
      for (const auto& [digest, tree] : s.trees) leased += tree.leases > 0 ? tree.bytes : 0;
    });
    if (excess == 0) return {};
    if (!evicted) {
      BDN_ASSIGN(const std::uint64_t freed, Evict(excess, false));
      if (freed > 0) continue;
    }
    std::string text = fmt::format(
        "the node cache needs {} more bytes and may use {} in all; {} are in use by running models",
        bytes, capacity, leased);
    if (capacity == options_.capacity_bytes) {
      return Error(Code::kResourceExhausted, std::move(text))
          .WithHint("stop a model that is not needed, or raise --cache-size");
    }
    text +=
        fmt::format("; the disk has {} free, of which {} stay free", disk.available_bytes, kept);
    return Error(Code::kResourceExhausted, std::move(text))
        .WithHint("stop a model that is not needed, or make room on the disk");
  }
}

// Puts the file under its name and into the books, unless another fill did.
Status Cache::Bring(const Context& ctx,
                    const store::Scope& scope,
                    const Missing& missing,
                    FillMeter& meter) {
  const model::ManifestEntry& entry = *missing.entry;
  const std::string path = "files/" + missing.name;
  BDN_TRY(os::MakeDirs(*fs_, "files/" + missing.name.substr(0, 2)));
  const std::string partial = entry.chunked ? PartialName(entry) : std::string();
  if (!partial.empty()) {
    state_.Wait([&](CacheState& s) {
      PartialRecord& record = s.partials[partial];
      if (!record.removing) record.filling = true;
      return record.filling;
    });
  }
  std::uint64_t landed = 0;
  const Status filled = FillFile(
      ctx, {*fs_, upstream_, fetchers_, scope}, entry, path,
      [&](std::uint64_t bytes, bool reused) { meter.Bytes(bytes, reused); },
      [&] {
        state_.With([&](CacheState& s) {
          landed = entry.size - std::min(s.partials.at(partial).bytes, entry.size);
          s.landed_bytes += landed;
        });
      });
  std::optional<std::uint64_t> left;  // of an attempt that failed
  if (!filled && !partial.empty()) {
    if (const auto info = fs_->Stat(partial)) left = info->size_bytes;
  }
  state_.With([&](CacheState& s) {
    s.landed_bytes -= landed;
    if (!partial.empty()) {
      const auto at = s.partials.find(partial);
      s.partial_bytes += left.value_or(0) - at->second.bytes;
      if (left) {
        at->second.bytes = *left;
        at->second.filling = false;
      } else {
        s.partials.erase(at);
      }
    }
    if (!filled) return;
    FileRecord& file = s.files[missing.name];
    s.used_bytes += entry.size - file.size;
    file.size = entry.size;
    file.proven = true;
    if (!missing.damaged) file.pins += 1;  // born pinned: nobody may evict it first
  });
  return filled;
}

Status Cache::FetchFile(const Context& ctx,
                        const store::Scope& scope,
                        const Missing& missing,
                        FillMeter& meter) {
  bool fetched = false;
  const auto pin_if_here = [&] {
    return state_.With([&](CacheState& s) {
      const auto it = s.files.find(missing.name);
      if (it == s.files.end() || it->second.removing) return false;
      it->second.pins += 1;
      return true;
    });
  };
  const auto fetch = [&](const Context& file_ctx) -> Result<bool> {
    if (missing.damaged) {
      // Another fill may have replaced it meanwhile.
      if (!IsDamaged({missing.name, missing.entry})) return true;
    } else {
      state_.Wait([&](CacheState& s) {
        const auto it = s.files.find(missing.name);
        return it == s.files.end() || !it->second.removing;
      });
      if (state_.With([&](CacheState& s) { return s.files.contains(missing.name); })) return true;
    }
    BDN_TRY(Bring(file_ctx, scope, missing, meter));
    fetched = true;
    return true;
  };
  do {
    auto done = files_.Do(ctx, missing.name, fetch);
    if (!done) return std::move(done).error();
  } while (!missing.damaged && !fetched && !pin_if_here());
  if (!fetched) meter.Bytes(missing.entry->size, true);  // another fill brought it meanwhile
  meter.File();
  return {};
}

bool Cache::IsDamaged(const Plan::Pinned& pinned) {
  const model::ManifestEntry& entry = *pinned.entry;
  const auto looks = state_.With([&](CacheState& s) -> std::optional<bool> {
    const FileRecord& file = s.files.at(pinned.name);
    if (file.size != entry.size) return true;
    // Files of several chunks are synced before they get their name.
    if (file.proven || entry.chunked) return false;
    return std::nullopt;
  });
  if (looks) return *looks;
  if (!CheckWholeFile(*fs_, "files/" + pinned.name, entry)) return true;
  state_.With([&](CacheState& s) { s.files.at(pinned.name).proven = true; });
  return false;
}

Status Cache::FetchMissing(const Context& ctx,
                           const store::Scope& scope,
                           const model::Manifest& manifest,
                           Plan& plan,
                           FillMeter& meter) {
  for (const auto& pinned : plan.pinned) {
    if (!IsDamaged(pinned)) continue;
    plan.missing.push_back({.name = pinned.name,
                            .entry = pinned.entry,
                            .promised = pinned.entry->size,
                            .damaged = true});
  }
  std::uint64_t promised = 0;
  std::uint64_t missing_bytes = 0;
  for (const auto& missing : plan.missing) {
    promised += missing.promised;
    missing_bytes += missing.entry->size;
  }
  BDN_TRY(Reserve(promised));
  meter.Start(manifest, missing_bytes, plan.missing.size());
  Guarded<std::vector<const Missing*>> fetched;
  TaskGroup group(fetchers_, ctx);
  for (const auto& missing : plan.missing) {
    group.Run([&](const Context& task_ctx) -> Status {
      BDN_TRY(FetchFile(task_ctx, scope, missing, meter));
      state_.With([&](CacheState& s) { s.reserved_bytes -= missing.promised; });
      fetched.With([&](auto& all) { all.push_back(&missing); });
      return {};
    });
  }
  const Status all = group.Wait();
  fetched.With([&](auto& done) {
    for (const Missing* missing : done) {
      promised -= missing->promised;
      if (!missing->damaged) plan.pinned.push_back({missing->name, missing->entry});
    }
  });
  state_.With([&](CacheState& s) { s.reserved_bytes -= promised; });
  return all;
}

// Gives back what the plan holds.
void Cache::EndFill(const Plan& plan, bool committed) {
  state_.Change([&](CacheState& s) {
    for (const auto& missing : plan.missing) {
      if (!missing.entry->chunked || missing.damaged) continue;
      const auto at = s.partials.find(PartialName(*missing.entry));
      if (at != s.partials.end() && at->second.users > 0) at->second.users -= 1;
    }
    for (const auto& pinned : plan.pinned) {
      FileRecord& file = s.files.at(pinned.name);
      file.pins -= 1;
      if (committed) file.proven = true;
    }
  });
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
  Plan plan = PlanFill(manifest);
  Status done = FetchMissing(ctx, scope, manifest, plan, meter);
  if (done) {
    meter.Phase("linking");
    done = CommitTree(ctx, scope, digest, text, manifest);
  }
  EndFill(plan, done.has_value());
  return done;
}

Status Cache::CommitTree(const Context& ctx,
                         const store::Scope& scope,
                         const crypto::Digest& digest,
                         const std::string& text,
                         const model::Manifest& manifest) {
  state_.Wait([&](CacheState& s) { return s.busy_trees.insert(digest).second; });
  bool left = false;
  const Status committed = [&]() -> Status {
    BDN_TRY(RemoveTreeDir(digest));
    Status built = BuildAndMark(ctx, scope, TreeDir(digest), text, manifest);
    if (!built) left = !RemoveTreeDir(digest);
    return built;
  }();
  state_.Change([&](CacheState& s) {
    s.busy_trees.erase(digest);
    s.broken_trees.erase(digest);
    if (committed) {
      s.trees[digest] = {.leases = 0,
                         .last_used = clock_.Now(),
                         .bytes = manifest.total_size,
                         .files = CountFiles(manifest),
                         .readers = {scope}};
    } else if (left) {
      s.broken_trees.insert(digest);
    }
  });
  return committed;
}

Status Cache::BuildAndMark(const Context& ctx,
                           const store::Scope& scope,
                           const std::string& dir,
                           const std::string& text,
                           const model::Manifest& manifest) {
  BDN_TRY(fs_->MakeDir(dir));
  BDN_TRY(BuildTree(ctx, *fs_, fetchers_, manifest, dir + "/root",
                    [&](const auto& entry, const std::string& to) {
                      return LinkFile(CacheFileName(entry), to);
                    }));
  BDN_ASSIGN(const auto readers, fs_->Open(dir + "/readers", os::OpenMode::kCreateNew));
  const std::string reader = WriteReaders({scope});
  BDN_TRY(readers->WriteAt(0, std::as_bytes(std::span(reader))));
  // One flush for all small files and all names; only then the marker that says "complete".
  BDN_TRY(fs_->SyncAll());
  BDN_TRY(os::WriteFileDurably(*fs_, dir + "/manifest", text));
  return fs_->SyncDir("trees");
}

Status Cache::LinkFile(const std::string& name, const std::string& to) {
  Status linked = fs_->Link("files/" + name, to);
  if (linked || linked.error().code() != Code::kResourceExhausted) return linked;
  // The inode has as many names as the file system allows: a copy takes over as the one to link.
  const std::string copy = "partial/tmp-" + os::RandomName();
  Status replaced = CopyFile(*fs_, "files/" + name, copy);
  if (replaced) replaced = fs_->Rename(copy, "files/" + name);
  if (!replaced) {
    (void)fs_->Remove(copy);
    return replaced;
  }
  return fs_->Link("files/" + name, to);
}

namespace {

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
  Result<CacheUsage> Usage() override { return cache_->Usage(); }

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
