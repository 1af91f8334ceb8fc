// What an answer of the Blob service with an error means, and what the user can do about it.
// Source: learn.microsoft.com, "Status and error codes" of the Blob service and of all storage
// services, and "Shared access signature error codes".
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cloud/azure.h"
#include "cloud/hugging_face_hub.h"

namespace bdn::cloud {
namespace {

constexpr std::size_t kAzureTextBytesMax = 300;

struct AzureErrorRow {
  std::string_view name;
  Code code;
  std::string_view fix;
};

constexpr std::string_view kAzureSlow = "the storage asks to slow down";
constexpr std::string_view kAzureReader =
    "give the identity the role Storage Blob Data Reader on the account or the container; roles "
    "take some minutes to have effect";

constexpr std::array<AzureErrorRow, 26> kAzureErrorRows = {{
    {"AccountIsDisabled", Code::kPermissionDenied, "the storage account is disabled"},
    {"AuthorizationProtocolMismatch", Code::kPermissionDenied, "the SAS token is for https only"},
    {"AuthorizationResourceTypeMismatch", Code::kPermissionDenied,
     "make the SAS token for containers and objects (srt=co)"},
    {"AuthorizationServiceMismatch", Code::kPermissionDenied,
     "make the SAS token for the Blob service (ss=b)"},
    {"AuthorizationSourceIPMismatch", Code::kPermissionDenied,
     "the SAS token is for other addresses than this machine's (sip)"},
    {"AuthorizationFailure", Code::kPermissionDenied,
     "the credentials are wrong or lack the right, or the account's firewall does not let this "
     "machine in"},
    {"InsufficientAccountPermissions", Code::kPermissionDenied,
     "the account does not allow reads now"},
    {"InvalidAuthenticationInfo", Code::kUnauthenticated,
     "the token is not for this account's tenant, or has ended: check azure_tenant_id"},
    {"KeyBasedAuthenticationNotPermitted", Code::kPermissionDenied,
     "the account forbids account keys and SAS tokens made with them: use azure_tenant_id and "
     "azure_client_id"},
    {"NoAuthenticationInformation", Code::kUnauthenticated,
     "the account wants credentials, and got none that it can read"},
    {"PublicAccessNotPermitted", Code::kUnauthenticated,
     "the account forbids access without credentials: check that the SAS token is complete"},
    {"ContainerNotFound", Code::kNotFound,
     "there is no such container: check the container's name"},
    {"ContainerBeingDeleted", Code::kNotFound, "the container is being deleted"},
    {"ContainerDisabled", Code::kPermissionDenied, "the container is disabled"},
    {"ResourceNotFound", Code::kNotFound,
     "it is not there, or not for these credentials: check the names, or allow the credentials to "
     "see the container"},
    {"BlobNotFound", Code::kNotFound, "the blob does not exist"},
    {"ConditionNotMet", Code::kFailedPrecondition, "the blob was overwritten"},
    {"InvalidRange", Code::kFailedPrecondition, "the blob has another size than was listed"},
    {"BlobArchived", Code::kUnsupported, "the blob is archived: change its tier to Cool or Hot"},
    {"BlobBeingRehydrated", Code::kUnsupported, "the blob is on its way out of the archive: wait"},
    {"BlobUsesCustomerSpecifiedEncryption", Code::kUnsupported,
     "blobs with a customer-provided key cannot be read: copy them without it"},
    {"ServerBusy", Code::kRateLimited, kAzureSlow},
    {"OperationTimedOut", Code::kUnavailable, "the storage was too slow"},
    {"InternalError", Code::kUnavailable, "an error of the storage itself"},
    {"UnsupportedHeader", Code::kUnsupported, "this storage does not know the call"},
    {"FeatureVersionMismatch", Code::kUnsupported,
     "the blob needs a newer version of the protocol"},
}};

bool Says(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string_view FixOfRefusal(const AzureSite& site, const AzureErrorBody& body) {
  const bool time = Says(body.detail, "time frame") || Says(body.detail, "expired") ||
                    Says(body.detail, "Expiry") || Says(body.detail, "date header too old");
  if (!site.secret.sas.empty()) {
    return time
               ? "the SAS token has ended or has not begun: store a fresh one in the secret"
               : "the SAS token is not valid for this: check that it is complete, for this account "
                 "and container, and not revoked";
  }
  if (site.secret.identity) return "the token is not accepted: check azure_tenant_id";
  return time ? "the times differ: set this machine's clock"
              : "the key is not accepted: check azure_account_key: it may have been rotated";
}

AzureErrorRow AzureDeniedRow(AzureStep step, const AzureSite& site, const AzureErrorBody& body) {
  if (site.secret.identity) return {body.code, Code::kPermissionDenied, kAzureReader};
  if (!site.secret.sas.empty()) {
    return {body.code, Code::kPermissionDenied,
            step == AzureStep::kList
                ? "the SAS token lacks the right to list: make one with sp=rl for the container"
                : "the SAS token lacks the right to read: make one with sp=rl for the container"};
  }
  return {body.code, Code::kPermissionDenied, "the account refuses this to its key"};
}

AzureErrorRow AzureRowOf(AzureStep step,
                         int status,
                         const AzureSite& site,
                         const AzureErrorBody& body) {
  if (body.code == "AuthenticationFailed") {
    return {body.code, Code::kUnauthenticated, FixOfRefusal(site, body)};
  }
  if (body.code == "AuthorizationPermissionMismatch") return AzureDeniedRow(step, site, body);
  const auto* row = std::find_if(kAzureErrorRows.begin(), kAzureErrorRows.end(),
                                 [&](const AzureErrorRow& r) { return r.name == body.code; });
  if (row != kAzureErrorRows.end()) return *row;
  if (status >= 300 && status < 400) {
    return {body.code, Code::kUnavailable, "it redirects, which the Blob service never does"};
  }
  if (status == 401) return {body.code, Code::kUnauthenticated, FixOfRefusal(site, body)};
  if (status == 403) return AzureDeniedRow(step, site, body);
  if (status == 429 || status == 503) return {body.code, Code::kRateLimited, kAzureSlow};
  if (status == 408 || status >= 500) return {body.code, Code::kUnavailable, "try again later"};
  if (status == 412 || status == 416) {
    return {body.code, Code::kFailedPrecondition, "the blob is not the one that was listed"};
  }
  return {body.code, CodeFromHttpStatus(status), "see the list of errors of the Blob service"};
}

}  // namespace

Error AzureClient::ErrorOf(const Call& call,
                           const net::ResponseHead& head,
                           const AzureErrorBody& body,
                           WallTime now) const {
  const AzureErrorRow row = AzureRowOf(call.step, head.status, site_, body);
  const std::string where =
      fmt::format("the container {} of the account {}", site_.container, site_.account);
  std::string text =
      call.step == AzureStep::kList
          ? "the listing of " + where
          : fmt::format("the blob {} in {}", Printable(call.name, kAzureTextBytesMax), where);
  text += fmt::format(": {} answered HTTP {}", authority_, head.status);
  if (!body.code.empty()) text += " " + Printable(body.code, 100);
  // Behind the sentence stand a request id and a time, each on a line of its own.
  const std::string said = body.message.substr(0, body.message.find('\n'));
  if (!said.empty() && body.code != "AuthenticationFailed") {
    text += " (" + Printable(said, kAzureTextBytesMax) + ")";
  }
  // "What is wrong: what to do" about credentials and names: the second half is the hint.
  const bool split = row.code == Code::kUnauthenticated || row.code == Code::kNotFound;
  const auto colon = split ? row.fix.find(": ") : std::string_view::npos;
  text += fmt::format(": {}", row.fix.substr(0, colon));
  if (const auto id = head.headers.Get("x-ms-request-id")) {
    text += fmt::format(" [request {}]", Printable(*id, 60));
  }
  Error error(row.code, std::move(text));
  if (colon != std::string_view::npos) {
    error = std::move(error).WithHint(std::string(row.fix.substr(colon + 2)));
  }
  const auto wait = head.headers.Get("Retry-After");
  if (wait && row.code == Code::kRateLimited) {
    if (const auto time = net::ParseRetryAfter(*wait, now)) {
      error = std::move(error).WithRetryAfter(*time);
    }
  }
  return error;
}

}  // namespace bdn::cloud
