#include "store/gc.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "model/manifest.h"

namespace bdn::store {
namespace {

// Scopes are few and long: objects name them by number.
struct Key {
  std::uint32_t scope = 0;
  crypto::Digest digest;
  friend bool operator==(const Key&, const Key&) = default;
};
struct KeyHash {
  std::size_t operator()(const Key& key) const noexcept {
    return std::hash<crypto::Digest>()(key.digest) ^ key.scope * 0x9e3779b97f4a7c15ull;
  }
};

struct Candidate {
  Key key;
  ObjectKind kind = ObjectKind::kChunk;
  std::uint64_t bytes = 0;
};

// The object itself is the trouble, not the way to it.
bool IsLost(const Error& error) {
  return error.code() == Code::kNotFound || error.code() == Code::kCorrupt ||
         error.code() == Code::kUnsupported;
}

class Collector {
 public:
  Collector(const Context& ctx, ObjectStore& objects, Metadata& metadata, const GcOptions& options)
      : ctx_(ctx), objects_(objects), metadata_(metadata), options_(options) {}

  Result<GcReport> Run() {
    BDN_TRY(ChooseCutoff());
    BDN_TRY(MarkRoots());
    BDN_TRY(FindCandidates());
    if (options_.dry_run) {
      ReportCandidates();
    } else if (!candidates_.empty()) {
      BDN_TRY(Forget());
      BDN_TRY(MarkRoots());
      BDN_TRY(DeleteCandidates());
    }
    if (!options_.dry_run) {
      BDN_ASSIGN(report_.expired_partials,
                 metadata_.ExpirePartialChunks(ctx_.clock().Now() - options_.partial_expiry));
    }
    BDN_ASSIGN(report_.temporary_bytes, objects_.Sweep(ctx_, options_.grace, options_.dry_run));
    report_.kept = report_.scanned - report_.deleted;
    return std::move(report_);
  }

 private:
  std::uint32_t NumberOf(const Scope& scope) {
    const auto [it, inserted] = numbers_.emplace(scope, static_cast<std::uint32_t>(scopes_.size()));
    if (inserted) scopes_.push_back(scope);
    return it->second;
  }

  Status ChooseCutoff() {
    cutoff_ = ctx_.clock().Now() - options_.grace;
    BDN_ASSIGN(const std::vector<Mirror> open, metadata_.ListOpenMirrors());
    for (const Mirror& mirror : open) {
      // One that has never run has written nothing.
      if (mirror.attempts > 0) cutoff_ = std::min(cutoff_, mirror.created_at);
    }
    return {};
  }

  // Marks what the roots reach. Again for roots that are marked already costs nothing.
  Status MarkRoots() {
    return metadata_.ListRoots([&](const Metadata::Root& root) -> Status {
      const Key key{.scope = NumberOf(root.scope), .digest = root.digest};
      if (!root.manifest) {
        marked_.insert(key);
        return {};
      }
      Status marked = MarkManifest(key);
      if (marked || !IsLost(marked.error())) return marked;
      return std::move(marked)
          .error()
          .WithCode(Code::kFailedPrecondition)
          .Context("nothing was collected, because something in use cannot be read")
          .WithHint("Mirror or push it again, or delete what refers to it; then run again.");
    });
  }

  Status MarkManifest(const Key& key) {
    if (!marked_.insert(key).second && !unread_.contains(key)) return {};
    unread_.insert(key);
    BDN_ASSIGN(const std::string text,
               GetAll(ctx_, objects_, scopes_[key.scope], ObjectKind::kManifest, key.digest,
                      model::kManifestBytesMax));
    BDN_ASSIGN(const model::Manifest manifest, model::ParseManifest(text));
    for (const model::ManifestEntry& entry : manifest.entries) {
      if (!entry.digest) continue;
      const Key child{.scope = key.scope, .digest = *entry.digest};
      if (entry.chunked) {
        BDN_TRY(MarkChunkmap(child));
      } else {
        marked_.insert(child);
      }
    }
    unread_.erase(key);
    return {};
  }

