#pragma once
// bt:// as a Source: a checkpoint of a training store that is somewhere else, over its REST API.
// docs/sources/bt.md is for its users; cloud/training_api.h is the wire. (A checkpoint of our own
// store needs no source: control::TrainingStore::FindTree.)
//
// Pin:   job, checkpoint and a hash over (path, rank, size, last change) of its files
//        ("checkpoint"). `latest` is decided once, by ResolveCheckpoint.
// Files: what lies below rank-<n>/<checkpoint>/ on every rank, as one tree; a path on two ranks is
//        an error. Pages are offsets into a list that may grow: a count that changed meanwhile
//        starts the listing anew.
// Reads: by URLs that expire: a 403 lists that page again and goes on where it was, with If-Match
//        on the ETag of the first answer. An answer whose Last-Modified is not the listed one, or
//        whose ETag is another, is "source changed".
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "model/source_uri.h"
#include "net/http.h"
#include "source/rate_limiter.h"
#include "source/retry.h"
#include "source/source.h"

namespace bdn::source {

inline constexpr std::size_t kTrainingPagesMax = 10'000;
inline constexpr std::size_t kTrainingFilesMax = 1'000'000;  // of a job, over all its checkpoints
inline constexpr int kTrainingRelistsMax = 5;    // of a list that grows while it is read
inline constexpr int kTrainingRefreshesMax = 3;  // of a URL, while no byte comes

struct TrainingStoreOptions {
  std::string base_url;
  // The API key; empty for none.
  std::string key = {};
  RetryOptions retry = {};
  UnitRandom random = {};
};

// `transport` and `limiters` outlive the source.
// Errors: kInvalidArgument for an address or a key that cannot be used.
Result<std::unique_ptr<Source>> MakeTrainingStoreSource(const model::SourceUri& uri,
                                                        net::Transport& transport,
                                                        RateLimiters& limiters,
                                                        TrainingStoreOptions options);

}  // namespace bdn::source
