#include "os/real_fs.h"

#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/errno_error.h"
#include "os/unique_fd.h"

namespace bdn::os {
namespace {

constexpr std::uint64_t kOffsetMax = static_cast<std::uint64_t>(INT64_MAX);

FileType TypeOf(mode_t mode) {
  if (S_ISREG(mode)) return FileType::kFile;
  if (S_ISDIR(mode)) return FileType::kDirectory;
  if (S_ISLNK(mode)) return FileType::kSymlink;
  return FileType::kOther;
}

FileInfo InfoOf(const struct stat& st) {
  return {.type = TypeOf(st.st_mode),
          .mode = st.st_mode & 07777u,
          .size_bytes = static_cast<std::uint64_t>(st.st_size),
          .allocated_bytes = static_cast<std::uint64_t>(st.st_blocks) * 512,  // stat(2): 512 always
          .inode = st.st_ino,
          .device = st.st_dev,
          .links = st.st_nlink,
          .modified = WallTime(std::chrono::seconds(st.st_mtim.tv_sec) +
                               std::chrono::nanoseconds(st.st_mtim.tv_nsec))};
}

template <class F>
auto RetryEintr(F&& call) {
  auto r = call();
  while (r == -1 && errno == EINTR) r = call();
  return r;
}

class RealFile final : public File {
 public:
  RealFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<std::size_t> ReadAt(std::uint64_t offset, std::span<std::byte> into) const override {
    if (offset > kOffsetMax) return std::size_t{0};
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t n = ::pread(fd_.get(), into.data() + done, into.size() - done,
                                static_cast<off_t>(offset + done));
      if (n == 0) break;
      if (n < 0) {
        if (errno == EINTR) continue;
        return ErrnoError(errno, "read " + path_);
      }
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  Status WriteAt(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (offset > kOffsetMax - bytes.size()) return ErrnoError(EFBIG, "write " + path_);
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return ErrnoError(errno, "write " + path_);
      }
      offset += static_cast<std::uint64_t>(n);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }

  Status Allocate(std::uint64_t size_bytes) override {
    if (size_bytes == 0) return {};
    if (size_bytes > kOffsetMax) return ErrnoError(EFBIG, "allocate " + path_);
    const auto size = static_cast<off_t>(size_bytes);
    if (RetryEintr([&] { return ::fallocate(fd_.get(), 0, 0, size); }) == 0) return {};
    if (errno != EOPNOTSUPP && errno != ENOSYS) return ErrnoError(errno, "allocate " + path_);
    BDN_ASSIGN(const FileInfo info, Info());
    return info.size_bytes < size_bytes ? Truncate(size_bytes) : Status();
  }

  Status Truncate(std::uint64_t size_bytes) override {
    if (size_bytes > kOffsetMax) return ErrnoError(EFBIG, "truncate " + path_);
    const auto size = static_cast<off_t>(size_bytes);
    if (RetryEintr([&] { return ::ftruncate(fd_.get(), size); }) == 0) return {};
    return ErrnoError(errno, "truncate " + path_);
  }

  Status Sync() override {
    if (RetryEintr([&] { return ::fdatasync(fd_.get()); }) == 0) return {};
    return ErrnoError(errno, "sync " + path_);
  }

  Result<FileInfo> Info() const override {
    struct stat st = {};
    if (::fstat(fd_.get(), &st) != 0) return ErrnoError(errno, "stat " + path_);
    return InfoOf(st);
  }

  int fd() const noexcept override { return fd_.get(); }

 private:
  UniqueFd fd_;
  std::string path_;  // absolute, for messages
};

// A directory that is either one we opened or the root, which stays open.
struct Parent {
  UniqueFd owned;
  int fd = -1;
  std::string name;  // the last component, NUL-terminated for the system calls
};

class RealFs final : public Fs {
 public:
  RealFs(UniqueFd root, std::string path) : root_(std::move(root)), path_(std::move(path)) {}

