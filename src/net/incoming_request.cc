#include "net/incoming_request.h"

#include <algorithm>

#include "net/outgoing_response.h"

namespace bdn::net {
namespace {

constexpr std::size_t kReadBytes = 128 * 1024;
// More than this left over by a handler is cheaper to lose with the connection.
constexpr std::uint64_t kDrainBytesMax = 256 * 1024;

}  // namespace

IncomingRequest::IncomingRequest(RequestHead head, Context context, Wiring wiring)
    : head_(std::move(head)),
      context_(std::move(context)),
      wiring_(wiring),
      guard_(wiring.options.bytes_per_second_min, wiring.options.rate_window),
      left_(head_.content_length),
      continue_due_(head_.expect_continue) {}

Error IncomingRequest::TooLarge(std::uint64_t bytes_max) {
  blame_ = Blame{Code::kResourceExhausted, 413};
  return Error(Code::kResourceExhausted,
               "the request body is larger than " + std::to_string(bytes_max) + " bytes");
}

std::optional<std::string> IncomingRequest::query_param(std::string_view name) const {
  return QueryParam(head_.query, name);
}

Status IncomingRequest::SendContinue() {
  if (!continue_due_) return {};
  continue_due_ = false;
  // A client that did not wait, or an answer that is already under way, needs none.
  if (!wiring_.input.empty() || wiring_.response.status() != 0) return {};
  return wiring_.channel.Write("HTTP/1.1 100 Continue\r\n\r\n", false, guard_);
}

Result<IncomingRequest::Piece> IncomingRequest::NextPiece() {
  if (wiring_.input.empty()) {
    const auto got = wiring_.channel.Fill(wiring_.input, kReadBytes, guard_);
    if (!got) {
      if (got.error().code() == Code::kTimeout) blame_ = Blame{Code::kTimeout, 408};
      return got.error();
    }
    if (*got == 0) return Error(Code::kUnavailable, "the client ended in the middle of the body");
  }
  const std::string_view input = wiring_.input.view();
  if (!head_.chunked) {
    const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
    left_ -= take;
    return Piece{input.substr(0, take), take};
  }
  BDN_ASSIGN(const ChunkedDecoder::Step step, decoder_.Next(input));
  return Piece{step.data, step.consumed};
}

Status IncomingRequest::ReadPieces(std::uint64_t bytes_max,
                                   const std::function<Status(std::string_view)>& sink) {
  if (failed_) return Error(Code::kUnavailable, "reading the request body has failed before");
  if (left_ > bytes_max) return TooLarge(bytes_max);
  if (body_done()) return {};
  failed_ = true;  // until the end is reached
  BDN_TRY(SendContinue());
  std::uint64_t total = 0;
  while (!body_done()) {
    BDN_ASSIGN(const Piece piece, NextPiece());
    total += piece.data.size();
    if (total > bytes_max) return TooLarge(bytes_max);
    if (!piece.data.empty()) BDN_TRY(sink(piece.data));
    wiring_.input.Consume(piece.consumed);
  }
  failed_ = false;
  return {};
}

Result<std::string> IncomingRequest::Body(std::uint64_t bytes_max) {
  std::string body;
  BDN_TRY(ReadPieces(std::min(bytes_max, wiring_.options.body_bytes_max), [&](std::string_view p) {
    body += p;
    return Status();
  }));
  return body;
}

Status IncomingRequest::ReadBody(const std::function<Status(std::span<const std::byte>)>& sink) {
  return ReadPieces(wiring_.options.body_bytes_max, [&](std::string_view piece) {
    return sink(std::as_bytes(std::span(piece.data(), piece.size())));
  });
}

bool IncomingRequest::DrainBody() {
  if (failed_) return false;
  if (body_done()) return true;
  if (continue_due_) return false;  // whether the client will send the body is not known
  return ReadPieces(kDrainBytesMax, [](std::string_view) { return Status(); }).has_value();
}

}  // namespace bdn::net
