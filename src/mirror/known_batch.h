#pragma once
// Finished files on their way into Metadata, many in one transaction: 100,000 small files must not
// cost 100,000 commits. What a kill between two commits can lose is bounded by bytes: at most about
// one chunk of small files is fetched again.
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
  KnownBatch(store::Metadata& metadata, store::Scope scope, std::uint64_t bytes_max)
      : metadata_(metadata), scope_(std::move(scope)), bytes_max_(bytes_max) {}

  // `token` may be empty; it lands, with the result, when the file is on record, so that whoever
  // waits for it finds the record.
  Status Add(store::KnownFile file, FileFlights::Token token);
  Status Flush();

 private:
  static constexpr std::size_t kFilesMax = 512;
  struct Pending {
    std::vector<store::KnownFile> files;
    std::vector<FileFlights::Token> tokens;
    std::uint64_t bytes = 0;
  };
  Status Write(Pending pending);

  store::Metadata& metadata_;
  const store::Scope scope_;
  const std::uint64_t bytes_max_;
  Guarded<Pending> pending_;
};

}  // namespace bdn::mirror
