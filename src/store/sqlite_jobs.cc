// Deployments and mirrors.
#include <utility>

#include <fmt/format.h>

#include "codec/json.h"
#include "store/sqlite_metadata_impl.h"

namespace bdn::store {
namespace {

constexpr std::string_view kMirrorColumns =
    "id, org, ns, mirror_key, source, spec, state, pin, pin_type, manifest, phase, files, "
    "files_done, bytes, bytes_done, bytes_reused, rate, eta, error_code, error_message, "
    "error_hint, warnings, attempts, lease_owner, lease_until, not_before, created_at, updated_at";

Error NoSuch(std::string_view what, std::string_view id) {
  return Error(Code::kNotFound, fmt::format("no {} \"{:.80}\"", what, id));
}

Result<MirrorState> ParseState(const std::string& name) {
  for (const MirrorState state : {MirrorState::kQueued, MirrorState::kRunning, MirrorState::kDone,
                                  MirrorState::kFailed, MirrorState::kStopped}) {
    if (name == MirrorStateName(state)) return state;
  }
  return Error(Code::kCorrupt, fmt::format("unknown state \"{:.40}\" of a mirror", name));
}

std::string WarningsJson(const std::vector<std::string>& warnings) {
  boost::json::array array;
  for (const std::string& warning : warnings) array.emplace_back(warning);
  return codec::SerializeJson(array);
}

Result<std::vector<std::string>> ParseWarnings(const std::string& json) {
  BDN_ASSIGN(const boost::json::value value, codec::ParseJson(json));
  BDN_ASSIGN(const std::vector<codec::JsonView> items, codec::JsonView(value).Items());
  std::vector<std::string> warnings;
  for (const codec::JsonView& item : items) {
    BDN_ASSIGN(std::string text, item.AsString());
    warnings.push_back(std::move(text));
  }
  return warnings;
}

Progress ReadProgress(const Query& q, int column) {
  Progress p;
  p.phase = q.Text(column);
  p.files = q.Uint(column + 1);
  p.files_done = q.Uint(column + 2);
  p.bytes = q.Uint(column + 3);
  p.bytes_done = q.Uint(column + 4);
  p.bytes_reused = q.Uint(column + 5);
  p.rate = q.Real(column + 6);
  if (!q.IsNull(column + 7)) p.eta = q.Real(column + 7);
  return p;
}

// Binds the eight values of kSetProgress.
constexpr std::string_view kSetProgress =
    "phase = ?, files = ?, files_done = ?, bytes = ?, bytes_done = ?, bytes_reused = ?, rate = ?, "
    "eta = ?";
void BindProgress(Query& q, const Progress& p) {
  q.Bind(p.phase).Bind(p.files).Bind(p.files_done).Bind(p.bytes).Bind(p.bytes_done);
  q.Bind(p.bytes_reused).Bind(p.rate);
  if (p.eta) {
    q.Bind(*p.eta);
  } else {
    q.BindNull();
  }
}

// Of a row of kMirrorColumns.
Result<Mirror> ReadMirror(const Query& q) {
  Mirror m;
  m.id = q.Text(0);
  m.scope = {.org = q.Text(1), .ns = q.Text(2)};
  m.key = q.Text(3);
  m.source = q.Text(4);
  m.spec = q.Text(5);
  BDN_ASSIGN(m.state, ParseState(q.Text(6)));
  m.pin = q.Text(7);
  m.pin_type = q.Text(8);
  BDN_ASSIGN(m.manifest, q.GetOptionalDigest(9));
  m.progress = ReadProgress(q, 10);
  m.error = {.code = q.Text(18), .message = q.Text(19), .hint = q.Text(20)};
  auto warnings = ParseWarnings(q.Text(21));
  if (!warnings) {
    return std::move(warnings).error().WithCode(Code::kCorrupt).Context("warnings of a mirror");
  }
  m.warnings = *std::move(warnings);
  m.attempts = static_cast<int>(q.Int(22));
  m.lease_owner = q.Text(23);
  m.lease_until = q.Time(24);
  m.not_before = q.Time(25);
  m.created_at = q.Time(26);
  m.updated_at = q.Time(27);
  return m;
}

Result<std::optional<Mirror>> ReadOneMirror(Query& q) {
  BDN_ASSIGN(const bool row, q.Next());
  if (!row) return std::optional<Mirror>();
  BDN_ASSIGN(Mirror mirror, ReadMirror(q));
  return std::optional(std::move(mirror));
}

Result<std::optional<std::string>> FindOpenMirror(Db& db,
                                                  const Scope& scope,
                                                  const std::string& key) {
  Query q(db,
          "SELECT id FROM mirrors WHERE org = ? AND ns = ? AND mirror_key = ? "
          "AND state IN ('queued', 'running')");
  q.Bind(scope.org).Bind(scope.ns).Bind(key);
  BDN_ASSIGN(const bool row, q.Next());
  return row ? std::optional(q.Text(0)) : std::nullopt;
}

Result<std::string> AttachOrInsertMirror(Db& db, const Mirror& m) {
  BDN_ASSIGN(std::optional<std::string> open, FindOpenMirror(db, m.scope, m.key));
  if (open) return *std::move(open);
  Query q(db,
          "INSERT INTO mirrors (id, org, ns, mirror_key, source, spec, state, created_at, "
          "updated_at) VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, ?)");
  q.Bind(m.id).Bind(m.scope.org).Bind(m.scope.ns).Bind(m.key).Bind(m.source).Bind(m.spec);
  q.Bind(m.created_at).Bind(m.created_at);
  BDN_TRY(q.Run());
  return m.id;
}

Status ReadMounts(Db& db, Deployment& deployment) {
  Query q(db,
          "SELECT mount_location, source, mirror_id FROM deployment_mounts "
          "WHERE deployment_id = ? ORDER BY position");
  q.Bind(deployment.id);
  for (;;) {
    BDN_ASSIGN(const bool row, q.Next());
    if (!row) return {};
    deployment.mounts.push_back(
        {.mount_location = q.Text(0), .source = q.Text(1), .mirror_id = q.Text(2)});
  }
}

constexpr std::string_view kDeploymentColumns = "id, org, name, config, active, created_at";
Deployment ReadDeployment(const Query& q) {
  Deployment d;
  d.id = q.Text(0);
  d.org = q.Text(1);
  d.name = q.Text(2);
  d.config = q.Text(3);
  d.active = q.Int(4) != 0;
  d.created_at = q.Time(5);
  return d;
}

// Stops the open mirrors that `deployment_id` uses and no *other* active deployment does.
Status StopUnwantedMirrors(Db& db, const std::string& deployment_id) {
  return Query(db,
               "UPDATE mirrors SET state = 'stopped', lease_owner = '', lease_until = 0 "
               "WHERE state IN ('queued', 'running') "
               "AND id IN (SELECT mirror_id FROM deployment_mounts WHERE deployment_id = ?1) "
               "AND NOT EXISTS (SELECT 1 FROM deployment_mounts m JOIN deployments d "
               "  ON d.id = m.deployment_id WHERE m.mirror_id = mirrors.id AND d.active = 1 "
               "  AND d.id <> ?1)")
      .Bind(deployment_id)
      .Run();
}

// Queues the stopped mirrors of a deployment again. Where another mirror of the same key is open,
// the mount is attached to that one instead: there is one open mirror for each key.
Status RequeueStoppedMirrors(Db& db, const std::string& deployment_id) {
  std::vector<Mirror> stopped;
  {
    Query q(db, fmt::format("SELECT {} FROM mirrors WHERE state = 'stopped' AND id IN "
                            "(SELECT mirror_id FROM deployment_mounts WHERE deployment_id = ?)",
                            kMirrorColumns));
    q.Bind(deployment_id);
    for (;;) {
      BDN_ASSIGN(std::optional<Mirror> mirror, ReadOneMirror(q));
      if (!mirror) break;
      stopped.push_back(*std::move(mirror));
    }
  }
  for (const Mirror& mirror : stopped) {
    BDN_ASSIGN(const std::optional<std::string> open, FindOpenMirror(db, mirror.scope, mirror.key));
    if (open) {
      BDN_TRY(Query(db,
                    "UPDATE deployment_mounts SET mirror_id = ? "
                    "WHERE deployment_id = ? AND mirror_id = ?")
                  .Bind(*open)
                  .Bind(deployment_id)
                  .Bind(mirror.id)
                  .Run());
    } else {
      BDN_TRY(Query(db,
                    "UPDATE mirrors SET state = 'queued', attempts = 0, not_before = 0, "
                    "phase = 'queued' WHERE id = ?")
                  .Bind(mirror.id)
                  .Run());
    }
  }
  return {};
}

// Tells a mirror that is not there from one whose lease is another's.
Status ExpectLeaseHeld(Db& db, const Query& update, const std::string& id) {
  if (update.changes() == 1) return {};
  Query q(db, "SELECT state, lease_owner FROM mirrors WHERE id = ?");
  q.Bind(id);
  BDN_ASSIGN(const bool row, q.Next());
  if (!row) return NoSuch("mirror", id);
  return Error(
      Code::kFailedPrecondition,
      fmt::format("mirror {} is not leased to this worker any more (it is {})", id, q.Text(0)));
}

}  // namespace

Result<Deployment> SqliteMetadata::CreateDeployment(Deployment deployment,
                                                    std::vector<Mirror> mirrors) {
  if (deployment.mounts.size() != mirrors.size()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("deployment {} has {} mounts and {} mirrors", deployment.id,
                             deployment.mounts.size(), mirrors.size()));
  }
  const Status done = Write([&](Db& db) -> Status {
    Query insert(db, "INSERT INTO deployments VALUES (?, ?, ?, ?, ?, ?)");
    insert.Bind(deployment.id).Bind(deployment.org).Bind(deployment.name).Bind(deployment.config);
    insert.Bind(deployment.active).Bind(deployment.created_at);
    BDN_TRY(insert.Run());
    for (std::size_t i = 0; i < mirrors.size(); ++i) {
      DeploymentMount& mount = deployment.mounts[i];
      BDN_ASSIGN(mount.mirror_id, AttachOrInsertMirror(db, mirrors[i]));
      Query q(db, "INSERT INTO deployment_mounts VALUES (?, ?, ?, ?, ?)");
      q.Bind(deployment.id).Bind(static_cast<std::uint64_t>(i)).Bind(mount.mount_location);
      q.Bind(mount.source).Bind(mount.mirror_id);
      BDN_TRY(q.Run());
    }
    return {};
  });
  BDN_TRY(done);
  return deployment;
}

