// Known files, partial chunks, and what GC asks.
#include <utility>

#include <fmt/format.h>

#include "store/sqlite_metadata_impl.h"

namespace bdn::store {
namespace {

constexpr std::string_view kFileColumns =
    "identity, path, etag, version, size, content_hash, chunked, digest";

Result<std::optional<KnownFile>> ReadKnownFile(Query& q) {
  BDN_ASSIGN(const bool row, q.Next());
  if (!row) return std::optional<KnownFile>();
  KnownFile file;
  file.identity = q.Text(0);
  file.path = q.Text(1);
  file.etag = q.Text(2);
  file.version = q.Text(3);
  file.size = q.Uint(4);
  file.content_hash = q.Text(5);
  file.chunked = q.Int(6) != 0;
  BDN_ASSIGN(file.digest, q.GetOptionalDigest(7));
  return std::optional(std::move(file));
}

// Rows of (org, ns, digest).
Result<std::vector<Metadata::Root>> ReadDigests(Db& db, const char* sql) {
  std::vector<Metadata::Root> found;
  Query q(db, sql);
  for (;;) {
    BDN_ASSIGN(const bool row, q.Next());
    if (!row) return found;
    Metadata::Root root{.scope = {.org = q.Text(0), .ns = q.Text(1)}, .digest = {}};
    BDN_ASSIGN(root.digest, q.GetDigest(2));
    found.push_back(std::move(root));
  }
}

// The condition of a finished mirror that keeps nothing alive.
#define BDN_UNUSED_DONE_MIRROR                                                                 \
  "state = 'done' AND manifest IS NOT NULL AND NOT EXISTS (SELECT 1 FROM deployment_mounts m " \
  "JOIN deployments d ON d.id = m.deployment_id WHERE m.mirror_id = mirrors.id AND d.active = 1)"
// The condition of a volume version that keeps nothing alive.
#define BDN_UNUSED_VERSION                                                                \
  "sequence < (SELECT max(h.sequence) FROM volume_versions h WHERE h.org = v.org "        \
  "AND h.ns = v.ns AND h.volume = v.volume) AND NOT EXISTS (SELECT 1 FROM volume_tags t " \
  "WHERE t.org = v.org AND t.ns = v.ns AND t.volume = v.volume AND t.manifest = v.manifest)"

struct Forgetter {
  const char* list;    // columns: org, ns, digest; each once
  const char* forget;  // what temp.gone names
};
constexpr Forgetter kForgetters[] = {
    {.list = "SELECT DISTINCT org, ns, digest FROM known_files WHERE digest IS NOT NULL",
     .forget = "DELETE FROM known_files WHERE (org, ns, digest) IN (SELECT * FROM temp.gone)"},
    {.list = "SELECT DISTINCT org, ns, manifest FROM mirrors WHERE " BDN_UNUSED_DONE_MIRROR,
     .forget = "UPDATE mirrors SET state = 'stopped', manifest = NULL "
               "WHERE (org, ns, manifest) IN (SELECT * FROM temp.gone) "
               "AND " BDN_UNUSED_DONE_MIRROR},
    {.list = "SELECT DISTINCT org, ns, manifest FROM volume_versions AS v "
             "WHERE " BDN_UNUSED_VERSION,
     .forget = "DELETE FROM volume_versions AS v "
               "WHERE (org, ns, manifest) IN (SELECT * FROM temp.gone) AND " BDN_UNUSED_VERSION},
};
#undef BDN_UNUSED_DONE_MIRROR
#undef BDN_UNUSED_VERSION

}  // namespace

Result<std::optional<KnownFile>> SqliteMetadata::FindKnownFile(const Scope& scope,
                                                               const KnownFile& like) {
  std::optional<KnownFile> found;
  if (like.etag.empty() && like.version.empty()) return found;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db, fmt::format("SELECT {} FROM known_files WHERE org = ? AND ns = ? AND identity = ? "
                            "AND path = ? AND etag = ? AND version = ? AND size = ?",
                            kFileColumns));
    q.Bind(scope.org).Bind(scope.ns).Bind(like.identity).Bind(like.path).Bind(like.etag);
    q.Bind(like.version).Bind(like.size);
    BDN_ASSIGN(found, ReadKnownFile(q));
    return {};
  });
  BDN_TRY(done);
  return found;
}

Result<std::optional<KnownFile>> SqliteMetadata::FindFileByHash(const Scope& scope,
                                                                const std::string& content_hash,
                                                                std::uint64_t size) {
  std::optional<KnownFile> found;
  if (content_hash.empty()) return found;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db, fmt::format("SELECT {} FROM known_files WHERE org = ? AND ns = ? "
                            "AND content_hash = ? AND content_hash <> '' AND size = ? LIMIT 1",
                            kFileColumns));
    q.Bind(scope.org).Bind(scope.ns).Bind(content_hash).Bind(size);
    BDN_ASSIGN(found, ReadKnownFile(q));
    return {};
  });
  BDN_TRY(done);
  return found;
}

