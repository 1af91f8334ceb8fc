// The training store: projects, jobs, checkpoints.
#include <utility>

#include <fmt/format.h>

#include "store/sqlite_metadata_impl.h"

namespace bdn::store {
namespace {

constexpr const char* kSelectCheckpoint =
    "SELECT project_id, job_id, name, id, org, ns, type, base_model, lora_rank, files, size_bytes, "
    "manifest, created_at, completed_at FROM checkpoints ";

Result<std::optional<Checkpoint>> ReadCheckpoint(Query& q) {
  BDN_ASSIGN(const bool row, q.Next());
  if (!row) return std::optional<Checkpoint>();
  Checkpoint c;
  c.project_id = q.Text(0);
  c.job_id = q.Text(1);
  c.name = q.Text(2);
  c.id = q.Text(3);
  c.scope = {.org = q.Text(4), .ns = q.Text(5)};
  c.type = q.Text(6);
  c.base_model = q.Text(7);
  c.lora_rank = q.Int(8);
  c.files = q.Uint(9);
  c.size_bytes = q.Uint(10);
  BDN_ASSIGN(c.manifest, q.GetOptionalDigest(11));
  c.created_at = q.Time(12);
  c.completed_at = q.Time(13);
  return std::optional(std::move(c));
}

Result<std::vector<Checkpoint>> ReadCheckpoints(Query& q) {
  std::vector<Checkpoint> rows;
  for (;;) {
    BDN_ASSIGN(auto row, ReadCheckpoint(q));
    if (!row) return rows;
    rows.push_back(*std::move(row));
  }
}

Result<std::optional<Checkpoint>> FindCheckpoint(Db& db, const Checkpoint& like) {
  Query q(db, std::string(kSelectCheckpoint) + "WHERE project_id = ? AND job_id = ? AND name = ?");
  q.Bind(like.project_id).Bind(like.job_id).Bind(like.name);
  return ReadCheckpoint(q);
}

Error NoCheckpoint(const Checkpoint& c) {
  return Error(Code::kNotFound,
               fmt::format("no checkpoint \"{:.300}\" in the job \"{:.80}\"", c.name, c.job_id));
}

}  // namespace

Result<TrainingProject> SqliteMetadata::EnsureTrainingProject(const TrainingProject& project) {
  TrainingProject found = project;
  const Status done = Write([&](Db& db) -> Status {
    {
      Query q(db, "SELECT id, created_at FROM training_projects WHERE org = ? AND name = ?");
      BDN_ASSIGN(const bool row, q.Bind(project.org).Bind(project.name).Next());
      if (row) {
        found.id = q.Text(0);
        found.created_at = q.Time(1);
        return {};
      }
    }
    Query q(db, "INSERT INTO training_projects VALUES (?, ?, ?, ?)");
    return q.Bind(project.id).Bind(project.org).Bind(project.name).Bind(project.created_at).Run();
  });
  BDN_TRY(done);
  return found;
}

Result<std::vector<TrainingProject>> SqliteMetadata::ListTrainingProjects(const std::string& org) {
  std::vector<TrainingProject> projects;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db,
            "SELECT id, name, created_at FROM training_projects WHERE org = ? "
            "ORDER BY created_at, id");
    q.Bind(org);
    for (;;) {
      BDN_ASSIGN(const bool row, q.Next());
      if (!row) return {};
      projects.push_back({.id = q.Text(0), .org = org, .name = q.Text(1), .created_at = q.Time(2)});
    }
  });
  BDN_TRY(done);
  return projects;
}

Result<TrainingJob> SqliteMetadata::EnsureTrainingJob(const TrainingJob& job) {
  TrainingJob found = job;
  const Status done = Write([&](Db& db) -> Status {
    {
      Query q(db, "SELECT 1 FROM training_projects WHERE id = ?");
      q.Bind(job.project_id);
      BDN_ASSIGN(const bool there, q.Next());
      if (!there) {
        return Error(Code::kNotFound, fmt::format("no training project {:.80}", job.project_id));
      }
    }
    {
      Query q(db, "SELECT created_at FROM training_jobs WHERE project_id = ? AND id = ?");
      BDN_ASSIGN(const bool row, q.Bind(job.project_id).Bind(job.id).Next());
      if (row) {
        found.created_at = q.Time(0);
        return {};
      }
    }
    Query q(db, "INSERT INTO training_jobs VALUES (?, ?, ?)");
    return q.Bind(job.project_id).Bind(job.id).Bind(job.created_at).Run();
  });
  BDN_TRY(done);
  return found;
}

Result<std::vector<TrainingJob>> SqliteMetadata::ListTrainingJobs(const std::string& project_id) {
  std::vector<TrainingJob> jobs;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db,
            "SELECT id, created_at FROM training_jobs WHERE project_id = ? "
            "ORDER BY created_at, id");
    q.Bind(project_id);
    for (;;) {
      BDN_ASSIGN(const bool row, q.Next());
      if (!row) return {};
      jobs.push_back({.project_id = project_id, .id = q.Text(0), .created_at = q.Time(1)});
    }
  });
  BDN_TRY(done);
  return jobs;
}