Result<Deployment> SqliteMetadata::GetDeployment(const std::string& id) {
  Deployment found;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db, fmt::format("SELECT {} FROM deployments WHERE id = ?", kDeploymentColumns));
    q.Bind(id);
    BDN_ASSIGN(const bool row, q.Next());
    if (!row) return NoSuch("deployment", id);
    found = ReadDeployment(q);
    return ReadMounts(db, found);
  });
  BDN_TRY(done);
  return found;
}

Result<std::vector<Deployment>> SqliteMetadata::ListDeployments(const std::string& org,
                                                                std::size_t limit,
                                                                const std::string& before_id) {
  std::vector<Deployment> found;
  const Status done = Read([&](Db& db) -> Status {
    WallTime before = WallTime::max();
    if (!before_id.empty()) {
      Query q(db, "SELECT created_at FROM deployments WHERE id = ? AND org = ?");
      q.Bind(before_id).Bind(org);
      BDN_ASSIGN(const bool row, q.Next());
      if (!row) return NoSuch("deployment", before_id);
      before = q.Time(0);
    }
    Query q(db, fmt::format("SELECT {} FROM deployments WHERE org = ? AND (created_at, id) < (?, ?)"
                            " ORDER BY created_at DESC, id DESC LIMIT ?",
                            kDeploymentColumns));
    q.Bind(org).Bind(before).Bind(before_id).Bind(static_cast<std::uint64_t>(limit));
    for (;;) {
      BDN_ASSIGN(const bool row, q.Next());
      if (!row) return {};
      found.push_back(ReadDeployment(q));
      BDN_TRY(ReadMounts(db, found.back()));
    }
  });
  BDN_TRY(done);
  return found;
}