Status SqliteMetadata::PutKnownFiles(const Scope& scope, const std::vector<KnownFile>& files) {
  if (files.empty()) return {};
  return Write([&](Db& db) -> Status {
    for (const KnownFile& file : files) {
      Query q(db, "INSERT OR REPLACE INTO known_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
      q.Bind(scope.org).Bind(scope.ns).Bind(file.identity).Bind(file.path).Bind(file.etag);
      q.Bind(file.version).Bind(file.size).Bind(file.content_hash).Bind(file.chunked);
      q.Bind(file.digest);
      BDN_TRY(q.Run());
    }
    return {};
  });
}

Result<std::uint64_t> SqliteMetadata::ForgetKnownFiles(
    const std::function<bool(const Scope&, const crypto::Digest&)>& is_gone) {
  // First what is gone, with no connection held while `is_gone` runs; then one transaction.
  std::vector<std::vector<Root>> gone;
  for (const Forgetter& forgetter : kForgetters) {
    std::vector<Root> all;
    const Status done = Read([&](Db& db) -> Status {
      BDN_ASSIGN(all, ReadDigests(db, forgetter.list));
      return {};
    });
    BDN_TRY(done);
    std::erase_if(all, [&](const Root& root) { return !is_gone(root.scope, root.digest); });
    gone.push_back(std::move(all));
  }
  std::uint64_t forgotten = 0;
  const DbPool::Lease db = writer_.Take();
  // A temporary table and one scan: nothing else needs an index by digest.
  BDN_TRY(
      db->Exec("CREATE TABLE IF NOT EXISTS temp.gone (org TEXT, ns TEXT, digest BLOB, "
               "PRIMARY KEY (org, ns, digest)) STRICT, WITHOUT ROWID"));
  const Status done = db->Transaction([&]() -> Status {
    for (std::size_t i = 0; i < gone.size(); ++i) {
      if (gone[i].empty()) continue;
      BDN_TRY(db->Exec("DELETE FROM temp.gone"));
      for (const Root& root : gone[i]) {
        Query insert(*db, "INSERT OR IGNORE INTO temp.gone VALUES (?, ?, ?)");
        BDN_TRY(insert.Bind(root.scope.org).Bind(root.scope.ns).Bind(root.digest).Run());
      }
      Query forget(*db, kForgetters[i].forget);
      BDN_TRY(forget.Run());
      forgotten += forget.changes();
    }
    return {};
  });
  BDN_TRY(done);
  return forgotten;
}

Status SqliteMetadata::PutPartialChunk(const Scope& scope,
                                       const std::string& file_key,
                                       std::uint64_t offset,
                                       std::uint64_t length,
                                       const crypto::Digest& digest,
                                       WallTime now) {
  return Write([&](Db& db) -> Status {
    Query q(db, "INSERT OR REPLACE INTO partial_chunks VALUES (?, ?, ?, ?, ?, ?, ?)");
    q.Bind(scope.org).Bind(scope.ns).Bind(file_key).Bind(offset).Bind(length).Bind(digest);
    return q.Bind(now).Run();
  });
}

Result<std::vector<Metadata::PartialChunk>> SqliteMetadata::GetPartialChunks(
    const Scope& scope, const std::string& file_key) {
  std::vector<PartialChunk> chunks;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db,
            "SELECT offset, length, digest FROM partial_chunks "
            "WHERE org = ? AND ns = ? AND file_key = ? ORDER BY offset");
    q.Bind(scope.org).Bind(scope.ns).Bind(file_key);
    for (;;) {
      BDN_ASSIGN(const bool row, q.Next());
      if (!row) return {};
      PartialChunk chunk{.offset = q.Uint(0), .length = q.Uint(1), .digest = {}};
      BDN_ASSIGN(chunk.digest, q.GetDigest(2));
      chunks.push_back(chunk);
    }
  });
  BDN_TRY(done);
  return chunks;
}

Status SqliteMetadata::DropPartialChunks(const Scope& scope, const std::string& file_key) {
  return Write([&](Db& db) -> Status {
    Query q(db, "DELETE FROM partial_chunks WHERE org = ? AND ns = ? AND file_key = ?");
    return q.Bind(scope.org).Bind(scope.ns).Bind(file_key).Run();
  });
}

Result<std::uint64_t> SqliteMetadata::ExpirePartialChunks(WallTime before) {
  std::uint64_t expired = 0;
  const Status done = Write([&](Db& db) -> Status {
    Query q(db,
            "DELETE FROM partial_chunks WHERE (org, ns, file_key) IN (SELECT org, ns, file_key "
            "FROM partial_chunks GROUP BY org, ns, file_key HAVING max(touched_at) < ?)");
    BDN_TRY(q.Bind(before).Run());
    expired = q.changes();
    return {};
  });
  BDN_TRY(done);
  return expired;
}

Status SqliteMetadata::ListRoots(const std::function<Status(const Root&)>& visit) {
  std::vector<Root> roots;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db,
            "SELECT org, ns, manifest, 1 FROM mirrors WHERE state = 'done' AND manifest IS NOT NULL"
            " AND EXISTS (SELECT 1 FROM deployment_mounts m JOIN deployments d"
            " ON d.id = m.deployment_id WHERE m.mirror_id = mirrors.id AND d.active = 1) "
            "UNION SELECT org, ns, manifest, 1 FROM volume_tags "
            "UNION SELECT org, ns, manifest, 1 FROM volume_versions AS v WHERE sequence = "
            "(SELECT max(h.sequence) FROM volume_versions h WHERE h.org = v.org AND h.ns = v.ns"
            " AND h.volume = v.volume) "
            "UNION SELECT org, ns, manifest, 1 FROM checkpoints WHERE manifest IS NOT NULL "
            "UNION SELECT org, ns, digest, 0 FROM partial_chunks");
    for (;;) {
      BDN_ASSIGN(const bool row, q.Next());
      if (!row) return {};
      Root root{
          .scope = {.org = q.Text(0), .ns = q.Text(1)}, .digest = {}, .manifest = q.Int(3) != 0};
      BDN_ASSIGN(root.digest, q.GetDigest(2));
      roots.push_back(std::move(root));
    }
  });
  BDN_TRY(done);
  // After the snapshot is closed: a visitor may call back, and may take its time.
  for (const Root& root : roots) BDN_TRY(visit(root));
  return {};
}

}  // namespace bdn::store
