#pragma once
// The cache itself; node_cache.cc makes versions complete, node_cache_evict.cc frees bytes,
// node_cache_recover.cc opens what an earlier process left. Internal to this component.
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/guarded.h"
#include "base/singleflight.h"
#include "cache/fill_meter.h"
#include "cache/node_cache.h"
#include "cache/node_cache_state.h"
#include "model/manifest.h"

namespace bdn::cache {

// "trees/<hex>"
std::string TreeDir(const crypto::Digest& manifest);
// A tree's file of readers: lines "<organisation>/<namespace>". What is not one is left out.
std::string WriteReaders(const std::set<store::Scope>& readers);
std::set<store::Scope> ParseReaders(std::string_view text);
inline constexpr std::size_t kReadersMax = 4096;  // of one tree; more are asked for again

class Cache final : public NodeCache, public std::enable_shared_from_this<Cache> {
 public:
  Cache(std::unique_ptr<os::Fs> fs,
        store::ObjectReader& upstream,
        Executor& fetchers,
        const Clock& clock,
        NodeCacheOptions options);

  Status Recover();

  Result<std::unique_ptr<TreeLease>> Acquire(
      const Context& ctx,
      const store::Scope& scope,
      const crypto::Digest& manifest,
      const std::function<void(const FillProgress&)>& progress) override;
  Result<std::vector<TreeInfo>> List() override;
  Result<std::uint64_t> Evict(std::uint64_t bytes, bool dry_run) override;
  Result<CacheUsage> Usage() override;

 private:
  class Lease;

  // A file that a version needs and that is not here.
  struct Missing {
    std::string name;
    const model::ManifestEntry* entry = nullptr;
    std::uint64_t promised = 0;  // bytes to reserve: without what an earlier fill left of it
    // The file is here and pinned, but not what its name says: it is fetched anew and replaced.
    bool damaged = false;
  };
  // What a version needs, with the files that it relies on pinned.
  struct Plan {
    struct Pinned {
      std::string name;
      const model::ManifestEntry* entry;
    };
    std::vector<Pinned> pinned;
    std::vector<Missing> missing;
  };

  std::unique_ptr<TreeLease> TryLease(const store::Scope& scope, const crypto::Digest& manifest);
  // Asks the tier above whether `scope` has a version that is here, and remembers it.
  Status ProveReader(const Context& ctx, const store::Scope& scope, const crypto::Digest& manifest);
  Status Fill(const Context& ctx,
              const store::Scope& scope,
              const crypto::Digest& manifest,
              FillMeter& meter);
  Plan PlanFill(const model::Manifest& manifest);
  Status FetchMissing(const Context& ctx,
                      const store::Scope& scope,
                      const model::Manifest& manifest,
                      Plan& plan,
                      FillMeter& meter);
  void EndFill(const Plan& plan, bool committed);
  // Of what no committed tree vouches for: believed after a look at its bytes.
  bool IsDamaged(const Plan::Pinned& pinned);
  Status Reserve(std::uint64_t bytes);
  Status FetchFile(const Context& ctx,
                   const store::Scope& scope,
                   const Missing& missing,
                   FillMeter& meter);
  Status Bring(const Context& ctx,
               const store::Scope& scope,
               const Missing& missing,
               FillMeter& meter);
  Status CommitTree(const Context& ctx,
                    const store::Scope& scope,
                    const crypto::Digest& manifest,
                    const std::string& text,
                    const model::Manifest& tree);
  Status BuildAndMark(const Context& ctx,
                      const store::Scope& scope,
                      const std::string& dir,
                      const std::string& text,
                      const model::Manifest& manifest);
  Status LinkFile(const std::string& name, const std::string& to);

  // The marker goes first, durably: from then on the tree is not there, whatever happens to the
  // rest.
  Status RemoveTreeDir(const crypto::Digest& manifest);
  Result<std::uint64_t> RemoveTreeAndFiles(const crypto::Digest& manifest);
  Result<std::uint64_t> RemoveUnlinkedFiles(bool dry_run);
  Result<std::uint64_t> RemoveIdlePartials(bool dry_run);
  void RemoveBrokenTrees();

  Status RecoverTrees();
  Status RecoverTree(const std::string& name);
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

}  // namespace bdn::cache
