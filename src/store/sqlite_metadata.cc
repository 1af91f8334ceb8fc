#include "store/sqlite_metadata.h"

#include <utility>

#include "store/sqlite_metadata_impl.h"
#include "store/sqlite_schema.h"

namespace bdn::store {

std::string SecretKey(const std::string& name) {
  std::string key;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (c >= 'A' && c <= 'Z') {
      key += static_cast<char>(c - 'A' + 'a');
    } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || byte >= 0x80) {
      key += c;  // what is not ASCII counts as a letter
    }
  }
  return key;
}

std::string_view MirrorStateName(MirrorState state) {
  switch (state) {
    case MirrorState::kQueued:
      return "queued";
    case MirrorState::kRunning:
      return "running";
    case MirrorState::kDone:
      return "done";
    case MirrorState::kFailed:
      return "failed";
    case MirrorState::kStopped:
      return "stopped";
  }
  return "unknown";
}

Result<std::unique_ptr<Metadata>> OpenSqliteMetadata(const std::string& path,
                                                     const SqliteOptions& options) {
  BDN_ASSIGN(std::unique_ptr<Db> writer, Db::Open(path, options.db));
  if (Status done = Migrate(*writer); !done) return std::move(done).error().Context(path);
  std::vector<std::unique_ptr<Db>> readers;
  for (std::size_t i = 0; path != ":memory:" && i < options.readers; ++i) {
    BDN_ASSIGN(std::unique_ptr<Db> reader, Db::Open(path, options.db));
    readers.push_back(std::move(reader));
  }
  return std::make_unique<SqliteMetadata>(std::move(writer), std::move(readers));
}

SqliteMetadata::SqliteMetadata(std::unique_ptr<Db> writer, std::vector<std::unique_ptr<Db>> readers)
    : shares_connection_(readers.empty()) {
  writer_.Add(std::move(writer));
  for (auto& reader : readers) readers_.Add(std::move(reader));
}

Status SqliteMetadata::Write(const Work& work) {
  const DbPool::Lease db = writer_.Take();
  return db->Transaction([&] { return work(*db); });
}

Status SqliteMetadata::Read(const Work& work) {
  const DbPool::Lease db = (shares_connection_ ? writer_ : readers_).Take();
  return db->Snapshot([&] { return work(*db); });
}

}  // namespace bdn::store
