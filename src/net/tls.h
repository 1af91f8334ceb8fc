#pragma once
// TLS for accepted connections: OpenSSL, TLS 1.2 and newer, ALPN http/1.1. OpenSSL's headers stay
// in tls.cc.
#include <memory>

#include "base/result.h"
#include "net/server.h"
#include "net/socket.h"

namespace bdn::net {

// Certificates and settings, read once. Thread-safe; must outlive no stream (each keeps a
// reference).
class TlsContext {
 public:
  // kInvalidArgument names the file that cannot be used and why.
  static Result<std::unique_ptr<TlsContext>> Make(const TlsOptions& options);
  ~TlsContext();
  // The handshake has not begun; Handshake() does it.
  Result<std::unique_ptr<Stream>> Accept(UniqueFd socket) const;

 private:
  struct Impl;
  explicit TlsContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bdn::net
