#pragma once
// The wire of S3 and of what speaks its protocol (Cloudflare R2, CoreWeave, MinIO, Ceph):
// addresses, signatures, one attempt of each call, and what answers mean. Nothing here waits or
// retries, with three exceptions that are part of addressing a bucket: a region that the server
// corrects, a clock that it finds wrong and keys that have ended, where others can be had, are put
// right once a call and remembered.
//
// Source: the Amazon S3 API reference; developers.cloudflare.com/r2/api/s3.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/sigv4.h"
#include "base/context.h"
#include "base/guarded.h"
#include "base/result.h"
#include "cloud/aws_credentials.h"
#include "cloud/s3_xml.h"
#include "net/http.h"

namespace bdn::cloud {

inline constexpr std::uint64_t kS3PageBytesMax = 16ull << 20;  // one page of a listing
inline constexpr std::size_t kS3ErrorBytesMax = 64 * 1024;     // of an error body
inline constexpr std::string_view kS3RegionDefault = "us-east-1";

// Where Cloudflare keeps the buckets of a jurisdiction: a part of the host's name, but for the
// first. Source: developers.cloudflare.com/r2/reference/data-location.
inline constexpr std::array<std::string_view, 4> kR2Jurisdictions = {"default", "eu", "fedramp",
                                                                     "us"};

struct S3Secret {
  auth::AwsCredentials credentials;
  std::string region;             // empty: not given
  std::string jurisdiction = {};  // one of kR2Jurisdictions; empty: not given
  // Sentences for the user: keys that are not used, temporary keys without their token.
  std::vector<std::string> warnings = {};
};
// {"aws_access_key_id": …, "aws_secret_access_key": …, "aws_session_token"?: …, "aws_region"?: …,
//  "r2_jurisdiction"?: …}
// kInvalidArgument with the documented sentence when one of the first two is missing; the hint says
// which one, and how it is spelt when another spelling of it is there. No value is in any message.
Result<S3Secret> ParseS3Secret(std::string_view json);
// The same for whoever stores the secret: its warnings, or what is wrong. Pure.
Result<std::vector<std::string>> CheckS3Secret(std::string_view json);

// May `region` become a part of a host name? Servers send regions too.
bool IsS3Region(std::string_view region);

// Where a bucket is: the URL that keys are appended to; its path ends with '/'.
// Amazon: https://BUCKET.s3.REGION.amazonaws.com/, or with the bucket in the path when its name
// does not fit the certificate. Another `endpoint`: the bucket in the path. Errors:
// kInvalidArgument for an endpoint or bucket that cannot be used, kUnsupported for directory
//         buckets (--x-s3).
// `virtual_host` puts the bucket in front of the endpoint's host instead (CoreWeave wants that).
Result<net::Url> S3BucketUrl(std::string_view endpoint,
                             std::string_view region,
                             std::string_view bucket,
                             bool virtual_host = false);

struct S3Site {
  std::string endpoint;  // empty: Amazon
  std::string region;    // to sign for, and on Amazon to address; empty: us-east-1
  std::string bucket;
  auth::AwsCredentials credentials;
  bool virtual_host = false;  // of an endpoint that is not Amazon's
  // Gives the keys instead of `credentials`; null for those.
  std::shared_ptr<AwsCredentialsProvider> provider = {};
};

enum class S3Step : std::uint8_t { kList, kHead, kRead };

struct S3Call {
  S3Step step = S3Step::kList;
  std::string key = {};       // empty: the bucket itself
  std::string query = {};     // already encoded
  net::Headers headers = {};  // Range, If-Match, …
};

// Thread-safe.
class S3Client {
 public:
  // Errors as S3BucketUrl.
  static Result<std::unique_ptr<S3Client>> Make(net::Transport& transport, S3Site site);

  // host[:port] that requests go to first: for limits and messages.
  const std::string& authority() const { return authority_; }
  const S3Site& site() const { return site_; }

  // One page of the objects whose keys begin with `prefix`, in no promised order.
  Result<S3ListPage> ListPage(const Context& ctx,
                              std::string_view prefix,
                              std::string_view token) const;
  // HEAD of one object, with its checksum where the server has one; nullopt where there is no
  // object, or where the credentials may not tell (403).
  Result<std::optional<S3Object>> Head(const Context& ctx, std::string_view key) const;
  // GET of a range of one object. `sink` sees answers of 2xx only; all others become an error.
  // Errors: kFailedPrecondition (412 or 416: not the object that was listed), kNotFound,
  //         kUnauthenticated, kPermissionDenied, kUnsupported (archived, SSE-C), kRateLimited,
  //         kUnavailable, and what transport and sink return.
  Status GetRange(const Context& ctx,
                  std::string_view key,
                  std::string_view etag,
                  net::ByteRange range,
                  net::ResponseSink& sink) const;

 private:
  struct State {
    std::string region;
    Duration skew{0};  // the server's clock minus ours
  };
  S3Client(net::Transport& transport, S3Site site, std::string authority);

  Result<net::HttpRequest> MakeRequest(const S3Call& call,
                                       const State& state,
                                       const auth::AwsCredentials& keys,
                                       WallTime now) const;
  // Sends, and sends again when the region, the clock or the keys were wrong.
  Result<net::ResponseHead> Send(const Context& ctx,
                                 const S3Call& call,
                                 net::ResponseSink& sink) const;
  // The region that an answer names; nullopt when it names none or the one that was used.
  Result<std::optional<std::string>> RegionOf(const Context& ctx,
                                              const State& used,
                                              const net::ResponseHead& head,
                                              const S3ErrorBody& body) const;
  Error ErrorOf(const S3Call& call,
                const net::ResponseHead& head,
                const S3ErrorBody& body,
                WallTime now) const;

  net::Transport& transport_;
  const S3Site site_;
  const std::string authority_;
  mutable Guarded<State> state_;
};

}  // namespace bdn::cloud
