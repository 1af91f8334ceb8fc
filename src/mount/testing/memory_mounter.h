#pragma once
// Mounters for tests: one that only remembers, and one that fails the n-th call of another.
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "mount/mounter.h"

namespace bdn::mount::testing {

// Remembers what is mounted where. Thread-safe.
class MemoryMounter final : public Mounter {
 public:
  // `exists` says which paths there are; without it, all of them.
  explicit MemoryMounter(std::function<bool(const std::string&)> exists = nullptr)
      : exists_(std::move(exists)) {}

  Status BindReadOnly(const std::string& source, const std::string& target) override {
    for (const std::string& path : {source, target}) {
      if (exists_ && !exists_(path)) return Error(Code::kNotFound, "mount: no such path " + path);
    }
    state_.With([&](State& s) { s.mounts.push_back({.target = target, .root = source}); });
    return {};
  }

  Status Unmount(const std::string& target, bool lazy) override {
    return state_.With([&](State& s) -> Status {
      for (auto at = s.mounts.rbegin(); at != s.mounts.rend(); ++at) {
        if (at->target != target) continue;
        if (!lazy && s.busy.contains(target)) {
          return Error(Code::kFailedPrecondition, "unmount " + target + ": in use");
        }
        s.mounts.erase(std::next(at).base());
        return {};
      }
      return Error(Code::kNotFound, "unmount " + target + ": nothing is mounted there");
    });
  }

  Result<std::vector<MountInfo>> List() override {
    return state_.With([](const State& s) { return s.mounts; });
  }

  // While busy, only a lazy Unmount of `target` works.
  void SetBusy(const std::string& target, bool busy) {
    state_.With([&](State& s) {
      if (busy) {
        s.busy.insert(target);
      } else {
        s.busy.erase(target);
      }
    });
  }

 private:
  struct State {
    std::vector<MountInfo> mounts;
    std::set<std::string> busy;
  };
  std::function<bool(const std::string&)> exists_;
  Guarded<State> state_;
};

// Counts every call and fails the n-th, before it reaches `inner`. Thread-safe.
class FaultyMounter final : public Mounter {
 public:
  explicit FaultyMounter(Mounter& inner) : inner_(inner) {}

  // The n-th call from now on fails; 0 is the next one. With `all_later`, every one after it too.
  void FailAt(std::uint64_t n, Code code = Code::kUnavailable, bool all_later = false) {
    state_.With([&](State& s) {
      s.code = code;
      s.fail_from = s.operations + n;
      s.fail_to = all_later ? UINT64_MAX : s.fail_from + 1;
      s.failures = 0;
    });
  }
  void Heal() {
    state_.With([](State& s) { s.fail_from = s.fail_to = UINT64_MAX; });
  }
  std::uint64_t operations() const {
    return state_.With([](const State& s) { return s.operations; });
  }
  // Calls that failed by our doing since the last FailAt.
  std::uint64_t failures() const {
    return state_.With([](const State& s) { return s.failures; });
  }

  Status BindReadOnly(const std::string& source, const std::string& target) override {
    BDN_TRY(Step("mount " + target));
    return inner_.BindReadOnly(source, target);
  }
  Status Unmount(const std::string& target, bool lazy) override {
    BDN_TRY(Step("unmount " + target));
    return inner_.Unmount(target, lazy);
  }
  Result<std::vector<MountInfo>> List() override {
    BDN_TRY(Step("list mounts"));
    return inner_.List();
  }

 private:
  struct State {
    std::uint64_t operations = 0;
    std::uint64_t failures = 0;
    std::uint64_t fail_from = UINT64_MAX;
    std::uint64_t fail_to = UINT64_MAX;
    Code code = Code::kUnavailable;
  };
  Status Step(const std::string& what) {
    return state_.With([&](State& s) -> Status {
      const std::uint64_t n = s.operations++;
      if (n < s.fail_from || n >= s.fail_to) return {};
      s.failures += 1;
      return Error(s.code, what + ": fault of a test");
    });
  }
  Mounter& inner_;
  Guarded<State> state_;
};

}  // namespace bdn::mount::testing
