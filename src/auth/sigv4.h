#pragma once
// AWS Signature Version 4, in headers or in a URL: what S3, its relatives and AWS STS take as proof
// of a secret. Pure: the same values give the same headers; nothing here reads a clock or sends
// anything.
//
// A signature is good for about 15 minutes and for one request: sign again for every try and range.
// Source: docs.aws.amazon.com, "Authenticating Requests (AWS Signature Version 4)" in the S3 API
// reference and "Create a signed AWS API request" in the IAM guide.
#include <string>
#include <string_view>

#include "base/clock.h"
#include "net/http.h"

namespace bdn::auth {

struct AwsCredentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token = {};  // empty for keys that do not expire
};

// How services differ. S3 signs the path as it stands (keys may hold "//" and ".."), encoded once,
// and wants the hash of the body in a header; all others sign a normalised path, encoded once more
// than it is on the wire.
struct SigV4Rules {
  bool normalize_path = true;
  bool encode_path_twice = true;
  bool content_hash_header = false;
};
inline constexpr SigV4Rules kSigV4General{};
inline constexpr SigV4Rules kSigV4S3{
    .normalize_path = false, .encode_path_twice = false, .content_hash_header = true};

struct SigV4Scope {
  std::string region;  // "us-east-1"; "auto" for R2
  std::string service = "s3";
  SigV4Rules rules = kSigV4S3;
};

// The headers to set on `request`: X-Amz-Date and Authorization, and where they apply
// X-Amz-Content-Sha256 (kept when the request has one, for UNSIGNED-PAYLOAD) and
// X-Amz-Security-Token. Signed are Host, these, and every header that the request has now but those
// that proxies change (Accept-Encoding, Connection, User-Agent, …): set the others before.
net::Headers SignSigV4(const net::HttpRequest& request,
                       const SigV4Scope& scope,
                       const AwsCredentials& credentials,
                       WallTime now);

// The query of a URL that is good for `lifetime` (whole seconds, a week at most) without any header
// but those that `request` has now: its own query and the X-Amz-… parameters, the signature last.
// Rules with a content_hash_header leave the body unsigned, as S3 does for such URLs. A bearer
// secret: whoever has the URL can do the request.
std::string PresignSigV4(const net::HttpRequest& request,
                         const SigV4Scope& scope,
                         const AwsCredentials& credentials,
                         WallTime now,
                         Duration lifetime);

// The canonical path and query of a URL under these rules: for tests and for messages.
std::string SigV4Path(std::string_view path, const SigV4Rules& rules);
std::string SigV4Query(std::string_view query);

}  // namespace bdn::auth
