#pragma once
// The wire of Google Cloud Storage's JSON API: addresses, one attempt of each call, and what
// answers mean. Nothing here waits, retries or gets a token.
//
// Source: cloud.google.com/storage/docs/json_api/v1 (objects: list, get), /docs/request-endpoints,
// /docs/transcoding, /docs/json_api/v1/status-codes.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/result.h"
#include "net/http.h"

namespace bdn::cloud {

inline constexpr std::uint64_t kGcsPageBytesMax = 16ull << 20;  // one page of a listing
inline constexpr std::size_t kGcsErrorBytesMax = 64 * 1024;     // of an error body
inline constexpr std::string_view kGcsEndpoint = "https://storage.googleapis.com";

struct GcsObject {
  std::string name;
  std::uint64_t size = 0;        // of what is stored
  std::string generation;        // decimal; another one is another content
  std::string md5;               // lower-case hex, of what is stored; empty for composite objects
  std::string crc32c;            // eight hex digits, of what is stored
  std::string content_encoding;  // "gzip": what is stored is compressed
};

struct GcsListPage {
  std::vector<GcsObject> objects;
  std::string next_token;  // empty: the last page. A page may have a token and no objects
};

// The body of objects.list, of a server that is not trusted.
// Errors: kUnavailable for what is no listing, with what is wrong.
Result<GcsListPage> ParseGcsListPage(std::string_view json);

// An error's body: JSON of the API, or a line of text from downloads. Never fails: what is not
// there is empty.
struct GcsErrorBody {
  std::string reason;  // of the first entry in "errors": "forbidden", "userProjectMissing"
  std::string message;
};
GcsErrorBody ParseGcsError(std::string_view body);

// Letters, digits, '.', '_' and '-', 3 to 222 of them; kInvalidArgument.
Status CheckGcsBucket(std::string_view bucket);

enum class GcsStep : std::uint8_t { kList, kGet, kRead };

// Thread-safe. `token` is an access token; it goes to the endpoint only: a redirect is an error.
class GcsClient {
 public:
  // `endpoint`: kGcsEndpoint, or another address without a query; its path stands in front.
  // Errors: kInvalidArgument for an endpoint or a bucket that cannot be used.
  static Result<GcsClient> Make(net::Transport& transport,
                                std::string_view endpoint,
                                std::string bucket);

  const std::string& authority() const { return authority_; }
  const std::string& bucket() const { return bucket_; }

  // One page of the objects whose names begin with `prefix`.
  Result<GcsListPage> ListPage(const Context& ctx,
                               std::string_view token,
                               std::string_view prefix,
                               std::string_view page) const;
  // One object as it is now; nullopt where there is none, or where the account may not look (403).
  Result<std::optional<GcsObject>> Get(const Context& ctx,
                                       std::string_view token,
                                       std::string_view name) const;

  struct Download {
    std::string_view name;
    std::string_view generation;
    std::optional<net::ByteRange> range = std::nullopt;  // of what is stored; not empty
    // What is stored, as it is: gzip is accepted and nobody decodes it. Without, the server
    // decompresses objects that are stored compressed, and ignores ranges of them.
    bool accept_gzip = true;
  };
  // `sink` sees answers of 2xx only; all others become an error.
  // Errors: kFailedPrecondition (another generation, a range that is not there), kNotFound,
  //         kUnauthenticated (the token is not taken any more), kPermissionDenied, kRateLimited,
  //         kUnavailable, kUnsupported, and what transport and sink return.
  Status Read(const Context& ctx,
              std::string_view token,
              const Download& download,
              net::ResponseSink& sink) const;

 private:
  GcsClient(net::Transport& transport, net::Url endpoint, std::string bucket)
      : transport_(&transport),
        endpoint_(std::move(endpoint)),
        authority_(endpoint_.authority()),
        bucket_(std::move(bucket)) {}

  net::HttpRequest Request(std::string_view token,
                           std::string_view root,
                           std::string_view name,
                           std::string query) const;
  Result<net::ResponseHead> Send(const Context& ctx,
                                 GcsStep step,
                                 std::string_view name,
                                 const net::HttpRequest& request,
                                 net::ResponseSink& sink) const;
  // gcs_errors.cc
  Error ErrorOf(GcsStep step,
                std::string_view name,
                const net::ResponseHead& head,
                const GcsErrorBody& body,
                WallTime now) const;

  net::Transport* transport_;
  net::Url endpoint_;
  std::string authority_;
  std::string bucket_;
};

}  // namespace bdn::cloud
