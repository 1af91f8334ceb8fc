-- A database of schema version 1, as the first migration wrote it, with one row of each kind.
CREATE TABLE migrations (version INTEGER PRIMARY KEY) STRICT;
INSERT INTO migrations VALUES (1);

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

INSERT INTO deployments VALUES ('dep_1', 'org', 'name', 'weights: []', 1, 1800000000000000000);
INSERT INTO mirrors (id, org, ns, mirror_key, source, spec, state, manifest, bytes, warnings,
  created_at, updated_at) VALUES ('mir_1', 'org', 'ns', 'k', 'hf://a/b@main', '{}', 'done',
  x'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 123, '["renamed"]', 1800000000000000000, 1800000000000000000);
INSERT INTO deployment_mounts VALUES ('dep_1', 0, '/models/a', 'hf://a/b@main', 'mir_1');
INSERT INTO known_files VALUES ('org', 'ns', 'hf://a/b', 'p', 'e', '', 9, 'sha256:aa', 0, x'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
INSERT INTO partial_chunks VALUES ('org', 'ns', 'key', 0, 9, x'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1800000000000000000);
INSERT INTO volume_versions VALUES ('org', 'ns', 'vol', 4, x'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1800000000000000000);
INSERT INTO volume_tags VALUES ('org', 'ns', 'vol', 'latest', x'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1800000000000000000);
INSERT INTO secrets VALUES ('org', 'hftoken', 'hf_token', 'c2VhbGVk', 1800000000000000000);
INSERT INTO api_keys VALUES ('key_1', 'ci', 'org', 'beef', 1800000000000000000, 0);
INSERT INTO settings VALUES ('s', 'v');
