// Volumes, secrets, keys and settings.
#include <utility>

#include <fmt/format.h>

#include "store/sqlite_metadata_impl.h"

namespace bdn::store {
namespace {

Error NoSuchName(std::string_view what, std::string_view name) {
  return Error(Code::kNotFound, fmt::format("no {} \"{:.80}\"", what, name));
}

// The first column of every row.
Result<std::vector<std::string>> ReadNames(Query& q) {
  std::vector<std::string> names;
  for (;;) {
    BDN_ASSIGN(const bool row, q.Next());
    if (!row) return names;
    names.push_back(q.Text(0));
  }
}

Status PutTag(Db& db,
              const Scope& scope,
              const std::string& volume,
              const std::string& tag,
              const crypto::Digest& manifest,
              WallTime now) {
  Query q(db, "INSERT OR REPLACE INTO volume_tags VALUES (?, ?, ?, ?, ?, ?)");
  q.Bind(scope.org).Bind(scope.ns).Bind(volume).Bind(tag).Bind(manifest).Bind(now);
  return q.Run();
}

// Rows of sequence, manifest, created_at.
Result<std::optional<VolumeVersion>> ReadVersion(Query& q,
                                                 const Scope& scope,
                                                 const std::string& volume) {
  BDN_ASSIGN(const bool row, q.Next());
  if (!row) return std::optional<VolumeVersion>();
  VolumeVersion version;
  version.ns = scope.ns;
  version.volume = volume;
  version.sequence = q.Int(0);
  BDN_ASSIGN(version.manifest, q.GetDigest(1));
  version.created_at = q.Time(2);
  return std::optional(std::move(version));
}

// Rows of name, secret_key, sealed, updated_at.
Result<std::optional<SealedSecret>> ReadSecret(Query& q) {
  BDN_ASSIGN(const bool row, q.Next());
  if (!row) return std::optional<SealedSecret>();
  BDN_ASSIGN(std::string sealed, crypto::Base64Decode(q.Text(2)));
  return std::optional(SealedSecret{
      .name = q.Text(0), .key = q.Text(1), .sealed = std::move(sealed), .updated_at = q.Time(3)});
}

Result<std::optional<ApiKey>> ReadApiKey(Query& q) {
  BDN_ASSIGN(const bool row, q.Next());
  if (!row) return std::optional<ApiKey>();
  ApiKey key;
  key.id = q.Text(0);
  key.name = q.Text(1);
  key.org = q.Text(2);
  key.hash_hex = q.Text(3);
  key.created_at = q.Time(4);
  key.revoked = q.Int(5) != 0;
  return std::optional(std::move(key));
}

// kid, algorithm, sealed, created_at, signs_from, published_until of all rows.
Result<std::vector<SigningKey>> ReadSigningKeys(Db& db) {
  std::vector<SigningKey> keys;
  Query q(db, "SELECT * FROM signing_keys ORDER BY signs_from, kid");
  for (;;) {
    BDN_ASSIGN(const bool row, q.Next());
    if (!row) return keys;
    SigningKey key{.kid = q.Text(0), .algorithm = q.Text(1)};
    BDN_ASSIGN(key.sealed, crypto::Base64Decode(q.Text(2)));
    key.created_at = q.Time(3);
    key.signs_from = q.Time(4);
    key.published_until = q.Time(5);
    keys.push_back(std::move(key));
  }
}

}  // namespace

Result<VolumeVersion> SqliteMetadata::AppendVersion(const Scope& scope,
                                                    const std::string& volume,
                                                    const crypto::Digest& manifest,
                                                    const std::string& tag,
                                                    WallTime now) {
  VolumeVersion version{.ns = scope.ns, .volume = volume, .manifest = manifest, .created_at = now};
  const Status done = Write([&](Db& db) -> Status {
    std::optional<VolumeVersion> head;
    {
      Query q(db,
              "SELECT sequence, manifest, created_at FROM volume_versions "
              "WHERE org = ? AND ns = ? AND volume = ? ORDER BY sequence DESC LIMIT 1");
      q.Bind(scope.org).Bind(scope.ns).Bind(volume);
      BDN_ASSIGN(head, ReadVersion(q, scope, volume));
    }
    if (head && head->manifest == manifest) {
      version = *std::move(head);
    } else {
      version.sequence = head ? head->sequence + 1 : 1;
      Query q(db, "INSERT INTO volume_versions VALUES (?, ?, ?, ?, ?, ?)");
      q.Bind(scope.org).Bind(scope.ns).Bind(volume).Bind(version.sequence).Bind(manifest);
      BDN_TRY(q.Bind(now).Run());
    }
    return tag.empty() ? Status() : PutTag(db, scope, volume, tag, manifest, now);
  });
  BDN_TRY(done);
  return version;
}

Result<std::vector<std::string>> SqliteMetadata::ListVolumes(const Scope& scope) {
  std::vector<std::string> names;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db,
            "SELECT DISTINCT volume FROM volume_versions WHERE org = ? AND ns = ? "
            "ORDER BY volume");
    q.Bind(scope.org).Bind(scope.ns);
    BDN_ASSIGN(names, ReadNames(q));
    return {};
  });
  BDN_TRY(done);
  return names;
}

