#pragma once
// s3://, r2:// and cw:// as a Source: everything below a path of a bucket, or one object.
// docs/sources/s3.md is for its users; cloud/s3.h is the wire.
//
// Pin:   the hash over (key, ETag, size) of all objects below the path ("etag-set"), or over one
//        object when there is nothing below the path but an object of exactly that name ("etag").
// Files: keys below the path, byte for byte. Their etag is opaque: it is no hash of the content. A
//        checksum of the whole content is asked for by HEAD when a file is about to be fetched.
// Reads: each range is signed by itself and carries If-Match, and the ETag of the answer is
// compared
//        as well; another one is "source changed".
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "cloud/aws_credentials.h"
#include "model/source_uri.h"
#include "net/http.h"
#include "source/rate_limiter.h"
#include "source/retry.h"
#include "source/source.h"

namespace bdn::source {

inline constexpr std::size_t kS3ListPagesMax = 10'000;
inline constexpr std::size_t kS3ListEntriesMax = 1'000'000;

struct S3SourceOptions {
  // Instead of the provider's own address; empty for that. s3 and r2 then have the bucket in the
  // path, cw in front of the host where that is a name.
  std::string endpoint = {};
  std::optional<std::string> secret = {};  // JSON, see cloud::ParseS3Secret
  // Keys of a role instead of a secret (source/aws_role.h), and who they belong to.
  std::shared_ptr<cloud::AwsCredentialsProvider> role = {};
  std::string role_name = {};
  std::string role_region = {};
  RetryOptions retry = {};
  UnitRandom random = {};
};

// `transport` and `limiters` outlive the source.
// Errors: kInvalidArgument for credentials, a bucket or an endpoint that cannot be used.
Result<std::unique_ptr<Source>> MakeS3Source(const model::SourceUri& uri,
                                             net::Transport& transport,
                                             RateLimiters& limiters,
                                             S3SourceOptions options);

}  // namespace bdn::source
