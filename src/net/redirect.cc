#include <utility>

#include "net/http.h"

namespace bdn::net {
namespace {

// A redirect's own body is a courtesy text. Reading it to the end keeps the connection usable; more
// than this is cheaper to cut.
constexpr std::uint64_t kRedirectBodyBytesMax = 64 * 1024;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Stands before the caller's sink, which sees the final response only.
class HopSink final : public ResponseSink {
 public:
  HopSink(const HttpRequest& request,
          const RedirectPolicy& policy,
          int hops,
          ResponseSink& target,
          std::vector<ResponseHead>* heads)
      : request_(request), policy_(policy), hops_(hops), target_(target), heads_(heads) {}

  Status OnHead(const ResponseHead& head) override {
    if (heads_ != nullptr) heads_->push_back(head);
    BDN_ASSIGN(next, NextHop(request_, head, policy_, hops_));
    if (!next) return target_.OnHead(head);
    return {};
  }
  Status Write(std::span<const std::byte> bytes) override {
    if (!next) return target_.Write(bytes);
    discarded_ += bytes.size();
    if (discarded_ <= kRedirectBodyBytesMax) return {};
    cut = true;
    return Error(Code::kCancelled, "the body of a redirect is not wanted");
  }

  std::optional<HttpRequest> next;
  bool cut = false;  // the transfer's error is our own Write's

 private:
  const HttpRequest& request_;
  const RedirectPolicy& policy_;
  const int hops_;
  ResponseSink& target_;
  std::vector<ResponseHead>* heads_;
  std::uint64_t discarded_ = 0;
};

}  // namespace

Result<std::optional<HttpRequest>> NextHop(const HttpRequest& request,
                                           const ResponseHead& head,
                                           const RedirectPolicy& policy,
                                           int hops_so_far) {
  if (!IsRedirect(head.status) || (request.method != "GET" && request.method != "HEAD")) {
    return std::optional<HttpRequest>();
  }
  const auto location = head.headers.Get("Location");
  if (!location) return std::optional<HttpRequest>();
  if (hops_so_far >= policy.hops_max) {
    return Error(Code::kFailedPrecondition, DescribeRequest(request) + ": more than " +
                                                std::to_string(policy.hops_max) +
                                                " redirects; the server may send us in a circle");
  }
  auto target = ResolveUrl(request.url, *location);
  if (!target) {
    return std::move(target)
        .error()
        .WithCode(Code::kUnavailable)
        .Context(DescribeRequest(request) + ": redirect with a bad Location");
  }
  if (request.url.scheme == "https" && target->scheme != "https") {
    return Error(Code::kPermissionDenied, DescribeRequest(request) +
                                              ": refused a redirect from https to " +
                                              RedactUrl(target->ToString()));
  }
  HttpRequest next = request;
  next.url = *std::move(target);
  // Compared hop by hop: a credential survives only an unbroken chain inside its origin, so what
  // was removed cannot come back.
  if (!next.url.SameOrigin(request.url)) {
    for (const auto& name : policy.credential_headers) next.headers.Remove(name);
  }
  return std::optional(std::move(next));
}

Status FetchFollowing(const Context& ctx,
                      Transport& transport,
                      HttpRequest request,
                      const RedirectPolicy& policy,
                      ResponseSink& sink,
                      std::vector<ResponseHead>* heads) {
  for (int hops = 0;; ++hops) {
    HopSink hop(request, policy, hops, sink, heads);
    Status status = transport.Fetch(ctx, request, hop);
    if (!status && !hop.cut) return status;
    if (!hop.next) return status;
    request = *std::move(hop.next);
  }
}

}  // namespace bdn::net
