#include "store/directory_store.h"

#include <algorithm>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/guarded.h"
#include "base/log.h"
#include "codec/zstd.h"
#include "crypto/blake3.h"
#include "store/object_file.h"

namespace bdn::store {
namespace {

constexpr std::string_view kTmp = "tmp";                // files being written
constexpr std::string_view kQuarantine = "quarantine";  // objects that did not verify
constexpr std::string_view kTrash = "trash";            // objects on their way out
// Directories known to be durable: 65,536 per namespace at most, about 100 bytes each.
constexpr std::size_t kDurableDirsMax = 1u << 20;
// From so many objects on, flushing the file system once is cheaper than a directory for each.
constexpr std::size_t kFlushAllMin = 64;
// The same for new objects, which cost a file and up to two directories each.
constexpr std::size_t kPutFlushAllMin = 8;
// Files that PutChunks has open at a time.
constexpr std::size_t kPutOpenMax = 512;
// Smaller files get their blocks when they are flushed, side by side; reserving them one by one
// would only cost a second update of each file's block list.
constexpr std::uint64_t kAllocateMin = 1u << 20;

std::string_view ParentOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

bool IsNotFound(const Error& error) {
  return error.code() == Code::kNotFound;
}

// The names in a directory that are of `type`, sorted. A directory that is not there has none.
Result<std::vector<std::string>> Names(const os::Fs& fs, std::string_view path, os::FileType type) {
  std::vector<std::string> names;
  const Status listed = fs.List(path, [&](const os::DirEntry& entry) -> Status {
    if (entry.type == type) names.push_back(entry.name);
    return {};
  });
  if (!listed && !IsNotFound(listed.error())) return listed.error();
  std::sort(names.begin(), names.end());
  return names;
}

class DirectoryStore final : public ObjectStore {
 public:
  DirectoryStore(std::unique_ptr<os::Fs> fs,
                 const Clock& clock,
                 const DirectoryStoreOptions& options)
      : fs_(std::move(fs)), clock_(clock), options_(options) {}

  Status Prepare() {
    for (const std::string_view dir : {kTmp, kQuarantine, kTrash}) {
      BDN_TRY(os::MakeDirs(*fs_, dir, true));
    }
    return {};
  }

  Status Get(const Context& ctx,
             const Scope& scope,
             ObjectKind kind,
             const crypto::Digest& digest,
             const ByteSink& sink) override;
  Result<bool> Put(const Context& ctx,
                   const Scope& scope,
                   ObjectKind kind,
                   const crypto::Digest& digest,
                   std::span<const std::byte> bytes) override;
  Status PutChunks(const Context& ctx,
                   const Scope& scope,
                   std::span<const ChunkBytes> chunks) override;
  Result<std::unique_ptr<ChunkWriter>> StartChunk(const Context& ctx,
                                                  const Scope& scope,
                                                  std::uint64_t size) override;
  Result<bool> Touch(const Context& ctx, const Scope& scope, const crypto::Digest& digest) override;
  Result<std::optional<crypto::Digest>> TouchAll(const Context& ctx,
                                                 const Scope& scope,
                                                 std::span<const crypto::Digest> digests) override;
  Result<ObjectInfo> Stat(const Context& ctx,
                          const Scope& scope,
                          const crypto::Digest& digest) override;
  Result<OpenObject> Open(const Context& ctx,
                          const Scope& scope,
                          const crypto::Digest& digest) override;
  Status List(const Context& ctx,
              const std::function<Status(const Scope&, const ObjectInfo&)>& visit) override;
  Status Delete(const Context& ctx, const Scope& scope, const crypto::Digest& digest) override;
  Result<bool> DeleteIfOlder(const Context& ctx,
                             const Scope& scope,
                             const crypto::Digest& digest,
                             WallTime before) override;
  Result<std::uint64_t> Sweep(const Context& ctx, Duration age, bool dry_run) override;

