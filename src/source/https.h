#pragma once
// https://host/path as a Source: one file of any web server. docs/sources/https.md is for its
// users.
//
// Pin:   what the server says that changes with the content: the ETag ("etag"), else Last-Modified
//        with the size ("last-modified"). A server that sends neither, or no size, is read once to
//        the end when it is resolved: the SHA-256 of that is the pin ("sha256"), and the mirror
//        verifies it.
// File:  one, named by the last segment of the URL, percent-decoded.
// Reads: ranges. An answer with another ETag, date or size is "source changed"; nothing relies on
//        the server to compare, because weak ETags must not be used in If-Range and many servers
//        ignore conditions. From a server without ranges one whole body serves all ranges that are
//        asked for in the order of the file.
// Source: RFC 9110 §8.8 (validators), §13.1.5 (If-Range), §14 (ranges), §15.5.17 (416).
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/source_uri.h"
#include "net/http.h"
#include "source/rate_limiter.h"
#include "source/retry.h"
#include "source/source.h"

namespace bdn::source {

// From a server without ranges, ranges of a larger file share one whole body (https_stream.h); of a
// smaller one each reads its own and throws away what lies in front.
inline constexpr std::uint64_t kHttpsStreamBytesMin = 16ull << 20;
// The largest file that is read once to know its size and hash.
inline constexpr std::uint64_t kHttpsCountedBytesMax = 64ull << 30;
inline constexpr std::size_t kHttpsSecretHeadersMax = 16;

// What a secret adds to requests: a plain value is a bearer token; {"headers": {"X-Api-Key": "…"}}
// names headers itself. They go to the URL's own scheme, host and port, never to where it
// redirects. kInvalidArgument for what is neither, and for headers that are bdn's own.
Result<net::Headers> ParseHttpsSecret(std::string_view secret);

struct HttpsSourceOptions {
  std::optional<std::string> secret = {};  // see ParseHttpsSecret; nullopt: anonymous
  RetryOptions retry = {};
  UnitRandom random = {};
};

// `transport` and `limiters` outlive the source.
// Errors: kInvalidArgument for a URL or a secret that cannot be used.
Result<std::unique_ptr<Source>> MakeHttpsSource(const model::SourceUri& uri,
                                                net::Transport& transport,
                                                RateLimiters& limiters,
                                                HttpsSourceOptions options);

}  // namespace bdn::source
