#pragma once
// A client that sends exactly the bytes a test wants and reads exactly what comes back. Blocking,
// with a time limit on every read, so that a broken server fails a test instead of hanging it.
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace bdn::net::testing {

class RawClient {
 public:
  // "127.0.0.1:port" or "unix:/path".
  explicit RawClient(const std::string& address) {
    if (address.starts_with("unix:")) {
      sockaddr_un to{};
      to.sun_family = AF_UNIX;
      address.copy(to.sun_path, sizeof to.sun_path - 1, 5);
      fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      ok_ = connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
      return;
    }
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ok_ = connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { close(fd_); }

  bool connected() const { return ok_; }
  int fd() const { return fd_; }

  // False when the server has closed.
  bool Send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void EndOutput() const { shutdown(fd_, SHUT_WR); }

  // More bytes into the buffer. False at the end, after an error, or after 20 s.
  bool Receive() {
    pollfd entry{fd_, POLLIN, 0};
    if (poll(&entry, 1, 20'000) != 1) return false;
    char bytes[64 * 1024];
    const ssize_t n = recv(fd_, bytes, sizeof bytes, 0);
    reset_ = n < 0 && errno == ECONNRESET;
    ended_ = n == 0;
    if (n <= 0) return false;
    in_.append(bytes, static_cast<std::size_t>(n));
    return true;
  }
  // All that comes until the server closes.
  std::string ReadAll() {
    while (Receive()) {
    }
    return std::move(in_);
  }
  // Up to and including `mark`; what was there when the server closed.
  std::string ReadThrough(std::string_view mark) {
    std::size_t at = 0;
    while ((at = in_.find(mark)) == std::string::npos) {
      if (!Receive()) return std::move(in_);
    }
    return Take(at + mark.size());
  }
  std::string ReadExactly(std::size_t size) {
    while (in_.size() < size) {
      if (!Receive()) return std::move(in_);
    }
    return Take(size);
  }

  struct Response {
    int status = 0;  // 0: the server closed before a whole response
    std::string head;
    std::string body;
    // The value of a header field, by its exact spelling.
    std::optional<std::string> header(const std::string& name) const {
      const std::size_t at = head.find("\r\n" + name + ": ");
      if (at == std::string::npos) return std::nullopt;
      const std::size_t begin = at + name.size() + 4;
      return head.substr(begin, head.find("\r\n", begin) - begin);
    }
  };
  // One response with a Content-Length, or without a body; interim responses (1xx) too.
  Response ReadResponse(bool has_body = true) {
    Response out;
    out.head = ReadThrough("\r\n\r\n");
    if (!out.head.starts_with("HTTP/1.1 ") || !out.head.ends_with("\r\n\r\n")) return out;
    const int status = std::stoi(out.head.substr(9, 3));
    std::size_t size = 0;
    if (const auto length = out.header("Content-Length"); length && has_body) {
      size = std::stoul(*length);
    }
    out.body = ReadExactly(size);
    if (out.body.size() == size) out.status = status;
    return out;
  }
  Response Ask(std::string_view request) {
    if (!Send(request)) return {};
    return ReadResponse(!request.starts_with("HEAD"));
  }
  bool was_reset() const { return reset_; }
  bool ended() const { return ended_; }

 private:
  std::string Take(std::size_t size) {
    std::string out = in_.substr(0, size);
    in_.erase(0, size);
    return out;
  }

  int fd_ = -1;
  bool ok_ = false;
  bool reset_ = false;
  bool ended_ = false;
  std::string in_;
};

}  // namespace bdn::net::testing
