// What errors of Google's token services mean, and what the user can do about them.
// Source: cloud.google.com/iam/docs/troubleshooting-workload-identity-federation; RFC 6749 §5.2.
#include "cloud/google_errors.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cloud/hugging_face_hub.h"
#include "codec/json.h"

namespace bdn::cloud {
namespace {

constexpr std::size_t kGoogleBodyBytesMax = 64 * 1024;

struct GoogleSaid {
  std::string code;  // "invalid_grant", "PERMISSION_DENIED"
  std::string text;
};

// {"error": "code", "error_description": "…"} of OAuth, {"error": {"status", "message"}} of APIs.
GoogleSaid ReadGoogleSaid(const std::string& body) {
  GoogleSaid said;
  const auto value = codec::ParseJson(body, {.bytes_max = kGoogleBodyBytesMax, .depth_max = 16});
  if (!value) return said;
  const codec::JsonView root(*value);
  const auto error = root.Find("error");
  if (!error || !*error) return said;
  if ((*error)->value().is_string()) {
    said.code = (*error)->AsString().value_or("");
    said.text = root.StringOr("error_description", "").value_or("");
  } else {
    said.code = (*error)->StringOr("status", "").value_or("");
    said.text = (*error)->StringOr("message", "").value_or("");
  }
  return said;
}

struct GoogleMeaning {
  Code code;
  std::string fix;
};

bool GoogleContains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

GoogleMeaning GoogleKeyMeaning(const GoogleSaid& said, bool* skewed) {
  if (said.code == "invalid_grant") {
    if (GoogleContains(said.text, "reasonable timeframe") ||
        GoogleContains(said.text, "short-lived token")) {
      *skewed = true;
      return {Code::kUnauthenticated, "this machine's clock is wrong: set it (NTP)"};
    }
    if (GoogleContains(said.text, "Signature")) {
      return {Code::kUnauthenticated,
              "the key was deleted, or the file was changed: create a key for the service account "
              "and store it in the secret"};
    }
    if (GoogleContains(said.text, "account not found")) {
      return {Code::kUnauthenticated,
              "the service account was deleted or disabled: name another in the secret"};
    }
    return {Code::kUnauthenticated, "the key in the secret is not taken: create another"};
  }
  if (said.code == "invalid_scope" || said.code == "unauthorized_client") {
    return {Code::kPermissionDenied,
            "the service account may not ask for tokens: check it in the console"};
  }
  return {Code::kUnauthenticated, "the key in the secret is not taken"};
}

GoogleMeaning GoogleGrantMeaning(const GoogleSaid& said, ExchangeHelp* help) {
  if (GoogleContains(said.text, "stale to sign-in") || GoogleContains(said.text, "expired")) {
    *help = ExchangeHelp::kFreshToken;
    return {Code::kUnauthenticated,
            "a token of the issuer was too old when it arrived: check this machine's clock"};
  }
  if (GoogleContains(said.text, "audience")) {
    *help = ExchangeHelp::kOtherAudience;
    return {Code::kPermissionDenied,
            "the provider expects another audience: set its allowed audiences to the issuer's, "
            "which `bdn oidc show` prints"};
  }
  if (GoogleContains(said.text, "connecting to the given credential's issuer")) {
    return {Code::kUnavailable,
            "Google could not read the issuer's discovery document: it must be reachable from the "
            "internet by https"};
  }
  return {Code::kUnauthenticated,
          "the provider does not take tokens of this issuer: `bdn oidc show` prints the issuer "
          "that the provider must be made for"};
}

GoogleMeaning GoogleExchangeMeaning(const GoogleSaid& said, ExchangeHelp* help) {
  if (said.code == "invalid_grant") return GoogleGrantMeaning(said, help);
  if (said.code == "invalid_target") {
    return {Code::kNotFound,
            "the workload identity pool or its provider does not exist, or is disabled or "
            "deleted: check gcp_oidc_workload_id_provider"};
  }
  if (said.code == "unauthorized_client") {
    return {Code::kPermissionDenied,
            "the provider's attribute condition refuses this workload: `bdn oidc show` prints what "
            "subjects look like"};
  }
  if (said.code == "invalid_request") {
    return {Code::kInvalidArgument,
            "check gcp_oidc_workload_id_provider: "
            "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER"};
  }
  return {Code::kUnauthenticated, "see what Google says"};
}

GoogleMeaning GoogleImpersonateMeaning(int status) {
  switch (status) {
    case 401:
      return {Code::kUnauthenticated, "the exchanged token is not taken any more"};
    case 403:
      return {Code::kPermissionDenied,
              "grant roles/iam.workloadIdentityUser on the service account to the pool's "
              "principals (iam.serviceAccounts.getAccessToken), and see that the IAM Service "
              "Account Credentials API is enabled; a grant that was just made takes some minutes"};
    case 404:
      return {Code::kNotFound, "there is no such service account: check gcp_oidc_service_account"};
    default:
      return {Code::kInvalidArgument, "check gcp_oidc_service_account"};
  }
}

GoogleMeaning GoogleMeaningOf(
    GoogleStep step, int status, const GoogleSaid& said, ExchangeHelp* help, bool* skewed) {
  // What google-auth-library tries again.
  constexpr std::array<std::string_view, 3> kTransient = {"internal_failure", "server_error",
                                                          "temporarily_unavailable"};
  if (status == 429) return {Code::kRateLimited, "Google asks to slow down"};
  if (status == 408 || status >= 500 ||
      std::find(kTransient.begin(), kTransient.end(), said.code) != kTransient.end()) {
    return {Code::kUnavailable, "try again later"};
  }
  if (status >= 300 && status < 400) {
    return {Code::kUnavailable, "a redirect is not followed with a credential"};
  }
  if (step == GoogleStep::kKey) return GoogleKeyMeaning(said, skewed);
  if (step == GoogleStep::kExchange) return GoogleExchangeMeaning(said, help);
  return GoogleImpersonateMeaning(status);
}

std::string_view GoogleNameOf(GoogleStep step) {
  if (step == GoogleStep::kKey) return "a token for the service account";
  if (step == GoogleStep::kExchange) return "the exchange of a token at the provider";
  return "a token as the service account";
}

}  // namespace

Error GoogleAuthError(GoogleStep step,
                      const std::string& subject,
                      const net::HttpResponse& answer,
                      WallTime now,
                      ExchangeHelp* help,
                      bool* skewed) {
  bool ignored = false;
  ExchangeHelp none = ExchangeHelp::kNone;
  const GoogleSaid said = ReadGoogleSaid(answer.body);
  const GoogleMeaning meaning =
      GoogleMeaningOf(step, answer.status, said, help != nullptr ? help : &none,
                      skewed != nullptr ? skewed : &ignored);
  std::string text =
      fmt::format("{} {}: Google answered HTTP {}", GoogleNameOf(step), subject, answer.status);
  if (!said.code.empty()) text += " " + Printable(said.code, 60);
  if (!said.text.empty()) {
    std::string shown = Printable(said.text, 300);
    while (shown.ends_with('.')) shown.pop_back();
    text += " (" + shown + ")";
  }
  // "What is wrong: what to do" about a credential: the second half is the hint.
  const auto colon = meaning.code == Code::kUnauthenticated ? meaning.fix.find(": ") : text.npos;
  Error error(meaning.code, text + ": " + meaning.fix.substr(0, colon));
  if (colon != text.npos) error = std::move(error).WithHint(meaning.fix.substr(colon + 2));
  const auto wait = answer.headers.Get("Retry-After");
  if (wait && (answer.status == 429 || answer.status == 503)) {
    if (const auto time = net::ParseRetryAfter(*wait, now)) {
      error = std::move(error).WithRetryAfter(*time);
    }
  }
  return error;
}

}  // namespace bdn::cloud
