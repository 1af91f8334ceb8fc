#pragma once
// Finished files on their way into the store and onto the record, by group commit: they are written
// at once when nobody writes, else with all that came meanwhile by whoever does. So 100,000 small
// files do not cost 100,000 commits of the database and of the disk's journal, and a kill loses
// only files that ended within the last commit.
#include <cstdint>
#include <optional>
#include <vector>

#include "base/context.h"
#include "base/guarded.h"
#include "base/result.h"
#include "mirror/file_flights.h"
#include "mirror/hash_pump.h"
#include "mirror/plan.h"
#include "store/metadata.h"
#include "store/object_store.h"

namespace bdn::mirror {

struct FinishedFile {
  FileResult result;
  // Set: the content of a file that is one chunk, to be stored; its memory is given back then.
  ChunkBuffer content;
  // Nothing for a source without a name for its content.
  std::optional<store::KnownFile> known;
  // May be empty; lands, with the result, when the file is on record, so that whoever waits for it
  // finds the record.
  FileFlights::Token token;
};

// Thread-safe.
class FinishedFiles {
 public:
  FinishedFiles(store::ObjectStore& objects, store::Metadata& metadata, store::Scope scope)
      : objects_(objects), metadata_(metadata), scope_(std::move(scope)) {}

  // Errors: those of writing this file, or others that came meanwhile.
  Status Add(const Context& ctx, FinishedFile file);
  // Returns when all that was added before, by this thread, is written or being written.
  Status Flush(const Context& ctx);

 private:
  struct Pending {
    std::vector<FinishedFile> files;
    bool being_written = false;
  };
  std::vector<FinishedFile> Take();
  Status Write(const Context& ctx, std::vector<FinishedFile> files);

  store::ObjectStore& objects_;
  store::Metadata& metadata_;
  const store::Scope scope_;
  Guarded<Pending> pending_;
};

}  // namespace bdn::mirror
