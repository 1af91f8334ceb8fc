#pragma once
// The schema of SqliteMetadata as a list of migrations; docs/formats/metadata.md explains it.
#include <span>

#include "base/result.h"
#include "store/sqlite.h"

namespace bdn::store {

// Migration i brings a database from version i to i + 1. A published one is never changed.
std::span<const char* const> Migrations();
// Runs the migrations that the database lacks, in one transaction.
// Errors: kFailedPrecondition when the database is newer than this program.
Status Migrate(Db& db);

}  // namespace bdn::store
