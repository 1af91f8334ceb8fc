#include "base/error.h"

#include <array>
#include <utility>

namespace bdn {
namespace {

// Exit codes: 0 success, 1 the thing asked for did not hold or failed, 2 usage; the others let a
// script tell what kind of failure it was. HTTP statuses follow RFC 9110 and RFC 6585.
constexpr std::array<CodeFacts, kCodeCount> kFacts{{
    {Code::kInvalidArgument, "invalid_argument", 400, 1, false},
    {Code::kUnauthenticated, "unauthenticated", 401, 3, false},
    {Code::kPermissionDenied, "permission_denied", 403, 4, false},
    {Code::kNotFound, "not_found", 404, 5, false},
    {Code::kAlreadyExists, "already_exists", 409, 6, false},
    {Code::kFailedPrecondition, "failed_precondition", 412, 7, false},
    {Code::kCorrupt, "corrupt", 500, 8, false},
    {Code::kResourceExhausted, "resource_exhausted", 507, 9, false},
    {Code::kRateLimited, "rate_limited", 429, 10, true},
    {Code::kUnavailable, "unavailable", 503, 11, true},
    {Code::kTimeout, "timeout", 504, 12, true},
    {Code::kCancelled, "cancelled", 499, 130, false},
    {Code::kUnsupported, "unsupported", 501, 13, false},
    {Code::kInternal, "internal", 500, 70, false},
}};

}  // namespace

const CodeFacts& FactsOf(Code code) {
  return kFacts[static_cast<std::size_t>(code)];
}

std::optional<Code> CodeFromName(std::string_view name) {
  for (const auto& facts : kFacts) {
    if (facts.name == name) return facts.code;
  }
  return std::nullopt;
}

Code CodeFromHttpStatus(int status) {
  if (status == 408) return Code::kTimeout;
  if (status == 410) return Code::kNotFound;
  for (const auto& facts : kFacts) {
    if (facts.http_status == status && facts.code != Code::kCorrupt) return facts.code;
  }
  if (status >= 500) return Code::kUnavailable;
  return Code::kInvalidArgument;
}

Error::Error(Code code, std::string message)
    : detail_(std::make_unique<Detail>(Detail{code, std::move(message), {}, {}})) {}

Error::Error(const Error& other) : detail_(std::make_unique<Detail>(*other.detail_)) {}

Error& Error::operator=(const Error& other) {
  if (this != &other) detail_ = std::make_unique<Detail>(*other.detail_);
  return *this;
}

Error&& Error::Context(std::string_view what) && {
  detail_->message.insert(0, std::string(what) + ": ");
  return std::move(*this);
}

Error&& Error::WithRetryAfter(std::chrono::milliseconds wait) && {
  detail_->retry_after = wait;
  return std::move(*this);
}

Error&& Error::WithHint(std::string hint) && {
  detail_->hint = std::move(hint);
  return std::move(*this);
}

Error&& Error::WithCode(Code code) && {
  detail_->code = code;
  return std::move(*this);
}

}  // namespace bdn
