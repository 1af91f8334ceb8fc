#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include <sys/random.h>

#include "base/check.h"
#include "os/fs.h"

namespace bdn::os {
namespace {

constexpr std::string_view kTemporary = ".tmp-";  // then 16 hex digits
constexpr std::size_t kNameBytesMax = 255;        // NAME_MAX of every Linux file system we know
constexpr std::size_t kPathBytesMax = 4095;       // PATH_MAX without the NUL
constexpr std::size_t kShownBytesMax = 200;       // of a bad path in a message

Error BadPath(std::string_view path, std::string_view why) {
  std::string shown(path.substr(0, kShownBytesMax));
  if (shown.size() < path.size()) shown += "...";
  return Error(Code::kInvalidArgument, "path \"" + shown + "\": " + std::string(why));
}

std::string_view ParentOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

// MakeDir that is content with a directory that is there.
Status EnsureDir(Fs& fs, std::string_view path) {
  Status made = fs.MakeDir(path);
  if (made || made.error().code() != Code::kAlreadyExists) return made;
  BDN_ASSIGN(const FileInfo info, fs.Stat(path));
  if (info.type == FileType::kDirectory) return {};
  return Error(Code::kFailedPrecondition,
               "make directory \"" + std::string(path) + "\": the name is taken, not a directory");
}

Status RemoveChildren(Fs& fs, const std::string& path);

Status RemoveEntry(Fs& fs, const std::string& path, FileType type) {
  if (type == FileType::kDirectory) {
    BDN_TRY(RemoveChildren(fs, path));
    return fs.RemoveDir(path);
  }
  return fs.Remove(path);
}

// Depth is bounded by kPathBytesMax.
Status RemoveChildren(Fs& fs, const std::string& path) {
  std::vector<DirEntry> entries;
  const auto collect = [&](const DirEntry& entry) -> Status {
    entries.push_back(entry);
    return {};
  };
  Status listed = fs.List(path, collect);
  if (!listed) {
    if (listed.error().code() != Code::kPermissionDenied) return listed;
    entries.clear();  // a read-only tree whose owner is not root: take the right, then try again
    BDN_TRY(fs.SetMode(path, 0700));
    BDN_TRY(fs.List(path, collect));
  }
  for (const DirEntry& entry : entries) {
    const std::string child = path.empty() ? entry.name : path + '/' + entry.name;
    Status removed = RemoveEntry(fs, child, entry.type);
    if (!removed && removed.error().code() == Code::kPermissionDenied) {
      BDN_TRY(fs.SetMode(path, 0700));
      removed = RemoveEntry(fs, child, entry.type);
    }
    if (!removed && removed.error().code() != Code::kNotFound) return removed;
  }
  return {};
}

Status WriteAndSync(Fs& fs,
                    const std::string& path,
                    std::string_view content,
                    std::uint32_t permissions) {
  BDN_ASSIGN(const std::unique_ptr<File> file, fs.Open(path, OpenMode::kCreateNew, permissions));
  BDN_TRY(file->WriteAt(0, std::as_bytes(std::span(content.data(), content.size()))));
  return file->Sync();
}

}  // namespace

Status CheckPath(std::string_view path) {
  if (path.empty()) return {};
  if (path.size() > kPathBytesMax) return BadPath(path, "longer than 4095 bytes");
  if (path.find('\0') != std::string_view::npos) return BadPath(path, "contains a NUL byte");
  std::size_t begin = 0;
  while (true) {
    const std::size_t slash = path.find('/', begin);
    const std::string_view name = path.substr(begin, slash - begin);
    if (name.empty()) return BadPath(path, "has an empty component; use \"a/b\"");
    if (name == "." || name == "..") return BadPath(path, "has a \".\" or \"..\" component");
    if (name.size() > kNameBytesMax) return BadPath(path, "has a name of more than 255 bytes");
    if (slash == std::string_view::npos) return {};
    begin = slash + 1;
  }
}

Status MakeDirs(Fs& fs, std::string_view path, bool sync) {
  BDN_TRY(CheckPath(path));
  if (path.empty()) return {};
  if (!sync) {  // the common case: it is there
    auto info = fs.Stat(path);
    if (info && info->type == FileType::kDirectory) return {};
    if (!info && info.error().code() != Code::kNotFound) return std::move(info).error();
  }
  for (std::size_t slash = 0; slash != std::string_view::npos;) {
    slash = path.find('/', slash);
    const std::string_view prefix = path.substr(0, slash);
    if (slash != std::string_view::npos) ++slash;
    BDN_TRY(EnsureDir(fs, prefix));
    // Also for one that was there: who made it may not have synced it yet.
    if (sync) BDN_TRY(fs.SyncDir(ParentOf(prefix)));
  }
  return {};
}

Result<std::string> ReadFile(const Fs& fs, std::string_view path, std::uint64_t bytes_max) {
  // Opening for reading changes nothing; Open is not const because its other modes do.
  BDN_ASSIGN(const std::unique_ptr<File> file, const_cast<Fs&>(fs).Open(path, OpenMode::kRead));
  BDN_ASSIGN(const FileInfo info, file->Info());
  if (info.size_bytes > bytes_max) {
    return Error(Code::kResourceExhausted,
                 "read \"" + std::string(path) + "\": " + std::to_string(info.size_bytes) +
                     " bytes, more than the limit of " + std::to_string(bytes_max));
  }
  std::string content(info.size_bytes, '\0');
  BDN_ASSIGN(const std::size_t n,
             file->ReadAt(0, std::as_writable_bytes(std::span(content.data(), content.size()))));
  content.resize(n);
  return content;
}

Status WriteFileDurably(Fs& fs,
                        std::string_view path,
                        std::string_view content,
                        std::uint32_t permissions) {
  BDN_TRY(CheckPath(path));
  const std::string temporary = std::string(path) + std::string(kTemporary) + RandomName();
  Status done = WriteAndSync(fs, temporary, content, permissions);
  if (done) done = fs.Rename(temporary, path);
  if (!done) {
    static_cast<void>(fs.Remove(temporary));  // may not be there; the first error is the story
    return done;
  }
  return fs.SyncDir(ParentOf(path));
}

Status RemoveTemporaries(Fs& fs, std::string_view dir) {
  std::vector<std::string> found;
  BDN_TRY(fs.List(dir, [&](const DirEntry& entry) -> Status {
    const std::size_t random = entry.name.size() - std::min<std::size_t>(entry.name.size(), 16);
    const bool temporary =
        entry.type == FileType::kFile &&
        std::string_view(entry.name).substr(0, random).ends_with(kTemporary) &&
        entry.name.find_first_not_of("0123456789abcdef", random) == std::string::npos;
    if (temporary) found.push_back(dir.empty() ? entry.name : std::string(dir) + '/' + entry.name);
    return {};
  }));
  for (const std::string& path : found) BDN_TRY(fs.Remove(path));
  return {};
}

Status RemoveTree(Fs& fs, std::string_view path) {
  auto info = fs.Stat(path);
  if (!info) {
    if (info.error().code() == Code::kNotFound) return {};
    return std::move(info).error();
  }
  if (path.empty()) return RemoveChildren(fs, "");
  Status removed = RemoveEntry(fs, std::string(path), info->type);
  if (!removed && removed.error().code() == Code::kNotFound) return {};
  return removed;
}

std::string RandomName() {
  std::array<unsigned char, 8> bytes;
  ssize_t n = ::getrandom(bytes.data(), bytes.size(), 0);
  while (n < 0 && errno == EINTR) n = ::getrandom(bytes.data(), bytes.size(), 0);
  BDN_CHECK(n == static_cast<ssize_t>(bytes.size()));  // 8 bytes are never cut short
  std::string name;
  for (const unsigned char byte : bytes) {
    name += "0123456789abcdef"[byte >> 4];
    name += "0123456789abcdef"[byte & 15];
  }
  return name;
}

}  // namespace bdn::os