  Result<std::unique_ptr<File>> Open(std::string_view path,
                                     OpenMode mode,
                                     std::uint32_t permissions) override {
    BDN_TRY(CheckPath(path));
    // O_NONBLOCK: a FIFO that somebody planted must not hang us; regular files ignore it.
    int flags = O_NOCTTY | O_NONBLOCK | (mode == OpenMode::kRead ? O_RDONLY : O_RDWR);
    if (mode == OpenMode::kCreateNew) flags |= O_CREAT | O_EXCL;
    if (mode == OpenMode::kCreate) flags |= O_CREAT;
    BDN_ASSIGN(UniqueFd fd, OpenBelow(path, flags, permissions & 07777u, "open", path));
    struct stat st = {};
    if (::fstat(fd.get(), &st) != 0) return Failed("stat", path);
    if (!S_ISREG(st.st_mode)) {
      return Error(Code::kFailedPrecondition, "open " + HostPath(path) + ": not a regular file");
    }
    return std::make_unique<RealFile>(std::move(fd), HostPath(path));
  }

  Result<FileInfo> Stat(std::string_view path) const override {
    struct stat st = {};
    if (path.empty()) {
      if (::fstat(root_.get(), &st) != 0) return Failed("stat", path);
      return InfoOf(st);
    }
    BDN_ASSIGN(const Parent parent, OpenParent(path, "stat"));
    if (::fstatat(parent.fd, parent.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return Failed("stat", path);
    }
    return InfoOf(st);
  }

  Status MakeDir(std::string_view path, std::uint32_t permissions) override {
    if (path.empty()) return ErrnoError(EEXIST, "make directory " + path_);
    BDN_ASSIGN(const Parent parent, OpenParent(path, "make directory"));
    if (::mkdirat(parent.fd, parent.name.c_str(), permissions & 07777u) == 0) return {};
    return Failed("make directory", path);
  }

  Status Remove(std::string_view path) override {
    BDN_ASSIGN(const Parent parent, OpenParent(path, "remove"));
    if (::unlinkat(parent.fd, parent.name.c_str(), 0) == 0) return {};
    return Failed("remove", path);
  }

  Status RemoveDir(std::string_view path) override {
    BDN_ASSIGN(const Parent parent, OpenParent(path, "remove directory"));
    if (::unlinkat(parent.fd, parent.name.c_str(), AT_REMOVEDIR) == 0) return {};
    if (errno == EEXIST) errno = ENOTEMPTY;  // POSIX allows either
    return Failed("remove directory", path);
  }

  Status Rename(std::string_view from, std::string_view to) override {
    return TwoNames("rename", from, to, [](const Parent& a, int to_fd, const char* to_name) {
      const int r = ::renameat2(a.fd, a.name.c_str(), to_fd, to_name, 0);
      if (r != 0 && errno == EEXIST) errno = ENOTEMPTY;
      return r;
    });
  }

  Status Link(std::string_view from, std::string_view to) override {
    return TwoNames("link", from, to, [](const Parent& a, int to_fd, const char* to_name) {
      return ::linkat(a.fd, a.name.c_str(), to_fd, to_name, 0);
    });
  }

  Status Symlink(std::string_view target, std::string_view path) override {
    BDN_ASSIGN(const Parent parent, OpenParent(path, "make symbolic link"));
    if (::symlinkat(std::string(target).c_str(), parent.fd, parent.name.c_str()) == 0) return {};
    if (errno == ENOENT && target.empty()) errno = EINVAL;
    return Failed("make symbolic link", path);
  }

  Result<std::string> ReadLink(std::string_view path) const override {
    BDN_ASSIGN(const Parent parent, OpenParent(path, "read link"));
    std::array<char, PATH_MAX> buffer;
    const ssize_t n = ::readlinkat(parent.fd, parent.name.c_str(), buffer.data(), buffer.size());
    if (n >= 0) return std::string(buffer.data(), static_cast<std::size_t>(n));
    if (errno != EINVAL) return Failed("read link", path);
    return Error(Code::kFailedPrecondition,
                 "read link " + HostPath(path) + ": not a symbolic link");
  }

  Status SetMode(std::string_view path, std::uint32_t permissions) override {
    const mode_t mode = permissions & 07777u;
    if (path.empty()) {
      return ::fchmod(root_.get(), mode) == 0 ? Status() : Failed("change mode of", path);
    }
    BDN_ASSIGN(const Parent parent, OpenParent(path, "change mode of"));
    if (::fchmodat(parent.fd, parent.name.c_str(), mode, AT_SYMLINK_NOFOLLOW) == 0) return {};
    if (errno == EOPNOTSUPP) errno = ELOOP;  // a symbolic link has no mode
    return Failed("change mode of", path);
  }

  Status SetModified(std::string_view path, WallTime time) override {
    const auto since = time.time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    std::array<timespec, 2> times = {};
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = seconds.count();
    times[1].tv_nsec = (since - seconds).count();
    if (path.empty()) {
      return ::futimens(root_.get(), times.data()) == 0 ? Status() : Failed("set time of", path);
    }
    BDN_ASSIGN(const Parent parent, OpenParent(path, "set time of"));
    if (::utimensat(parent.fd, parent.name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) == 0) {
      return {};
    }
    return Failed("set time of", path);
  }

  Status List(std::string_view path,
              const std::function<Status(const DirEntry&)>& visit) const override {
    BDN_TRY(CheckPath(path));
    BDN_ASSIGN(UniqueFd fd, OpenBelow(path, O_RDONLY | O_DIRECTORY, 0, "list", path));
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(fd.get()), ::closedir);
    if (!dir) return Failed("list", path);
    const int dir_fd = fd.Release();  // the DIR owns it now
    while (true) {
      errno = 0;
      const dirent* const entry = ::readdir(dir.get());
      if (entry == nullptr) return errno == 0 ? Status() : Failed("list", path);
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      BDN_TRY(visit({.name = std::string(name), .type = EntryType(dir_fd, *entry)}));
    }
  }

