#include <set>
#include <utility>

#include "base/log.h"
#include "cache/file_fill.h"
#include "cache/node_cache_impl.h"
#include "cache/tree.h"
#include "crypto/blake3.h"

namespace bdn::cache {
namespace {

constexpr std::uint64_t kReadersBytesMax = 2 * (store::kScopePartBytesMax + 1) * kReadersMax;

}  // namespace

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
  for (const auto& name : names) BDN_TRY(RecoverTree(name));
  return {};
}

Status Cache::RecoverTree(const std::string& name) {
  const std::string dir = "trees/" + name;
  const auto digest = crypto::ParseDigestHex(name);
  if (!digest) return os::RemoveTree(*fs_, dir);
  auto marker = fs_->Stat(dir + "/manifest");
  // Only what is surely not there makes a tree half-made: a running model may stand on it.
  if (!marker) {
    const Code code = marker.error().code();
    if (code != Code::kNotFound && code != Code::kFailedPrecondition) {
      return std::move(marker).error();
    }
    return RemoveTreeDir(*digest);
  }
  BDN_ASSIGN(const std::string text,
             os::ReadFile(*fs_, dir + "/manifest", model::kManifestBytesMax));
  const auto manifest = model::ParseManifest(text);
  if (crypto::Blake3Of(text) != *digest || !manifest) {
    log::Warn("a cached tree's manifest is damaged; the tree is removed", {{"tree", name}});
    return RemoveTreeDir(*digest);
  }
  TreeRecord record;
  record.last_used = marker->modified;
  record.bytes = manifest->total_size;
  record.files = CountFiles(*manifest);
  BDN_TRY(os::RemoveTemporaries(*fs_, dir));
  // A tree without them is given to nobody before the tier above was asked.
  if (const auto readers = os::ReadFile(*fs_, dir + "/readers", kReadersBytesMax)) {
    record.readers = ParseReaders(*readers);
  } else if (readers.error().code() != Code::kNotFound) {
    return readers.error();
  }
  state_.With([&](CacheState& s) { s.trees[*digest] = record; });
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

// Temporary files of killed fills go; partial files stay, their marks with them.
Status Cache::RecoverPartials() {
  std::set<std::string> names;
  BDN_TRY(fs_->List("partial", [&](const os::DirEntry& entry) -> Status {
    names.insert(entry.name);
    return {};
  }));
  for (const auto& name : names) {
    const std::string path = "partial/" + name;
    if (name.starts_with("tmp-")) {
      BDN_TRY(fs_->Remove(path));
    } else if (name.ends_with(kMarksSuffix)) {
      const std::string of = name.substr(0, name.size() - kMarksSuffix.size());
      if (!names.contains(of)) BDN_TRY(fs_->Remove(path));
    } else {
      BDN_ASSIGN(const os::FileInfo info, fs_->Stat(path));
      state_.With([&](CacheState& s) {
        s.partials[path] = {.bytes = info.size_bytes, .users = 0};
        s.partial_bytes += info.size_bytes;
      });
    }
  }
  return {};
}

}  // namespace bdn::cache
