#include "cloud/aws_sts.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cloud/s3.h"
#include "cloud/xml_values.h"

namespace bdn::cloud {
namespace {

constexpr std::size_t kStsTextBytesMax = 300;
constexpr std::size_t kRoleArnBytesMax = 2048;
constexpr std::size_t kTokenBytesMax = 20'000;
constexpr std::string_view kResult =
    "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult";

std::string StsText(std::string_view text) {
  std::string out(text.substr(0, kStsTextBytesMax));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '.';
  }
  return out;
}

bool Mentions(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool IsDigits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// arn:aws[-cn|-us-gov]:iam::ACCOUNT:role/[path/]name
bool IsRoleArn(std::string_view arn, bool without_account) {
  const bool plain =
      std::all_of(arn.begin(), arn.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!plain || arn.size() > kRoleArnBytesMax) return false;
  for (const std::string_view start :
       {"arn:aws:iam::", "arn:aws-cn:iam::", "arn:aws-us-gov:iam::"}) {
    if (!arn.starts_with(start)) continue;
    const std::string_view rest = arn.substr(start.size());
    const std::size_t colon = rest.find(':');
    if (colon == rest.npos) return false;
    const std::string_view account = rest.substr(0, colon);
    const bool account_fits =
        (account.size() == 12 && IsDigits(account)) || (without_account && account.empty());
    constexpr std::string_view kRole = "role/";
    const std::string_view name = rest.substr(colon + 1);
    return account_fits && name.starts_with(kRole) && name.size() > kRole.size();
  }
  return false;
}

Result<net::Url> StsUrl(const StsRole& role) {
  if (role.endpoint.empty()) {
    const std::string region(role.region.empty() ? kStsRegionDefault : role.region);
    return net::ParseUrl(fmt::format("https://sts.{}.amazonaws.com{}/", region,
                                     region.starts_with("cn-") ? ".cn" : ""));
  }
  auto url = net::ParseUrl(role.endpoint);
  if (!url) return std::move(url).error().Context("the STS endpoint");
  if (url->has_query) {
    return Error(Code::kInvalidArgument, "the STS endpoint must not have a query");
  }
  return url;
}

struct StsErrorRow {
  std::string_view name;
  Code code;
  std::string_view fix;
};

constexpr std::array<StsErrorRow, 12> kStsErrorRows = {{
    {"IDPCommunicationError", Code::kUnavailable,
     "AWS could not reach the OIDC issuer: its discovery document and keys must be public"},
    {"ExpiredTokenException", Code::kUnauthenticated,
     "AWS says that our token has expired: set this machine's clock"},
    {"IDPRejectedClaim", Code::kPermissionDenied,
     "the issuer's token was rejected: compare issuer and audience with `bdn oidc show`"},
    {"AccessDenied", Code::kPermissionDenied,
     "the role's trust policy does not let us in: its conditions on :sub and :aud must match what "
     "`bdn oidc show` prints. A change of a policy takes a minute or two to be seen everywhere"},
    {"RegionDisabledException", Code::kPermissionDenied,
     "STS is not active in this region: activate it in the account, or change aws_oidc_region"},
    {"PackedPolicyTooLarge", Code::kInvalidArgument, "the role's session policy is too large"},
    {"MalformedPolicyDocument", Code::kInvalidArgument, "the role's policy is malformed"},
    {"ValidationError", Code::kInvalidArgument,
     "check aws_oidc_role_arn; the role must allow sessions of an hour"},
    {"Throttling", Code::kRateLimited, "STS asks to slow down"},
    {"ThrottlingException", Code::kRateLimited, "STS asks to slow down"},
    {"ServiceUnavailable", Code::kUnavailable, "try again later"},
    {"InternalFailure", Code::kUnavailable, "an error of STS itself"},
}};

// One name for several reasons, told apart by the sentence.
StsErrorRow InvalidTokenRow(std::string_view message) {
  if (Mentions(message, "verification key")) {
    return {
        "", Code::kUnavailable,
        "AWS could not fetch the issuer's keys: its address must be reachable from the internet "
        "with a public certificate. After a rotation it may know the new key a little later"};
  }
  if (Mentions(message, "No OpenIDConnect provider")) {
    return {"", Code::kNotFound,
            "the account does not know this issuer: create the provider with the command that "
            "`bdn oidc show` prints, its URL exactly as there"};
  }
  if (Mentions(message, "audience")) {
    return {"", Code::kPermissionDenied,
            "add the audience that `bdn oidc show` prints to the client IDs of the OIDC provider"};
  }
  return {"", Code::kPermissionDenied,
          "AWS does not accept the issuer's token: compare the provider with `bdn oidc show`"};
}

StsErrorRow StsRowOf(int status, const StsErrorBody& body) {
  if (body.code == "InvalidIdentityToken") return InvalidTokenRow(body.message);
  const auto* row = std::find_if(kStsErrorRows.begin(), kStsErrorRows.end(),
                                 [&](const StsErrorRow& r) { return r.name == body.code; });
  if (row != kStsErrorRows.end()) return *row;
  if (status == 429) return {"", Code::kRateLimited, "STS asks to slow down"};
  if (status == 408 || status >= 500) return {"", Code::kUnavailable, "try again later"};
  if (status >= 300 && status < 400) {
    return {"", Code::kPermissionDenied,
            "it redirects, and the token goes to no other address: check aws_oidc_region"};
  }
  const Code code = CodeFromHttpStatus(status);
  return {"", code == Code::kUnauthenticated ? Code::kPermissionDenied : code,
          "the service did not take the token: check the role, and issuer and audience with "
          "`bdn oidc show`"};
}

Error StsErrorOf(const net::Url& url,
                 const StsRole& role,
                 const net::HttpResponse& answer,
                 WallTime now) {
  const StsErrorBody body = ParseStsError(answer.body);
  const StsErrorRow row = StsRowOf(answer.status, body);
  std::string text = fmt::format("the role {}: {} answered HTTP {}", StsText(role.arn),
                                 url.authority(), answer.status);
  if (!body.code.empty()) text += " " + StsText(body.code);
  if (!body.message.empty()) text += " (" + StsText(body.message) + ")";
  Error error = Error(row.code, std::move(text)).WithHint(std::string(row.fix));
  if (const auto wait = answer.headers.Get("Retry-After"); wait && row.code == Code::kRateLimited) {
    if (const auto time = net::ParseRetryAfter(*wait, now)) {
      error = std::move(error).WithRetryAfter(*time);
    }
  }
  return error;
}

}  // namespace

Status CheckStsRole(const StsRole& role) {
  if (!IsRoleArn(role.arn, !role.endpoint.empty())) {
    return Error(Code::kInvalidArgument,
                 fmt::format("aws_oidc_role_arn '{}' is not the ARN of a role, such as "
                             "arn:aws:iam::123456789012:role/name",
                             StsText(role.arn)));
  }
  // It becomes a part of a host name, and the token goes there.
  if (!role.region.empty() && !IsS3Region(role.region)) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("aws_oidc_region '{}' is no region, such as us-east-1", StsText(role.region)));
  }
  BDN_TRY(StsUrl(role));
  return {};
}

