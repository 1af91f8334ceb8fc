#include "net/connection.h"

#include <array>
#include <utility>

#include <sys/socket.h>

#include "base/log.h"
#include "net/incoming_request.h"
#include "net/outgoing_response.h"

namespace bdn::net {
namespace {

constexpr std::size_t kHeadReadBytes = 4096;
// A client that pipelines lets others have their turn after so many requests.
constexpr int kRequestsInRowMax = 32;
constexpr Duration kLingerTime = std::chrono::seconds(2);

Error AsError(const HeadRefusal& refusal) {
  return Error(refusal.status >= 500 ? Code::kUnsupported : Code::kInvalidArgument,
               refusal.message);
}

void AbortSocket(int fd) {
  // Closing with a linger time of zero sends RST instead of FIN.
  const linger reset{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

}  // namespace

Connection::Connection(ConnectionHost& host,
                       std::uint64_t id,
                       std::unique_ptr<Stream> stream,
                       Mode mode,
                       std::string peer)
    : host_(host),
      id_(id),
      stream_(std::move(stream)),
      channel_(*stream_, *host.options().clock, host.bytes_sent),
      mode_(mode),
      peer_(std::move(peer)),
      first_deadline_(Now() + (mode == Mode::kLinger ? kLingerTime : host.options().head_timeout)),
      deadline_(first_deadline_) {}

Connection::Next Connection::OnReady() {
  switch (mode_) {
    case Mode::kHandshake:
      return OnHandshake();
    case Mode::kHead:
      return OnHead();
    case Mode::kLinger:
      return OnLinger();
  }
  return {};
}

Connection::Next Connection::Park(bool for_writing) {
  Next next;
  next.kind = Next::Kind::kPark;
  next.for_writing = for_writing;
  next.deadline = deadline_;
  return next;
}

Connection::Next Connection::OnHandshake() {
  if (expired) return {};
  const IoOutcome did = stream_->Handshake();
  if (did.kind == IoOutcome::Kind::kWantRead) return Park(false);
  if (did.kind == IoOutcome::Kind::kWantWrite) return Park(true);
  if (did.kind != IoOutcome::Kind::kBytes) return {};
  mode_ = Mode::kHead;
  client_ = stream_->client_name();
  return OnHead();
}

Connection::Next Connection::OnHead() {
  const ServerOptions& options = host_.options();
  const HeadLimits limits{options.head_bytes_max, options.headers_max, options.target_bytes_max};
  int in_row = 0;
  while (true) {
    if (!input_.empty()) {
      if (!head_begun_) {
        head_begun_ = true;
        deadline_ = Now() + options.head_timeout;
      }
      const auto end = FindHeadEnd(input_.view(), limits, scanned_);
      if (!end) {
        Refuse(end.error());
        return StartLinger();
      }
      if (*end > 0) {
        if (!Serve(*end)) return mode_ == Mode::kLinger ? StartLinger() : Next{};
        head_begun_ = false;
        scanned_ = 0;
        deadline_ = Now() + options.idle_timeout;
        if (++in_row >= kRequestsInRowMax) {
          Next next = Park(false);
          next.yield = true;
          return next;
        }
        continue;
      }
    }
    const IoOutcome did = stream_->Read(input_.Room(kHeadReadBytes));
    switch (did.kind) {
      case IoOutcome::Kind::kBytes:
        input_.Filled(did.bytes);
        break;
      case IoOutcome::Kind::kWantRead:
      case IoOutcome::Kind::kWantWrite:
        input_.ReleaseIfEmpty();
        return Park(did.kind == IoOutcome::Kind::kWantWrite);
      case IoOutcome::Kind::kEnd:
        if (!expired || !head_begun_) return {};
        Refuse({408, "the request head did not arrive in time"});
        return {};
      case IoOutcome::Kind::kFailed:
        return {};
    }
  }
}

Connection::Next Connection::StartLinger() {
  // Closing a socket with unread input resets the connection, and the reset can overtake the
  // answer. So: end our side, then drop input until the client ends its own.
  mode_ = Mode::kLinger;
  stream_->EndOutput();
  deadline_ = Now() + kLingerTime;
  return OnLinger();
}

Connection::Next Connection::OnLinger() {
  std::array<std::byte, 16 * 1024> dropped;
  // The bound is the deadline; the count only gives others their turn.
  for (int i = 0; i < 64; ++i) {
    const ssize_t n = recv(fd(), dropped.data(), dropped.size(), 0);
    if (n > 0) continue;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
    return {};
  }
  if (Now() >= deadline_) return {};
  return Park(false);
}

OutgoingResponse Connection::MakeResponse() {
  const ServerOptions& options = host_.options();
  return OutgoingResponse({channel_, *options.clock,
                           RateGuard(options.bytes_per_second_min, options.rate_window),
                           [this] { return host_.draining(); },
                           [this] {
                             watched_ = true;
                             host_.WatchPeer(fd(), id_);
                           }});
}

void Connection::Refuse(const HeadRefusal& refusal) {
  OutgoingResponse response = MakeResponse();
  const Status sent = response.Send(refusal.status, {{"Content-Type", "application/json"}},
                                    ErrorJson(AsError(refusal)));
  // A client that is gone already learns nothing; the connection closes either way.
  if (!sent) log::Debug("refusal not delivered", {{"peer", peer_}});
}

void Connection::AnswerError(const Error& error,
                             IncomingRequest& request,
                             OutgoingResponse& response) {
  if (response.status() != 0 || response.aborted()) {
    // The head is out: all that is left is to cut the connection so that the client notices.
    log::Debug("request failed after its head was sent",
               {{"path", std::string(request.path())}, {"error", error.message()}});
    response.Abort(false);
    return;
  }
  const bool clients_fault = request.blame() && request.blame()->code == error.code();
  if (FactsOf(error.code()).http_status >= 500 && !clients_fault) {
    log::Warn("request failed", {{"method", std::string(request.method())},
                                 {"path", std::string(request.path())},
                                 {"error", error.message()}});
  }
  Status sent;
  if (clients_fault) {
    sent = response.Send(request.blame()->status, {{"Content-Type", "application/json"}},
                         ErrorJson(error));
  } else if (host_.draining() && error.code() == Code::kCancelled) {
    sent = SendError(response,
                     Error(Code::kUnavailable, "the server is shutting down; ask another one")
                         .WithRetryAfter(std::chrono::seconds(1)));
  } else {
    sent = SendError(response, error);
  }
  if (!sent) response.Abort(false);
}

bool Connection::Serve(std::size_t head_bytes) {
  const ServerOptions& options = host_.options();
  const HeadLimits limits{options.head_bytes_max, options.headers_max, options.target_bytes_max};
  host_.requests.fetch_add(1, std::memory_order_relaxed);
  auto head = ParseRequestHead(input_.view().substr(0, head_bytes), limits);
  input_.Consume(head_bytes);
  if (head && head->content_length > options.body_bytes_max) {
    head = std::unexpected(HeadRefusal{413, "the request body is too large"});
  }
  if (!head) {
    Refuse(head.error());
    mode_ = Mode::kLinger;
    return false;
  }
  OutgoingResponse response = MakeResponse();
  const int minor_version = head->minor_version;
  const bool keep_alive = head->keep_alive;
  IncomingRequest request(
      *std::move(head),
      Context(*options.clock, stop_.get_token()).WithTimeout(options.handler_timeout),
      {channel_, input_, options, peer_, client_, response});
  response.For(request, minor_version, keep_alive);
  Status served = host_.router().Serve(request, response);
  if (served && response.status() == 0 && !response.aborted()) {
    served = Error(Code::kInternal, "the handler sent no answer");
  }
  if (!served) AnswerError(served.error(), request, response);
  bool keep = response.Finish();
  if (watched_) {
    watched_ = false;
    host_.UnwatchPeer(fd());
  }
  if (response.aborted()) {
    if (response.reset()) AbortSocket(fd());
    return false;
  }
  if (response.broken()) return false;
  keep = request.DrainBody() && keep;
  // A client that left a stream stopped this connection's context for good.
  if (keep && !stop_.stop_requested()) return true;
  mode_ = Mode::kLinger;
  return false;
}

}  // namespace bdn::net