Result<Checkpoint> SqliteMetadata::BeginCheckpoint(const Checkpoint& checkpoint) {
  Checkpoint stored = checkpoint;
  stored.manifest.reset();
  stored.files = 0;
  stored.size_bytes = 0;
  stored.completed_at = {};
  const Status done = Write([&](Db& db) -> Status {
    BDN_ASSIGN(auto found, FindCheckpoint(db, checkpoint));
    if (found && found->manifest) {
      stored = *std::move(found);
      return {};
    }
    if (found) {
      stored.id = found->id;
      stored.scope = found->scope;
      stored.created_at = found->created_at;
      Query q(db,
              "UPDATE checkpoints SET type = ?, base_model = ?, lora_rank = ? "
              "WHERE project_id = ? AND job_id = ? AND name = ?");
      q.Bind(stored.type).Bind(stored.base_model).Bind(stored.lora_rank);
      return q.Bind(stored.project_id).Bind(stored.job_id).Bind(stored.name).Run();
    }
    {
      Query q(db, "SELECT 1 FROM training_jobs WHERE project_id = ? AND id = ?");
      q.Bind(stored.project_id).Bind(stored.job_id);
      BDN_ASSIGN(const bool there, q.Next());
      if (!there) return Error(Code::kNotFound, fmt::format("no job \"{:.80}\"", stored.job_id));
    }
    Query q(db, "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, NULL, ?, 0)");
    q.Bind(stored.project_id).Bind(stored.job_id).Bind(stored.name).Bind(stored.id);
    q.Bind(stored.scope.org).Bind(stored.scope.ns).Bind(stored.type).Bind(stored.base_model);
    return q.Bind(stored.lora_rank).Bind(stored.created_at).Run();
  });
  BDN_TRY(done);
  return stored;
}

Result<Checkpoint> SqliteMetadata::CompleteCheckpoint(const Checkpoint& checkpoint) {
  Checkpoint stored;
  const Status done = Write([&](Db& db) -> Status {
    BDN_ASSIGN(auto found, FindCheckpoint(db, checkpoint));
    if (!found) return NoCheckpoint(checkpoint);
    stored = *std::move(found);
    if (stored.manifest) {
      if (stored.manifest == checkpoint.manifest) return {};
      return Error(Code::kAlreadyExists,
                   fmt::format("the checkpoint \"{:.300}\" of the job \"{:.80}\" is complete with "
                               "other content",
                               stored.name, stored.job_id));
    }
    stored.manifest = checkpoint.manifest;
    stored.files = checkpoint.files;
    stored.size_bytes = checkpoint.size_bytes;
    stored.completed_at = checkpoint.completed_at;
    Query q(db,
            "UPDATE checkpoints SET manifest = ?, files = ?, size_bytes = ?, completed_at = ? "
            "WHERE project_id = ? AND job_id = ? AND name = ?");
    q.Bind(stored.manifest).Bind(stored.files).Bind(stored.size_bytes).Bind(stored.completed_at);
    return q.Bind(stored.project_id).Bind(stored.job_id).Bind(stored.name).Run();
  });
  BDN_TRY(done);
  return stored;
}

Result<std::vector<Checkpoint>> SqliteMetadata::ListCheckpoints(const std::string& project_id,
                                                                const std::string& job_id) {
  std::vector<Checkpoint> rows;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db, std::string(kSelectCheckpoint) +
                    "WHERE project_id = ? AND job_id = ? ORDER BY created_at, id");
    q.Bind(project_id).Bind(job_id);
    BDN_ASSIGN(rows, ReadCheckpoints(q));
    return {};
  });
  BDN_TRY(done);
  return rows;
}

Result<std::vector<Checkpoint>> SqliteMetadata::ListOpenCheckpoints() {
  std::vector<Checkpoint> rows;
  const Status done = Read([&](Db& db) -> Status {
    Query q(db, std::string(kSelectCheckpoint) + "WHERE manifest IS NULL ORDER BY created_at");
    BDN_ASSIGN(rows, ReadCheckpoints(q));
    return {};
  });
  BDN_TRY(done);
  return rows;
}

Status SqliteMetadata::DeleteCheckpoint(const std::string& project_id,
                                        const std::string& job_id,
                                        const std::string& name) {
  return Write([&](Db& db) -> Status {
    Query q(db, "DELETE FROM checkpoints WHERE project_id = ? AND job_id = ? AND name = ?");
    BDN_TRY(q.Bind(project_id).Bind(job_id).Bind(name).Run());
    if (q.changes() > 0) return {};
    Checkpoint like;
    like.job_id = job_id;
    like.name = name;
    return NoCheckpoint(like);
  });
}

}  // namespace bdn::store
