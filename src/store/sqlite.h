#pragma once
// A thin layer over the SQLite C API: connections, queries that are bound and read by position, and
// transactions. It maps result codes to Error and owns handles; it does not hide SQL.
//
// A Db is used by one thread at a time; DbPool lends them out.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"
#include "base/result.h"
#include "crypto/digest.h"

struct sqlite3;
struct sqlite3_stmt;

namespace bdn::store {

struct DbOptions {
  std::chrono::milliseconds busy_timeout{10'000};  // waiting for another process that writes
  // Bytes of the database file; writing more is kResourceExhausted. None: as large as the disk.
  std::optional<std::uint64_t> bytes_max;
  // The name of a registered sqlite3_vfs, for tests; empty: the default one.
  std::string vfs;
};

class Db;

// One use of a prepared statement. Bind in order of the '?', then Next() for each row, or Run().
// An error while binding is reported by Next. Columns count from 0 and must have the type that is
// asked for (a NULL reads as zero or empty).
class Query {
 public:
  Query(Db& db, std::string_view sql);
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& Bind(std::int64_t value);
  Query& Bind(std::uint64_t value) { return Bind(static_cast<std::int64_t>(value)); }
  Query& Bind(int value) { return Bind(static_cast<std::int64_t>(value)); }
  Query& Bind(bool value) { return Bind(static_cast<std::int64_t>(value)); }
  Query& Bind(double value);
  Query& Bind(std::string_view text);
  Query& Bind(const std::string& text) { return Bind(std::string_view(text)); }
  Query& Bind(const char* text) { return Bind(std::string_view(text)); }
  Query& Bind(const crypto::Digest& digest);  // a BLOB of 32 bytes
  Query& Bind(const std::optional<crypto::Digest>& digest);
  Query& Bind(WallTime time);  // INTEGER: nanoseconds since 1970-01-01 UTC
  Query& BindNull();

  // True: a row is there. False: the end.
  Result<bool> Next();
  // To the end, ignoring rows.
  Status Run();
  // Rows changed by Run().
  std::uint64_t changes() const;

  bool IsNull(int column) const;
  std::int64_t Int(int column) const;
  std::uint64_t Uint(int column) const { return static_cast<std::uint64_t>(Int(column)); }
  double Real(int column) const;
  std::string Text(int column) const;
  WallTime Time(int column) const;
  // kCorrupt when it is not 32 bytes.
  Result<crypto::Digest> GetDigest(int column) const;
  Result<std::optional<crypto::Digest>> GetOptionalDigest(int column) const;

 private:
  void Keep(int rc);

  Db& db_;
  sqlite3_stmt* stmt_ = nullptr;
  int bound_ = 0;
  int rc_ = 0;  // the first failure
};

// A connection with its prepared statements. Not thread-safe.
class Db {
 public:
  // `path` ":memory:" is a private database in memory. Makes the file where it is missing.
  static Result<std::unique_ptr<Db>> Open(const std::string& path, const DbOptions& options);
  ~Db();
  Db(const Db&) = delete;
  Db& operator=(const Db&) = delete;

  // Several statements without parameters.
  Status Exec(const std::string& sql);
  // Runs `work` between BEGIN IMMEDIATE and COMMIT; rolled back when it fails. After success the
  // changes survive a power cut.
  Status Transaction(const std::function<Status()>& work);
  // Runs `work`, which only reads, on one snapshot.
  Status Snapshot(const std::function<Status()>& work);

 private:
  friend class Query;
  explicit Db(std::string path) : path_(std::move(path)) {}
  Status Between(const char* begin, const std::function<Status()>& work);
  Error Failed(int rc, std::string_view doing) const;

  std::string path_;
  sqlite3* handle_ = nullptr;
  std::unordered_map<std::string, sqlite3_stmt*> statements_;
};

// Lends out connections: each to one thread at a time. Thread-safe.
class DbPool {
 public:
  class Lease {
   public:
    Lease(DbPool& pool, std::unique_ptr<Db> db) : pool_(&pool), db_(std::move(db)) {}
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    Db& operator*() const { return *db_; }
    Db* operator->() const { return db_.get(); }

   private:
    DbPool* pool_;
    std::unique_ptr<Db> db_;
  };

  void Add(std::unique_ptr<Db> db);
  // Waits for a free one.
  Lease Take();

 private:
  Guarded<std::vector<std::unique_ptr<Db>>> idle_;
};

}  // namespace bdn::store
