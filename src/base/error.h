#pragma once
// Error codes and the Error value that every fallible function of bdn returns inside a Result.
// One table (error.cc) gives each code its name, HTTP status, process exit code and whether trying
// the same call again can help. docs/errors.md is written from it.
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace bdn {

enum class Code : std::uint8_t {
  kInvalidArgument,     // the caller's input is wrong; the message names the place and the fix
  kUnauthenticated,     // no credential, or one that is not known
  kPermissionDenied,    // a known credential without the right
  kNotFound,            //
  kAlreadyExists,       //
  kFailedPrecondition,  // the state forbids it: a source changed, a mount is in use
  kCorrupt,             // bytes that do not match their digest, a damaged file or table
  kResourceExhausted,   // disk, memory budget, a configured limit
  kRateLimited,         // the other side asks to wait; retry_after() says how long when it is known
  kUnavailable,         // connection refused, 5xx, reset: trying again may help
  kTimeout,             // a deadline passed
  kCancelled,           // the caller gave up
  kUnsupported,         // valid, but this version does not do it
  kInternal,            // a bug of ours
};

inline constexpr int kCodeCount = 14;

struct CodeFacts {
  Code code;
  std::string_view name;  // "not_found": in JSON and logs
  int http_status;
  int exit_code;   // of the bdn program
  bool retryable;  // the same call may succeed later without anybody changing anything
};

const CodeFacts& FactsOf(Code code);
// The table row for a name as it stands in JSON; nullopt for a name that is not ours.
std::optional<Code> CodeFromName(std::string_view name);
// The code that best describes an HTTP status of 400 or more.
Code CodeFromHttpStatus(int status);

// An error: one pointer wide, allocated only on failure. Copyable, so that callers who share one
// piece of work (Singleflight) can each have it.
class [[nodiscard]] Error {
 public:
  explicit Error(Code code, std::string message);
  Error(const Error& other);
  Error& operator=(const Error& other);
  Error(Error&&) noexcept = default;
  Error& operator=(Error&&) noexcept = default;
  ~Error() = default;

  Code code() const { return detail_->code; }
  // The whole text: contexts, outermost first, then the message.
  const std::string& message() const { return detail_->message; }
  bool retryable() const { return FactsOf(code()).retryable; }
  // How long the other side asked us to wait before the next try.
  std::optional<std::chrono::milliseconds> retry_after() const { return detail_->retry_after; }
  // One sentence that says what the user can do; empty when the message says it already.
  const std::string& hint() const { return detail_->hint; }

  // Puts `what` and ": " in front of the message; for layer borders.
  Error&& Context(std::string_view what) &&;
  Error&& WithRetryAfter(std::chrono::milliseconds wait) &&;
  Error&& WithHint(std::string hint) &&;
  Error&& WithCode(Code code) &&;

 private:
  struct Detail {
    Code code;
    std::string message;
    std::string hint;
    std::optional<std::chrono::milliseconds> retry_after;
  };
  std::unique_ptr<Detail> detail_;
};

}  // namespace bdn
