#pragma once
// What a node agent stands on, under a test's control: a cache that has every version at once, or
// fails, or waits; and a table of processes.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/node_agent.h"
#include "base/guarded.h"

namespace bdn::agent::testing {

// Counts its leases. Thread-safe, but for `on_acquired`, which is set before it is used.
class FakeCache final : public cache::NodeCache {
 public:
  static std::string PathOf(const crypto::Digest& manifest) {
    return "/cache/trees/" + manifest.hex() + "/root";
  }

  Result<std::unique_ptr<cache::TreeLease>> Acquire(
      const Context& ctx,
      const store::Scope&,
      const crypto::Digest& manifest,
      const std::function<void(const cache::FillProgress&)>& progress) override {
    progress({.phase = "fetching"});
    state_.Change([](State& s) { s.acquiring += 1; });
    state_.Wait(ctx.stop(), [](State& s) { return !s.closed; });
    BDN_TRY(ctx.Check());
    const auto error = state_.With([](State& s) { return s.error; });
    if (error) return *error;
    state_.With([&](State& s) { s.leases[manifest] += 1; });
    std::unique_ptr<cache::TreeLease> lease = std::make_unique<Lease>(*this, manifest);
    if (on_acquired) on_acquired();
    return lease;
  }
  Result<std::vector<cache::TreeInfo>> List() override {
    return state_.With([](State& s) {
      std::vector<cache::TreeInfo> infos;
      for (const auto& [manifest, count] : s.leases) {
        infos.push_back(
            {.manifest = manifest, .bytes = 10, .files = 1, .last_used = {}, .leases = count});
      }
      return infos;
    });
  }
  Result<std::uint64_t> Evict(std::uint64_t bytes, bool dry_run) override {
    if (!dry_run) state_.With([&](State& s) { s.evicted += bytes; });
    return bytes;
  }
  Result<cache::CacheUsage> Usage() override { return cache::CacheUsage{}; }

  int leases(const crypto::Digest& manifest) {
    return state_.With([&](State& s) { return s.leases[manifest]; });
  }
  std::uint64_t evicted() {
    return state_.With([](State& s) { return s.evicted; });
  }
  void Fail(Error error) {
    state_.With([&](State& s) { s.error = std::move(error); });
  }
  // Until Open, Acquire waits.
  void Close() {
    state_.With([](State& s) { s.closed = true; });
  }
  void Open() {
    state_.Change([](State& s) { s.closed = false; });
  }
  void AwaitAcquire() {
    state_.Wait([](State& s) { return s.acquiring > 0; });
  }
  std::function<void()> on_acquired;

 private:
  struct State {
    std::map<crypto::Digest, int> leases;
    std::optional<Error> error;
    bool closed = false;
    int acquiring = 0;
    std::uint64_t evicted = 0;
  };
  class Lease final : public cache::TreeLease {
   public:
    Lease(FakeCache& cache, const crypto::Digest& manifest) : cache_(cache), manifest_(manifest) {}
    ~Lease() override {
      cache_.state_.With([&](State& s) { s.leases[manifest_] -= 1; });
    }
    const crypto::Digest& manifest() const override { return manifest_; }
    std::string path() const override { return PathOf(manifest_); }

   private:
    FakeCache& cache_;
    const crypto::Digest manifest_;
  };
  Guarded<State> state_;
};

class FakeProcesses final : public Processes {
 public:
  std::uint64_t StartTime(std::int64_t pid) const override {
    return started_.With([&](const std::map<std::int64_t, std::uint64_t>& started) {
      const auto it = started.find(pid);
      return it == started.end() ? std::uint64_t{0} : it->second;
    });
  }
  bool IsMountedAnywhere(const std::string& path) const override {
    return mounted_.With(
        [&](const std::set<std::string>& mounted) { return mounted.contains(path); });
  }
  void SetMounted(const std::string& path, bool is_mounted) {
    mounted_.With([&](std::set<std::string>& mounted) {
      if (is_mounted) {
        mounted.insert(path);
      } else {
        mounted.erase(path);
      }
    });
  }
  void Start(std::int64_t pid, std::uint64_t time) {
    started_.With([&](auto& started) { started[pid] = time; });
  }
  void End(std::int64_t pid) {
    started_.With([&](auto& started) { started.erase(pid); });
  }

 private:
  Guarded<std::map<std::int64_t, std::uint64_t>> started_;
  Guarded<std::set<std::string>> mounted_;
};

}  // namespace bdn::agent::testing