Result<std::vector<std::string>> SqliteMetadata::ListNamespaces(const std::string& org) {
  std::vector<std::string> names;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db, "SELECT DISTINCT ns FROM volume_versions WHERE org = ? ORDER BY ns");
    q.Bind(org);
    BDN_ASSIGN(names, ReadNames(q));
    return {};
  });
  BDN_TRY(done);
  return names;
}

Result<std::vector<VolumeVersion>> SqliteMetadata::ListVersions(const Scope& scope,
                                                                const std::string& volume) {
  std::vector<VolumeVersion> versions;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db,
            "SELECT sequence, manifest, created_at FROM volume_versions "
            "WHERE org = ? AND ns = ? AND volume = ? ORDER BY sequence DESC");
    q.Bind(scope.org).Bind(scope.ns).Bind(volume);
    for (;;) {
      BDN_ASSIGN(std::optional<VolumeVersion> version, ReadVersion(q, scope, volume));
      if (!version) return {};
      versions.push_back(*std::move(version));
    }
  });
  BDN_TRY(done);
  return versions;
}

Result<std::vector<Tag>> SqliteMetadata::ListTags(const Scope& scope, const std::string& volume) {
  std::vector<Tag> tags;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db,
            "SELECT name, manifest, updated_at FROM volume_tags "
            "WHERE org = ? AND ns = ? AND volume = ? ORDER BY name");
    q.Bind(scope.org).Bind(scope.ns).Bind(volume);
    for (;;) {
      BDN_ASSIGN(const bool row, q.Next());
      if (!row) return {};
      Tag tag{.name = q.Text(0), .manifest = {}, .updated_at = q.Time(2)};
      BDN_ASSIGN(tag.manifest, q.GetDigest(1));
      tags.push_back(std::move(tag));
    }
  });
  BDN_TRY(done);
  return tags;
}

Status SqliteMetadata::SetTag(const Scope& scope,
                              const std::string& volume,
                              const std::string& tag,
                              const crypto::Digest& manifest,
                              WallTime now) {
  return Write([&](Db& db) -> Status {
    Query q(db,
            "SELECT 1 FROM volume_versions WHERE org = ? AND ns = ? AND volume = ? "
            "AND manifest = ?");
    q.Bind(scope.org).Bind(scope.ns).Bind(volume).Bind(manifest);
    BDN_ASSIGN(const bool row, q.Next());
    if (!row) {
      return NoSuchName("version", fmt::format("{}/{}@{}", scope.ns, volume, manifest.hex()));
    }
    return PutTag(db, scope, volume, tag, manifest, now);
  });
}

Status SqliteMetadata::DeleteTag(const Scope& scope,
                                 const std::string& volume,
                                 const std::string& tag) {
  return Write([&](Db& db) -> Status {
    Query q(db, "DELETE FROM volume_tags WHERE org = ? AND ns = ? AND volume = ? AND name = ?");
    q.Bind(scope.org).Bind(scope.ns).Bind(volume).Bind(tag);
    BDN_TRY(q.Run());
    if (q.changes() == 0) return NoSuchName("tag", fmt::format("{}/{}:{}", scope.ns, volume, tag));
    return {};
  });
}

Status SqliteMetadata::PutSecret(const std::string& org, const SealedSecret& secret) {
  return Write([&](Db& db) -> Status {
    Query q(db, "INSERT OR REPLACE INTO secrets VALUES (?, ?, ?, ?, ?)");
    q.Bind(org).Bind(secret.key).Bind(secret.name).Bind(crypto::Base64Encode(secret.sealed));
    return q.Bind(secret.updated_at).Run();
  });
}

Result<SealedSecret> SqliteMetadata::GetSecret(const std::string& org, const std::string& key) {
  std::optional<SealedSecret> found;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db,
            "SELECT name, secret_key, sealed, updated_at FROM secrets "
            "WHERE org = ? AND secret_key = ?");
    q.Bind(org).Bind(key);
    BDN_ASSIGN(found, ReadSecret(q));
    return {};
  });
  BDN_TRY(done);
  if (!found) return NoSuchName("secret", key);
  return *std::move(found);
}

