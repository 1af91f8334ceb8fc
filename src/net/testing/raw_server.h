#pragma once
// A TCP server on loopback that says exactly the bytes a test gives it: broken heads, resets,
// interim responses, silence. For well-behaved answers use net/server.h.
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/guarded.h"

namespace bdn::net::testing {

class RawServer {
 public:
  class Connection {
   public:
    explicit Connection(int fd) : fd_(fd) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Head and Content-Length body of the next request as they came; empty when the peer closed.
    std::string ReadRequest() {
      std::size_t head = std::string::npos;
      while ((head = pending_.find("\r\n\r\n")) == std::string::npos) {
        if (!ReadMore()) return "";
      }
      std::size_t size = head + 4;
      if (const auto at = pending_.find("Content-Length: "); at < head) {
        size += std::stoul(pending_.substr(at + 16));
      }
      while (pending_.size() < size) {
        if (!ReadMore()) return "";
      }
      std::string request = pending_.substr(0, size);
      pending_.erase(0, size);
      return request;
    }
    // False when the peer is gone.
    bool Send(std::string_view bytes) {
      while (!bytes.empty()) {
        const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      }
      return true;
    }
    // Says nothing more until the peer has closed.
    void AwaitClose() {
      while (ReadMore()) pending_.clear();
    }
    // The close after the script ends with RST instead of FIN.
    void Reset() {
      const linger now{.l_onoff = 1, .l_linger = 0};
      ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }

   private:
    bool ReadMore() {
      char buffer[16 * 1024];
      const auto got = ::recv(fd_, buffer, sizeof buffer, 0);
      if (got <= 0) return false;
      pending_.append(buffer, static_cast<std::size_t>(got));
      return true;
    }
    const int fd_;
    std::string pending_;
  };

  // Called on a thread of its own for every connection; the connection is closed when it returns.
  // `number` counts connections from 0.
  using Script = std::function<void(Connection& connection, int number)>;

  explicit RawServer(Script script) : script_(std::move(script)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    BDN_CHECK(::bind(listener_, generic, size) == 0);
    BDN_CHECK(::listen(listener_, 64) == 0);
    BDN_CHECK(::getsockname(listener_, generic, &size) == 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::jthread([this] { Accept(); });
  }
  // Cuts what is open and waits for the scripts.
  ~RawServer() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    open_.With([](State& state) {
      for (const int fd : state.fds) ::shutdown(fd, SHUT_RDWR);
    });
    threads_.clear();
    ::close(listener_);
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url(std::string_view path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
  }
  int connections() const { return accepted_; }

 private:
  struct State {
    std::vector<int> fds;
  };
  void Accept() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      const int number = accepted_++;
      open_.With([&](State& state) { state.fds.push_back(fd); });
      threads_.emplace_back([this, fd, number] {
        Connection connection(fd);
        script_(connection, number);
        open_.With([&](State& state) {  // so that nobody cuts a number that was used again
          std::erase(state.fds, fd);
          ::close(fd);
        });
      });
    }
  }

  const Script script_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> accepted_{0};
  Guarded<State> open_;
  std::vector<std::jthread> threads_;
  std::jthread acceptor_;
};

}  // namespace bdn::net::testing
