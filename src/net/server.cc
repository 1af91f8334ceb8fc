// The accept thread, the workers and the drain. See connection.h for what one connection does.
//
// Two epoll sets. `work_`: every connection, EPOLLONESHOT, waited on by all workers, so that the
// kernel hands each ready connection to one idle worker and is the queue when none is idle.
// `watch_`: the listener, the wake-up, and the sockets of running streams, waited on by the accept
// thread, which also ends the connections whose parking time is over.
//
// Who may touch a Connection: the worker that epoll gave it to, until it parks or closes it. Only
// workers destroy one, after taking it out of the registry; under the registry's lock everybody
// else may read its atomics and shut its socket down (which wakes its worker).
#include "net/server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/guarded.h"
#include "base/log.h"
#include "net/connection.h"
#include "net/socket.h"
#include "net/tls.h"

namespace bdn::net {
namespace {

// Connections over the limit that are told so and not just dropped.
constexpr std::size_t kRejectedMax = 64;
constexpr std::uint64_t kListenerKey = 0;
constexpr std::uint64_t kWakeKey = 1;
constexpr std::uint64_t kFirstConnectionId = 2;
constexpr auto kPauseWithoutDescriptors = std::chrono::milliseconds(50);

std::int64_t Ticks(MonoTime time) {
  return time.time_since_epoch().count();
}

int PollMs(Duration wait) {
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count());
}

std::string TooManyConnections() {
  const std::string body = ErrorJson(
      Error(Code::kUnavailable, "too many connections").WithHint("try again in a few seconds"));
  return "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\nRetry-After: 1\r\nConnection: close\r\n\r\n" + body;
}

// sendfile and OpenSSL raise it for a client that left; here that is an ordinary error of the call.
void BlockSigPipe() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

class ServerImpl final : public Server, public ConnectionHost {
 public:
  ServerImpl(ServerOptions options, Router router, Listener listener)
      : options_(std::move(options)),
        router_(std::move(router)),
        listener_(std::move(listener)),
        address_(listener_.address) {}
  ~ServerImpl() override { Stop(); }

  Status Start();

  std::string address() const override { return address_; }
  std::string base_url() const override {
    const bool is_unix = !listener_.unix_path.empty();
    return (options_.tls ? "https://" : "http://") + (is_unix ? "localhost" : address_);
  }
  void Stop() override;
  Stats stats() const override {
    return {requests.load(std::memory_order_relaxed), bytes_sent.load(std::memory_order_relaxed),
            registry_.With([](const Registry& r) { return r.connections.size(); })};
  }

  const ServerOptions& options() const override { return options_; }
  const Router& router() const override { return router_; }
  bool draining() const override { return draining_; }
  void WatchPeer(int socket, std::uint64_t id) override;
  void UnwatchPeer(int socket) override;

 private:
  struct Registry {
    std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections;
    std::size_t rejected = 0;
  };

  void AcceptLoop();
  void AcceptAll();
  void Admit(UniqueFd socket);
  void OnPeerLeft(std::uint64_t id);
  void EndLateConnections();
  Duration ScanInterval() const;

  // Gives the connection to the workers by arming it in epoll. After success the caller may not
  // touch it.
  bool Arm(Connection& connection, int operation, std::uint32_t events, MonoTime deadline);
  // Held while a connection is armed and, for a moment, by the worker that epoll gives it to. The
  // kernel orders the two anyway, but the language knows nothing of epoll: by this lock all that
  // the one thread did to the connection happened before what the other does.
  Guarded<char>& HandOver(const Connection* connection) {
    return hand_over_[reinterpret_cast<std::uintptr_t>(connection) / 256 % hand_over_.size()];
  }
  void WorkLoop();
  void Park(Connection& connection, const Connection::Next& next);
  void Close(Connection& connection);

  const ServerOptions options_;
  const Router router_;
  Listener listener_;
  const std::string address_;
  std::unique_ptr<TlsFiles> tls_;  // accept thread only
  UniqueFd work_;
  UniqueFd watch_;
  UniqueFd wake_;     // ends the accept thread
  UniqueFd finish_;   // ends the workers
  UniqueFd drained_;  // written when the last connection of a draining server is gone
  std::uint64_t next_id_ = kFirstConnectionId;  // accept thread only
  std::atomic<bool> draining_{false};
  Guarded<Registry> registry_;
  std::array<Guarded<char>, 64> hand_over_;
  Guarded<bool> stopped_{false};
  std::jthread accept_thread_;
  std::vector<std::jthread> workers_;
};

Status AddToEpoll(int epoll, int fd, std::uint32_t events, std::uint64_t key) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = key;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return Error(Code::kResourceExhausted, "epoll_ctl: " + std::generic_category().message(errno));
}

