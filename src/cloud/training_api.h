#pragma once
// The wire of a training store: lists of projects, jobs, checkpoints and files, and reads by
// presigned URLs. One attempt of each call and what answers mean; nothing here waits or retries.
//
// Our own control plane speaks it (docs/openapi.json), and so do hosted stores.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/training.h"
#include "base/context.h"
#include "base/result.h"
#include "net/http.h"

namespace bdn::cloud {

inline constexpr std::uint64_t kTrainingAnswerBytesMax = 64ull << 20;
inline constexpr std::uint64_t kTrainingPageSize = 1000;

// Thread-safe.
class TrainingApi {
 public:
  // `key`: sent as `Authorization: Bearer KEY`, or as it is when it begins with "Bearer " or
  // "Api-Key "; empty for none.
  // Errors: kInvalidArgument for a base URL or key that cannot be used.
  static Result<std::unique_ptr<TrainingApi>> Make(net::Transport& transport,
                                                   std::string_view base_url,
                                                   std::string_view key);

  // host[:port], for limits and messages.
  std::string authority() const { return base_.authority(); }
  const net::Url& base() const { return base_; }

  // Errors: kUnauthenticated, kPermissionDenied, kNotFound, kRateLimited, kUnavailable (also for
  // answers that are not what a training store sends), and those of the transport.
  Result<std::vector<api::TrainingProjectBody>> Projects(const Context& ctx) const;
  Result<std::vector<api::TrainingJobBody>> Jobs(const Context& ctx,
                                                 const std::string& project) const;
  Result<std::vector<api::CheckpointBody>> Checkpoints(const Context& ctx,
                                                       const std::string& project,
                                                       const std::string& job) const;
  Result<std::vector<api::CheckpointBody>> LoopsCheckpoints(const Context& ctx,
                                                            const std::string& run) const;
  // One page of the files below `list`: JobFilesPath or LoopsFilesPath.
  Result<api::CheckpointFilesBody> Files(const Context& ctx,
                                         const std::string& list,
                                         std::uint64_t page_token) const;
  static std::string JobFilesPath(const std::string& project, const std::string& job);
  static std::string LoopsFilesPath(const std::string& checkpoint_id);

  // GET of a range by a presigned URL, without our key. `if_match` is sent when it is not empty.
  // `sink` sees answers of 2xx only; all others become an error.
  // Errors: kPermissionDenied (403: the URL has expired), kFailedPrecondition (404, 412, 416: not
  //         the file that was listed), kRateLimited, kUnavailable, and what transport and sink
  //         return.
  Status ReadRange(const Context& ctx,
                   const std::string& url,
                   const std::string& if_match,
                   net::ByteRange range,
                   net::ResponseSink& sink) const;

 private:
  TrainingApi(net::Transport& transport, net::Url base, std::string authorization)
      : transport_(transport), base_(std::move(base)), authorization_(std::move(authorization)) {}

  Result<std::string> Get(const Context& ctx, const std::string& path) const;
  Error ErrorOf(const net::HttpResponse& answer, const std::string& path, WallTime now) const;

  net::Transport& transport_;
  const net::Url base_;
  const std::string authorization_;  // whole value; empty: none
};

}  // namespace bdn::cloud
