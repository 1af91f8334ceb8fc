#pragma once
// What a stand-in shall do wrong, request by request: in process, or as JSON from outside.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "base/clock.h"
#include "base/guarded.h"
#include "base/result.h"
#include "net/http.h"

namespace bdn::fakes {

enum class FaultKind : std::uint8_t {
  kStatus,        // answers `status`, `headers`, `body` in place of the regular answer
  kHeaders,       // the regular answer with `headers` set; an empty value removes the field
  kReset,         // TCP reset after `after_bytes` of the body
  kTruncate,      // an orderly close there; Content-Length had said more
  kStall,         // silence there, for `stall` or until the client leaves
  kStallHead,     // silence before the status line
  kWrongRange,    // 206 for a range that begins one byte later, and says so
  kShortRange,    // 206 for a range that ends one byte earlier, and says so
  kIgnoreRange,   // 200 and the whole file
  kFlipByte,      // the byte at `after_bytes` of the file differs
  kGzip,          // the whole file, gzip-encoded, whatever was accepted
  kPointer,       // a Git LFS pointer with status 200 in place of the content
  kExpireUrl,     // signed addresses made so far end: 403, after `after_bytes` when that is not 0
  kRedirect,      // 307 to `location`
  kRedirectLoop,  // 307 to the same path with another query
  kMoveBranch,    // moves `branch` of the repository to `commit`, then answers regularly
};
// "status", "headers", "reset-after", "truncate", "stall", "stall-head", "wrong-range",
// "short-range", "ignore-range", "flip-byte", "gzip", "pointer", "expire-url", "redirect",
// "redirect-loop", "move-branch".
std::string_view FaultName(FaultKind kind);

struct Fault {
  FaultKind kind = FaultKind::kStatus;
  // Which requests; empty matches all. The path is as on the wire, without the query.
  std::string server = {};  // "hub" or "cdn"
  std::string method = {};
  std::string path_prefix = {};
  std::string path_suffix = {};
  std::string path_part = {};
  std::string range_prefix = {};  // of the Range field: "bytes=0-"
  int skip = 0;                   // so many matching requests pass first
  int count = 1;                  // then so many are hit; -1: all

  std::uint64_t after_bytes = 0;
  int status = 503;
  net::Headers headers = {};
  std::string body = {};
  std::string location = {};
  std::string branch = {};
  std::string commit = {};
  Duration stall = std::chrono::hours(1);
};

// {"kind":"status","path_prefix":"/api/","status":429,"headers":{"Retry-After":"2"},"count":3}; the
// keys are the names of the members above, "stall_ms" for `stall`. kInvalidArgument names the key.
Result<Fault> ParseFault(const boost::json::value& json);

// Thread-safe.
class FaultPlan {
 public:
  void Add(Fault fault);
  void Clear();
  // The first fault that matches and is not used up, one use of it taken.
  std::optional<Fault> Take(std::string_view server,
                            std::string_view method,
                            std::string_view path,
                            std::string_view range);
  // Faults that may still hit.
  std::size_t left() const;

 private:
  Guarded<std::vector<Fault>> faults_;
};

}  // namespace bdn::fakes