 private:
  class Writer;
  static Status Start(const Context& ctx, const Scope& scope) {
    BDN_TRY(ctx.Check());
    return CheckScope(scope);
  }
  Result<OpenObject> OpenAt(const std::string& path, const crypto::Digest& digest);
  // Streams and verifies the content of an open object, of whatever kind it says it is.
  Status ReadVerified(const Context& ctx, const OpenObject& object, const ByteSink& sink);
  Status ReadRaw(const Context& ctx, const OpenObject& object, const ByteSink& sink);
  Status ReadCompressed(const OpenObject& object, const ByteSink& sink);
  void Quarantine(const std::string& path, const OpenObject& object);

  enum class Present { kAbsent, kWhole, kDamaged };
  // Whether the object is there as `kind`. `stored_bytes` is what Put would write.
  Result<Present> Look(const Context& ctx,
                       const std::string& path,
                       ObjectKind kind,
                       const crypto::Digest& digest,
                       bool zstd,
                       std::uint64_t stored_bytes);
  Result<std::unique_ptr<Writer>> NewWriter(const Scope& scope, std::uint64_t size);
  Status MakeDurableDir(std::string_view dir);
  // Puts all of them with two flushes; `left` gets those that have to be put one by one.
  Status PutFlushingTwice(const Context& ctx,
                          const Scope& scope,
                          std::span<const ChunkBytes> chunks,
                          std::vector<ChunkBytes>& left);
  // Renews the age; false when the object is not there. After true its name is durable.
  Result<bool> Renew(const std::string& path);
  Status ListNamespace(const Context& ctx,
                       const Scope& scope,
                       const std::function<Status(const Scope&, const ObjectInfo&)>& visit);
  // Puts a trashed file back, unless a new one is there already, and drops the trashed name.
  Status Restore(const std::string& trash, const std::string& path);
  Result<std::uint64_t> SweepFlat(std::string_view dir, WallTime before, bool dry_run);
  Status SweepTrash();

