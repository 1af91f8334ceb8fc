#pragma once
// The ServerResponse of a real connection.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "net/channel.h"
#include "net/content_plan.h"
#include "net/server.h"

namespace bdn::net {

class OutgoingResponse final : public ServerResponse {
 public:
  struct Wiring {
    Channel& channel;
    const Clock& clock;
    RateGuard guard;
    // Whether the server is about to stop, so that the answer says "Connection: close".
    std::function<bool()> is_last;
    // Called once when a stream begins, to learn when the client leaves.
    std::function<void()> on_stream;
  };
  explicit OutgoingResponse(Wiring wiring);

  // What of the request decides how the answer is framed. Until then: HTTP/1.1 and close.
  void For(const ServerRequest& request, int minor_version, bool keep_alive);

  Status Send(int status, Headers headers, std::string_view body) override;
  Status SendFile(Headers headers, const Body& body) override;
  Status SendBytes(Headers headers, std::string_view bytes, const Body& description) override;
  Status Begin(int status, Headers headers) override;
  Status Write(std::string_view bytes) override;
  void Abort(bool reset) override;
  int status() const override { return status_; }

  // Ends what the handler began. False when the connection cannot be used for another request.
  bool Finish();
  bool aborted() const { return aborted_; }
  bool reset() const { return reset_; }
  // The client is gone, too slow, or got a part only.
  bool broken() const { return broken_; }

 private:
  enum class Framing : std::uint8_t { kNone, kLength, kChunked, kUntilClose };
  Status WriteHead(int status,
                   const Headers& headers,
                   Framing framing,
                   std::uint64_t length,
                   std::string_view body,
                   bool more);
  Status SendContent(Headers headers,
                     const Body& body,
                     const std::function<Status(ByteRange)>& send_range);
  Status Check() const;
  // Notes that the connection is of no use any more, and passes the error on.
  Status Track(Status status);

  Wiring wiring_;
  const ServerRequest* request_ = nullptr;
  bool is_head_ = false;
  int minor_version_ = 1;
  bool keep_alive_ = false;
  int status_ = 0;
  Framing framing_ = Framing::kNone;
  bool streaming_ = false;
  std::uint64_t left_ = 0;  // of a stream with a length
  bool broken_ = false;
  bool aborted_ = false;
  bool reset_ = false;
};

}  // namespace bdn::net
