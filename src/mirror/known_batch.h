#pragma once
// Finished files on their way into Metadata by group commit: a file is written at once when nobody
// writes, else with all that came meanwhile by whoever does. So 100,000 small files do not cost
// 100,000 commits, and a kill loses only the record of files that ended within the last one.
#include <cstdint>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "base/result.h"
#include "mirror/file_flights.h"
#include "store/metadata.h"

namespace bdn::mirror {

// Thread-safe.
class KnownBatch {
 public:
  KnownBatch(store::Metadata& metadata, store::Scope scope)
      : metadata_(metadata), scope_(std::move(scope)) {}

  // `token` may be empty; it lands, with the result, when the file is on record, so that whoever
  // waits for it finds the record.
  Status Add(store::KnownFile file, FileFlights::Token token);
  Status Flush();

 private:
  struct Pending {
    std::vector<store::KnownFile> files;
    std::vector<FileFlights::Token> tokens;
    bool being_written = false;
  };
  Pending Take();
  Status Write(Pending pending);

  store::Metadata& metadata_;
  const store::Scope scope_;
  Guarded<Pending> pending_;
};

}  // namespace bdn::mirror
