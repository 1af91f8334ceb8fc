#pragma once
// HTTP/1.1 values and the outgoing side (RFC 9110, 9112). Nothing here knows a provider.
//
// Implementations of Transport: CurlTransport (net/curl_transport.h), testing::MemoryTransport
// (answers from a function), testing::FaultyTransport (refuse, reset, truncate, wrong range, flip
// a byte, 429, stall on the n-th call of another one).
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/context.h"
#include "base/result.h"

namespace bdn::net {

// Names compare without case; order and repetitions are kept.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields);
  void Add(std::string name, std::string value);
  void Set(std::string_view name, std::string value);  // replaces all of that name
  void Remove(std::string_view name);
  // The first value of that name.
  std::optional<std::string_view> Get(std::string_view name) const;
  bool Has(std::string_view name) const { return Get(name).has_value(); }
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// A parsed absolute http or https URL (RFC 3986). The text of path and query is kept as it was
// written: nothing is decoded, encoded or normalised.
struct Url {
  std::string scheme;      // lower case
  std::string host;        // lower case, IPv6 without brackets
  std::uint16_t port = 0;  // effective: 80 and 443 filled in
  std::string path;        // starts with '/'
  std::string query;       // without '?'; has_query tells "" from none
  bool has_query = false;

  std::string ToString() const;
  std::string authority() const;  // host[:port], port only when it is not the scheme's own
  // scheme, host and effective port: who gets to see a credential
  bool SameOrigin(const Url& other) const;
};
// The longest URL that we read; signed URLs with session tokens reach about 6 KiB.
inline constexpr std::size_t kUrlBytesMax = 32 * 1024;
// kInvalidArgument for another scheme, user information, a fragment, control characters, blanks, a
// host that is neither a plain ASCII name nor an address, a bad port or more than kUrlBytesMax.
Result<Url> ParseUrl(std::string_view text);
// Resolves a Location header or a Link target against `base` by RFC 3986 §5.2, query included. A
// fragment is dropped: it never goes on the wire. Errors as ParseUrl.
Result<Url> ResolveUrl(const Url& base, std::string_view reference);
// "https://host/path" without the query: signed URLs are bearer secrets (for logs and errors).
std::string RedactUrl(std::string_view url);
// RFC 3986 percent encoding: keeps A-Z a-z 0-9 - . _ ~ and what `keep` names.
std::string PercentEncode(std::string_view text, std::string_view keep = "");
Result<std::string> PercentDecode(std::string_view text);

// Half open: [begin, end).
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t size() const { return end - begin; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

struct HttpRequest {
  std::string method = "GET";
  Url url = {};
  Headers headers = {};  // without Host, Content-Length, Connection
  std::string body = {};
  struct Limits {
    Duration connect_timeout = std::chrono::seconds(10);
    // No byte for this long (from sending the request on) is kTimeout.
    Duration stall_timeout = std::chrono::seconds(30);
  } limits = {};
};

struct ResponseHead {
  int status = 0;
  Headers headers = {};
};

// What every Transport demands of a request, so that a test double refuses what the wire would:
// kInvalidArgument for a method or header name that is no token, a line break in a value, or a
// header that the transport writes itself (Host, Content-Length, Connection, Transfer-Encoding).
Status ValidateRequest(const HttpRequest& request);

// "GET https://host/path": how errors name a request. Never the query.
std::string DescribeRequest(const HttpRequest& request);

// Receives one response. OnHead comes first, once; its error (or Write's) ends the transfer and is
// what Fetch returns.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  virtual Status OnHead(const ResponseHead& head) = 0;
  virtual Status Write(std::span<const std::byte> bytes) = 0;
};

// Sends one request and delivers one final response; never follows a redirect, never decodes a
// content encoding, never retries. Statuses of 400 and more are delivered like any other.
//
// Errors: kUnavailable (DNS, refused, reset, body shorter than its Content-Length), kTimeout (a
//         limit of the request or the context's deadline), kCancelled, kPermissionDenied (the
//         address guard refused the resolved address; a certificate that does not verify), and
//         whatever the sink returned. Messages hold no query string and no header value.
// Threads: safe to call concurrently.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual Status Fetch(const Context& ctx, const HttpRequest& request, ResponseSink& sink) = 0;
};

struct HttpResponse {
  int status = 0;
  Headers headers = {};
  std::string body = {};
};

// The whole response in memory; kResourceExhausted when the body is larger than `body_bytes_max`.
Result<HttpResponse> FetchAll(const Context& ctx,
                              Transport& transport,
                              const HttpRequest& request,
                              std::uint64_t body_bytes_max);

// Our own redirect rules, in one place, for every source.
struct RedirectPolicy {
  int hops_max = 10;
  // Removed when a hop leaves the origin (scheme, host, port) that the request was made for, and
  // never put back.
  std::vector<std::string> credential_headers = {"Authorization", "Cookie", "Proxy-Authorization",
                                                 "X-Amz-Security-Token", "X-Api-Key"};
};
// Where a redirect response leads: 301, 302, 303, 307, 308 with a Location; nullopt for any other
// response. https to http, too many hops and a bad Location are errors (kPermissionDenied,
// kFailedPrecondition, kUnavailable).
Result<std::optional<HttpRequest>> NextHop(const HttpRequest& request,
                                           const ResponseHead& head,
                                           const RedirectPolicy& policy,
                                           int hops_so_far);
// Fetch that follows. `heads`, when given, receives the head of every hop, the final one last (the
// Hub puts its metadata on the first). Only GET and HEAD are followed.
Status FetchFollowing(const Context& ctx,
                      Transport& transport,
                      HttpRequest request,
                      const RedirectPolicy& policy,
                      ResponseSink& sink,
                      std::vector<ResponseHead>* heads = nullptr);

// "bytes 0-99/1000" (RFC 9110 §14.4) → range and total; nullopt when malformed or total is unknown.
struct ContentRange {
  ByteRange range;
  std::uint64_t total = 0;
};
std::optional<ContentRange> ParseContentRange(std::string_view value);
// RFC 8288 Link: the target of rel="next", unresolved.
std::optional<std::string> NextLink(const Headers& headers);
// Retry-After: seconds or an HTTP date, against `now`; between 0 and kRetryAfterMax.
inline constexpr std::chrono::hours kRetryAfterMax{24};
std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view value, WallTime now);

}  // namespace bdn::net
