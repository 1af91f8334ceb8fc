#pragma once
// TLS for accepted connections: OpenSSL, TLS 1.2 and newer, ALPN http/1.1. OpenSSL's headers stay
// in tls.cc.
#include <array>
#include <cstdint>
#include <memory>
#include <string>

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

// A TlsContext that follows its files: a certificate that was renewed on the disk is used for the
// next connection. Files that cannot be used (one of the two is there already, the other not yet)
// are said in the log and leave the context that works; the next change is tried again. Not
// thread-safe.
class TlsFiles {
 public:
  // As TlsContext::Make.
  static Result<std::unique_ptr<TlsFiles>> Open(const TlsOptions& options);
  Result<std::unique_ptr<Stream>> Accept(UniqueFd socket);

 private:
  // What tells one content of a file from another without reading it.
  struct Stamp {
    std::int64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t changed_ns = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  using Stamps = std::array<Stamp, 3>;

  explicit TlsFiles(const TlsOptions& options) : options_(options) {}
  static Stamp StampOf(const std::string& path);
  Stamps Look() const;

  const TlsOptions options_;
  Stamps seen_;
  std::unique_ptr<TlsContext> context_;
};

}  // namespace bdn::net
