#include "store/sqlite.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <sqlite3.h>

#include "base/check.h"

namespace bdn::store {
namespace {

Code CodeOf(int rc) {
  switch (rc & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return Code::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return Code::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::kCorrupt;
    case SQLITE_CONSTRAINT:
      return Code::kAlreadyExists;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Code::kPermissionDenied;
    default:
      return Code::kInternal;
  }
}

}  // namespace

Query::Query(Db& db, std::string_view sql) : db_(db) {
  std::string key(sql);
  if (const auto it = db.statements_.find(key); it != db.statements_.end()) {
    stmt_ = it->second;
    // Taken out while in use, so that a nested use of the same text prepares its own.
    db.statements_.erase(it);
    return;
  }
  rc_ = sqlite3_prepare_v3(db.handle_, key.data(), static_cast<int>(key.size()),
                           SQLITE_PREPARE_PERSISTENT, &stmt_, nullptr);
}

Query::~Query() {
  if (stmt_ == nullptr) return;
  sqlite3_reset(stmt_);
  sqlite3_clear_bindings(stmt_);
  if (!db_.statements_.emplace(sqlite3_sql(stmt_), stmt_).second) sqlite3_finalize(stmt_);
}

void Query::Keep(int rc) {
  if (rc_ == SQLITE_OK) rc_ = rc;
}

Query& Query::Bind(std::int64_t value) {
  if (stmt_ != nullptr) Keep(sqlite3_bind_int64(stmt_, ++bound_, value));
  return *this;
}

Query& Query::Bind(double value) {
  if (stmt_ != nullptr) Keep(sqlite3_bind_double(stmt_, ++bound_, value));
  return *this;
}

Query& Query::Bind(std::string_view text) {
  if (stmt_ == nullptr) return *this;
  // A null pointer would bind NULL, and an empty view may have one.
  Keep(sqlite3_bind_text64(stmt_, ++bound_, text.empty() ? "" : text.data(), text.size(),
                           SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}

Query& Query::Bind(const crypto::Digest& digest) {
  if (stmt_ == nullptr) return *this;
  Keep(sqlite3_bind_blob64(stmt_, ++bound_, digest.bytes.data(), digest.bytes.size(),
                           SQLITE_TRANSIENT));
  return *this;
}

Query& Query::Bind(const std::optional<crypto::Digest>& digest) {
  return digest ? Bind(*digest) : BindNull();
}

Query& Query::Bind(WallTime time) {
  return Bind(static_cast<std::int64_t>(time.time_since_epoch().count()));
}

Query& Query::BindNull() {
  if (stmt_ != nullptr) Keep(sqlite3_bind_null(stmt_, ++bound_));
  return *this;
}

Result<bool> Query::Next() {
  if (rc_ != SQLITE_OK) return db_.Failed(rc_, "preparing a query");
  const int rc = sqlite3_step(stmt_);
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  return db_.Failed(rc, "running a query");
}

Status Query::Run() {
  for (;;) {
    BDN_ASSIGN(const bool row, Next());
    if (!row) return {};
  }
}

std::uint64_t Query::changes() const {
  return static_cast<std::uint64_t>(sqlite3_changes64(db_.handle_));
}

bool Query::IsNull(int column) const {
  return sqlite3_column_type(stmt_, column) == SQLITE_NULL;
}

std::int64_t Query::Int(int column) const {
  return sqlite3_column_int64(stmt_, column);
}

double Query::Real(int column) const {
  return sqlite3_column_double(stmt_, column);
}

std::string Query::Text(int column) const {
  const void* text = sqlite3_column_text(stmt_, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(stmt_, column));
  return text == nullptr ? std::string() : std::string(static_cast<const char*>(text), size);
}

WallTime Query::Time(int column) const {
  return WallTime(Duration(Int(column)));
}

Result<crypto::Digest> Query::GetDigest(int column) const {
  const void* blob = sqlite3_column_blob(stmt_, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(stmt_, column));
  crypto::Digest digest;
  if (blob == nullptr || size != digest.bytes.size()) {
    return Error(Code::kCorrupt, fmt::format("{}: a digest in the database has {} bytes, not {}",
                                             db_.path_, size, digest.bytes.size()));
  }
  std::copy_n(static_cast<const std::uint8_t*>(blob), size, digest.bytes.begin());
  return digest;
}

Result<std::optional<crypto::Digest>> Query::GetOptionalDigest(int column) const {
  if (IsNull(column)) return std::optional<crypto::Digest>();
  BDN_ASSIGN(crypto::Digest digest, GetDigest(column));
  return std::optional(digest);
}

Result<std::unique_ptr<Db>> Db::Open(const std::string& path, const DbOptions& options) {
  std::unique_ptr<Db> db(new Db(path));
  const int rc = sqlite3_open_v2(
      path.c_str(), &db->handle_,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      options.vfs.empty() ? nullptr : options.vfs.c_str());
  if (rc != SQLITE_OK) return db->Failed(rc, "opening the database");
  sqlite3_busy_timeout(db->handle_, static_cast<int>(options.busy_timeout.count()));
  // FULL: a commit is on disk before it is answered. WAL: readers do not wait for the writer.
  BDN_TRY(db->Exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"));
  if (options.bytes_max) {
    constexpr std::uint64_t kPageBytes = 4096;  // the default since SQLite 3.12
    BDN_TRY(db->Exec(fmt::format("PRAGMA max_page_count={}",
                                 std::max<std::uint64_t>(1, *options.bytes_max / kPageBytes))));
  }
  return db;
}

Db::~Db() {
  for (const auto& [sql, stmt] : statements_) sqlite3_finalize(stmt);
  // Fails only when a statement is left, which a Query never does beyond its life.
  BDN_CHECK(sqlite3_close(handle_) == SQLITE_OK);
}

Status Db::Exec(const std::string& sql) {
  const int rc = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return Failed(rc, "running a statement");
  return {};
}

Status Db::Transaction(const std::function<Status()>& work) {
  return Between("BEGIN IMMEDIATE", work);
}

Status Db::Snapshot(const std::function<Status()>& work) {
  return Between("BEGIN", work);
}

Status Db::Between(const char* begin, const std::function<Status()>& work) {
  BDN_TRY(Exec(begin));
  Status done = work();
  if (done) done = Exec("COMMIT");
  // Some failures (a full disk) have rolled back already.
  if (!done && sqlite3_get_autocommit(handle_) == 0) {
    if (Status undone = Exec("ROLLBACK"); !undone) {
      return std::move(undone).error().Context(done.error().message());
    }
  }
  return done;
}

Error Db::Failed(int rc, std::string_view doing) const {
  const char* why = handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(rc);
  const Code code = CodeOf(rc);
  Error error(code, fmt::format("{}: {}: {} ({})", path_, doing, why, sqlite3_errstr(rc)));
  if (code == Code::kResourceExhausted) {
    return std::move(error).WithHint("Free disk space for the database, then try again.");
  }
  if (code == Code::kCorrupt) {
    return std::move(error).WithHint("Restore the database from a backup.");
  }
  return error;
}

DbPool::Lease::~Lease() {
  if (db_) pool_->Add(std::move(db_));
}

void DbPool::Add(std::unique_ptr<Db> db) {
  idle_.Change([&](auto& idle) { idle.push_back(std::move(db)); });
}

DbPool::Lease DbPool::Take() {
  std::unique_ptr<Db> taken;
  idle_.Wait([&](auto& idle) {
    if (idle.empty()) return false;
    taken = std::move(idle.back());
    idle.pop_back();
    return true;
  });
  return Lease(*this, std::move(taken));
}

}  // namespace bdn::store