Status SqliteMetadata::SetDeploymentActive(const std::string& id, bool active) {
  return Write([&](Db& db) -> Status {
    Query q(db, "UPDATE deployments SET active = ? WHERE id = ?");
    q.Bind(active).Bind(id);
    BDN_TRY(q.Run());
    if (q.changes() == 0) return NoSuch("deployment", id);
    return active ? RequeueStoppedMirrors(db, id) : StopUnwantedMirrors(db, id);
  });
}

Status SqliteMetadata::DeleteDeployment(const std::string& id) {
  return Write([&](Db& db) -> Status {
    BDN_TRY(StopUnwantedMirrors(db, id));
    Query q(db, "DELETE FROM deployments WHERE id = ?");
    q.Bind(id);
    BDN_TRY(q.Run());
    if (q.changes() == 0) return NoSuch("deployment", id);
    return {};
  });
}

Result<Mirror> SqliteMetadata::GetMirror(const std::string& id) {
  std::optional<Mirror> found;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db, fmt::format("SELECT {} FROM mirrors WHERE id = ?", kMirrorColumns));
    q.Bind(id);
    BDN_ASSIGN(found, ReadOneMirror(q));
    return {};
  });
  BDN_TRY(done);
  if (!found) return NoSuch("mirror", id);
  return *std::move(found);
}

Result<std::optional<Mirror>> SqliteMetadata::ClaimMirror(const std::string& owner,
                                                          WallTime now,
                                                          Duration lease) {
  std::optional<Mirror> claimed;
  const Status done = Write([&](Db& db) -> Status {
    Query q(db, fmt::format("UPDATE mirrors SET state = 'running', attempts = attempts + 1, "
                            "lease_owner = ?, lease_until = ?, updated_at = ? WHERE id = ("
                            "SELECT id FROM mirrors WHERE (state = 'queued' AND not_before <= ?) "
                            "OR (state = 'running' AND lease_until <= ?) "
                            "ORDER BY created_at, id LIMIT 1) RETURNING {}",
                            kMirrorColumns));
    q.Bind(owner).Bind(now + lease).Bind(now).Bind(now).Bind(now);
    BDN_ASSIGN(claimed, ReadOneMirror(q));
    // The statement has to run to its end for the change to count.
    return q.Run();
  });
  BDN_TRY(done);
  return claimed;
}

