// What an answer of S3 with an error means, and what the user can do about it.
// Source: "Error responses" in the Amazon S3 API reference.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cloud/s3.h"

namespace bdn::cloud {
namespace {

constexpr std::size_t kS3TextBytesMax = 300;

struct S3ErrorRow {
  std::string_view name;
  Code code;
  std::string_view why;       // may be empty: the storage says it
  std::string_view fix = {};  // what the user can do; may be empty
};

constexpr std::string_view kOldKeys = "the credentials have expired or are not valid any more";
constexpr std::string_view kNewKeys = "store fresh credentials in the secret";
constexpr std::string_view kSlow = "the storage asks to slow down";

constexpr std::array<S3ErrorRow, 24> kS3ErrorRows = {{
    {"AllAccessDisabled", Code::kPermissionDenied, "the provider closed this bucket"},
    {"AuthorizationHeaderMalformed", Code::kInvalidArgument, "",
     "set aws_region in the secret to the bucket's region"},
    {"ExpiredToken", Code::kUnauthenticated, kOldKeys, kNewKeys},
    {"InvalidToken", Code::kUnauthenticated, kOldKeys, kNewKeys},
    {"TokenRefreshRequired", Code::kUnauthenticated, kOldKeys, kNewKeys},
    {"InvalidAccessKeyId", Code::kUnauthenticated, "this access key is not known there",
     "check aws_access_key_id, and aws_session_token for temporary keys"},
    {"SignatureDoesNotMatch", Code::kUnauthenticated, "",
     "check aws_secret_access_key; a proxy that changes headers gives this error too"},
    {"RequestTimeTooSkewed", Code::kUnauthenticated, "", "set this machine's clock"},
    {"NoSuchBucket", Code::kNotFound, "", "check the bucket's name, and the account for r2://"},
    {"NoSuchKey", Code::kNotFound, "the object does not exist"},
    {"PreconditionFailed", Code::kFailedPrecondition, "the object was overwritten"},
    {"InvalidRange", Code::kFailedPrecondition, "the object has another size than was listed"},
    {"InvalidObjectState", Code::kUnsupported, "the object is archived",
     "restore it, or copy it to another storage class"},
    {"SlowDown", Code::kRateLimited, kSlow},
    {"SlowDownRead", Code::kRateLimited, kSlow},
    {"ServiceUnavailable", Code::kRateLimited, kSlow},
    {"Throttling", Code::kRateLimited, kSlow},
    {"ThrottlingException", Code::kRateLimited, kSlow},
    {"RequestLimitExceeded", Code::kRateLimited, kSlow},
    {"TooManyRequests", Code::kRateLimited, kSlow},
    {"InternalError", Code::kUnavailable, "an error of the storage itself"},
    {"RequestTimeout", Code::kUnavailable, "the storage did not get the request in time"},
    {"OperationAborted", Code::kUnavailable, ""},
    {"NotImplemented", Code::kUnsupported, "this storage does not know the call"},
}};

std::string PlainText(std::string_view text) {
  std::string out(text.substr(0, kS3TextBytesMax));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '.';
  }
  return out;
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

S3ErrorRow DeniedRow(S3Step step, const S3ErrorBody& body) {
  if (Contains(body.message, "kms") || Contains(body.message, "KMS")) {
    return {body.code, Code::kPermissionDenied, "the object is encrypted with a key of KMS",
            "allow kms:Decrypt for it"};
  }
  if (step == S3Step::kList) {
    return {body.code, Code::kPermissionDenied, "",
            "allow s3:ListBucket on the bucket; a condition on s3:prefix must allow the path with "
            "a '/' at its end"};
  }
  return {body.code, Code::kPermissionDenied, "",
          "allow s3:GetObject on the path and all below it"};
}

S3ErrorRow RowOf(S3Step step, int status, const S3ErrorBody& body) {
  const auto* row = std::find_if(kS3ErrorRows.begin(), kS3ErrorRows.end(),
                                 [&](const S3ErrorRow& r) { return r.name == body.code; });
  if (row != kS3ErrorRows.end()) return *row;
  if (status >= 300 && status < 400) {
    return {body.code, Code::kUnavailable, "it redirects without naming another region",
            "set aws_region in the secret"};
  }
  if (status == 403) return DeniedRow(step, body);
  if (status == 429 || status == 503 || status == 509) {
    return {body.code, Code::kRateLimited, kSlow};
  }
  if (status == 408 || status >= 500) return {body.code, Code::kUnavailable, ""};
  if (status == 412 || status == 416) {
    return {body.code, Code::kFailedPrecondition, "the object is not the one that was listed"};
  }
  if (status == 405) return {body.code, Code::kNotFound, "the object was deleted"};
  if (status == 400 && Contains(body.message, "Server Side Encryption")) {
    return {body.code, Code::kUnsupported, "objects with a customer's key (SSE-C) cannot be read",
            "copy them without it"};
  }
  return {body.code, CodeFromHttpStatus(status), "", "see the provider's list of errors"};
}

}  // namespace

Error S3Client::ErrorOf(const S3Call& call,
                        const net::ResponseHead& head,
                        const S3ErrorBody& body,
                        WallTime now) const {
  const S3ErrorRow row = RowOf(call.step, head.status, body);
  const std::string what =
      call.step == S3Step::kList
          ? fmt::format("the listing of the bucket {}", site_.bucket)
          : fmt::format("the object {} of the bucket {}", PlainText(call.key), site_.bucket);
  std::string text = fmt::format("{}: {} answered HTTP {}", what, authority_, head.status);
  if (!body.code.empty()) text += " " + PlainText(body.code);
  if (!body.message.empty()) text += " (" + PlainText(body.message) + ")";
  if (!row.why.empty()) text += fmt::format(": {}", row.why);
  const auto id = head.headers.Get("x-amz-request-id");
  if (id) text += fmt::format(" [request {}]", PlainText(*id));
  Error error = Error(row.code, std::move(text)).WithHint(std::string(row.fix));
  if (const auto wait = head.headers.Get("Retry-After"); wait && row.code == Code::kRateLimited) {
    if (const auto time = net::ParseRetryAfter(*wait, now)) {
      error = std::move(error).WithRetryAfter(*time);
    }
  }
  return error;
}

}  // namespace bdn::cloud
