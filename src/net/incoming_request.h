#pragma once
// The ServerRequest of a real connection.
#include <optional>
#include <string>
#include <utility>

#include "net/channel.h"
#include "net/chunked_decoder.h"
#include "net/request_head.h"
#include "net/server.h"

namespace bdn::net {

class OutgoingResponse;

class IncomingRequest final : public ServerRequest {
 public:
  struct Wiring {
    Channel& channel;
    InputBuffer& input;  // bytes after the head
    const ServerOptions& options;
    std::string_view peer;
    std::string_view client;
    OutgoingResponse& response;
  };
  IncomingRequest(RequestHead head, Context context, Wiring wiring);

  std::string_view method() const override { return head_.method; }
  std::string_view path() const override { return head_.path; }
  std::string_view query() const override { return head_.query; }
  const Headers& headers() const override { return head_.headers; }
  std::string_view peer() const override { return wiring_.peer; }
  std::string_view host() const override { return head_.host; }
  std::string_view tls_client() const override { return wiring_.client; }
  std::string_view param(std::string_view) const override { return {}; }
  std::optional<std::string> query_param(std::string_view name) const override;
  Result<std::string> Body(std::uint64_t bytes_max) override;
  Status ReadBody(const std::function<Status(std::span<const std::byte>)>& sink) override;
  const Context& context() const override { return context_; }

  const RequestHead& head() const { return head_; }
  // An error of reading the body that is the client's doing, and the status that says so better
  // than the code's own: a handler that passes kResourceExhausted on means 413 here, not 507.
  struct Blame {
    Code code;
    int status;
  };
  const std::optional<Blame>& blame() const { return blame_; }
  // Reads and drops what the handler left of the body. False when that is too much, or impossible:
  // then the connection cannot serve another request.
  bool DrainBody();

 private:
  Status ReadPieces(std::uint64_t bytes_max, const std::function<Status(std::string_view)>& sink);
  // The next piece of the body: part of the input buffer, valid until `consumed` is consumed.
  struct Piece {
    std::string_view data;
    std::size_t consumed = 0;
  };
  Result<Piece> NextPiece();
  Error TooLarge(std::uint64_t bytes_max);
  bool body_done() const { return head_.chunked ? decoder_.done() : left_ == 0; }
  Status SendContinue();

  RequestHead head_;
  Context context_;
  Wiring wiring_;
  RateGuard guard_;
  ChunkedDecoder decoder_;
  std::uint64_t left_;   // of a body with a length
  bool failed_ = false;  // where the body ends is not known any more
  bool continue_due_;    // the client waits for 100 before it sends the body
  std::optional<Blame> blame_;
};

}  // namespace bdn::net