Status ServerImpl::Start() {
  if (options_.tls) {
    BDN_ASSIGN(tls_, TlsFiles::Open(*options_.tls));
  }
  work_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  watch_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  for (UniqueFd* fd : {&wake_, &finish_, &drained_}) {
    *fd = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (fd->get() < 0) return Error(Code::kResourceExhausted, "no file descriptor for an eventfd");
  }
  BDN_TRY(AddToEpoll(watch_.get(), listener_.socket.get(), EPOLLIN, kListenerKey));
  BDN_TRY(AddToEpoll(watch_.get(), wake_.get(), EPOLLIN, kWakeKey));
  BDN_TRY(AddToEpoll(work_.get(), finish_.get(), EPOLLIN, 0));
  accept_thread_ = std::jthread([this] { AcceptLoop(); });
  for (std::size_t i = 0; i < std::max<std::size_t>(options_.workers, 1); ++i) {
    workers_.emplace_back([this] { WorkLoop(); });
  }
  return {};
}

// --- accept thread ---

Duration ServerImpl::ScanInterval() const {
  const Duration shortest = std::min(options_.head_timeout, options_.idle_timeout) / 4;
  return std::clamp<Duration>(shortest, std::chrono::milliseconds(5), std::chrono::seconds(1));
}

void ServerImpl::AcceptLoop() {
  NameThisThread(options_.name + "-accept");
  const Duration interval = ScanInterval();
  MonoTime next_scan = options_.clock->Monotonic() + interval;
  std::array<epoll_event, 64> events{};
  while (true) {
    const int count =
        epoll_wait(watch_.get(), events.data(), static_cast<int>(events.size()), PollMs(interval));
    for (int i = 0; i < count; ++i) {
      const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
      if (key == kWakeKey) return;
      if (key == kListenerKey) {
        AcceptAll();
      } else {
        OnPeerLeft(key);
      }
    }
    const MonoTime now = options_.clock->Monotonic();
    if (now < next_scan) continue;
    next_scan = now + interval;
    EndLateConnections();
  }
}

