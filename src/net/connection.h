#pragma once
// One accepted connection: the state it keeps while it is parked, and how it goes on when it is
// readable. A worker owns it from MarkActive() until it is parked or closed; while it is parked the
// server may only look at the atomics and shut its socket down.
#include <atomic>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "net/channel.h"
#include "net/request_head.h"
#include "net/server.h"

namespace bdn::net {

class IncomingRequest;
class OutgoingResponse;

// What connections share; implemented by the server.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual const ServerOptions& options() const = 0;
  virtual const Router& router() const = 0;
  virtual bool draining() const = 0;
  // Requests `id`'s stop source when the peer closes; until UnwatchPeer.
  virtual void WatchPeer(int socket, std::uint64_t id) = 0;
  virtual void UnwatchPeer(int socket) = 0;

  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> bytes_sent{0};
};

class Connection {
 public:
  enum class Mode : std::uint8_t {
    kHandshake,
    kHead,
    kLinger,  // the answer is out; reads and drops until the client has seen it and closes
  };
  // What the worker does with the connection next.
  struct Next {
    enum class Kind : std::uint8_t { kPark, kClose } kind = Kind::kClose;
    bool for_writing = false;
    // Comes back at once, after the connections that are ready now.
    bool yield = false;
    MonoTime deadline;
  };

  Connection(ConnectionHost& host,
             std::uint64_t id,
             std::unique_ptr<Stream> stream,
             Mode mode,
             std::string peer);

  // Goes on as far as it can without waiting for a head.
  Next OnReady();

  std::uint64_t id() const { return id_; }
  int fd() const { return stream_->fd(); }
  std::stop_source stop_source() const { return stop_; }
  bool is_rejected() const { return rejected_; }
  void set_rejected() { rejected_ = true; }
  MonoTime first_deadline() const { return first_deadline_; }

  // Parking: the deadline after which the server may end it; kActive while a worker has it.
  static constexpr std::int64_t kActive = INT64_MAX;
  std::atomic<std::int64_t> parked_until{kActive};
  // Set by the server before it ends a parked connection for being late.
  std::atomic<bool> expired{false};

 private:
  Next OnHandshake();
  Next OnHead();
  Next OnLinger();
  Next Park(bool for_writing);
  Next StartLinger();
  // Serves the request whose head is the first `head_bytes` of the input. False: close.
  bool Serve(std::size_t head_bytes);
  void Refuse(const HeadRefusal& refusal);
  void AnswerError(const Error& error, IncomingRequest& request, OutgoingResponse& response);
  OutgoingResponse MakeResponse();
  MonoTime Now() const { return host_.options().clock->Monotonic(); }

  ConnectionHost& host_;
  const std::uint64_t id_;
  const std::unique_ptr<Stream> stream_;
  Channel channel_;
  Mode mode_;
  const std::string peer_;
  std::string client_;  // TLS
  InputBuffer input_;
  std::size_t scanned_ = 0;  // of the input, for the end of the head
  std::stop_source stop_;
  MonoTime first_deadline_;  // for the handshake and the first head
  MonoTime deadline_;        // of the current handshake, head, idle time or linger
  bool head_begun_ = false;
  bool watched_ = false;
  bool rejected_ = false;
};

}  // namespace bdn::net
