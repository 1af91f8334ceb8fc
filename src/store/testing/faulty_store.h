#pragma once
// An ObjectStore that counts every call and fails the n-th one, before the inner one sees it.
// Borrows the inner one. Thread-safe when it is.
#include <atomic>
#include <cstdint>
#include <limits>

#include "store/object_store.h"

namespace bdn::store::testing {

class FaultyStore final : public ObjectStore {
 public:
  explicit FaultyStore(ObjectStore& inner) : inner_(inner) {}

  // The n-th call from now on fails (0: the next), and every later one when `all_later`.
  void FailAt(std::uint64_t n, bool all_later = false, Code code = Code::kUnavailable) {
    code_ = code;
    all_later_ = all_later;
    failures_ = 0;
    fail_at_ = calls_ + n;
  }
  void Heal() { fail_at_ = std::numeric_limits<std::uint64_t>::max(); }
  std::uint64_t failures() const { return failures_; }  // since FailAt
  std::uint64_t calls() const { return calls_; }

  Status Get(const Context& ctx,
             const Scope& scope,
             ObjectKind kind,
             const crypto::Digest& digest,
             const ByteSink& sink) override {
    BDN_TRY(Count());
    return inner_.Get(ctx, scope, kind, digest, sink);
  }
  Result<bool> Put(const Context& ctx,
                   const Scope& scope,
                   ObjectKind kind,
                   const crypto::Digest& digest,
                   std::span<const std::byte> bytes) override {
    BDN_TRY(Count());
    return inner_.Put(ctx, scope, kind, digest, bytes);
  }
  Result<bool> Touch(const Context& ctx,
                     const Scope& scope,
                     const crypto::Digest& digest) override {
    BDN_TRY(Count());
    return inner_.Touch(ctx, scope, digest);
  }
  Result<ObjectInfo> Stat(const Context& ctx,
                          const Scope& scope,
                          const crypto::Digest& digest) override {
    BDN_TRY(Count());
    return inner_.Stat(ctx, scope, digest);
  }
  Result<OpenObject> Open(const Context& ctx,
                          const Scope& scope,
                          const crypto::Digest& digest) override {
    BDN_TRY(Count());
    return inner_.Open(ctx, scope, digest);
  }
  Status List(const Context& ctx,
              const std::function<Status(const Scope&, const ObjectInfo&)>& visit) override {
    BDN_TRY(Count());
    return inner_.List(ctx, visit);
  }
  Status Delete(const Context& ctx, const Scope& scope, const crypto::Digest& digest) override {
    BDN_TRY(Count());
    return inner_.Delete(ctx, scope, digest);
  }
  Result<bool> DeleteIfOlder(const Context& ctx,
                             const Scope& scope,
                             const crypto::Digest& digest,
                             WallTime before) override {
    BDN_TRY(Count());
    return inner_.DeleteIfOlder(ctx, scope, digest, before);
  }
  Result<std::uint64_t> Sweep(const Context& ctx, Duration age, bool dry_run) override {
    BDN_TRY(Count());
    return inner_.Sweep(ctx, age, dry_run);
  }

 private:
  Status Count() {
    const std::uint64_t call = calls_++;
    if (call == fail_at_ || (all_later_ && call > fail_at_)) {
      ++failures_;
      return Error(code_, "a failure that the test asked for");
    }
    return {};
  }

  ObjectStore& inner_;
  std::atomic<std::uint64_t> calls_ = 0;
  std::atomic<std::uint64_t> failures_ = 0;
  std::atomic<std::uint64_t> fail_at_ = std::numeric_limits<std::uint64_t>::max();
  std::atomic<bool> all_later_ = false;
  std::atomic<Code> code_ = Code::kUnavailable;
};

}  // namespace bdn::store::testing