  const std::unique_ptr<os::Fs> fs_;
  const Clock& clock_;
  const DirectoryStoreOptions options_;
  Guarded<std::unordered_set<std::string>> durable_dirs_;
};

Result<OpenObject> DirectoryStore::OpenAt(const std::string& path, const crypto::Digest& digest) {
  OpenObject object;
  BDN_ASSIGN(object.file, fs_->Open(path, os::OpenMode::kRead));
  BDN_ASSIGN(const os::FileInfo info, object.file->Info());
  std::vector<std::byte> bytes(std::min<std::uint64_t>(info.size_bytes, kTypeFrameBytesMax));
  BDN_ASSIGN(const std::size_t n, object.file->ReadAt(0, bytes));
  auto head = ParseFileHead(std::span(bytes).first(n));
  if (!head) return std::move(head).error().Context(path);
  object.offset = head->offset;
  object.info = {.digest = digest,
                 .kind = head->kind,
                 .zstd = head->zstd,
                 .stored_bytes = info.size_bytes - head->offset,
                 .stored_at = info.modified};
  return object;
}

Status DirectoryStore::ReadRaw(const Context& ctx, const OpenObject& object, const ByteSink& sink) {
  std::vector<std::byte> piece(std::min<std::uint64_t>(
      options_.piece_bytes, std::max<std::uint64_t>(object.info.stored_bytes, 1)));
  crypto::Blake3 hash;
  for (std::uint64_t at = 0; at < object.info.stored_bytes;) {
    BDN_TRY(ctx.Check());
    BDN_ASSIGN(const std::size_t n, object.file->ReadAt(at, piece));
    if (n == 0) break;  // cut short meanwhile: the digest tells
    hash.Update(std::span(piece).first(n));
    BDN_TRY(sink(std::span(piece).first(n)));
    at += n;
  }
  if (hash.Finish() != object.info.digest) return Error(Code::kCorrupt, "digest differs");
  return {};
}

Status DirectoryStore::ReadCompressed(const OpenObject& object, const ByteSink& sink) {
  if (object.info.stored_bytes > kCompressedObjectBytesMax) {
    return Error(Code::kCorrupt,
                 fmt::format("compressed object larger than {} bytes", kCompressedObjectBytesMax));
  }
  std::string frames(object.info.stored_bytes, '\0');
  BDN_ASSIGN(const std::size_t n,
             object.file->ReadAt(object.offset, std::as_writable_bytes(std::span(frames))));
  auto content =
      codec::ZstdDecompress(std::string_view(frames).substr(0, n), kCompressedObjectBytesMax);
  if (!content) return std::move(content).error().WithCode(Code::kCorrupt);
  const auto bytes = std::as_bytes(std::span(*content));
  if (crypto::Blake3Of(bytes) != object.info.digest) {
    return Error(Code::kCorrupt, "digest differs");
  }
  return sink(bytes);
}

Status DirectoryStore::ReadVerified(const Context& ctx,
                                    const OpenObject& object,
                                    const ByteSink& sink) {
  return object.info.zstd ? ReadCompressed(object, sink) : ReadRaw(ctx, object, sink);
}

Status DirectoryStore::Get(const Context& ctx,
                           const Scope& scope,
                           ObjectKind kind,
                           const crypto::Digest& digest,
                           const ByteSink& sink) {
  BDN_TRY(Start(ctx, scope));
  const std::string path = FullKey(scope, digest);
  auto object = OpenAt(path, digest);
  if (!object) {
    return IsNotFound(object.error()) ? Error(Code::kNotFound, "no object " + path)
                                      : std::move(object).error();
  }
  // An object of another kind is read too, to tell a wrong question from a damaged header.
  const bool as_asked = object->info.kind == kind;
  Status sink_failed;
  Status done = ReadVerified(ctx, *object, [&](std::span<const std::byte> bytes) -> Status {
    if (as_asked) sink_failed = sink(bytes);
    return sink_failed;
  });
  if (!sink_failed) return sink_failed;
  if (!done && done.error().code() == Code::kCorrupt) {
    Quarantine(path, *object);
    return Error(Code::kCorrupt, fmt::format("object {} is damaged and was moved to {}/: {}", path,
                                             kQuarantine, done.error().message()))
        .WithHint("Mirror or push it again; storing the object again heals it.");
  }
  BDN_TRY(done);
  if (!as_asked) {
    return Error(Code::kCorrupt, fmt::format("object {} is a {}, not a {}", path,
                                             KindName(object->info.kind), KindName(kind)));
  }
  return {};
}

void DirectoryStore::Quarantine(const std::string& path, const OpenObject& object) {
  const std::string aside =
      fmt::format("{}/{}-{}", kQuarantine, object.info.digest.hex(), os::RandomName());
  const auto read = object.file->Info();
  if (!read || !fs_->Rename(path, aside)) return;  // the reader's error says enough
  // A Put may have healed the object since we opened it: then that file goes back.
  const auto moved = fs_->Stat(aside);
  if (moved && moved->inode != read->inode) {
    const Status back = Restore(aside, path);
    if (back) return;
  }
  // Its age is that of its disgrace, for Sweep. Failing that it only goes earlier.
  const Status aged = fs_->SetModified(aside, clock_.Now());
  log::Warn("damaged object moved aside",
            {{"object", path}, {"to", aside}, {"aged", aged ? "yes" : aged.error().message()}});
}

Result<DirectoryStore::Present> DirectoryStore::Look(const Context& ctx,
                                                     const std::string& path,
                                                     ObjectKind kind,
                                                     const crypto::Digest& digest,
                                                     bool zstd,
                                                     std::uint64_t stored_bytes) {
  auto object = OpenAt(path, digest);
  if (!object) {
    if (IsNotFound(object.error())) return Present::kAbsent;
    if (object.error().code() == Code::kUnsupported) return Present::kDamaged;
    return std::move(object).error();
  }
  const ObjectInfo& info = object->info;
  const bool same_kind = info.kind == kind;
  if (same_kind && info.zstd == zstd && info.stored_bytes + object->offset == stored_bytes) {
    return Present::kWhole;
  }
  // Another length: damaged, or compressed by another version of the library. Only reading tells.
  const Status read = ReadVerified(ctx, *object, [](auto) -> Status { return {}; });
  if (!read && read.error().code() == Code::kCorrupt) return Present::kDamaged;
  BDN_TRY(read);
  if (same_kind) return Present::kWhole;
  return Error(Code::kFailedPrecondition,
               fmt::format("object {} is stored as a {} and cannot be a {} too", path,
                           KindName(info.kind), KindName(kind)));
}

Status CheckDigest(const crypto::Digest& found, const crypto::Digest& wanted, std::uint64_t size) {
  if (found == wanted) return {};
  return Error(Code::kCorrupt,
               fmt::format("the {} bytes to store are not those of {}", size, wanted.ToString()));
}

// Hashing and writing share one pass, so that a chunk comes from memory once, not twice.
class DirectoryStore::Writer final : public ChunkWriter {
 public:
  Writer(DirectoryStore& store, Scope scope, std::unique_ptr<os::File> file, std::string temporary)
      : store_(store),
        scope_(std::move(scope)),
        file_(std::move(file)),
        temporary_(std::move(temporary)) {}