  Status MarkChunkmap(const Key& key) {
    if (!marked_.insert(key).second && !unread_.contains(key)) return {};
    unread_.insert(key);
    BDN_ASSIGN(const std::string text,
               GetAll(ctx_, objects_, scopes_[key.scope], ObjectKind::kChunkmap, key.digest,
                      model::kManifestBytesMax));
    BDN_ASSIGN(const model::Chunkmap chunkmap, model::ParseChunkmap(text));
    for (const model::Chunk& chunk : chunkmap.chunks) {
      marked_.insert({.scope = key.scope, .digest = chunk.digest});
    }
    unread_.erase(key);
    return {};
  }

  // Marks what an object names that is no root itself, and is kept for its age. One that cannot be
  // read keeps nothing: nobody could use it.
  Status MarkBelow(const Key& key, ObjectKind kind) {
    Status marked;
    if (kind == ObjectKind::kManifest) marked = MarkManifest(key);
    if (kind == ObjectKind::kChunkmap) marked = MarkChunkmap(key);
    if (!marked && !IsLost(marked.error())) return marked;
    return {};
  }

  Status FindCandidates() {
    std::vector<Candidate> young;
    BDN_TRY(objects_.List(ctx_, [&](const Scope& scope, const ObjectInfo& info) -> Status {
      ++report_.scanned;
      const Candidate object{.key = {.scope = NumberOf(scope), .digest = info.digest},
                             .kind = info.kind,
                             .bytes = info.stored_bytes};
      if (marked_.contains(object.key)) return {};
      if (info.stored_at < cutoff_) {
        candidates_.push_back(object);
      } else if (info.kind != ObjectKind::kChunk) {
        young.push_back(object);
      }
      return {};
    }));
    for (const Candidate& object : young) BDN_TRY(MarkBelow(object.key, object.kind));
    std::erase_if(candidates_, [&](const Candidate& c) { return marked_.contains(c.key); });
    // Top down.
    std::stable_sort(candidates_.begin(), candidates_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.kind > b.kind; });
    return {};
  }

  void ReportCandidates() {
    for (const Candidate& candidate : candidates_) {
      report_.items.push_back({.scope = scopes_[candidate.key.scope],
                               .digest = candidate.key.digest,
                               .kind = candidate.kind,
                               .bytes = candidate.bytes});
      report_.deleted += 1;
      report_.bytes += candidate.bytes;
    }
  }

  Status Forget() {
    std::unordered_set<Key, KeyHash> gone;
    for (const Candidate& candidate : candidates_) gone.insert(candidate.key);
    BDN_ASSIGN(report_.forgotten_rows,
               metadata_.ForgetKnownFiles([&](const Scope& scope, const crypto::Digest& digest) {
                 const auto it = numbers_.find(scope);
                 return it != numbers_.end() &&
                        gone.contains({.scope = it->second, .digest = digest});
               }));
    return {};
  }

  Status DeleteCandidates() {
    for (const Candidate& candidate : candidates_) {
      if (marked_.contains(candidate.key)) continue;  // by one that was touched
      const Scope& scope = scopes_[candidate.key.scope];
      BDN_ASSIGN(const bool deleted,
                 objects_.DeleteIfOlder(ctx_, scope, candidate.key.digest, cutoff_));
      if (deleted) {
        report_.deleted += 1;
        report_.bytes += candidate.bytes;
      } else {
        BDN_TRY(MarkBelow(candidate.key, candidate.kind));
      }
    }
    return {};
  }

  const Context& ctx_;
  ObjectStore& objects_;
  Metadata& metadata_;
  const GcOptions options_;
  WallTime cutoff_;
  std::map<Scope, std::uint32_t> numbers_;
  std::vector<Scope> scopes_;
  std::unordered_set<Key, KeyHash> marked_;
  // Marked, but what is below could not be read: the next try reads again.
  std::unordered_set<Key, KeyHash> unread_;
  std::vector<Candidate> candidates_;
  GcReport report_;
};

}  // namespace

Result<GcReport> CollectGarbage(const Context& ctx,
                                ObjectStore& objects,
                                Metadata& metadata,
                                const GcOptions& options) {
  return Collector(ctx, objects, metadata, options).Run();
}

}  // namespace bdn::store
