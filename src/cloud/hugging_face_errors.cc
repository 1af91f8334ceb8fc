// What answers of the Hub with status 400 or more mean, and what to do about each.
#include <fmt/format.h>

#include "cloud/hugging_face_hub.h"
#include "codec/json.h"

namespace bdn::cloud {
namespace {

constexpr std::size_t kErrorTextBytesMax = 300;

std::string_view KindWord(const HubRepo& repo) {
  if (repo.kind == "datasets") return "dataset";
  if (repo.kind == "spaces") return "space";
  return "model";
}

std::string RequestId(const net::Headers& headers) {
  for (const std::string_view name : {"X-Request-Id", "X-Amz-Cf-Id"}) {
    if (const auto id = headers.Get(name)) {
      return fmt::format(" (request id {})", Printable(*id, 100));
    }
  }
  return {};
}

// What the Hub itself says: the header, else the "error" of the JSON body.
std::string ServerText(const net::Headers& headers, std::string_view body) {
  if (const auto text = headers.Get("X-Error-Message")) return std::string(*text);
  const auto json = codec::ParseJson(body, {.bytes_max = 64 << 10, .depth_max = 8});
  if (!json || !json->is_object()) return {};
  const auto text = codec::JsonView(*json).StringOr("error", "");
  return text ? *text : std::string();
}

}  // namespace

std::string HubClient::Quote(std::string_view text) const {
  std::string out(text);
  if (token_) {
    for (std::size_t at = out.find(*token_); at != out.npos; at = out.find(*token_, at)) {
      out.replace(at, token_->size(), "***");
    }
  }
  return Printable(out, kErrorTextBytesMax);
}

Error HubClient::UnauthorizedError(const HubCall& call, const net::Headers& headers) const {
  const auto message = headers.Get("X-Error-Message").value_or("");
  const auto code = headers.Get("X-Error-Code").value_or("");
  if (message.find("Invalid credentials") != message.npos) {
    return Error(Code::kUnauthenticated,
                 fmt::format("The Hub does not accept the Hugging Face token (HTTP 401): it is "
                             "mistyped, expired or revoked{}",
                             RequestId(headers)))
        .WithHint(fmt::format("make a new one at {}/settings/tokens and store it in the secret",
                              endpoint_.ToString()));
  }
  if (code == "GatedRepo") {
    return Error(Code::kUnauthenticated,
                 fmt::format("The {} {} is gated and {}; its licence is at {}{}",
                             KindWord(call.repo), call.repo.id,
                             has_token() ? "the Hub did not take the token for an account"
                                         : "no Hugging Face token was given",
                             endpoint_.PageOf(call.repo), RequestId(headers)))
        .WithHint(
            "accept the licence, then name the secret that holds a token of that account in "
            "auth.auth_secret_name");
  }
  // Without a credential the Hub says 401 for what does not exist, and for what is private.
  return NotFoundError(call, "RepoNotFound", headers);
}

Error HubClient::ForbiddenError(const HubCall& call, const net::Headers& headers) const {
  const auto message = headers.Get("X-Error-Message").value_or("");
  const auto code = headers.Get("X-Error-Code").value_or("");
  if (code == "GatedRepo") {
    return Error(Code::kPermissionDenied,
                 fmt::format("The {} {} is gated and the token's account may not read it yet; its "
                             "licence is at {}{}",
                             KindWord(call.repo), call.repo.id, endpoint_.PageOf(call.repo),
                             RequestId(headers)))
        .WithHint(
            "accept the licence with that account, and wait for the approval if the authors grant "
            "it by hand");
  }
  if (message.find("Access to this resource is disabled") != message.npos) {
    return Error(Code::kPermissionDenied,
                 fmt::format("The Hub has disabled access to the {} {}; no token changes that{}",
                             KindWord(call.repo), call.repo.id, RequestId(headers)))
        .WithHint(fmt::format("see {}, and use another source", endpoint_.PageOf(call.repo)));
  }
  const std::string said = message.empty() ? "" : fmt::format(" The Hub says: {}", Quote(message));
  return Error(Code::kPermissionDenied,
               fmt::format("The Hub refuses to read the {} {} (HTTP 403): {}.{}{}",
                           KindWord(call.repo), call.repo.id,
                           has_token() ? "the token lacks the right" : "no token was given", said,
                           RequestId(headers)))
      .WithHint(has_token() ? "a fine-grained token needs read access to the contents of this "
                              "repository"
                            : "name the secret with a Hugging Face token in auth.auth_secret_name");
}

Error HubClient::NotFoundError(const HubCall& call,
                               std::string_view code,
                               const net::Headers& headers) const {
  const auto at = endpoint_.ToString();
  // Whatever the reason (mirrors often give none): it was there when we listed.
  if (call.step == HubStep::kRead && code != "RepoNotFound") {
    return Error(Code::kFailedPrecondition,
                 fmt::format("source changed: {} was in the listing of {} at {} and is gone from "
                             "the Hub{}",
                             Printable(call.path, kErrorTextBytesMax), call.repo.id, call.revision,
                             RequestId(headers)));
  }
  if ((code == "RevisionNotFound" || code == "EntryNotFound") && call.step != HubStep::kResolve) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("source changed: commit {} of {} is gone from the Hub{}",
                             call.revision, call.repo.id, RequestId(headers)));
  }
  if (code == "RevisionNotFound") {
    return Error(Code::kNotFound,
                 fmt::format("The {} {} at {} has no revision '{}'{}", KindWord(call.repo),
                             call.repo.id, at, Printable(call.revision, kErrorTextBytesMax),
                             RequestId(headers)))
        .WithHint("name a branch, a tag or a full commit SHA after '@'");
  }
  return Error(Code::kNotFound,
               fmt::format("The {} {} does not exist at {}, or {} (the Hub does not say which){}",
                           KindWord(call.repo), call.repo.id, at,
                           has_token() ? "the token's account may not read it"
                                       : "it is private and no token was given",
                           RequestId(headers)))
      .WithHint(has_token() ? "check the spelling and the token's rights"
                            : "check the spelling, or name the secret with a Hugging Face token in "
                              "auth.auth_secret_name");
}

