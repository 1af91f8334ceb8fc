#include "net/socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/text.h"

namespace bdn::net {
namespace {

// With 2 MiB a call the kernel returns often enough to notice a cut, and nothing is lost: larger
// steps measured the same.
constexpr std::size_t kSendFileBytesMax = 2 * 1024 * 1024;
constexpr std::string_view kUnixPrefix = "unix:";
constexpr int kBacklog = 1024;

std::string Errno(const std::string& what) {
  return what + ": " + std::generic_category().message(errno);
}

IoOutcome FromErrno(IoOutcome::Kind want) {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {want, 0};
  return {IoOutcome::Kind::kFailed, 0};
}

class PlainStream final : public Stream {
 public:
  explicit PlainStream(UniqueFd socket) : socket_(std::move(socket)) {}
  int fd() const override { return socket_.get(); }
  IoOutcome Handshake() override { return {IoOutcome::Kind::kBytes, 0}; }
  IoOutcome Read(std::span<std::byte> into) override {
    ssize_t n = 0;
    do {
      n = recv(fd(), into.data(), into.size(), 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) return {IoOutcome::Kind::kBytes, static_cast<std::size_t>(n)};
    if (n == 0) return {IoOutcome::Kind::kEnd, 0};
    return FromErrno(IoOutcome::Kind::kWantRead);
  }
  IoOutcome Write(std::string_view bytes, bool more) override {
    ssize_t n = 0;
    do {
      n = send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    } while (n < 0 && errno == EINTR);
    if (n >= 0) return {IoOutcome::Kind::kBytes, static_cast<std::size_t>(n)};
    return FromErrno(IoOutcome::Kind::kWantWrite);
  }
  IoOutcome SendFile(int file, std::uint64_t offset, std::size_t size) override {
    auto position = static_cast<off_t>(offset);
    ssize_t n = 0;
    do {
      n = sendfile(fd(), file, &position, std::min(size, kSendFileBytesMax));
    } while (n < 0 && errno == EINTR);
    if (n > 0) return {IoOutcome::Kind::kBytes, static_cast<std::size_t>(n)};
    if (n == 0) return {IoOutcome::Kind::kEnd, 0};
    return FromErrno(IoOutcome::Kind::kWantWrite);
  }
  bool can_send_file() const override { return true; }
  void EndOutput() override { shutdown(fd(), SHUT_WR); }

 private:
  UniqueFd socket_;
};

std::string NumericName(const sockaddr* address, socklen_t length) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (getnameinfo(address, length, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "unknown";
  }
  if (address->sa_family == AF_INET6) return std::string("[") + host + "]:" + port;
  return std::string(host) + ":" + port;
}

// A socket file whose server is gone refuses connections; such a file may be replaced.
bool IsStaleUnixSocket(const sockaddr_un& address) {
  struct stat info {};
  if (lstat(address.sun_path, &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

Result<Listener> ListenUnix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error(Code::kInvalidArgument,
                 "listen address unix:" + path + ": the path must have 1 to 107 bytes");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0) return Error(Code::kUnavailable, Errno("cannot make a socket"));
  if (IsStaleUnixSocket(address)) unlink(path.c_str());
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    return Error(Code::kUnavailable, Errno("cannot listen on unix:" + path));
  }
  return Listener{std::move(fd), std::string(kUnixPrefix) + path, path};
}

Result<Listener> ListenTcp(const std::string& where) {
  const std::size_t colon = where.rfind(':');
  std::string host = where.substr(0, colon == std::string::npos ? 0 : colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto port = ParseDecimal(std::string_view(where).substr(colon + 1));
  if (colon == std::string::npos || host.empty() || !port || *port > 65'535 ||
      (!bracketed && host.find(':') != std::string::npos)) {
    return Error(Code::kInvalidArgument, "listen address \"" + where +
                                             "\" is malformed: write host:port, [::1]:port or "
                                             "unix:/path (0.0.0.0 and [::] mean every interface)");
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int rc = getaddrinfo(host.c_str(), where.c_str() + colon + 1, &hints, &found);
      rc != 0) {
    return Error(Code::kInvalidArgument, "listen address \"" + where + "\": " + gai_strerror(rc));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, &freeaddrinfo);
  UniqueFd fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0) return Error(Code::kUnavailable, Errno("cannot make a socket"));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // Accepted sockets inherit it. Without it the last, short segment of an answer waits for an
  // acknowledgement that the client delays by 40 ms.
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0 || listen(fd.get(), kBacklog) != 0) {
    return Error(Code::kUnavailable, Errno("cannot listen on " + where));
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    return Error(Code::kInternal, Errno("getsockname"));
  }
  return Listener{
      std::move(fd), NumericName(reinterpret_cast<const sockaddr*>(&bound), length), {}};
}

}  // namespace

std::unique_ptr<Stream> MakePlainStream(UniqueFd socket) {
  return std::make_unique<PlainStream>(std::move(socket));
}

Result<Listener> Listen(const std::string& where) {
  if (where.starts_with(kUnixPrefix)) return ListenUnix(where.substr(kUnixPrefix.size()));
  return ListenTcp(where);
}

std::string PeerName(int socket) {
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &length) != 0) return "unknown";
  if (peer.ss_family == AF_UNIX) return "unix";
  return NumericName(reinterpret_cast<const sockaddr*>(&peer), length);
}

std::uint64_t UnackedBytes(int socket) {
  int bytes = 0;
  if (ioctl(socket, SIOCOUTQ, &bytes) != 0 || bytes < 0) return 0;
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace bdn::net
