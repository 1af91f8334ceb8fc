#pragma once
// Objects in a map, raw whatever their kind, for tests of what is above the store. Corrupt()
// damages one. The clock gives the age of objects. Thread-safe.
#include <map>
#include <string>
#include <utility>

#include "base/guarded.h"
#include "crypto/blake3.h"
#include "store/object_store.h"

namespace bdn::store::testing {

class MemoryStore final : public ObjectStore {
 public:
  explicit MemoryStore(const Clock& clock) : clock_(clock) {}

  Status Get(const Context& ctx,
             const Scope& scope,
             ObjectKind kind,
             const crypto::Digest& digest,
             const ByteSink& sink) override {
    BDN_TRY(Start(ctx, scope));
    BDN_ASSIGN(const Entry entry, Find(scope, digest));
    if (entry.kind != kind || crypto::Blake3Of(*entry.bytes) != digest) {
      return Error(Code::kCorrupt, "object " + digest.ToString() + " is damaged");
    }
    return sink(std::as_bytes(std::span(*entry.bytes)));
  }

  Result<bool> Put(const Context& ctx,
                   const Scope& scope,
                   ObjectKind kind,
                   const crypto::Digest& digest,
                   std::span<const std::byte> bytes) override {
    BDN_TRY(Start(ctx, scope));
    if (crypto::Blake3Of(bytes) != digest) {
      return Error(Code::kCorrupt, "the bytes are not those of " + digest.ToString());
    }
    std::string copy(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return objects_.With([&](Objects& objects) -> Result<bool> {
      const auto it = objects.find({scope, digest});
      if (it != objects.end() && it->second.kind != kind) {
        return Error(Code::kFailedPrecondition,
                     digest.ToString() + " is stored as another kind of object");
      }
      if (it != objects.end()) {
        it->second.stored_at = clock_.Now();
        return false;
      }
      objects[{scope, digest}] = {.kind = kind,
                                  .bytes = std::make_shared<const std::string>(std::move(copy)),
                                  .stored_at = clock_.Now()};
      return true;
    });
  }

  Result<bool> Touch(const Context& ctx,
                     const Scope& scope,
                     const crypto::Digest& digest) override {
    BDN_TRY(Start(ctx, scope));
    return objects_.With([&](Objects& objects) {
      const auto it = objects.find({scope, digest});
      if (it == objects.end()) return false;
      it->second.stored_at = clock_.Now();
      return true;
    });
  }

  Result<ObjectInfo> Stat(const Context& ctx,
                          const Scope& scope,
                          const crypto::Digest& digest) override {
    BDN_TRY(Start(ctx, scope));
    BDN_ASSIGN(const Entry entry, Find(scope, digest));
    return InfoOf(digest, entry);
  }

  Result<OpenObject> Open(const Context& ctx,
                          const Scope& scope,
                          const crypto::Digest& digest) override {
    BDN_TRY(Start(ctx, scope));
    BDN_TRY(Find(scope, digest));
    return Error(Code::kUnsupported, "a store in memory has no files");
  }

  Status List(const Context& ctx,
              const std::function<Status(const Scope&, const ObjectInfo&)>& visit) override {
    for (const auto& [key, entry] : objects_.With([](const Objects& o) { return o; })) {
      BDN_TRY(ctx.Check());
      BDN_TRY(visit(key.first, InfoOf(key.second, entry)));
    }
    return {};
  }

  Status Delete(const Context& ctx, const Scope& scope, const crypto::Digest& digest) override {
    BDN_TRY(Start(ctx, scope));
    objects_.With([&](Objects& objects) { objects.erase({scope, digest}); });
    return {};
  }

  Result<bool> DeleteIfOlder(const Context& ctx,
                             const Scope& scope,
                             const crypto::Digest& digest,
                             WallTime before) override {
    BDN_TRY(Start(ctx, scope));
    return objects_.With([&](Objects& objects) {
      const auto it = objects.find({scope, digest});
      if (it == objects.end() || it->second.stored_at >= before) return false;
      objects.erase(it);
      return true;
    });
  }

  Result<std::uint64_t> Sweep(const Context& ctx, Duration, bool) override {
    BDN_TRY(ctx.Check());
    return 0;
  }

  // Damages an object's bytes; its length stays.
  void Corrupt(const Scope& scope, const crypto::Digest& digest) {
    objects_.With([&](Objects& objects) {
      Entry& entry = objects.at({scope, digest});
      std::string bytes = *entry.bytes;
      bytes.at(bytes.size() / 2) = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
      entry.bytes = std::make_shared<const std::string>(std::move(bytes));
    });
  }
  std::size_t count() const {
    return objects_.With([](const Objects& objects) { return objects.size(); });
  }

 private:
  struct Entry {
    ObjectKind kind = ObjectKind::kChunk;
    std::shared_ptr<const std::string> bytes;
    WallTime stored_at;
  };
  using Objects = std::map<std::pair<Scope, crypto::Digest>, Entry>;

  static Status Start(const Context& ctx, const Scope& scope) {
    BDN_TRY(ctx.Check());
    return CheckScope(scope);
  }
  static ObjectInfo InfoOf(const crypto::Digest& digest, const Entry& entry) {
    return {.digest = digest,
            .kind = entry.kind,
            .zstd = false,
            .stored_bytes = entry.bytes->size(),
            .stored_at = entry.stored_at};
  }
  Result<Entry> Find(const Scope& scope, const crypto::Digest& digest) const {
    return objects_.With([&](const Objects& objects) -> Result<Entry> {
      const auto it = objects.find({scope, digest});
      if (it == objects.end()) {
        return Error(Code::kNotFound, "no object " + FullKey(scope, digest));
      }
      return it->second;
    });
  }

  const Clock& clock_;
  Guarded<Objects> objects_;
};

}  // namespace bdn::store::testing
