#include "cache/tree.h"

#include <map>
#include <set>
#include <vector>

namespace bdn::cache {
namespace {

constexpr std::size_t kCopyBufferBytes = 256 * 1024;

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

 private:
  os::Fs& fs_;
  const std::string root_;
  std::set<std::string> made_;
};

}  // namespace

Status BuildTree(
    os::Fs& fs,
    const model::Manifest& manifest,
    const std::string& root,
    const std::function<Status(const model::ManifestEntry&, const std::string&)>& place) {
  BDN_TRY(fs.MakeDir(root));
  TreeBuilder builder(fs, root);
  std::map<std::int64_t, const model::ManifestEntry*> groups;
  for (const auto& entry : manifest.entries) {
    const std::string path = root + "/" + entry.path;
    if (entry.type == model::EntryType::kDirectory) {
      BDN_TRY(builder.MakeDir(entry.path));
      continue;
    }
    BDN_TRY(builder.MakeParent(entry.path));
    if (entry.type == model::EntryType::kSymlink) {
      BDN_TRY(fs.Symlink(model::RenderSymlinkTarget(entry.path, entry.target), path));
    } else if (entry.link_group) {
      const auto [first, fresh] = groups.try_emplace(*entry.link_group, &entry);
      BDN_TRY(place(*first->second, path));
    } else {
      BDN_TRY(place(entry, path));
    }
  }
  for (auto entry = manifest.entries.rbegin(); entry != manifest.entries.rend(); ++entry) {
    constexpr std::uint32_t kMadeWith = 0755;
    if (entry->type != model::EntryType::kDirectory || entry->mode == kMadeWith) continue;
    BDN_TRY(fs.SetMode(root + "/" + entry->path, entry->mode & 0777));
  }
  return {};
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
