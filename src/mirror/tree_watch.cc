#include "mirror/tree_watch.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "model/manifest.h"

namespace bdn::mirror {
namespace {

constexpr int kDepthMax = 64;

Status Scan(const os::Fs& fs, const std::string& dir, int depth, TreeSnapshot& out) {
  if (depth > kDepthMax) {
    return Error(Code::kResourceExhausted, fmt::format("'{}' is too deep a directory", dir));
  }
  std::vector<os::DirEntry> found;
  BDN_TRY(fs.List(dir, [&](const os::DirEntry& entry) -> Status {
    found.push_back(entry);
    return {};
  }));
  for (const os::DirEntry& item : found) {
    const std::string path = dir.empty() ? item.name : dir + "/" + item.name;
    BDN_ASSIGN(const os::FileInfo info, fs.Stat(path));
    if (out.entries.size() >= model::kManifestEntriesMax) {
      return Error(Code::kResourceExhausted,
                   fmt::format("more than {} files", model::kManifestEntriesMax));
    }
    out.entries.push_back({path, info.type, info.size_bytes, info.inode, info.mode, info.modified});
    out.newest = std::max(out.newest, info.modified);
    if (info.type == os::FileType::kDirectory) BDN_TRY(Scan(fs, path, depth + 1, out));
  }
  return {};
}

}  // namespace

bool TreeSnapshot::Has(std::string_view path) const {
  return std::any_of(entries.begin(), entries.end(),
                     [&](const Entry& entry) { return entry.path == path; });
}

Result<TreeSnapshot> TakeSnapshot(const os::Fs& fs, const std::string& dir) {
  TreeSnapshot snapshot;
  BDN_TRY(Scan(fs, dir, 0, snapshot));
  const std::size_t below = dir.empty() ? 0 : dir.size() + 1;
  for (auto& entry : snapshot.entries) entry.path.erase(0, below);
  std::sort(snapshot.entries.begin(), snapshot.entries.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return snapshot;
}

const std::vector<std::string>& CommonMarkers() {
  static const std::vector<std::string> kMarkers = {"trainer_state.json", ".metadata", "_SUCCESS",
                                                    ".complete"};
  return kMarkers;
}

bool IsTemporaryName(std::string_view name) {
  constexpr std::array<std::string_view, 3> kFronts = {".", "tmp-", "tmp_"};
  constexpr std::array<std::string_view, 6> kEnds = {".tmp",        "-tmp",     ".partial",
                                                     ".incomplete", ".writing", "~"};
  return std::any_of(kFronts.begin(), kFronts.end(),
                     [&](std::string_view front) { return name.starts_with(front); }) ||
         std::any_of(kEnds.begin(), kEnds.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

Result<std::vector<TreeWatch::Found>> TreeWatch::Look(MonoTime now) {
  std::set<std::string> names;
  BDN_TRY(root_.List("", [&](const os::DirEntry& entry) -> Status {
    if (entry.type == os::FileType::kDirectory && !IsTemporaryName(entry.name)) {
      names.insert(entry.name);
    }
    return {};
  }));
  std::erase_if(
      seen_, [&](const auto& item) { return !item.second.settled && !names.contains(item.first); });
  std::vector<Found> found;
  waiting_ = 0;
  for (const std::string& name : names) {
    Seen& seen = seen_[name];
    if (seen.settled) continue;
    auto snapshot = TakeSnapshot(root_, name);
    const bool marked =
        snapshot && std::any_of(options_.markers.begin(), options_.markers.end(),
                                [&](const std::string& marker) { return snapshot->Has(marker); });
    if (!marked) {
      seen.snapshot.reset();
      ++waiting_;
      continue;
    }
    if (seen.snapshot != *snapshot) {
      seen.snapshot = *std::move(snapshot);
      seen.since = now;
    }
    if (now - seen.since >= options_.quiet && now != seen.since) {
      found.push_back({name, *seen.snapshot});
    } else {
      ++waiting_;
    }
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return std::tie(a.snapshot.newest, a.name) < std::tie(b.snapshot.newest, b.name);
  });
  return found;
}

}  // namespace bdn::mirror