  ~Writer() override {
    if (temporary_.empty()) return;
    // As good as it goes: Sweep takes what stays.
    if (const Status removed = store_.fs_->Remove(temporary_);
        !removed && !IsNotFound(removed.error())) {
      log::Debug("temporary file left behind", {{"why", removed.error().message()}});
    }
  }

  Status Write(std::span<const std::byte> piece) override {
    if (head_.size() < kTypeFrameBytesMax) {
      const auto part = piece.first(std::min(piece.size(), kTypeFrameBytesMax - head_.size()));
      head_.insert(head_.end(), part.begin(), part.end());
    }
    for (std::size_t at = 0; at < piece.size(); at += store_.options_.piece_bytes) {
      const auto part = piece.subspan(at, std::min(store_.options_.piece_bytes, piece.size() - at));
      hash_.Update(part);
      BDN_TRY(file_->WriteAt(size_, part));
      size_ += part.size();
    }
    return {};
  }

  // After the last piece, once.
  Status CheckContent(const crypto::Digest& digest) {
    return CheckDigest(hash_.Finish(), digest, size_);
  }

  Result<bool> Commit(const Context& ctx, const crypto::Digest& digest) override {
    BDN_TRY(ctx.Check());
    BDN_TRY(CheckContent(digest));
    BDN_ASSIGN(const std::optional<std::string> encoded, EncodeObject(ObjectKind::kChunk, head_));
    if (encoded) return Error(Code::kUnsupported, "this chunk rests compressed");
    return PublishAs(ctx, ObjectKind::kChunk, digest, false);
  }

  // What was written is how the object of that kind and name rests.
  Result<bool> PublishAs(const Context& ctx,
                         ObjectKind kind,
                         const crypto::Digest& digest,
                         bool zstd) {
    const std::string path = FullKey(scope_, digest);
    BDN_ASSIGN(const Present present, store_.Look(ctx, path, kind, digest, zstd, size_));
    if (present == Present::kWhole) {
      BDN_ASSIGN(const bool there, store_.Renew(path));
      if (there) return false;
    }
    BDN_TRY(store_.MakeDurableDir(ParentOf(path)));
    BDN_TRY(SetAge());
    BDN_TRY(file_->Sync());
    BDN_TRY(MoveTo(path));
    BDN_TRY(store_.fs_->SyncDir(ParentOf(path)));
    return true;
  }