void ServerImpl::AcceptAll() {
  while (true) {
    UniqueFd socket(
        accept4(listener_.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.get() >= 0) {
      Admit(std::move(socket));
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      log::Warn("cannot accept connections: raise the limit of open files (ulimit -n)",
                {{"server", options_.name}});
      // The listener stays readable; without the pause this thread would spin.
      pollfd wake{wake_.get(), POLLIN, 0};
      poll(&wake, 1, PollMs(kPauseWithoutDescriptors));
      return;
    }
    if (errno == EAGAIN || errno == EINVAL || errno == EBADF) return;
    // Otherwise it is the error of one connection that broke while it waited.
  }
}

void ServerImpl::Admit(UniqueFd socket) {
  const auto [admitted, rejected] = registry_.With(
      [](const Registry& r) { return std::pair(r.connections.size() - r.rejected, r.rejected); });
  const bool over = admitted >= options_.connections_max;
  if (over && (tls_ || rejected >= kRejectedMax)) return;
  std::string peer = PeerName(socket.get());
  std::unique_ptr<Stream> stream;
  auto mode = Connection::Mode::kHead;
  if (over) {
    const std::string answer = TooManyConnections();
    send(socket.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(socket.get(), SHUT_WR);
    mode = Connection::Mode::kLinger;
  }
  if (tls_) {
    auto made = tls_->Accept(std::move(socket));
    if (!made) return log::Warn("TLS session not made", {{"error", made.error().message()}});
    stream = *std::move(made);
    mode = Connection::Mode::kHandshake;
  } else {
    stream = MakePlainStream(std::move(socket));
  }
  auto connection =
      std::make_unique<Connection>(*this, next_id_++, std::move(stream), mode, std::move(peer));
  if (over) connection->set_rejected();
  Connection* const raw = connection.get();
  registry_.With([&](Registry& r) {
    if (over) r.rejected += 1;
    r.connections.emplace(raw->id(), std::move(connection));
  });
  // From a success on, `raw` belongs to the workers.
  if (!Arm(*raw, EPOLL_CTL_ADD, EPOLLIN, raw->first_deadline())) Close(*raw);
}

bool ServerImpl::Arm(Connection& connection,
                     int operation,
                     std::uint32_t events,
                     MonoTime deadline) {
  return HandOver(&connection).With([&](char&) {
    connection.parked_until = Ticks(deadline);
    epoll_event event{};
    event.events = events | EPOLLONESHOT;
    event.data.ptr = &connection;
    return epoll_ctl(work_.get(), operation, connection.fd(), &event) == 0;
  });
}

void ServerImpl::OnPeerLeft(std::uint64_t id) {
  std::optional<std::stop_source> stop;
  registry_.With([&](Registry& r) {
    if (const auto it = r.connections.find(id); it != r.connections.end()) {
      stop = it->second->stop_source();
    }
  });
  // Outside the lock: stop callbacks are code of others.
  if (stop) stop->request_stop();
}

void ServerImpl::EndLateConnections() {
  const std::int64_t now = Ticks(options_.clock->Monotonic());
  registry_.With([&](Registry& r) {
    for (auto& [id, connection] : r.connections) {
      if (connection->parked_until.load() > now) continue;
      // Input that no worker has come to yet is our delay, not the client's.
      int unread = 0;
      if (ioctl(connection->fd(), FIONREAD, &unread) == 0 && unread > 0) continue;
      connection->expired = true;
      shutdown(connection->fd(), SHUT_RD);
    }
  });
}

void ServerImpl::WatchPeer(int socket, std::uint64_t id) {
  if (!AddToEpoll(watch_.get(), socket, EPOLLRDHUP | EPOLLONESHOT, id)) {
    log::Debug("a client is not watched; the next write will find out when it leaves");
  }
}

void ServerImpl::UnwatchPeer(int socket) {
  epoll_ctl(watch_.get(), EPOLL_CTL_DEL, socket, nullptr);
}

// --- workers ---

void ServerImpl::WorkLoop() {
  NameThisThread(options_.name);
  BlockSigPipe();
  while (true) {
    epoll_event event{};
    const int count = epoll_wait(work_.get(), &event, 1, -1);
    if (count != 1) continue;
    if (event.data.ptr == nullptr) return;
    Connection& connection = *static_cast<Connection*>(event.data.ptr);
    HandOver(&connection).With([&](char&) { connection.parked_until = Connection::kActive; });
    const Connection::Next next = connection.OnReady();
    if (next.kind == Connection::Next::Kind::kPark) {
      Park(connection, next);
    } else {
      Close(connection);
    }
  }
}

void ServerImpl::Park(Connection& connection, const Connection::Next& next) {
  // The order matters: either this thread sees that the server drains, or Stop sees the connection
  // as parked and wakes it.
  connection.parked_until = Ticks(next.deadline);
  if (draining_) return Close(connection);
  std::uint32_t events = next.for_writing ? EPOLLOUT : EPOLLIN;
  if (next.yield) events |= EPOLLOUT;  // ready at once
  if (!Arm(connection, EPOLL_CTL_MOD, events, next.deadline)) Close(connection);
}

void ServerImpl::Close(Connection& connection) {
  std::unique_ptr<Connection> owned;  // destroyed, and its socket closed, outside the lock
  registry_.With([&](Registry& r) {
    const auto it = r.connections.find(connection.id());
    owned = std::move(it->second);
    r.connections.erase(it);
    if (owned->is_rejected()) r.rejected -= 1;
  });
  owned.reset();
  if (draining_ && registry_.With([](const Registry& r) { return r.connections.empty(); })) {
    eventfd_write(drained_.get(), 1);
  }
}

// --- drain ---

void ServerImpl::Stop() {
  const bool first = stopped_.With([](bool& stopped) { return !std::exchange(stopped, true); });
  if (!first) return;
  if (accept_thread_.joinable()) {
    eventfd_write(wake_.get(), 1);
    accept_thread_.join();
  }
  listener_.socket.Reset();
  if (!listener_.unix_path.empty()) unlink(listener_.unix_path.c_str());
  draining_ = true;
  std::vector<std::stop_source> running;
  const bool idle = registry_.With([&](Registry& r) {
    for (auto& [id, connection] : r.connections) {
      // A request that is in the socket's buffer already is still read and answered.
      if (connection->parked_until != Connection::kActive) shutdown(connection->fd(), SHUT_RD);
      running.push_back(connection->stop_source());
    }
    return r.connections.empty();
  });
  for (std::stop_source& stop : running) stop.request_stop();
  if (!idle && !workers_.empty()) {
    pollfd drained{drained_.get(), POLLIN, 0};
    if (poll(&drained, 1, PollMs(options_.drain_timeout)) == 0) {
      log::Warn("requests were cut: they did not end within the drain timeout",
                {{"server", options_.name}});
      registry_.With([](Registry& r) {
        for (auto& [id, connection] : r.connections) shutdown(connection->fd(), SHUT_RDWR);
      });
      // What is left now are handlers that have not come to use their connection again.
      poll(&drained, 1, -1);
    }
  }
  eventfd_write(finish_.get(), 1);
  workers_.clear();
}

}  // namespace

Result<std::unique_ptr<Server>> StartServer(ServerOptions options, Router router) {
  BDN_ASSIGN(Listener listener, Listen(options.listen));
  auto server =
      std::make_unique<ServerImpl>(std::move(options), std::move(router), std::move(listener));
  BDN_TRY(server->Start());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace bdn::net
