#include "api/rest_client.h"

#include <utility>

#include <fmt/format.h>

#include "api/types.h"

namespace bdn::api {
namespace {

constexpr std::size_t kEventBytesMax = 4 << 20;

class StreamSink final : public net::ResponseSink {
 public:
  explicit StreamSink(const std::function<Status(std::span<const std::byte>)>& sink)
      : sink_(sink) {}
  Status OnHead(const net::ResponseHead& head) override {
    status_ = head.status;
    return {};
  }
  Status Write(std::span<const std::byte> bytes) override {
    if (status_ == 200) return sink_(bytes);
    if (error_body_.size() < 64 * 1024) {
      error_body_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    return {};
  }
  Status Finish() const {
    if (status_ == 200) return {};
    return ErrorFromAnswer(status_, error_body_);
  }

 private:
  const std::function<Status(std::span<const std::byte>)>& sink_;
  int status_ = 0;
  std::string error_body_;
};

}  // namespace

RestClient::RestClient(net::Transport& transport, Endpoint endpoint)
    : transport_(transport), endpoint_(std::move(endpoint)) {
  while (endpoint_.url.ends_with('/')) endpoint_.url.pop_back();
}

Result<net::HttpRequest> RestClient::Request(std::string_view method, std::string_view path) const {
  net::HttpRequest request;
  request.method = method;
  BDN_ASSIGN(request.url, net::ParseUrl(endpoint_.url + std::string(path)));
  if (!endpoint_.api_key.empty()) {
    request.headers.Set("Authorization", "Bearer " + endpoint_.api_key);
  }
  return request;
}

Error RestClient::Explain(Error error) const {
  if (error.code() == Code::kUnavailable) {
    return std::move(error)
        .Context("cannot reach bdn at " + endpoint_.url)
        .WithHint("start it with `bdn up`, or name another with --url or BDN_URL");
  }
  return error;
}

Result<std::string> RestClient::Call(const Context& ctx,
                                     std::string_view method,
                                     std::string_view path,
                                     std::string body,
                                     std::string_view content_type) const {
  BDN_ASSIGN(net::HttpRequest request, Request(method, path));
  if (!body.empty()) {
    request.headers.Set("Content-Type", std::string(content_type));
    request.body = std::move(body);
  }
  auto answer = net::FetchAll(ctx, transport_, request, 64 * kJsonBodyBytesMax);
  if (!answer) return Explain(std::move(answer).error());
  if (answer->status >= 300) {
    Error error = ErrorFromAnswer(answer->status, answer->body);
    if (answer->status == 401 && error.hint().empty()) {
      return std::move(error).WithHint("give the key with --api-key or BDN_API_KEY");
    }
    return error;
  }
  return std::move(answer->body);
}

Result<bool> RestClient::Exists(const Context& ctx, std::string_view path) const {
  BDN_ASSIGN(net::HttpRequest request, Request("HEAD", path));
  auto answer = net::FetchAll(ctx, transport_, request, kJsonBodyBytesMax);
  if (!answer) return Explain(std::move(answer).error());
  if (answer->status == 404) return false;
  if (answer->status < 300) return true;
  return ErrorFromAnswer(answer->status, answer->body);
}

Status RestClient::Stream(const Context& ctx,
                          std::string_view path,
                          const std::function<Status(std::span<const std::byte>)>& sink) const {
  BDN_ASSIGN(net::HttpRequest request, Request("GET", path));
  StreamSink stream(sink);
  if (auto done = transport_.Fetch(ctx, request, stream); !done) {
    return Explain(std::move(done).error());
  }
  return stream.Finish();
}

Status RestClient::Events(
    const Context& ctx,
    std::string_view path,
    const std::function<bool(std::string_view, std::string_view)>& on_event) const {
  EventParser parser;
  bool stopped = false;
  auto status = Stream(ctx, path, [&](std::span<const std::byte> bytes) -> Status {
    BDN_ASSIGN(const bool more,
               parser.Feed({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, on_event));
    if (more) return {};
    stopped = true;
    return Error(Code::kCancelled, "enough");
  });
  if (stopped) return {};
  return status;
}

Result<bool> EventParser::Feed(std::string_view bytes, const OnEvent& on_event) {
  pending_ += bytes;
  std::size_t from = 0;
  for (;;) {
    const std::size_t end = pending_.find('\n', from);
    if (end == std::string::npos) break;
    std::string_view line(pending_.data() + from, end - from);
    if (line.ends_with('\r')) line.remove_suffix(1);
    from = end + 1;
    if (!Line(line, on_event)) return false;
  }
  pending_.erase(0, from);
  if (pending_.size() > kEventBytesMax || data_.size() > kEventBytesMax) {
    return Error(Code::kResourceExhausted, "server-sent event too long");
  }
  return true;
}

bool EventParser::Line(std::string_view line, const OnEvent& on_event) {
  if (line.empty()) {
    const bool more = !has_data_ || on_event(name_.empty() ? "message" : name_, data_);
    name_.clear();
    data_.clear();
    has_data_ = false;
    return more;
  }
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") name_ = value;
  if (field == "data") {
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  }
  return true;
}

}  // namespace bdn::api
