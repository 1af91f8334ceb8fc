#include "os/testing/memory_fs.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "os/errno_error.h"

namespace bdn::os::testing {
// Named, because MemoryFs::Disk, which the header names, holds them.
namespace memory_fs_internal {

constexpr std::uint64_t kBlockBytes = 4096;
constexpr std::uint64_t kUnlimitedBytes = 1ull << 50;  // what Space() says without a capacity
constexpr std::uint64_t kLinksMax = 65'000;            // ext4's, so that EMLINK is met in tests
constexpr std::uint64_t kFileBytesMax = 1ull << 40;

struct Inode;
using InodePtr = std::shared_ptr<Inode>;
using Names = std::map<std::string, InodePtr, std::less<>>;
using Bytes = std::vector<std::byte>;

struct Inode {
  std::uint64_t number = 0;
  FileType type = FileType::kFile;
  std::uint32_t mode = 0;
  WallTime modified;
  std::uint64_t links = 0;
  std::uint64_t opens = 0;
  // Shared with `synced_content` from a Sync until the next write: copied on write.
  std::shared_ptr<Bytes> content = std::make_shared<Bytes>();
  std::shared_ptr<Bytes> synced_content = std::make_shared<Bytes>();
  Names names;
  Names synced_names;
  std::string target;
};

struct DiskState {
  InodePtr root;
  std::uint64_t next_number = 2;
  std::uint64_t capacity_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t power_cuts = 0;
  std::uint64_t syncs = 0;
};

}  // namespace memory_fs_internal

namespace {

using namespace memory_fs_internal;  // NOLINT(google-build-using-namespace): of this file

Error Refused(int error_number, std::string_view action, std::string_view path) {
  return ErrnoError(error_number, std::string(action) + " \"" + std::string(path) + '"');
}

void Count(DiskState& disk, const InodePtr& inode, std::set<const Inode*>& seen) {
  inode->links += 1;
  if (!seen.insert(inode.get()).second) return;
  disk.used_bytes += inode->content->size();
  for (const auto& [name, child] : inode->names) Count(disk, child, seen);
}

// Brings back what is durable, for `inode` and all that its durable names reach.
void Revert(const InodePtr& inode, std::set<const Inode*>& seen) {
  if (!seen.insert(inode.get()).second) return;
  inode->content = inode->synced_content;
  inode->names = inode->synced_names;
  inode->links = 0;
  inode->opens = 0;
  for (const auto& [name, child] : inode->names) Revert(child, seen);
}

// The bytes of `inode` are free once it has neither a name nor an open handle.
void FreeIfUnused(DiskState& disk, const Inode& inode) {
  if (inode.links == 0 && inode.opens == 0) disk.used_bytes -= inode.content->size();
}

Status Resize(DiskState& disk, Inode& inode, std::uint64_t size, std::string_view path) {
  const std::uint64_t old = inode.content->size();
  if (size > kFileBytesMax) return Refused(EFBIG, "resize", path);
  if (size > old && disk.capacity_bytes != 0 &&
      disk.used_bytes + (size - old) > disk.capacity_bytes) {
    return Refused(ENOSPC, "write", path);
  }
  if (inode.content.use_count() > 1) inode.content = std::make_shared<Bytes>(*inode.content);
  inode.content->resize(size);
  disk.used_bytes = disk.used_bytes - old + size;
  return {};
}

Result<InodePtr> Walk(const DiskState& disk, std::string_view path, std::string_view action) {
  InodePtr at = disk.root;
  std::string_view rest = path;
  while (!rest.empty()) {
    if (at->type == FileType::kSymlink) return Refused(ELOOP, action, path);
    if (at->type != FileType::kDirectory) return Refused(ENOTDIR, action, path);
    const std::size_t slash = rest.find('/');
    const auto found = at->names.find(rest.substr(0, slash));
    if (found == at->names.end()) return Refused(ENOENT, action, path);
    at = found->second;
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  }
  return at;
}

// A name in a directory; `inode` is null where nothing has it.
struct Place {
  InodePtr dir;
  std::string name;
  InodePtr inode;
};

Result<Place> Find(const DiskState& disk, std::string_view path, std::string_view action) {
  BDN_TRY(CheckPath(path));
  if (path.empty()) {
    return Error(Code::kInvalidArgument, std::string(action) + ": this is the root itself");
  }
  const std::size_t slash = path.rfind('/');
  Place place;
  const bool top = slash == std::string_view::npos;
  place.name = path.substr(top ? 0 : slash + 1);
  BDN_ASSIGN(place.dir, Walk(disk, top ? "" : path.substr(0, slash), action));
  if (place.dir->type == FileType::kSymlink) return Refused(ELOOP, action, path);
  if (place.dir->type != FileType::kDirectory) return Refused(ENOTDIR, action, path);
  const auto found = place.dir->names.find(place.name);
  if (found != place.dir->names.end()) place.inode = found->second;
  return place;
}

Result<Place> FindExisting(const DiskState& disk, std::string_view path, std::string_view action) {
  BDN_ASSIGN(Place place, Find(disk, path, action));
  if (!place.inode) return Refused(ENOENT, action, path);
  return place;
}

bool IsBelow(const InodePtr& inode, const Inode* dir) {
  if (inode.get() == dir) return true;
  return std::any_of(inode->names.begin(), inode->names.end(),
                     [&](const auto& entry) { return IsBelow(entry.second, dir); });
}

FileInfo InfoOf(const Inode& inode) {
  const std::uint64_t size = inode.type == FileType::kSymlink ? inode.target.size()
                             : inode.type == FileType::kFile  ? inode.content->size()
                                                              : kBlockBytes;
  return {.type = inode.type,
          .mode = inode.mode,
          .size_bytes = size,
          .allocated_bytes = (size + kBlockBytes - 1) / kBlockBytes * kBlockBytes,
          .inode = inode.number,
          .device = 1,
          .links = inode.links,
          .modified = inode.modified};
}

}  // namespace

class MemoryFs::Disk {
 public:
  explicit Disk(const Clock* clock) : clock_(clock) {
    state.With([&](DiskState& disk) {
      disk.root = std::make_shared<Inode>();
      disk.root->number = 1;
      disk.root->type = FileType::kDirectory;
      disk.root->mode = 0755;
      disk.root->modified = Now();
      disk.root->links = 1;
    });
  }
  WallTime Now() const {
    constexpr WallTime kStart{std::chrono::seconds(1'767'225'600)};  // 2026-01-01T00:00:00Z
    return clock_ == nullptr ? kStart : clock_->Now();
  }
  InodePtr Make(DiskState& disk, FileType type, std::uint32_t mode) const {
    auto inode = std::make_shared<Inode>();
    inode->number = disk.next_number++;
    inode->type = type;
    inode->mode = mode & 07777u;
    inode->modified = Now();
    inode->links = 1;
    return inode;
  }

  Guarded<DiskState> state;

 private:
  const Clock* clock_;
};

namespace {

class MemoryFile final : public File {
 public:
  // `inode->opens` has been raised for this handle.
  MemoryFile(std::shared_ptr<MemoryFs::Disk> disk,
             InodePtr inode,
             std::uint64_t power_cuts,
             bool writable,
             std::string path)
      : disk_(std::move(disk)),
        inode_(std::move(inode)),
        power_cuts_(power_cuts),
        writable_(writable),
        path_(std::move(path)) {}
  ~MemoryFile() override {
    disk_->state.With([&](DiskState& disk) {
      if (disk.power_cuts != power_cuts_) return;
      inode_->opens -= 1;
      FreeIfUnused(disk, *inode_);
    });
  }

  Result<std::size_t> ReadAt(std::uint64_t offset, std::span<std::byte> into) const override {
    return disk_->state.With([&](const DiskState& disk) -> Result<std::size_t> {
      BDN_TRY(CheckPower(disk));
      const Bytes& content = *inode_->content;
      if (offset >= content.size()) return std::size_t{0};
      const std::size_t n = std::min<std::uint64_t>(into.size(), content.size() - offset);
      if (n != 0) std::memcpy(into.data(), content.data() + offset, n);
      return n;
    });
  }

  Status WriteAt(std::uint64_t offset, std::span<const std::byte> bytes) override {
    return Change([&](DiskState& disk) -> Status {
      if (bytes.empty()) return {};
      if (offset > kFileBytesMax) return Refused(EFBIG, "write", path_);
      const std::uint64_t size = inode_->content->size();
      BDN_TRY(Resize(disk, *inode_, std::max<std::uint64_t>(size, offset + bytes.size()), path_));
      std::memcpy(inode_->content->data() + offset, bytes.data(), bytes.size());
      return {};
    });
  }

  Status Allocate(std::uint64_t size_bytes) override {
    return Change([&](DiskState& disk) -> Status {
      const std::uint64_t size = inode_->content->size();
      return size_bytes > size ? Resize(disk, *inode_, size_bytes, path_) : Status();
    });
  }

  Status Truncate(std::uint64_t size_bytes) override {
    return Change([&](DiskState& disk) { return Resize(disk, *inode_, size_bytes, path_); });
  }

  Status Sync() override {
    return disk_->state.With([&](DiskState& disk) -> Status {
      BDN_TRY(CheckPower(disk));
      disk.syncs += 1;
      inode_->synced_content = inode_->content;
      return {};
    });
  }

  Result<FileInfo> Info() const override {
    return disk_->state.With([&](const DiskState& disk) -> Result<FileInfo> {
      BDN_TRY(CheckPower(disk));
      return InfoOf(*inode_);
    });
  }

  int fd() const noexcept override { return -1; }

 private:
  Status CheckPower(const DiskState& disk) const {
    if (disk.power_cuts == power_cuts_) return {};
    return Error(Code::kUnavailable, "file \"" + path_ + "\": opened before the power cut");
  }
  template <class F>
  Status Change(F&& change) {
    return disk_->state.With([&](DiskState& disk) -> Status {
      BDN_TRY(CheckPower(disk));
      if (!writable_) return Refused(EBADF, "write", path_);
      BDN_TRY(change(disk));
      inode_->modified = disk_->Now();
      return {};
    });
  }

  std::shared_ptr<MemoryFs::Disk> disk_;
  InodePtr inode_;  // its fields are guarded by disk_->state
  std::uint64_t power_cuts_;
  bool writable_;
  std::string path_;
};

}  // namespace

MemoryFs::MemoryFs(const Clock* clock) : disk_(std::make_shared<Disk>(clock)) {}
MemoryFs::MemoryFs(std::shared_ptr<Disk> disk) : disk_(std::move(disk)) {}
MemoryFs::~MemoryFs() = default;

std::unique_ptr<Fs> MemoryFs::Share() const {
  return std::unique_ptr<Fs>(new MemoryFs(disk_));
}

void MemoryFs::DropUnsynced() {
  disk_->state.With([](DiskState& disk) {
    disk.power_cuts += 1;
    std::set<const Inode*> reverted;
    Revert(disk.root, reverted);
    disk.used_bytes = 0;
    std::set<const Inode*> counted;
    Count(disk, disk.root, counted);
  });
}

std::uint64_t MemoryFs::syncs() const {
  return disk_->state.With([](const DiskState& disk) { return disk.syncs; });
}

void MemoryFs::SetCapacity(std::uint64_t bytes) {
  disk_->state.With([&](DiskState& disk) { disk.capacity_bytes = bytes; });
}

std::uint64_t MemoryFs::used_bytes() const {
  return disk_->state.With([](const DiskState& disk) { return disk.used_bytes; });
}

Status MemoryFs::CorruptByte(std::string_view path, std::uint64_t offset) {
  return disk_->state.With([&](DiskState& disk) -> Status {
    BDN_ASSIGN(const Place place, FindExisting(disk, path, "corrupt"));
    bool flipped = false;
    const bool shared = place.inode->content == place.inode->synced_content;
    const auto flip = [&](std::shared_ptr<Bytes>& content) {
      if (offset >= content->size()) return;
      content = std::make_shared<Bytes>(*content);
      (*content)[offset] ^= std::byte{1};
      flipped = true;
    };
    flip(place.inode->content);
    if (shared) {
      place.inode->synced_content = place.inode->content;
    } else {
      flip(place.inode->synced_content);
    }
    if (flipped) return {};
    return Error(Code::kInvalidArgument, "corrupt \"" + std::string(path) + "\": no such byte");
  });
}

Result<std::unique_ptr<File>> MemoryFs::Open(std::string_view path,
                                             OpenMode mode,
                                             std::uint32_t permissions) {
  if (path.empty()) return Refused(EISDIR, "open", path);
  return disk_->state.With([&](DiskState& disk) -> Result<std::unique_ptr<File>> {
    BDN_ASSIGN(Place place, Find(disk, path, "open"));
    if (place.inode) {
      if (mode == OpenMode::kCreateNew) return Refused(EEXIST, "open", path);
      if (place.inode->type == FileType::kSymlink) return Refused(ELOOP, "open", path);
      if (place.inode->type != FileType::kFile) return Refused(EISDIR, "open", path);
    } else {
      if (mode == OpenMode::kRead || mode == OpenMode::kReadWrite) {
        return Refused(ENOENT, "open", path);
      }
      place.inode = disk_->Make(disk, FileType::kFile, permissions);
      place.dir->names[place.name] = place.inode;
    }
    place.inode->opens += 1;
    return std::make_unique<MemoryFile>(disk_, place.inode, disk.power_cuts,
                                        mode != OpenMode::kRead, std::string(path));
  });
}

Result<FileInfo> MemoryFs::Stat(std::string_view path) const {
  BDN_TRY(CheckPath(path));
  return disk_->state.With([&](const DiskState& disk) -> Result<FileInfo> {
    BDN_ASSIGN(const InodePtr inode, Walk(disk, path, "stat"));
    return InfoOf(*inode);
  });
}

Status MemoryFs::MakeDir(std::string_view path, std::uint32_t permissions) {
  if (path.empty()) return Refused(EEXIST, "make directory", path);
  return disk_->state.With([&](DiskState& disk) -> Status {
    BDN_ASSIGN(const Place place, Find(disk, path, "make directory"));
    if (place.inode) return Refused(EEXIST, "make directory", path);
    place.dir->names[place.name] = disk_->Make(disk, FileType::kDirectory, permissions);
    return {};
  });
}

Status MemoryFs::Remove(std::string_view path) {
  return disk_->state.With([&](DiskState& disk) -> Status {
    BDN_ASSIGN(const Place place, FindExisting(disk, path, "remove"));
    if (place.inode->type == FileType::kDirectory) return Refused(EISDIR, "remove", path);
    place.dir->names.erase(place.name);
    place.inode->links -= 1;
    FreeIfUnused(disk, *place.inode);
    return {};
  });
}

Status MemoryFs::RemoveDir(std::string_view path) {
  return disk_->state.With([&](DiskState& disk) -> Status {
    BDN_ASSIGN(const Place place, FindExisting(disk, path, "remove directory"));
    if (place.inode->type != FileType::kDirectory) {
      return Refused(ENOTDIR, "remove directory", path);
    }
    if (!place.inode->names.empty()) return Refused(ENOTEMPTY, "remove directory", path);
    place.dir->names.erase(place.name);
    return {};
  });
}

Status MemoryFs::Rename(std::string_view from, std::string_view to) {
  return disk_->state.With([&](DiskState& disk) -> Status {
    BDN_ASSIGN(const Place a, FindExisting(disk, from, "rename"));
    BDN_ASSIGN(const Place b, Find(disk, to, "rename to"));
    if (a.inode == b.inode) return {};  // POSIX: two names of one file, nothing happens
    const bool is_dir = a.inode->type == FileType::kDirectory;
    if (is_dir && IsBelow(a.inode, b.dir.get())) return Refused(EINVAL, "rename into itself", to);
    if (b.inode) {
      const bool onto_dir = b.inode->type == FileType::kDirectory;
      if (is_dir && !onto_dir) return Refused(ENOTDIR, "rename to", to);
      if (!is_dir && onto_dir) return Refused(EISDIR, "rename to", to);
      if (onto_dir && !b.inode->names.empty()) return Refused(ENOTEMPTY, "rename to", to);
      b.inode->links -= 1;
      FreeIfUnused(disk, *b.inode);
    }
    a.dir->names.erase(a.name);
    b.dir->names[b.name] = a.inode;
    return {};
  });
}

Status MemoryFs::Link(std::string_view from, std::string_view to) {
  return disk_->state.With([&](DiskState& disk) -> Status {
    BDN_ASSIGN(const Place a, FindExisting(disk, from, "link"));
    BDN_ASSIGN(const Place b, Find(disk, to, "link to"));
    if (b.inode) return Refused(EEXIST, "link to", to);
    if (a.inode->type == FileType::kDirectory) return Refused(EPERM, "link", from);
    if (a.inode->links >= kLinksMax) return Refused(EMLINK, "link", from);
    a.inode->links += 1;
    b.dir->names[b.name] = a.inode;
    return {};
  });
}

Status MemoryFs::Symlink(std::string_view target, std::string_view path) {
  return disk_->state.With([&](DiskState& disk) -> Status {
    BDN_ASSIGN(const Place place, Find(disk, path, "make symbolic link"));
    if (place.inode) return Refused(EEXIST, "make symbolic link", path);
    if (target.empty()) return Refused(EINVAL, "make symbolic link", path);
    if (target.size() > 4095) return Refused(ENAMETOOLONG, "make symbolic link", path);
    const InodePtr inode = disk_->Make(disk, FileType::kSymlink, 0777);
    inode->target = target;
    place.dir->names[place.name] = inode;
    return {};
  });
}

Result<std::string> MemoryFs::ReadLink(std::string_view path) const {
  return disk_->state.With([&](const DiskState& disk) -> Result<std::string> {
    BDN_ASSIGN(const Place place, FindExisting(disk, path, "read link"));
    if (place.inode->type == FileType::kSymlink) return place.inode->target;
    return Error(Code::kFailedPrecondition,
                 "read link \"" + std::string(path) + "\": not a symbolic link");
  });
}

Status MemoryFs::SetMode(std::string_view path, std::uint32_t permissions) {
  BDN_TRY(CheckPath(path));
  return disk_->state.With([&](DiskState& disk) -> Status {
    BDN_ASSIGN(const InodePtr inode, Walk(disk, path, "change mode of"));
    if (inode->type == FileType::kSymlink) return Refused(ELOOP, "change mode of", path);
    inode->mode = permissions & 07777u;
    return {};
  });
}

Status MemoryFs::SetModified(std::string_view path, WallTime time) {
  BDN_TRY(CheckPath(path));
  return disk_->state.With([&](DiskState& disk) -> Status {
    BDN_ASSIGN(const InodePtr inode, Walk(disk, path, "set time of"));
    inode->modified = time;
    return {};
  });
}

Status MemoryFs::List(std::string_view path,
                      const std::function<Status(const DirEntry&)>& visit) const {
  BDN_TRY(CheckPath(path));
  std::vector<DirEntry> entries;  // a copy: `visit` may call us
  BDN_TRY(disk_->state.With([&](const DiskState& disk) -> Status {
    BDN_ASSIGN(const InodePtr dir, Walk(disk, path, "list"));
    if (dir->type == FileType::kSymlink) return Refused(ELOOP, "list", path);
    if (dir->type != FileType::kDirectory) return Refused(ENOTDIR, "list", path);
    for (const auto& [name, inode] : dir->names) entries.push_back({name, inode->type});
    return {};
  }));
  for (const DirEntry& entry : entries) BDN_TRY(visit(entry));
  return {};
}

Status MemoryFs::SyncDir(std::string_view path) {
  BDN_TRY(CheckPath(path));
  return disk_->state.With([&](DiskState& disk) -> Status {
    BDN_ASSIGN(const InodePtr dir, Walk(disk, path, "sync directory"));
    if (dir->type == FileType::kSymlink) return Refused(ELOOP, "sync directory", path);
    if (dir->type != FileType::kDirectory) return Refused(ENOTDIR, "sync directory", path);
    disk.syncs += 1;
    dir->synced_names = dir->names;
    return {};
  });
}

Status MemoryFs::SyncAll() {
  return disk_->state.With([](DiskState& disk) -> Status {
    disk.syncs += 1;
    std::vector<InodePtr> todo{disk.root};
    while (!todo.empty()) {
      const InodePtr inode = todo.back();
      todo.pop_back();
      inode->synced_content = inode->content;
      inode->synced_names = inode->names;
      for (const auto& [name, child] : inode->names) todo.push_back(child);
    }
    return {};
  });
}

Result<DiskSpace> MemoryFs::Space() const {
  return disk_->state.With([](const DiskState& disk) {
    const std::uint64_t total = disk.capacity_bytes != 0 ? disk.capacity_bytes : kUnlimitedBytes;
    return DiskSpace{.total_bytes = total,
                     .available_bytes = total - std::min(total, disk.used_bytes)};
  });
}

std::string MemoryFs::HostPath(std::string_view /*path*/) const {
  return {};
}

}  // namespace bdn::os::testing
