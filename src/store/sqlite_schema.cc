#include "store/sqlite_schema.h"

#include <array>

#include <fmt/format.h>

namespace bdn::store {
namespace {

constexpr const char* kVersion1 = R"sql(
CREATE TABLE deployments (
  id TEXT PRIMARY KEY, org TEXT NOT NULL, name TEXT NOT NULL, config TEXT NOT NULL,
  active INTEGER NOT NULL, created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX deployments_by_age ON deployments (org, created_at, id);

CREATE TABLE mirrors (
  id TEXT PRIMARY KEY, org TEXT NOT NULL, ns TEXT NOT NULL, mirror_key TEXT NOT NULL,
  source TEXT NOT NULL, spec TEXT NOT NULL, state TEXT NOT NULL,
  pin TEXT NOT NULL DEFAULT '', pin_type TEXT NOT NULL DEFAULT '', manifest BLOB,
  phase TEXT NOT NULL DEFAULT 'queued',
  files INTEGER NOT NULL DEFAULT 0, files_done INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0, bytes_done INTEGER NOT NULL DEFAULT 0,
  bytes_reused INTEGER NOT NULL DEFAULT 0, rate REAL NOT NULL DEFAULT 0, eta REAL,
  error_code TEXT NOT NULL DEFAULT '', error_message TEXT NOT NULL DEFAULT '',
  error_hint TEXT NOT NULL DEFAULT '', warnings TEXT NOT NULL DEFAULT '[]',
  attempts INTEGER NOT NULL DEFAULT 0, lease_owner TEXT NOT NULL DEFAULT '',
  lease_until INTEGER NOT NULL DEFAULT 0, not_before INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- One open mirror for each key: pushing twice waits for one download.
CREATE UNIQUE INDEX mirrors_open ON mirrors (org, ns, mirror_key)
  WHERE state IN ('queued', 'running');
CREATE INDEX mirrors_queue ON mirrors (created_at, id) WHERE state IN ('queued', 'running');
CREATE INDEX mirrors_done ON mirrors (org, ns, mirror_key, updated_at) WHERE state = 'done';

CREATE TABLE deployment_mounts (
  deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
  position INTEGER NOT NULL, mount_location TEXT NOT NULL, source TEXT NOT NULL,
  mirror_id TEXT NOT NULL REFERENCES mirrors (id),
  PRIMARY KEY (deployment_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX deployment_mounts_by_mirror ON deployment_mounts (mirror_id);

CREATE TABLE known_files (
  org TEXT NOT NULL, ns TEXT NOT NULL, identity TEXT NOT NULL, path TEXT NOT NULL,
  etag TEXT NOT NULL, version TEXT NOT NULL, size INTEGER NOT NULL,
  content_hash TEXT NOT NULL, chunked INTEGER NOT NULL, digest BLOB,
  PRIMARY KEY (org, ns, identity, path, etag, version, size)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_files_by_hash ON known_files (org, ns, content_hash, size)
  WHERE content_hash <> '';

CREATE TABLE partial_chunks (
  org TEXT NOT NULL, ns TEXT NOT NULL, file_key TEXT NOT NULL, offset INTEGER NOT NULL,
  length INTEGER NOT NULL, digest BLOB NOT NULL, touched_at INTEGER NOT NULL,
  PRIMARY KEY (org, ns, file_key, offset)
) STRICT, WITHOUT ROWID;

CREATE TABLE volume_versions (
  org TEXT NOT NULL, ns TEXT NOT NULL, volume TEXT NOT NULL, sequence INTEGER NOT NULL,
  manifest BLOB NOT NULL, created_at INTEGER NOT NULL,
  PRIMARY KEY (org, ns, volume, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE volume_tags (
  org TEXT NOT NULL, ns TEXT NOT NULL, volume TEXT NOT NULL, name TEXT NOT NULL,
  manifest BLOB NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (org, ns, volume, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
  org TEXT NOT NULL, secret_key TEXT NOT NULL, name TEXT NOT NULL, sealed TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (org, secret_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, org TEXT NOT NULL, hash_hex TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL, revoked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
)sql";

constexpr const char* kSigningKeys = R"sql(
CREATE TABLE signing_keys (
  kid TEXT PRIMARY KEY, algorithm TEXT NOT NULL, sealed TEXT NOT NULL,
  created_at INTEGER NOT NULL, signs_from INTEGER NOT NULL, published_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

// The training store. Checkpoints of a job in the order in which they were begun.
constexpr const char* kTraining = R"sql(
CREATE TABLE training_projects (
  id TEXT PRIMARY KEY, org TEXT NOT NULL, name TEXT NOT NULL, created_at INTEGER NOT NULL,
  UNIQUE (org, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE training_jobs (
  project_id TEXT NOT NULL REFERENCES training_projects (id), id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (project_id, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
  project_id TEXT NOT NULL, job_id TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL UNIQUE,
  org TEXT NOT NULL, ns TEXT NOT NULL, type TEXT NOT NULL, base_model TEXT NOT NULL,
  lora_rank INTEGER NOT NULL, files INTEGER NOT NULL, size_bytes INTEGER NOT NULL, manifest BLOB,
  created_at INTEGER NOT NULL, completed_at INTEGER NOT NULL,
  PRIMARY KEY (project_id, job_id, name),
  FOREIGN KEY (project_id, job_id) REFERENCES training_jobs (project_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX checkpoints_open ON checkpoints (created_at) WHERE manifest IS NULL;
)sql";

constexpr std::array kMigrations = {kVersion1, kSigningKeys, kTraining};

}  // namespace

std::span<const char* const> Migrations() {
  return kMigrations;
}

Status Migrate(Db& db) {
  return db.Transaction([&]() -> Status {
    BDN_TRY(db.Exec("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY) STRICT"));
    std::size_t version = 0;
    {
      Query query(db, "SELECT coalesce(max(version), 0) FROM migrations");
      BDN_ASSIGN(const bool row, query.Next());
      if (row) version = static_cast<std::size_t>(query.Uint(0));
    }
    if (version > kMigrations.size()) {
      return Error(Code::kFailedPrecondition,
                   fmt::format("the metadata database has schema version {}, this program knows up "
                               "to {}",
                               version, kMigrations.size()))
          .WithHint("Use the version of bdn that wrote it, or a newer one.");
    }
    for (; version < kMigrations.size(); ++version) {
      BDN_TRY(db.Exec(kMigrations[version]));
      BDN_TRY(Query(db, "INSERT INTO migrations VALUES (?)")
                  .Bind(static_cast<std::uint64_t>(version + 1))
                  .Run());
    }
    return {};
  });
}

}  // namespace bdn::store
