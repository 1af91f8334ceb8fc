#include "cloud/training_api.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cloud/hugging_face_hub.h"

namespace bdn::cloud {
namespace {

constexpr std::size_t kErrorBytesMax = 64 * 1024;

// Passes 2xx on and keeps the beginning of everything else.
class RangeSplitter final : public net::ResponseSink {
 public:
  explicit RangeSplitter(net::ResponseSink& inner) : inner_(inner) {}
  Status OnHead(const net::ResponseHead& answer) override {
    head = answer;
    good = answer.status >= 200 && answer.status < 300;
    return good ? inner_.OnHead(answer) : Status();
  }
  Status Write(std::span<const std::byte> bytes) override {
    if (good) return inner_.Write(bytes);
    dropped_ += bytes.size();
    if (dropped_ <= kErrorBytesMax) return {};
    return Error(Code::kUnavailable, "the rest of this error is not wanted");
  }
  std::optional<net::ResponseHead> head;
  bool good = false;

 private:
  net::ResponseSink& inner_;
  std::size_t dropped_ = 0;
};

Error Throttled(Code code, std::string text, const net::Headers& headers, WallTime now) {
  Error error(code, std::move(text));
  const auto wait = headers.Get("Retry-After");
  const auto parsed = wait ? net::ParseRetryAfter(*wait, now) : std::nullopt;
  return parsed ? std::move(error).WithRetryAfter(*parsed) : error;
}

}  // namespace

Result<std::unique_ptr<TrainingApi>> TrainingApi::Make(net::Transport& transport,
                                                       std::string_view base_url,
                                                       std::string_view key) {
  while (base_url.ends_with('/')) base_url.remove_suffix(1);
  auto url = net::ParseUrl(base_url);
  if (!url || url->has_query) {
    return Error(Code::kInvalidArgument,
                 fmt::format("'{}' is no address of a training store: it is https://host[/path]",
                             net::RedactUrl(base_url)));
  }
  if (url->path == "/") url->path.clear();
  constexpr std::string_view kBlanks = " \t\r\n";
  while (!key.empty() && kBlanks.find(key.back()) != std::string_view::npos) key.remove_suffix(1);
  const bool good =
      std::all_of(key.begin(), key.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  if (!good) {
    return Error(Code::kInvalidArgument,
                 "the API key of the training store holds a character that cannot be sent");
  }
  std::string authorization(key);
  if (!key.empty() && !key.starts_with("Bearer ") && !key.starts_with("Api-Key ")) {
    authorization = "Bearer " + authorization;
  }
  return std::unique_ptr<TrainingApi>(
      new TrainingApi(transport, *std::move(url), std::move(authorization)));
}

Error TrainingApi::ErrorOf(const net::HttpResponse& answer,
                           const std::string& path,
                           WallTime now) const {
  const std::string plain = path.substr(0, path.find('?'));
  const std::string where = fmt::format("the training store at {}", authority());
  switch (answer.status) {
    case 401:
      return Error(Code::kUnauthenticated, authorization_.empty()
                                               ? where + " needs an API key (HTTP 401)"
                                               : where + " does not accept the API key (HTTP 401)")
          .WithHint("give it in BDN_BT_API_KEY, or name a secret in the source's auth section");
    case 403:
      return Error(Code::kPermissionDenied,
                   fmt::format("{} refuses to show {} (HTTP 403)", where, plain))
          .WithHint("use an API key that may read training projects");
    case 404:
      return Error(Code::kNotFound, fmt::format("{} has no {} (HTTP 404)", where, plain));
    case 429:
      return Throttled(Code::kRateLimited, where + " asks to slow down (HTTP 429)", answer.headers,
                       now);
    default:
      break;
  }
  if (answer.status >= 500 || answer.status == 408) {
    return Throttled(Code::kUnavailable,
                     fmt::format("{} answered HTTP {} to {}", where, answer.status, plain),
                     answer.headers, now);
  }
  return Error(Code::kInvalidArgument,
               fmt::format("{} answered HTTP {} to {}: check the address of the store", where,
                           answer.status, plain));
}

Result<std::string> TrainingApi::Get(const Context& ctx, const std::string& path) const {
  net::HttpRequest request;
  BDN_ASSIGN(request.url, net::ParseUrl(base_.ToString() + path));
  if (!authorization_.empty()) request.headers.Set("Authorization", authorization_);
  request.headers.Set("Accept", "application/json");
  BDN_ASSIGN(net::HttpResponse answer,
             net::FetchAll(ctx, transport_, request, kTrainingAnswerBytesMax));
  if (answer.status != 200) return ErrorOf(answer, path, ctx.clock().Now());
  return std::move(answer.body);
}

namespace {

// A body that is none of a training store may be a gateway's page: worth another try.
template <class T>
Result<T> Understood(Result<T> parsed, const std::string& authority) {
  if (parsed) return parsed;
  return Error(Code::kUnavailable,
               fmt::format("{} does not answer like a training store: {}", authority,
                           Printable(parsed.error().message(), 300)));
}

}  // namespace

Result<std::vector<api::TrainingProjectBody>> TrainingApi::Projects(const Context& ctx) const {
  BDN_ASSIGN(const std::string body, Get(ctx, "/v1/training_projects"));
  return Understood(api::ProjectsFromJson(body), authority());
}

Result<std::vector<api::TrainingJobBody>> TrainingApi::Jobs(const Context& ctx,
                                                            const std::string& project) const {
  BDN_ASSIGN(const std::string body,
             Get(ctx, fmt::format("/v1/training_projects/{}/jobs", net::PercentEncode(project))));
  return Understood(api::JobsFromJson(body), authority());
}

Result<std::vector<api::CheckpointBody>> TrainingApi::Checkpoints(const Context& ctx,
                                                                  const std::string& project,
                                                                  const std::string& job) const {
  BDN_ASSIGN(const std::string body,
             Get(ctx, fmt::format("/v1/training_projects/{}/jobs/{}/checkpoints",
                                  net::PercentEncode(project), net::PercentEncode(job))));
  return Understood(api::CheckpointsFromJson(body), authority());
}

Result<std::vector<api::CheckpointBody>> TrainingApi::LoopsCheckpoints(
    const Context& ctx, const std::string& run) const {
  BDN_ASSIGN(const std::string body,
             Get(ctx, "/v1/loops/checkpoints?run_id=" + net::PercentEncode(run)));
  return Understood(api::CheckpointsFromJson(body), authority());
}

std::string TrainingApi::JobFilesPath(const std::string& project, const std::string& job) {
  return fmt::format("/v1/training_projects/{}/jobs/{}/checkpoint_files",
                     net::PercentEncode(project), net::PercentEncode(job));
}

std::string TrainingApi::LoopsFilesPath(const std::string& checkpoint_id) {
  return fmt::format("/v1/loops/checkpoints/{}/files", net::PercentEncode(checkpoint_id));
}

Result<api::CheckpointFilesBody> TrainingApi::Files(const Context& ctx,
                                                    const std::string& list,
                                                    std::uint64_t page_token) const {
  BDN_ASSIGN(const std::string body, Get(ctx, fmt::format("{}?page_size={}&page_token={}", list,
                                                          kTrainingPageSize, page_token)));
  return Understood(api::CheckpointFilesFromJson(body), authority());
}

Status TrainingApi::ReadRange(const Context& ctx,
                              const std::string& url,
                              const std::string& if_match,
                              net::ByteRange range,
                              net::ResponseSink& sink) const {
  net::HttpRequest request;
  auto parsed = net::ParseUrl(url);
  if (!parsed) {
    return Error(Code::kUnavailable, fmt::format("the training store at {} gave a URL that cannot "
                                                 "be used",
                                                 authority()));
  }
  request.url = *std::move(parsed);
  if (base_.scheme == "https" && request.url.scheme != "https") {
    return Error(Code::kUnsupported,
                 fmt::format("the training store at {} gave a URL without TLS, at {}", authority(),
                             request.url.host));
  }
  request.headers = {{"Accept-Encoding", "identity"},
                     {"Range", fmt::format("bytes={}-{}", range.begin, range.end - 1)}};
  if (!if_match.empty()) request.headers.Set("If-Match", if_match);
  RangeSplitter splitter(sink);
  const Status sent = transport_.Fetch(ctx, request, splitter);
  if (!splitter.head || splitter.good) return sent;
  const int status = splitter.head->status;
  const std::string at = request.url.host;
  switch (status) {
    case 403:
      return Error(Code::kPermissionDenied, fmt::format("{} refuses the URL (HTTP 403)", at));
    case 404:
    case 410:
    case 412:
    case 416:
      return Error(Code::kFailedPrecondition,
                   fmt::format("{} answered HTTP {} for a file that was listed", at, status));
    case 429:
      return Throttled(Code::kRateLimited, at + " asks to slow down (HTTP 429)",
                       splitter.head->headers, ctx.clock().Now());
    case 503:
      return Throttled(Code::kUnavailable, fmt::format("{} answered HTTP 503 to a GET", at),
                       splitter.head->headers, ctx.clock().Now());
    default:
      return Error(Code::kUnavailable, fmt::format("{} answered HTTP {} to a GET", at, status));
  }
}

}  // namespace bdn::cloud
