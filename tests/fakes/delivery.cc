#include "fakes/delivery.h"

#include <algorithm>
#include <utility>

#include "net/content_plan.h"

namespace bdn::fakes {
namespace {

constexpr std::uint64_t kPieceBytes = 64 * 1024;
// A rate is kept by so many pieces a second, so that progress looks smooth.
constexpr std::uint64_t kPiecesPerSecond = 20;
// A reset throws away what the kernel has not sent yet: give it a moment.
constexpr auto kBeforeReset = std::chrono::milliseconds(5);

bool BreaksBody(const Fault* fault) {
  if (fault == nullptr) return false;
  switch (fault->kind) {
    case FaultKind::kReset:
    case FaultKind::kTruncate:
    case FaultKind::kStall:
    case FaultKind::kWrongRange:
    case FaultKind::kShortRange:
    case FaultKind::kFlipByte:
      return true;
    case FaultKind::kExpireUrl:
      return fault->after_bytes > 0;
    default:
      return false;
  }
}

// One body on its way, piece by piece.
class Stream {
 public:
  Stream(net::ServerRequest& request, net::ServerResponse& response, const Delivery& delivery)
      : request_(request), response_(response), d_(delivery) {}

  Status Send(int status, net::Headers headers, const Content& content, net::ByteRange range) {
    d_.log.Update(d_.log_id, status, 0);
    headers.Set("Content-Length", std::to_string(range.size()));
    BDN_TRY(response_.Begin(status, std::move(headers)));
    std::uint64_t sent = 0;
    while (true) {
      if (d_.fault != nullptr && sent == d_.fault->after_bytes) {
        if (BreakHere()) return {};
      }
      if (sent == range.size()) return {};
      const std::uint64_t count = std::min(PieceBytes(sent), range.size() - sent);
      BDN_ASSIGN(std::string piece, content.Read(range.begin + sent, count));
      FlipByte(&piece, range.begin + sent);
      sent += count;
      d_.log.Update(d_.log_id, status, sent);
      BDN_TRY(response_.Write(piece));
      BDN_TRY(Pace(count));
    }
  }

 private:
  std::uint64_t PieceBytes(std::uint64_t sent) const {
    std::uint64_t bytes = kPieceBytes;
    const std::uint64_t rate = d_.bytes_per_second;
    if (rate > 0) bytes = std::clamp<std::uint64_t>(rate / kPiecesPerSecond, 1, bytes);
    if (d_.fault != nullptr && d_.fault->after_bytes > sent) {
      bytes = std::min(bytes, d_.fault->after_bytes - sent);
    }
    return bytes;
  }
  // Whether the body ends here.
  bool BreakHere() {
    const Fault& fault = *d_.fault;
    if (fault.kind == FaultKind::kStall) {
      d_.clock.SleepFor(request_.context().stop(), fault.stall);
      return request_.context().stop().stop_requested();
    }
    if (fault.kind == FaultKind::kTruncate) {
      response_.Abort(false);
      return true;
    }
    if (fault.kind != FaultKind::kReset && fault.kind != FaultKind::kExpireUrl) return false;
    if (fault.after_bytes > 0) d_.clock.SleepFor(request_.context().stop(), kBeforeReset);
    response_.Abort(true);
    return true;
  }
  void FlipByte(std::string* piece, std::uint64_t offset) const {
    if (d_.fault == nullptr || d_.fault->kind != FaultKind::kFlipByte) return;
    const std::uint64_t at = d_.fault->after_bytes;
    if (at < offset || at - offset >= piece->size()) return;
    char& byte = (*piece)[at - offset];
    byte = static_cast<char>(byte ^ 1);
  }
  Status Pace(std::uint64_t count) {
    const std::uint64_t rate = d_.bytes_per_second;
    if (rate != rate_) {
      rate_ = rate;
      started_ = d_.clock.Monotonic();
      paced_bytes_ = 0;
    }
    if (rate == 0) return {};
    // From the start of this rate, so that small errors of the clock do not add up.
    paced_bytes_ += count;
    const auto due =
        started_ + std::chrono::nanoseconds(static_cast<std::int64_t>(
                       static_cast<double>(paced_bytes_) * 1e9 / static_cast<double>(rate)));
    const auto now = d_.clock.Monotonic();
    if (due > now && !d_.clock.SleepFor(request_.context().stop(), due - now)) {
      return Error(Code::kCancelled, "the client left, or the stand-in stops");
    }
    return {};
  }