Status SqliteMetadata::UpdateMirror(const std::string& id,
                                    const std::string& owner,
                                    const Progress& progress,
                                    WallTime now,
                                    Duration lease) {
  return Write([&](Db& db) -> Status {
    Query q(db, fmt::format("UPDATE mirrors SET {}, lease_until = ?, updated_at = ? "
                            "WHERE id = ? AND state = 'running' AND lease_owner = ?",
                            kSetProgress));
    BindProgress(q, progress);
    q.Bind(now + lease).Bind(now).Bind(id).Bind(owner);
    BDN_TRY(q.Run());
    return ExpectLeaseHeld(db, q, id);
  });
}

Status SqliteMetadata::SetMirrorPin(const std::string& id,
                                    const std::string& owner,
                                    const std::string& pin,
                                    const std::string& pin_type,
                                    const std::vector<std::string>& warnings) {
  return Write([&](Db& db) -> Status {
    Query q(db,
            "UPDATE mirrors SET pin = ?, pin_type = ?, warnings = ? "
            "WHERE id = ? AND state = 'running' AND lease_owner = ?");
    q.Bind(pin).Bind(pin_type).Bind(WarningsJson(warnings)).Bind(id).Bind(owner);
    BDN_TRY(q.Run());
    return ExpectLeaseHeld(db, q, id);
  });
}

Status SqliteMetadata::FinishMirror(const std::string& id,
                                    const std::string& owner,
                                    const crypto::Digest& manifest,
                                    const Progress& progress,
                                    WallTime now) {
  return Write([&](Db& db) -> Status {
    Query q(db, fmt::format("UPDATE mirrors SET {}, state = 'done', manifest = ?, error_code = '', "
                            "error_message = '', error_hint = '', lease_owner = '', "
                            "lease_until = 0, updated_at = ? "
                            "WHERE id = ? AND state = 'running' AND lease_owner = ?",
                            kSetProgress));
    BindProgress(q, progress);
    q.Bind(manifest).Bind(now).Bind(id).Bind(owner);
    BDN_TRY(q.Run());
    return ExpectLeaseHeld(db, q, id);
  });
}

Status SqliteMetadata::FailMirror(const std::string& id,
                                  const std::string& owner,
                                  const MirrorError& error,
                                  bool retry,
                                  WallTime not_before,
                                  WallTime now) {
  return Write([&](Db& db) -> Status {
    Query q(db,
            "UPDATE mirrors SET state = ?, phase = ?, error_code = ?, error_message = ?, "
            "error_hint = ?, not_before = ?, lease_owner = '', lease_until = 0, updated_at = ? "
            "WHERE id = ? AND state = 'running' AND lease_owner = ?");
    const std::string_view state =
        MirrorStateName(retry ? MirrorState::kQueued : MirrorState::kFailed);
    q.Bind(state).Bind(state).Bind(error.code).Bind(error.message).Bind(error.hint);
    q.Bind(not_before).Bind(now).Bind(id).Bind(owner);
    BDN_TRY(q.Run());
    return ExpectLeaseHeld(db, q, id);
  });
}

Result<std::optional<Mirror>> SqliteMetadata::FindDoneMirror(const Scope& scope,
                                                             const std::string& key,
                                                             const std::string& pin) {
  std::optional<Mirror> found;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db, fmt::format("SELECT {} FROM mirrors WHERE org = ? AND ns = ? AND mirror_key = ? "
                            "AND state = 'done' AND (? = '' OR pin = ?) "
                            "ORDER BY updated_at DESC, id DESC LIMIT 1",
                            kMirrorColumns));
    q.Bind(scope.org).Bind(scope.ns).Bind(key).Bind(pin).Bind(pin);
    BDN_ASSIGN(found, ReadOneMirror(q));
    return {};
  });
  BDN_TRY(done);
  return found;
}

Result<std::vector<Mirror>> SqliteMetadata::ListOpenMirrors() {
  std::vector<Mirror> found;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db, fmt::format("SELECT {} FROM mirrors WHERE state IN ('queued', 'running') "
                            "ORDER BY created_at, id",
                            kMirrorColumns));
    for (;;) {
      BDN_ASSIGN(std::optional<Mirror> mirror, ReadOneMirror(q));
      if (!mirror) return {};
      found.push_back(*std::move(mirror));
    }
  });
  BDN_TRY(done);
  return found;
}

}  // namespace bdn::store