  Status SetAge() { return store_.fs_->SetModified(temporary_, store_.clock_.Now()); }
  // Makes it visible: its content must be durable.
  Status MoveTo(const std::string& path) {
    BDN_TRY(store_.fs_->Rename(temporary_, path));
    temporary_.clear();  // it is the object now
    return {};
  }

 private:
  DirectoryStore& store_;
  const Scope scope_;
  const std::unique_ptr<os::File> file_;
  std::string temporary_;
  std::vector<std::byte> head_;
  crypto::Blake3 hash_;
  std::uint64_t size_ = 0;
};

Result<std::unique_ptr<DirectoryStore::Writer>> DirectoryStore::NewWriter(const Scope& scope,
                                                                          std::uint64_t size) {
  std::string temporary = fmt::format("{}/{}", kTmp, os::RandomName());
  BDN_ASSIGN(auto file, fs_->Open(temporary, os::OpenMode::kCreateNew, 0644));
  os::File& opened = *file;
  auto writer = std::make_unique<Writer>(*this, scope, std::move(file), std::move(temporary));
  if (size >= kAllocateMin) BDN_TRY(opened.Allocate(size));
  return writer;
}

Result<std::unique_ptr<ChunkWriter>> DirectoryStore::StartChunk(const Context& ctx,
                                                                const Scope& scope,
                                                                std::uint64_t size) {
  BDN_TRY(Start(ctx, scope));
  BDN_ASSIGN(auto writer, NewWriter(scope, size));
  return std::unique_ptr<ChunkWriter>(std::move(writer));
}

Status DirectoryStore::PutChunks(const Context& ctx,
                                 const Scope& scope,
                                 std::span<const ChunkBytes> chunks) {
  if (chunks.size() < kPutFlushAllMin) return ObjectStore::PutChunks(ctx, scope, chunks);
  BDN_TRY(CheckScope(scope));
  std::vector<ChunkBytes> left;
  for (std::size_t at = 0; at < chunks.size(); at += kPutOpenMax) {
    const auto part = chunks.subspan(at, std::min(kPutOpenMax, chunks.size() - at));
    BDN_TRY(PutFlushingTwice(ctx, scope, part, left));
  }
  return ObjectStore::PutChunks(ctx, scope, left);
}

// All contents are on the disk before the first name is visible, and all names before it returns.
Status DirectoryStore::PutFlushingTwice(const Context& ctx,
                                        const Scope& scope,
                                        std::span<const ChunkBytes> chunks,
                                        std::vector<ChunkBytes>& left) {
  struct New {
    std::unique_ptr<Writer> writer;
    std::string path;
  };
  std::vector<New> written;
  for (const ChunkBytes& chunk : chunks) {
    BDN_TRY(ctx.Check());
    std::string path = FullKey(scope, chunk.digest);
    BDN_ASSIGN(const auto encoded, EncodeObject(ObjectKind::kChunk, chunk.bytes));
    BDN_ASSIGN(const Present present, Look(ctx, path, ObjectKind::kChunk, chunk.digest,
                                           encoded.has_value(), chunk.bytes.size()));
    if (encoded || present == Present::kDamaged) {
      left.push_back(chunk);
      continue;
    }
    if (present == Present::kWhole) {
      BDN_TRY(CheckDigest(crypto::Blake3Of(chunk.bytes), chunk.digest, chunk.bytes.size()));
      const Status aged = fs_->SetModified(path, clock_.Now());
      if (!aged && !IsNotFound(aged.error())) return aged;
      if (!aged) left.push_back(chunk);
      continue;
    }
    BDN_ASSIGN(auto writer, NewWriter(scope, chunk.bytes.size()));
    BDN_TRY(writer->Write(chunk.bytes));
    BDN_TRY(writer->CheckContent(chunk.digest));
    BDN_TRY(writer->SetAge());
    written.push_back({std::move(writer), std::move(path)});
  }
  if (!written.empty()) BDN_TRY(fs_->SyncAll());
  std::unordered_set<std::string> dirs;
  for (const New& object : written) {
    const std::string_view dir = ParentOf(object.path);
    if (dirs.insert(std::string(dir)).second) BDN_TRY(os::MakeDirs(*fs_, dir));
    BDN_TRY(object.writer->MoveTo(object.path));
  }
  BDN_TRY(fs_->SyncAll());
  durable_dirs_.With([&](auto& known) {
    if (known.size() + dirs.size() > kDurableDirsMax) known.clear();
    known.merge(dirs);
  });
  return {};
}

Status DirectoryStore::MakeDurableDir(std::string_view dir) {
  if (dir.empty()) return {};
  const std::string path(dir);
  if (durable_dirs_.With([&](const auto& dirs) { return dirs.contains(path); })) return {};
  BDN_TRY(MakeDurableDir(ParentOf(dir)));
  if (Status made = fs_->MakeDir(dir); !made && made.error().code() != Code::kAlreadyExists) {
    return made;
  }
  // Also for one that was there: who made it may not have synced it yet.
  BDN_TRY(fs_->SyncDir(ParentOf(dir)));
  durable_dirs_.With([&](auto& dirs) {
    if (dirs.size() >= kDurableDirsMax) dirs.clear();
    dirs.insert(path);
  });
  return {};
}

Result<bool> DirectoryStore::Renew(const std::string& path) {
  if (Status aged = fs_->SetModified(path, clock_.Now()); !aged) {
    if (IsNotFound(aged.error())) return false;
    return std::move(aged).error();
  }
  // Whoever renamed it into place may not have synced the name yet, and the caller will rely on it.
  BDN_TRY(MakeDurableDir(ParentOf(path)));
  BDN_TRY(fs_->SyncDir(ParentOf(path)));
  return true;
}

Result<bool> DirectoryStore::Put(const Context& ctx,
                                 const Scope& scope,
                                 ObjectKind kind,
                                 const crypto::Digest& digest,
                                 std::span<const std::byte> bytes) {
  BDN_TRY(Start(ctx, scope));
  BDN_ASSIGN(const std::optional<std::string> encoded, EncodeObject(kind, bytes));
  const auto stored = encoded ? std::as_bytes(std::span(*encoded)) : bytes;
  const std::string path = FullKey(scope, digest);
  BDN_ASSIGN(const Present present,
             Look(ctx, path, kind, digest, encoded.has_value(), stored.size()));
  if (encoded || present == Present::kWhole) {
    BDN_TRY(CheckDigest(crypto::Blake3Of(bytes), digest, bytes.size()));
  }
  if (present == Present::kWhole) {
    BDN_ASSIGN(const bool there, Renew(path));
    if (there) return false;
  }
  const auto done = [&]() -> Result<bool> {
    BDN_ASSIGN(const auto writer, NewWriter(scope, stored.size()));
    for (std::size_t at = 0; at < stored.size(); at += options_.piece_bytes) {
      BDN_TRY(ctx.Check());
      BDN_TRY(
          writer->Write(stored.subspan(at, std::min(options_.piece_bytes, stored.size() - at))));
    }
    if (encoded) return writer->PublishAs(ctx, kind, digest, true);
    return writer->Commit(ctx, digest);
  }();
  if (!done) return Error(done.error()).Context("store " + path);
  return done;
}

Result<bool> DirectoryStore::Touch(const Context& ctx,
                                   const Scope& scope,
                                   const crypto::Digest& digest) {
  BDN_TRY(Start(ctx, scope));
  return Renew(FullKey(scope, digest));
}

// One flush of the file system instead of one of a directory per object: a version of 100,000 small
// files would take a minute otherwise. It makes the names durable whoever renamed them into place,
// and their directories too.
Result<std::optional<crypto::Digest>> DirectoryStore::TouchAll(
    const Context& ctx, const Scope& scope, std::span<const crypto::Digest> digests) {
  if (digests.size() < kFlushAllMin) return ObjectStore::TouchAll(ctx, scope, digests);
  BDN_TRY(CheckScope(scope));
  const WallTime now = clock_.Now();
  for (const crypto::Digest& digest : digests) {
    BDN_TRY(ctx.Check());
    if (Status aged = fs_->SetModified(FullKey(scope, digest), now); !aged) {
      if (IsNotFound(aged.error())) return std::optional(digest);
      return std::move(aged).error();
    }
  }
  BDN_TRY(fs_->SyncAll());
  return std::optional<crypto::Digest>();
}

Result<ObjectInfo> DirectoryStore::Stat(const Context& ctx,
                                        const Scope& scope,
                                        const crypto::Digest& digest) {
  BDN_ASSIGN(const OpenObject object, Open(ctx, scope, digest));
  return object.info;
}

Result<OpenObject> DirectoryStore::Open(const Context& ctx,
                                        const Scope& scope,
                                        const crypto::Digest& digest) {
  BDN_TRY(Start(ctx, scope));
  return OpenAt(FullKey(scope, digest), digest);
}

Status DirectoryStore::List(const Context& ctx,
                            const std::function<Status(const Scope&, const ObjectInfo&)>& visit) {
  BDN_ASSIGN(const auto orgs, Names(*fs_, "bdn", os::FileType::kDirectory));
  for (const std::string& org : orgs) {
    BDN_ASSIGN(const auto namespaces, Names(*fs_, "bdn/" + org, os::FileType::kDirectory));
    for (const std::string& ns : namespaces) {
      const Scope scope{.org = org, .ns = ns};
      // Not ours: a name that no Put could have made.
      if (!CheckScope(scope)) continue;
      BDN_TRY(ListNamespace(ctx, scope, visit));
    }
  }
  return {};
}

Status DirectoryStore::ListNamespace(
    const Context& ctx,
    const Scope& scope,
    const std::function<Status(const Scope&, const ObjectInfo&)>& visit) {
  const std::string root = fmt::format("bdn/{}/{}/objects/b3", scope.org, scope.ns);
  BDN_ASSIGN(const auto outer, Names(*fs_, root, os::FileType::kDirectory));
  for (const std::string& first : outer) {
    BDN_ASSIGN(const auto inner, Names(*fs_, root + "/" + first, os::FileType::kDirectory));
    for (const std::string& second : inner) {
      BDN_TRY(ctx.Check());
      const std::string dir = fmt::format("{}/{}/{}", root, first, second);
      BDN_ASSIGN(const auto names, Names(*fs_, dir, os::FileType::kFile));
      for (const std::string& name : names) {
        const auto digest = crypto::ParseDigestHex(name);
        if (!digest || !name.starts_with(first + second)) continue;
        const auto object = OpenAt(dir + "/" + name, *digest);
        if (!object) {
          // Deleted meanwhile; or of a type that only a newer version knows, which is nothing that
          // this one may touch.
          if (IsNotFound(object.error()) || object.error().code() == Code::kUnsupported) continue;
          return object.error();
        }
        BDN_TRY(visit(scope, object->info));
      }
    }
  }
  return {};
}

Status DirectoryStore::Delete(const Context& ctx,
                              const Scope& scope,
                              const crypto::Digest& digest) {
  BDN_TRY(Start(ctx, scope));
  Status removed = fs_->Remove(FullKey(scope, digest));
  if (!removed && IsNotFound(removed.error())) return {};
  return removed;
}

// Between looking at the age and removing the name another thread or process may touch the object.
// So the name is taken away first; whoever touches it after that sees that it is not there. If the
// age turns out to be young, the name is put back.
Result<bool> DirectoryStore::DeleteIfOlder(const Context& ctx,
                                           const Scope& scope,
                                           const crypto::Digest& digest,
                                           WallTime before) {
  BDN_TRY(Start(ctx, scope));
  const std::string path = FullKey(scope, digest);
  auto info = fs_->Stat(path);
  if (!info && IsNotFound(info.error())) return false;
  if (!info) return std::move(info).error();
  if (info->modified >= before) return false;
  const std::string dir = fmt::format("{}/{}/{}", kTrash, scope.org, scope.ns);
  BDN_TRY(os::MakeDirs(*fs_, dir));
  const std::string trash = fmt::format("{}/{}", dir, digest.hex());
  if (Status moved = fs_->Rename(path, trash); !moved) {
    if (IsNotFound(moved.error())) return false;
    return std::move(moved).error();
  }
  info = fs_->Stat(trash);
  if (!info || info->modified >= before) {
    BDN_TRY(Restore(trash, path));
    if (!info) return std::move(info).error();
    return false;
  }
  BDN_TRY(fs_->Remove(trash));
  return true;
}

Status DirectoryStore::Restore(const std::string& trash, const std::string& path) {
  if (Status back = fs_->Link(trash, path); !back && back.error().code() != Code::kAlreadyExists) {
    return back;
  }
  BDN_TRY(fs_->SyncDir(ParentOf(path)));
  return fs_->Remove(trash);
}

Result<std::uint64_t> DirectoryStore::SweepFlat(std::string_view dir,
                                                WallTime before,
                                                bool dry_run) {
  std::uint64_t freed = 0;
  BDN_ASSIGN(const auto names, Names(*fs_, dir, os::FileType::kFile));
  for (const std::string& name : names) {
    const std::string path = fmt::format("{}/{}", dir, name);
    const auto info = fs_->Stat(path);
    if (!info && IsNotFound(info.error())) continue;  // its writer finished
    if (!info) return info.error();
    if (info->modified >= before) continue;
    if (!dry_run) {
      if (Status gone = fs_->Remove(path); !gone && !IsNotFound(gone.error())) {
        return std::move(gone).error();
      }
    }
    freed += info->size_bytes;
  }
  return freed;
}

// What a crash left between the two steps of DeleteIfOlder goes back: it may have been touched, and
// if not, the next GC takes it.
Status DirectoryStore::SweepTrash() {
  BDN_ASSIGN(const auto orgs, Names(*fs_, kTrash, os::FileType::kDirectory));
  for (const std::string& org : orgs) {
    const std::string org_dir = fmt::format("{}/{}", kTrash, org);
    BDN_ASSIGN(const auto namespaces, Names(*fs_, org_dir, os::FileType::kDirectory));
    for (const std::string& ns : namespaces) {
      const std::string dir = fmt::format("{}/{}", org_dir, ns);
      BDN_ASSIGN(const auto names, Names(*fs_, dir, os::FileType::kFile));
      for (const std::string& name : names) {
        const auto digest = crypto::ParseDigestHex(name);
        if (!digest) continue;
        const std::string path = FullKey({.org = org, .ns = ns}, *digest);
        if (Status back = Restore(fmt::format("{}/{}", dir, name), path);
            !back && !IsNotFound(back.error())) {
          return back;
        }
      }
    }
  }
  return {};
}

Result<std::uint64_t> DirectoryStore::Sweep(const Context& ctx, Duration age, bool dry_run) {
  BDN_TRY(ctx.Check());
  const WallTime before = clock_.Now() - age;
  if (!dry_run) BDN_TRY(SweepTrash());
  BDN_ASSIGN(const std::uint64_t temporary, SweepFlat(kTmp, before, dry_run));
  BDN_ASSIGN(const std::uint64_t damaged, SweepFlat(kQuarantine, before, dry_run));
  return temporary + damaged;
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> OpenDirectoryStore(std::unique_ptr<os::Fs> fs,
                                                        const Clock& clock,
                                                        const DirectoryStoreOptions& options) {
  auto store = std::make_unique<DirectoryStore>(std::move(fs), clock, options);
  BDN_TRY(store->Prepare());
  return store;
}

}  // namespace bdn::store
