#include "cli/migrate_files.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/config.h"
#include "os/real_fs.h"

namespace bdn::cli {
namespace {

constexpr std::size_t kCodeFilesMax = 500;
constexpr std::size_t kCodeFileBytesMax = 1 << 20;
constexpr std::size_t kCodeDepthMax = 6;
constexpr int kBackupsMax = 10'000;

void FindCode(const os::Fs& fs,
              const std::string& dir,
              std::size_t depth,
              std::vector<std::string>& paths) {
  if (depth > kCodeDepthMax) return;
  std::vector<os::DirEntry> entries;
  const Status listed = fs.List(dir, [&](const os::DirEntry& entry) {
    entries.push_back(entry);
    return Status();
  });
  if (!listed) return;
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const os::DirEntry& entry : entries) {
    const std::string path = dir.empty() ? entry.name : dir + "/" + entry.name;
    if (paths.size() >= kCodeFilesMax) return;
    if (entry.type == os::FileType::kFile && entry.name.ends_with(".py")) paths.push_back(path);
    const bool skip = entry.name.starts_with('.') || entry.name == "__pycache__" ||
                      entry.name == "node_modules" || entry.name == "site-packages";
    if (entry.type == os::FileType::kDirectory && !skip) FindCode(fs, path, depth + 1, paths);
  }
}

std::string DirectoryOf(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

// Durable before the file itself changes, under the first name that is free. A name is taken by
// link(2), which never replaces.
Result<std::string> WriteBackup(os::Fs& fs, const FileChange& change, std::uint32_t mode) {
  const std::string temporary = fmt::format("{}.bak.tmp-{}", change.path, os::RandomName());
  BDN_TRY(os::WriteFileDurably(fs, temporary, change.before, mode));
  Result<std::string> done = Error(Code::kResourceExhausted, "there are too many backups");
  for (int i = 0; i < kBackupsMax; ++i) {
    std::string name = fmt::format("{}.bak", change.path);
    if (i > 0) name += fmt::format(".{}", i);
    const Status linked = fs.Link(temporary, name);
    if (linked) {
      done = std::move(name);
      break;
    }
    if (linked.error().code() != Code::kAlreadyExists) {
      done = linked.error();
      break;
    }
  }
  static_cast<void>(fs.Remove(temporary));  // a leftover is harmless; the result is the story
  if (done) BDN_TRY(fs.SyncDir(DirectoryOf(change.path)));
  return done;
}

// The new file is another inode: what the umask cut of its mode, and whose it was, is set again.
// Only root can give a file away, and for all others it is theirs already.
Status Write(os::Fs& fs, const std::string& path, const std::string& text, const struct stat& old) {
  const auto mode = static_cast<std::uint32_t>(old.st_mode & 07777);
  BDN_TRY(os::WriteFileDurably(fs, path, text, mode));
  static_cast<void>(::lchown(fs.HostPath(path).c_str(), old.st_uid, old.st_gid));
  return fs.SetMode(path, mode);
}

Status CheckUnchanged(const os::Fs& fs, const FileChange& change, struct stat& info) {
  if (::lstat(fs.HostPath(change.path).c_str(), &info) != 0) {
    return Error(Code::kNotFound, change.path + " is gone");
  }
  BDN_ASSIGN(const std::string now,
             os::ReadFile(fs, change.path, std::max(model::kConfigBytesMax, kCodeFileBytesMax)));
  if (now == change.before) return {};
  return Error(Code::kFailedPrecondition, change.path + " changed since it was read")
      .WithHint("run the command again");
}

void RemoveBackups(os::Fs& fs, std::vector<FileChange>& changes) {
  for (FileChange& change : changes) {
    if (!change.backup.empty()) static_cast<void>(fs.Remove(change.backup));
    change.backup.clear();
  }
}

}  // namespace

std::vector<model::CodeFile> ReadCode(const os::Fs& fs) {
  std::vector<std::string> paths;
  FindCode(fs, "", 0, paths);
  std::vector<model::CodeFile> code;
  for (const std::string& path : paths) {
    if (auto text = os::ReadFile(fs, path, kCodeFileBytesMax)) {
      code.push_back({path, *std::move(text)});
    }
  }
  return code;
}

Status ReplaceFiles(os::Fs& fs, std::vector<FileChange>& changes) {
  std::vector<struct stat> infos(changes.size());
  for (std::size_t i = 0; i < changes.size(); ++i) {
    BDN_TRY(CheckUnchanged(fs, changes[i], infos[i]));
  }
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const auto mode = static_cast<std::uint32_t>(infos[i].st_mode & 07777);
    auto backup = WriteBackup(fs, changes[i], mode);
    if (!backup) {
      RemoveBackups(fs, changes);
      return std::move(backup).error().Context("no backup could be made");
    }
    changes[i].backup = *std::move(backup);
  }
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Status written = Write(fs, changes[i].path, changes[i].after, infos[i]);
    if (written) continue;
    bool restored = true;
    for (std::size_t j = 0; j < i; ++j) {
      restored = Write(fs, changes[j].path, changes[j].before, infos[j]).has_value() && restored;
    }
    if (restored) RemoveBackups(fs, changes);
    Error error = std::move(written).error();
    return restored ? std::move(error)
                    : std::move(error).WithHint(
                          "some files are changed; their backups are beside "
                          "them");
  }
  return {};
}

}  // namespace bdn::cli
