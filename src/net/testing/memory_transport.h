#pragma once
// A Transport without a network: answers come from a function, and every request is kept. It
// behaves as the wire does where callers depend on it: a body shorter than its Content-Length is
// kUnavailable, HEAD, 204 and 304 have no body, a stopped context ends the transfer between pieces,
// and requests that CurlTransport refuses are refused here too.
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "net/http.h"

namespace bdn::net::testing {

// Thread-safe when the function is.
class MemoryTransport final : public Transport {
 public:
  // May return an HttpResponse or an Error (which Fetch then returns before OnHead).
  using Answer = std::function<Result<HttpResponse>(const HttpRequest&)>;

  // The body is delivered in pieces of `piece_bytes`, the last one shorter.
  explicit MemoryTransport(Answer answer, std::size_t piece_bytes = 16 * 1024)
      : answer_(std::move(answer)), piece_bytes_(std::max<std::size_t>(1, piece_bytes)) {}

  Status Fetch(const Context& ctx, const HttpRequest& request, ResponseSink& sink) override {
    BDN_TRY(ctx.Check());
    BDN_TRY(ValidateRequest(request));
    log_.With([&](std::vector<HttpRequest>& log) { log.push_back(request); });
    BDN_ASSIGN(HttpResponse response, answer_(request));
    BDN_TRY(sink.OnHead({.status = response.status, .headers = response.headers}));
    if (request.method == "HEAD" || response.status == 204 || response.status == 304) return {};
    const auto bytes = std::as_bytes(std::span(response.body));
    const std::size_t size = std::min(bytes.size(), ContentLength(response, bytes.size()));
    for (std::size_t at = 0; at < size; at += piece_bytes_) {
      BDN_TRY(ctx.Check());
      BDN_TRY(sink.Write(bytes.subspan(at, std::min(piece_bytes_, size - at))));
    }
    if (ContentLength(response, size) > size) {
      return Error(Code::kUnavailable,
                   DescribeRequest(request) + ": the body ended before its Content-Length");
    }
    return {};
  }

  // Every request so far, in the order of arrival.
  std::vector<HttpRequest> requests() const {
    return log_.With([](const std::vector<HttpRequest>& log) { return log; });
  }
  std::size_t calls() const {
    return log_.With([](const std::vector<HttpRequest>& log) { return log.size(); });
  }

 private:
  static std::size_t ContentLength(const HttpResponse& response, std::size_t otherwise) {
    const auto text = response.headers.Get("Content-Length");
    std::size_t value = otherwise;
    if (text) std::from_chars(text->data(), text->data() + text->size(), value);
    return value;
  }

  const Answer answer_;
  const std::size_t piece_bytes_;
  Guarded<std::vector<HttpRequest>> log_;
};

}  // namespace bdn::net::testing
