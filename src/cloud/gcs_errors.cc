// What an answer of Google Cloud Storage with an error means, and what the user can do about it.
// Source: cloud.google.com/storage/docs/json_api/v1/status-codes.
#include <fmt/format.h>

#include "cloud/gcs.h"
#include "cloud/hugging_face_hub.h"

namespace bdn::cloud {
namespace {

constexpr std::size_t kGcsTextBytesMax = 300;

struct GcsMeaning {
  Code code;
  std::string_view fix;
  std::string_view hint = {};
};

bool GcsContains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

GcsMeaning GcsMeaningOf403(GcsStep step, const GcsErrorBody& body) {
  if (body.reason == "rateLimitExceeded" || body.reason == "userRateLimitExceeded") {
    return {Code::kRateLimited, "the storage asks to slow down"};
  }
  if (body.reason == "accountDisabled" || GcsContains(body.message, "billing account")) {
    return {Code::kPermissionDenied, "the project that pays for the bucket has no active billing"};
  }
  if (GcsContains(body.message, "serviceusage.services.use")) {
    return {Code::kPermissionDenied,
            "the bucket wants the reader to pay (requester pays): bdn does not name a project to "
            "be charged; copy the objects to a bucket without it"};
  }
  if (GcsContains(body.message, "KMS") || GcsContains(body.message, "cloudkms")) {
    return {Code::kPermissionDenied,
            "the object is encrypted with a key of Cloud KMS: give the service agent of Cloud "
            "Storage the role Cloud KMS CryptoKey Decrypter on it"};
  }
  if (GcsContains(body.message, "organization's policy") || GcsContains(body.reason, "VPC") ||
      GcsContains(body.message, "VPC Service Controls")) {
    return {Code::kPermissionDenied,
            "a policy of the organisation (VPC Service Controls) refuses access from here"};
  }
  if (step == GcsStep::kList) {
    return {Code::kPermissionDenied,
            "allow storage.objects.list on the bucket: grant roles/storage.objectViewer to the "
            "service account"};
  }
  return {Code::kPermissionDenied,
          "allow storage.objects.get on the bucket: grant roles/storage.objectViewer to the "
          "service account"};
}

GcsMeaning GcsMeaningOf(GcsStep step, int status, const GcsErrorBody& body) {
  // Requester pays is said with 400 and a reason, sometimes with the text alone.
  if (body.reason == "userProjectMissing" ||
      GcsContains(body.message, "requester pays bucket but no user project")) {
    return {Code::kPermissionDenied,
            "the bucket wants the reader to pay (requester pays): bdn does not name a project to "
            "be charged; copy the objects to a bucket without it"};
  }
  if (status >= 300 && status < 400) {
    return {Code::kUnavailable, "a redirect is not followed with a token"};
  }
  switch (status) {
    case 401:
      return {Code::kUnauthenticated, "the access token is not taken"};
    case 403:
      return GcsMeaningOf403(step, body);
    case 404:
      if (step == GcsStep::kList) {
        return {Code::kNotFound, "there is no such bucket", "check the bucket's name"};
      }
      return {Code::kNotFound, "there is no such object, or not in this generation any more"};
    case 408:
      return {Code::kUnavailable, "the storage did not get the request in time"};
    case 412:
    case 416:
      return {Code::kFailedPrecondition, "the object is not the one that was listed"};
    case 429:
      return {Code::kRateLimited, "the storage asks to slow down"};
    default:
      break;
  }
  if (status >= 500) return {Code::kUnavailable, "try again later"};
  if (GcsContains(body.reason, "customerEncryption") ||
      GcsContains(body.message, "customer-supplied")) {
    return {Code::kUnsupported,
            "objects with a customer-supplied encryption key cannot be read: copy them without it"};
  }
  return {CodeFromHttpStatus(status), "see the provider's list of errors"};
}

}  // namespace

Error GcsClient::ErrorOf(GcsStep step,
                         std::string_view name,
                         const net::ResponseHead& head,
                         const GcsErrorBody& body,
                         WallTime now) const {
  const GcsMeaning meaning = GcsMeaningOf(step, head.status, body);
  const std::string what = step == GcsStep::kList
                               ? fmt::format("the listing of the bucket {}", bucket_)
                               : fmt::format("the object {} of the bucket {}",
                                             Printable(name, kGcsTextBytesMax), bucket_);
  std::string text = fmt::format("{}: {} answered HTTP {}", what, authority_, head.status);
  if (!body.reason.empty()) text += " " + Printable(body.reason, 60);
  if (!body.message.empty()) {
    std::string said = Printable(body.message, kGcsTextBytesMax);
    while (said.ends_with('.')) said.pop_back();  // a line break at its end is one by now
    text += " (" + said + ")";
  }
  text += fmt::format(": {}", meaning.fix);
  Error error = Error(meaning.code, std::move(text)).WithHint(std::string(meaning.hint));
  const auto wait = head.headers.Get("Retry-After");
  if (wait && (meaning.code == Code::kRateLimited || head.status == 503)) {
    if (const auto time = net::ParseRetryAfter(*wait, now)) {
      error = std::move(error).WithRetryAfter(*time);
    }
  }
  return error;
}

}  // namespace bdn::cloud