Result<std::vector<SealedSecret>> SqliteMetadata::ListSecrets(const std::string& org) {
  std::vector<SealedSecret> secrets;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db,
            "SELECT name, secret_key, sealed, updated_at FROM secrets WHERE org = ? "
            "ORDER BY name");
    q.Bind(org);
    for (;;) {
      BDN_ASSIGN(std::optional<SealedSecret> secret, ReadSecret(q));
      if (!secret) return {};
      secrets.push_back(*std::move(secret));
    }
  });
  BDN_TRY(done);
  return secrets;
}

Status SqliteMetadata::DeleteSecret(const std::string& org, const std::string& key) {
  return Write([&](Db& db) -> Status {
    Query q(db, "DELETE FROM secrets WHERE org = ? AND secret_key = ?");
    BDN_TRY(q.Bind(org).Bind(key).Run());
    if (q.changes() == 0) return NoSuchName("secret", key);
    return {};
  });
}

Status SqliteMetadata::PutApiKey(const ApiKey& key) {
  return Write([&](Db& db) -> Status {
    Query q(db, "INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?)");
    q.Bind(key.id).Bind(key.name).Bind(key.org).Bind(key.hash_hex).Bind(key.created_at);
    return q.Bind(key.revoked).Run();
  });
}

Result<std::vector<ApiKey>> SqliteMetadata::ListApiKeys() {
  std::vector<ApiKey> keys;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db,
            "SELECT id, name, org, hash_hex, created_at, revoked FROM api_keys "
            "ORDER BY created_at, id");
    for (;;) {
      BDN_ASSIGN(std::optional<ApiKey> key, ReadApiKey(q));
      if (!key) return {};
      keys.push_back(*std::move(key));
    }
  });
  BDN_TRY(done);
  return keys;
}

Result<ApiKey> SqliteMetadata::FindApiKey(const std::string& hash_hex) {
  std::optional<ApiKey> found;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db,
            "SELECT id, name, org, hash_hex, created_at, revoked FROM api_keys "
            "WHERE hash_hex = ? AND revoked = 0");
    q.Bind(hash_hex);
    BDN_ASSIGN(found, ReadApiKey(q));
    return {};
  });
  BDN_TRY(done);
  if (!found) return Error(Code::kNotFound, "no such API key, or it was revoked");
  return *std::move(found);
}

Status SqliteMetadata::RevokeApiKey(const std::string& id) {
  return Write([&](Db& db) -> Status {
    Query q(db, "UPDATE api_keys SET revoked = 1 WHERE id = ?");
    BDN_TRY(q.Bind(id).Run());
    if (q.changes() == 0) return NoSuchName("API key", id);
    return {};
  });
}

Result<std::optional<std::string>> SqliteMetadata::GetSetting(const std::string& name) {
  std::optional<std::string> value;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db, "SELECT value FROM settings WHERE name = ?");
    BDN_ASSIGN(const bool row, q.Bind(name).Next());
    if (row) value = q.Text(0);
    return {};
  });
  BDN_TRY(done);
  return value;
}

Status SqliteMetadata::PutSetting(const std::string& name, const std::string& value) {
  return Write([&](Db& db) -> Status {
    Query q(db, "INSERT OR REPLACE INTO settings VALUES (?, ?)");
    return q.Bind(name).Bind(value).Run();
  });
}

Result<std::vector<SigningKey>> SqliteMetadata::ListSigningKeys() {
  std::vector<SigningKey> keys;
  const Status done = Read([&](Db& db) -> Status {
    BDN_ASSIGN(keys, ReadSigningKeys(db));
    return {};
  });
  BDN_TRY(done);
  return keys;
}

Status SqliteMetadata::ReplaceSigningKeys(const std::vector<SigningKey>& expected,
                                          const std::vector<SigningKey>& keys) {
  return Write([&](Db& db) -> Status {
    BDN_ASSIGN(const std::vector<SigningKey> now, ReadSigningKeys(db));
    if (now != expected) {
      return Error(Code::kFailedPrecondition, "the signing keys were changed meanwhile")
          .WithHint("Look at them again, then repeat what you did.");
    }
    BDN_TRY(db.Exec("DELETE FROM signing_keys"));
    for (const SigningKey& key : keys) {
      Query q(db, "INSERT INTO signing_keys VALUES (?, ?, ?, ?, ?, ?)");
      q.Bind(key.kid).Bind(key.algorithm).Bind(crypto::Base64Encode(key.sealed));
      BDN_TRY(q.Bind(key.created_at).Bind(key.signs_from).Bind(key.published_until).Run());
    }
    return {};
  });
}

}  // namespace bdn::store
