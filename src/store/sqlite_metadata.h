#pragma once
// Metadata in one SQLite database file (docs/formats/metadata.md). Several processes of one machine
// may have the same file open.
#include <memory>
#include <string>

#include "base/result.h"
#include "store/metadata.h"
#include "store/sqlite.h"

namespace bdn::store {

struct SqliteOptions {
  std::size_t readers = 4;  // connections, hence reads at the same time; one more writes
  DbOptions db;
};

// Opens or makes the database at `path` (":memory:": a private one that dies with the object) and
// brings its schema up to date.
// Errors: kFailedPrecondition (written by a newer version of this program), kCorrupt, kUnavailable,
// kPermissionDenied.
Result<std::unique_ptr<Metadata>> OpenSqliteMetadata(const std::string& path,
                                                     const SqliteOptions& options = {});

}  // namespace bdn::store