  Status SyncDir(std::string_view path) override {
    BDN_TRY(CheckPath(path));
    BDN_ASSIGN(const UniqueFd fd,
               OpenBelow(path, O_RDONLY | O_DIRECTORY, 0, "sync directory", path));
    if (RetryEintr([&] { return ::fsync(fd.get()); }) == 0) return {};
    if (errno == EINVAL) return {};  // a file system whose directories cannot be synced
    return Failed("sync directory", path);
  }

  Status SyncAll() override {
    const UniqueFd fd(::openat(root_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0 || ::syncfs(fd.get()) != 0) return Failed("sync everything in", "");
    return {};
  }

  Result<DiskSpace> Space() const override {
    struct statvfs st = {};
    if (RetryEintr([&] { return ::fstatvfs(root_.get(), &st); }) != 0) {
      return Failed("ask the free space of", "");
    }
    return DiskSpace{.total_bytes = st.f_blocks * st.f_frsize,
                     .available_bytes = st.f_bavail * st.f_frsize};
  }

  std::string HostPath(std::string_view path) const override {
    if (path.empty()) return path_;
    std::string whole = path_;
    if (whole.back() != '/') whole += '/';
    whole += path;
    return whole;
  }

 private:
  Error Failed(std::string_view action, std::string_view path) const {
    const int error_number = errno;
    return ErrnoError(error_number, std::string(action) + ' ' + HostPath(path));
  }

  static FileType EntryType(int dir_fd, const dirent& entry) {
    switch (entry.d_type) {
      case DT_REG:
        return FileType::kFile;
      case DT_DIR:
        return FileType::kDirectory;
      case DT_LNK:
        return FileType::kSymlink;
      case DT_UNKNOWN: {  // a file system that does not tell
        struct stat st = {};
        if (::fstatat(dir_fd, entry.d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) return FileType::kOther;
        return TypeOf(st.st_mode);
      }
      default:
        return FileType::kOther;
    }
  }

  // openat2 below the root; `path` has been checked. A failure's message names `shown`.
  Result<UniqueFd> OpenBelow(std::string_view path,
                             int flags,
                             std::uint32_t permissions,
                             std::string_view action,
                             std::string_view shown) const {
    std::array<char, PATH_MAX> name;  // the copy that adds the NUL stays off the heap
    const std::string_view opened = path.empty() ? "." : path;
    name[opened.copy(name.data(), name.size() - 1)] = '\0';
    open_how how = {};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.mode = (flags & O_CREAT) != 0 ? permissions : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const long fd = RetryEintr(
        [&] { return ::syscall(SYS_openat2, root_.get(), name.data(), &how, sizeof(how)); });
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    return Failed(action, shown);
  }

  Result<Parent> OpenParent(std::string_view path, std::string_view action) const {
    BDN_TRY(CheckPath(path));
    if (path.empty()) {
      return Error(Code::kInvalidArgument,
                   std::string(action) + ' ' + path_ + ": this is the root itself");
    }
    const std::size_t slash = path.rfind('/');
    Parent parent;
    if (slash == std::string_view::npos) {
      parent.fd = root_.get();
      parent.name = path;
      return parent;
    }
    parent.name = path.substr(slash + 1);
    auto dir = OpenBelow(path.substr(0, slash), O_PATH | O_DIRECTORY, 0, action, path);
    if (!dir) return std::move(dir).error();
    parent.owned = *std::move(dir);
    parent.fd = parent.owned.get();
    return parent;
  }

  // Rename and Link: opens the parents, once when it is the same one.
  template <class Call>
  Status TwoNames(std::string_view action,
                  std::string_view from,
                  std::string_view to,
                  Call&& call) const {
    BDN_ASSIGN(const Parent a, OpenParent(from, action));
    const auto parent_of = [](std::string_view p) {
      return p.substr(0, p.find('/') == std::string_view::npos ? 0 : p.rfind('/'));
    };
    int r = -1;
    if (!to.empty() && parent_of(from) == parent_of(to)) {
      BDN_TRY(CheckPath(to));
      const std::size_t slash = to.rfind('/');
      const std::string name(to.substr(slash == std::string_view::npos ? 0 : slash + 1));
      r = call(a, a.fd, name.c_str());
    } else {
      BDN_ASSIGN(const Parent b, OpenParent(to, action));
      r = call(a, b.fd, b.name.c_str());
    }
    if (r == 0) return {};
    const int error_number = errno;
    return ErrnoError(error_number,
                      std::string(action) + ' ' + HostPath(from) + " to " + HostPath(to));
  }

  UniqueFd root_;
  std::string path_;
};

Status CheckAbsolute(const std::string& path) {
  if (!path.empty() && path.front() == '/' && path.find('\0') == std::string::npos) return {};
  return Error(Code::kInvalidArgument, "directory \"" + path + "\": give an absolute path");
}

}  // namespace

Result<std::unique_ptr<Fs>> OpenRealFs(const std::string& absolute_path) {
  BDN_TRY(CheckAbsolute(absolute_path));
  std::string path = absolute_path;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  UniqueFd root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return ErrnoError(errno, "open directory " + path);
  return std::make_unique<RealFs>(std::move(root), std::move(path));
}

Result<std::unique_ptr<Fs>> OpenOrMakeRealFs(const std::string& absolute_path) {
  BDN_TRY(CheckAbsolute(absolute_path));
  for (std::size_t at = 1; at != std::string::npos;) {
    at = absolute_path.find('/', at);
    const std::string prefix = absolute_path.substr(0, at);
    if (at != std::string::npos) ++at;
    struct stat st = {};
    if (::stat(prefix.c_str(), &st) == 0) continue;  // mkdir on a read-only parent says EROFS
    if (::mkdir(prefix.c_str(), 0755) != 0 && errno != EEXIST) {
      return ErrnoError(errno, "make directory " + prefix);
    }
  }
  return OpenRealFs(absolute_path);
}

}  // namespace bdn::os
