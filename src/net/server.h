#pragma once
// The HTTP/1.1 server for large immutable bodies: one thread accepts and parks idle connections in
// epoll, `workers` threads each serve one readable connection at a time with blocking calls, then
// park it again. Files leave by sendfile(2).
//
// A slow request head, a slow TLS handshake and an idle connection hold no thread: they are parked
// between their bytes. `workers` is the number of requests that run at a time; a client whose turn
// has not come waits, and its time-outs do not run meanwhile. An open event stream counts as one.
//
// Limits (ServerOptions) bound every part: head bytes, header count, body bytes, time for the head,
// a minimum rate for slow readers and writers, connections, requests per connection.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/context.h"
#include "base/executor.h"
#include "base/result.h"
#include "net/http.h"
#include "os/fs.h"

namespace bdn::net {

// One request, valid during the handler's call.
class ServerRequest {
 public:
  virtual ~ServerRequest() = default;
  virtual std::string_view method() const = 0;
  virtual std::string_view path() const = 0;   // decoded? no: as on the wire, starts with '/'
  virtual std::string_view query() const = 0;  // raw, without '?'
  virtual const Headers& headers() const = 0;
  virtual std::string_view peer() const = 0;  // "127.0.0.1:4711"; "unix" on a Unix socket
  // Of the Host field, or of the target when that is an absolute URL; may be empty, has the port.
  virtual std::string_view host() const { return headers().Get("Host").value_or(""); }
  // The RFC 2253 subject of the client's certificate; empty without one. Only with
  // TlsOptions::client_ca_file is it verified, and asked for.
  virtual std::string_view tls_client() const { return {}; }
  // Values bound by the router: pattern "/v1/deployments/{id}" binds "id", percent-decoded.
  virtual std::string_view param(std::string_view name) const = 0;
  // First value of a query parameter, decoded.
  virtual std::optional<std::string> query_param(std::string_view name) const = 0;
  // The whole body; kResourceExhausted (413) when larger than `bytes_max`.
  virtual Result<std::string> Body(std::uint64_t bytes_max) = 0;
  // In pieces, in order, for uploads. An error of `sink` ends it and closes the connection.
  virtual Status ReadBody(const std::function<Status(std::span<const std::byte>)>& sink) = 0;
  // Stopped when the server drains, and when the client leaves a stream that Begin started. Its
  // deadline is ServerOptions::handler_timeout.
  virtual const Context& context() const = 0;
};

// Exactly one Send*, or Begin followed by Write… and returning, per request.
class ServerResponse {
 public:
  virtual ~ServerResponse() = default;
  // Content-Length, Transfer-Encoding, Connection and Date are made here; "Connection: close" in
  // `headers` is obeyed. On HEAD with an empty body a Content-Length in `headers` is kept.
  // Errors of every call: kUnavailable (the client is gone), kTimeout (it is slower than the
  // minimum rate), kInternal (a second answer, a malformed header field). Returning them is fine.
  virtual Status Send(int status, Headers headers, std::string_view body) = 0;
  // Serves bytes [offset, offset + size) of `file` as one immutable representation. Answers HEAD,
  // Range (single), If-Range, If-None-Match and If-Match by itself (200, 206, 304, 412, 416);
  // `etag` is a quoted strong entity tag. Multiple ranges get the whole body (RFC 9110 §14.2 allows
  // it).
  struct Body {
    const os::File* file = nullptr;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::string etag = {};
    std::string content_type = "application/octet-stream";
  };
  virtual Status SendFile(Headers headers, const Body& body) = 0;
  // The same from memory.
  virtual Status SendBytes(Headers headers, std::string_view bytes, const Body& description) = 0;
  // Chunked transfer coding (server-sent events), or, when `headers` has a Content-Length, exactly
  // that many bytes; a handler that returns with fewer, or with an error, cuts the connection, so
  // that the client notices. The head leaves at once. Write blocks while the client is slow, at
  // most as long as its minimum rate allows.
  virtual Status Begin(int status, Headers headers) = 0;
  virtual Status Write(std::string_view bytes) = 0;
  // Test servers only: close without finishing, as a broken server would (RST when `reset`).
  virtual void Abort(bool reset) = 0;
  virtual int status() const = 0;  // 0 while nothing was sent
};

// Called on a worker thread, concurrently. An Error that it returns before sending becomes a JSON
// answer {"error":{"code","message","hint"}} with the code's HTTP status.
using Handler = std::function<Status(ServerRequest&, ServerResponse&)>;

// The body of an error answer: {"error":{"code":"not_found","message":"…","hint":"…"}}.
std::string ErrorJson(const Error& error);
// What the server does with a handler's error: the code's HTTP status and ErrorJson, Retry-After
// when the error has one, WWW-Authenticate: Bearer with 401.
Status SendError(ServerResponse& response, const Error& error);
// The first value of `name` in a query string, decoded ('+' is a blank); nullopt when it is not
// there or not decodable.
std::optional<std::string> QueryParam(std::string_view query, std::string_view name);

// Method and path patterns to handlers: "/v1/deployments/{id}", "/files/{path...}" (the rest of the
// path, slashes included; may be empty). Literals win over {name}, {name} wins over {name...}. HEAD
// falls back to GET. Unknown path 404, known path with another method 405 with Allow. Parameters
// are percent-decoded after the path was cut at its slashes, so a value may hold '/' (from %2F) or
// "..": it is data, never a path to be trusted; NUL and bad encodings are refused (400). Build it
// before the server starts; immutable after.
class Router {
 public:
  Router();
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;
  // A malformed or repeated pattern ends the process.
  void Add(std::string_view method, std::string_view pattern, Handler handler);
  // Runs before every handler (authentication), in the order of the calls; an error is answered as
  // above. Parameters are bound already.
  void Before(std::function<Status(ServerRequest&)> check);
  // All "METHOD pattern" in the order of Add, for the OpenAPI test.
  std::vector<std::string> Routes() const;
  Status Serve(ServerRequest& request, ServerResponse& response) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct TlsOptions {
  std::string certificate_file = {};  // PEM chain
  std::string key_file = {};          // PEM
  std::string client_ca_file = {};    // when set, clients must show a certificate it signed
};

struct ServerOptions {
  std::string name = "http";           // of its threads
  std::string listen = "127.0.0.1:0";  // host:port, [::1]:port, or unix:/path
  std::optional<TlsOptions> tls = std::nullopt;
  std::size_t workers = 16;
  std::uint64_t head_bytes_max = 32 * 1024;
  std::size_t headers_max = 100;
  std::size_t target_bytes_max = 16 * 1024;
  std::uint64_t body_bytes_max = 64ull << 30;
  std::size_t connections_max = 4096;
  Duration head_timeout = std::chrono::seconds(10);
  Duration idle_timeout = std::chrono::seconds(75);
  Duration handler_timeout = std::chrono::hours(24);
  // A transfer slower than this over rate_window is cut. Only time spent waiting for the client
  // counts, so a handler that is slow itself is not punished.
  std::uint64_t bytes_per_second_min = 1024;
  Duration rate_window = std::chrono::seconds(10);
  Duration drain_timeout = std::chrono::seconds(20);
  const Clock* clock = &RealClock();
};

class Server {
 public:
  virtual ~Server() = default;  // Stop()
  // The address in use, with the port that the system chose: "127.0.0.1:41234".
  virtual std::string address() const = 0;
  virtual std::string base_url() const = 0;  // "http://127.0.0.1:41234"
  // Graceful drain: closes the listener, lets requests end within drain_timeout, then cuts them.
  virtual void Stop() = 0;
  struct Stats {
    std::uint64_t requests = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t connections_open = 0;
  };
  virtual Stats stats() const = 0;
};

// kUnavailable when the address is taken, kInvalidArgument when it is malformed.
Result<std::unique_ptr<Server>> StartServer(ServerOptions options, Router router);

}  // namespace bdn::net