Result<StsKeys> ParseStsAnswer(std::string_view xml) {
  StsKeys keys;
  std::string expires;
  const std::string credentials = std::string(kResult) + "/Credentials/";
  BDN_TRY(ReadXmlValues(xml, [&](const std::string& path, const std::string& text) {
    if (!path.starts_with(credentials)) return;
    const std::string_view name = std::string_view(path).substr(credentials.size());
    if (name == "AccessKeyId") keys.credentials.access_key_id = text;
    if (name == "SecretAccessKey") keys.credentials.secret_access_key = text;
    if (name == "SessionToken") keys.credentials.session_token = text;
    if (name == "Expiration") expires = text;
  }));
  const auto sendable = [](const std::string& text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  };
  const auto until = ParseRfc3339(expires);
  if (!sendable(keys.credentials.access_key_id) || keys.credentials.secret_access_key.empty() ||
      !sendable(keys.credentials.session_token) || !until) {
    return Error(Code::kUnavailable, "the answer of STS does not hold keys and their expiry");
  }
  keys.expires_at = *until;
  return keys;
}

StsErrorBody ParseStsError(std::string_view xml) {
  StsErrorBody body;
  const Status status =
      xml.empty() ? Status()
                  : ReadXmlValues(xml, [&](const std::string& path, const std::string& text) {
                      // Ceph leaves the outer element away.
                      if (path == "ErrorResponse/Error/Code" || path == "Error/Code") {
                        body.code = text;
                      }
                      if (path == "ErrorResponse/Error/Message" || path == "Error/Message") {
                        body.message = text;
                      }
                    });
  if (!status) return {};
  return body;
}

Result<StsKeys> AssumeRoleWithWebIdentity(const Context& ctx,
                                          net::Transport& transport,
                                          const StsRole& role,
                                          std::string_view token,
                                          Duration* life) {
  BDN_TRY(CheckStsRole(role));
  if (token.size() > kTokenBytesMax) {
    return Error(Code::kInvalidArgument, fmt::format("a token of {} bytes; STS takes at most {}",
                                                     token.size(), kTokenBytesMax));
  }
  net::HttpRequest request;
  request.method = "POST";
  BDN_ASSIGN(request.url, StsUrl(role));
  request.headers.Set("Content-Type", "application/x-www-form-urlencoded");
  request.headers.Set("Accept", "application/xml");
  request.body = fmt::format(
      "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&DurationSeconds={}&RoleArn={}"
      "&RoleSessionName={}&WebIdentityToken={}",
      role.duration.count(), net::PercentEncode(role.arn), net::PercentEncode(role.session_name),
      net::PercentEncode(token));
  BDN_ASSIGN(const net::HttpResponse answer,
             net::FetchAll(ctx, transport, request, kStsAnswerBytesMax));
  const WallTime now = ctx.clock().Now();
  if (answer.status != 200) return StsErrorOf(request.url, role, answer, now);
  auto keys = ParseStsAnswer(answer.body);
  if (!keys) {
    return std::move(keys).error().Context(
        fmt::format("the role {}: {}", StsText(role.arn), request.url.authority()));
  }
  if (life != nullptr) {
    const auto date = answer.headers.Get("Date");
    const auto theirs = date ? ParseHttpDate(*date) : std::nullopt;
    *life = keys->expires_at - theirs.value_or(now);
  }
  return keys;
}

}  // namespace bdn::cloud