  net::ServerRequest& request_;
  net::ServerResponse& response_;
  const Delivery& d_;
  std::uint64_t rate_ = d_.bytes_per_second;
  MonoTime started_ = d_.clock.Monotonic();
  std::uint64_t paced_bytes_ = 0;
};

void CutRange(const Fault* fault, std::uint64_t size, net::ContentPlan* plan) {
  if (fault == nullptr || plan->range.size() < 2) return;
  if (fault->kind == FaultKind::kWrongRange) {
    ++plan->range.begin;
    plan->range.end = std::min(plan->range.end + 1, size);
    plan->status = 206;
  } else if (fault->kind == FaultKind::kShortRange) {
    --plan->range.end;
    plan->status = 206;
  }
}

Status SendEncoded(net::ServerResponse& response, Answer answer, const Delivery& d) {
  BDN_ASSIGN(const std::string bytes, answer.content->Read(0, answer.content->size));
  const std::string encoded = Gzip(bytes);
  answer.headers.Set("Content-Encoding", "gzip");
  answer.headers.Set("Vary", "Accept-Encoding");
  answer.headers.Set("ETag", "W/" + answer.etag);
  d.log.Update(d.log_id, 200, encoded.size());
  BDN_TRY(response.Begin(200, std::move(answer.headers)));
  return response.Write(encoded);
}

Status SendContent(net::ServerRequest& request,
                   net::ServerResponse& response,
                   Answer answer,
                   const Delivery& d) {
  const Content& content = *answer.content;
  if (!answer.headers.Has("Content-Type")) {
    answer.headers.Add("Content-Type", "application/octet-stream");
  }
  if (answer.gzip && request.method() == "GET") return SendEncoded(response, std::move(answer), d);
  net::Headers asked = request.headers();
  if (!answer.range.empty()) asked.Set("Range", answer.range);
  if (answer.ignore_range) asked.Remove("Range");
  net::ContentPlan plan = net::PlanContent(request.method(), asked, answer.etag, content.size);
  const bool has_body = request.method() == "GET" && (plan.status == 200 || plan.status == 206);
  if (has_body && (answer.ignore_range || !answer.range.empty() || BreaksBody(d.fault) ||
                   d.bytes_per_second > 0)) {
    CutRange(d.fault, content.size, &plan);
    answer.headers.Set("ETag", answer.etag);
    answer.headers.Set("Accept-Ranges", "bytes");
    if (plan.status == 206) {
      answer.headers.Set("Content-Range", "bytes " + std::to_string(plan.range.begin) + "-" +
                                              std::to_string(plan.range.end - 1) + "/" +
                                              std::to_string(content.size));
    }
    return Stream(request, response, d)
        .Send(plan.status, std::move(answer.headers), content, plan.range);
  }
  d.log.Update(d.log_id, plan.status, has_body ? plan.range.size() : 0);
  const net::ServerResponse::Body body{
      .file = content.file.get(), .offset = 0, .size = content.size, .etag = answer.etag};
  if (content.file != nullptr) return response.SendFile(std::move(answer.headers), body);
  return response.SendBytes(std::move(answer.headers), content.bytes, body);
}

}  // namespace

Status Deliver(net::ServerRequest& request,
               net::ServerResponse& response,
               Answer answer,
               const Delivery& delivery) {
  if (answer.content != nullptr) {
    return SendContent(request, response, std::move(answer), delivery);
  }
  const bool has_body = request.method() != "HEAD";
  if (has_body && BreaksBody(delivery.fault)) {
    const ContentPtr content = MakeContent(std::move(answer.body));
    return Stream(request, response, delivery)
        .Send(answer.status, std::move(answer.headers), *content, {0, content->size});
  }
  delivery.log.Update(delivery.log_id, answer.status, has_body ? answer.body.size() : 0);
  return response.Send(answer.status, std::move(answer.headers), answer.body);
}

}  // namespace bdn::fakes