Error HubClient::ErrorOf(const HubCall& call,
                         int status,
                         const net::Headers& headers,
                         std::string_view body,
                         WallTime now) const {
  if (status == 401) return UnauthorizedError(call, headers);
  if (status == 403) return ForbiddenError(call, headers);
  if (status == 404 || status == 410) {
    return NotFoundError(call, headers.Get("X-Error-Code").value_or(""), headers);
  }
  const std::string text = ServerText(headers, body);
  const std::string said = text.empty() ? "" : fmt::format(". The Hub says: {}", Quote(text));
  const std::string what = fmt::format(
      "The Hub at {} answered HTTP {} for {}", endpoint_.ToString(), status,
      call.path.empty() ? call.repo.id : call.repo.id + "/" + Printable(call.path, 300));
  const auto with = [&](Code code, std::string_view more) {
    Error error(code, fmt::format("{}{}{}{}", what, more, said, RequestId(headers)));
    if (const auto wait = HubRetryAfter(headers, now); wait && error.retryable()) {
      error = std::move(error).WithRetryAfter(*wait);
    }
    return error;
  };
  if (status == 429) {
    return with(Code::kRateLimited,
                has_token() ? ": too many requests for this token"
                            : ": too many requests from this address; a token has a higher limit");
  }
  if (status == 416) {
    return with(Code::kFailedPrecondition,
                fmt::format(": source changed, the range asked for is not in the file "
                            "(Content-Range: {})",
                            Quote(headers.Get("Content-Range").value_or("none"))));
  }
  if (status == 451) return with(Code::kPermissionDenied, " (unavailable for legal reasons)");
  if (status == 408 || status >= 500) return with(Code::kUnavailable, "");
  return with(Code::kInvalidArgument, "");
}

}  // namespace bdn::cloud
