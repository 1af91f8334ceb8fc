#include "cache/tree.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace bdn::cache {
namespace {

constexpr std::size_t kCopyBufferBytes = 256 * 1024;
constexpr std::size_t kFilesPerTask = 64;  // about half a millisecond of linking
constexpr std::uint32_t kDirectoryMode = 0755;

class TreeBuilder {
 public:
  TreeBuilder(os::Fs& fs, std::string root) : fs_(fs), root_(std::move(root)) {}

  Status MakeDir(const std::string& path) {
    if (!made_.insert(path).second) return {};
    const std::size_t slash = path.rfind('/');
    if (slash != std::string::npos) BDN_TRY(MakeDir(path.substr(0, slash)));
    return fs_.MakeDir(root_ + "/" + path);
  }

  Status MakeParent(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {};
    return MakeDir(path.substr(0, slash));
  }

  // Children before their parents. `made_with` is the mode that a new directory got: the process's
  // umask may have cut it.
  Status SetModes(const model::Manifest& manifest, std::uint32_t made_with) {
    for (auto entry = manifest.entries.rbegin(); entry != manifest.entries.rend(); ++entry) {
      if (entry->type != model::EntryType::kDirectory) continue;
      made_.erase(entry->path);
      if ((entry->mode & 0777) == made_with) continue;
      BDN_TRY(fs_.SetMode(root_ + "/" + entry->path, entry->mode & 0777));
    }
    if (made_with == kDirectoryMode) return {};
    for (const auto& path : made_) BDN_TRY(fs_.SetMode(root_ + "/" + path, kDirectoryMode));
    return fs_.SetMode(root_, kDirectoryMode);
  }

 private:
  os::Fs& fs_;
  const std::string root_;
  std::set<std::string> made_;
};

struct Placement {
  const model::ManifestEntry* entry;
  std::string path;
};

using Place = std::function<Status(const model::ManifestEntry&, const std::string&)>;

// Whole directories, as many as make a task worth its hand-over.
Status PlaceAll(const Context& ctx,
                Executor& executor,
                const std::map<std::string_view, std::vector<Placement>>& by_directory,
                const Place& place) {
  TaskGroup group(executor, ctx);
  std::vector<const std::vector<Placement>*> batch;
  std::size_t files = 0;
  const auto flush = [&] {
    group.Run([&place, todo = std::move(batch)](const Context& task_ctx) -> Status {
      for (const auto* placements : todo) {
        BDN_TRY(task_ctx.Check());
        for (const auto& [entry, path] : *placements) BDN_TRY(place(*entry, path));
      }
      return {};
    });
    batch.clear();
    files = 0;
  };
  for (const auto& [directory, placements] : by_directory) {
    batch.push_back(&placements);
    files += placements.size();
    if (files >= kFilesPerTask) flush();
  }
  if (files > 0) flush();
  return group.Wait();
}

}  // namespace

Status BuildTree(
    const Context& ctx,
    os::Fs& fs,
    Executor& executor,
    const model::Manifest& manifest,
    const std::string& root,
    const std::function<Status(const model::ManifestEntry&, const std::string&)>& place) {
  BDN_TRY(fs.MakeDir(root));
  BDN_ASSIGN(const os::FileInfo made, fs.Stat(root));
  TreeBuilder builder(fs, root);
  std::map<std::int64_t, const model::ManifestEntry*> groups;
  std::map<std::string_view, std::vector<Placement>> by_directory;
  for (const auto& entry : manifest.entries) {
    std::string path = root + "/" + entry.path;
    if (entry.type == model::EntryType::kDirectory) {
      BDN_TRY(builder.MakeDir(entry.path));
      continue;
    }
    BDN_TRY(builder.MakeParent(entry.path));
    if (entry.type == model::EntryType::kSymlink) {
      BDN_TRY(fs.Symlink(model::RenderSymlinkTarget(entry.path, entry.target), path));
      continue;
    }
    const model::ManifestEntry* file = &entry;
    if (entry.link_group) file = groups.try_emplace(*entry.link_group, &entry).first->second;
    const std::size_t slash = entry.path.rfind('/');
    const auto directory =
        std::string_view(entry.path).substr(0, slash == std::string::npos ? 0 : slash);
    by_directory[directory].push_back({file, std::move(path)});
  }
  BDN_TRY(PlaceAll(ctx, executor, by_directory, place));
  return builder.SetModes(manifest, made.mode);
}

std::uint64_t CountFiles(const model::Manifest& manifest) {
  return static_cast<std::uint64_t>(
      std::count_if(manifest.entries.begin(), manifest.entries.end(),
                    [](const auto& entry) { return entry.type == model::EntryType::kFile; }));
}

Status CopyFile(os::Fs& fs, const std::string& from, const std::string& to) {
  BDN_ASSIGN(const auto in, fs.Open(from, os::OpenMode::kRead));
  BDN_ASSIGN(const os::FileInfo info, in->Info());
  BDN_ASSIGN(const auto out, fs.Open(to, os::OpenMode::kCreateNew, info.mode));
  BDN_TRY(out->Allocate(info.size_bytes));
  std::vector<std::byte> buffer(kCopyBufferBytes);
  for (std::uint64_t at = 0; at < info.size_bytes;) {
    BDN_ASSIGN(const std::size_t got, in->ReadAt(at, buffer));
    if (got == 0) return Error(Code::kUnavailable, from + " became shorter while it was copied");
    BDN_TRY(out->WriteAt(at, std::span(buffer).first(got)));
    at += got;
  }
  BDN_TRY(out->Sync());
  return fs.SetMode(to, info.mode);
}

}  // namespace bdn::cache
