#pragma once
// Where weights come from: the seam between the mirror and every provider.
//
// Implementations: hugging_face.h (and one file a provider later), testing::MemorySource,
// testing::FaultySource; all pass testing/source_conformance.h.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/result.h"
#include "net/http.h"

namespace bdn::source {

// The exact revision that a mutable name was resolved to, once per mirror.
struct Pin {
  std::string fingerprint;       // commit SHA, …
  std::string fingerprint_type;  // "git-commit", "etag-set", "generation-set"
  std::string identity;  // canonical name of the source without the revision: scope of etags
  // Sentences for the user: "the repository was renamed to …", X-HF-Warning.
  std::vector<std::string> warnings;
};

enum class ContentHash : std::uint8_t {
  kNone,
  kSha256,
  kGitBlobSha1,
  kMd5,
  kSha1,
  kCrc32,
  kCrc32c,
  kCrc64Nvme,
};

struct RemoteFile {
  std::string path;  // relative to the source's root; already checked by model::CheckTreePath
  std::uint64_t size = 0;
  std::string etag;     // changes when the content does; scoped to Pin::identity
  std::string version;  // generation or version id; may be empty
  ContentHash hash_kind = ContentHash::kNone;
  std::string hash;  // lower-case hex, the most significant digit first; what the publisher says
  // Why nobody can read the file as it is ("is archived: restore it"); empty for the others. A
  // mirror whose patterns select such a file fails with it before anything is fetched.
  std::string problem = {};
};

// Bytes of one range, in order. May be called on the thread that called Read only.
using ByteSink = std::function<Status(std::span<const std::byte>)>;

class Source {
 public:
  virtual ~Source() = default;

  // Turns the mutable name into a pin.
  // Errors: kNotFound, kUnauthenticated, kPermissionDenied (each with what to do), kRateLimited,
  //         kUnavailable, kTimeout, kCancelled.
  virtual Result<Pin> Resolve(const Context& ctx) = 0;

  // Every file at the pin, sorted by path; directories are implied. Names that could not become a
  // local path, duplicates and file/directory collisions are kInvalidArgument with the whole list.
  virtual Result<std::vector<RemoteFile>> List(const Context& ctx, const Pin& pin) = 0;

  // What a listing does not say of a file that is about to be fetched: the publisher's hash, where
  // asking for it takes a request a file. Asked once before the first Read of a file that has none.
  // Gives the file back, perhaps with `hash_kind` and `hash`; a publisher that does not tell is no
  // error. Errors and threads: as for Read.
  virtual Result<RemoteFile> Describe(const Context& ctx, const Pin& pin, const RemoteFile& file) {
    (void)ctx;
    (void)pin;
    return file;
  }

  // Fetches exactly [range.begin, range.end) of `file` at the pin, in order, without gaps.
  // Retries what is worth retrying, resumes where it stopped, refreshes what expired; progress
  // resets the retry budget. An empty range calls nothing.
  // Errors: kFailedPrecondition ("source changed": size, etag or commit differ: restart from
  // Resolve),
  //         kNotFound, kUnauthenticated, kPermissionDenied, kRateLimited, kUnavailable, kTimeout,
  //         kCancelled, and what `sink` returned. On failure `sink` has received a prefix.
  // Threads: safe to call concurrently.
  virtual Status Read(const Context& ctx,
                      const Pin& pin,
                      const RemoteFile& file,
                      net::ByteRange range,
                      const ByteSink& sink) = 0;
};

}  // namespace bdn::source
