#pragma once
// Sockets of the server: the listener, and Stream, the non-blocking byte
// stream that plain and TLS connections share.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "os/unique_fd.h"

namespace bdn::net {

using os::UniqueFd;

// What one non-blocking call did.
struct IoOutcome {
  enum class Kind : std::uint8_t {
    kBytes,      // `bytes` > 0 were moved; or the handshake is done
    kWantRead,   // poll for reading, then call again
    kWantWrite,  // poll for writing, then call again
    kEnd,        // the peer ended its side
    kFailed,     // the connection is broken
  };
  Kind kind = Kind::kFailed;
  std::size_t bytes = 0;
};

// One connection's bytes. Not thread-safe; every call returns at once.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual int fd() const = 0;
  virtual IoOutcome Handshake() = 0;
  virtual IoOutcome Read(std::span<std::byte> into) = 0;
  // `more` promises that more bytes follow at once, so the kernel may wait to fill a segment.
  virtual IoOutcome Write(std::string_view bytes, bool more) = 0;
  // sendfile(2); only when can_send_file().
  virtual IoOutcome SendFile(int file, std::uint64_t offset, std::size_t size) = 0;
  virtual bool can_send_file() const = 0;
  // Tells the peer that no more bytes come (close_notify, FIN).
  virtual void EndOutput() = 0;
  // Who the client's certificate says it is (RFC 2253 subject); empty without one.
  virtual std::string client_name() const { return {}; }
};

std::unique_ptr<Stream> MakePlainStream(UniqueFd socket);

// "host:port", "[::1]:port" or "unix:/path". A Unix socket file that nobody listens on any more is
// replaced.
struct Listener {
  UniqueFd socket;
  std::string address;    // as bound, the port filled in
  std::string unix_path;  // to be removed at the end; empty for TCP
};
Result<Listener> Listen(const std::string& where);

// "127.0.0.1:4711", "[::1]:4711", "unix".
std::string PeerName(int socket);

// Bytes that were sent and not acknowledged; 0 when the kernel does not say.
std::uint64_t UnackedBytes(int socket);

}  // namespace bdn::net
