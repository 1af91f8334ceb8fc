#pragma once
// Calls to bdn's own REST APIs: JSON over one Transport, with the bearer key and our error bodies.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/context.h"
#include "base/result.h"
#include "net/http.h"

namespace bdn::api {

struct Endpoint {
  std::string url;      // "http://127.0.0.1:7070"
  std::string api_key;  // may be empty (health)
};

// Thread-safe when the transport is.
class RestClient {
 public:
  RestClient(net::Transport& transport, Endpoint endpoint);

  // `path` starts with '/' and may carry a query. An answer of 400 or more becomes its Error; not
  // reaching the server becomes kUnavailable with the URL and how to start or name one.
  Result<std::string> Call(const Context& ctx,
                           std::string_view method,
                           std::string_view path,
                           std::string body = {},
                           std::string_view content_type = "application/json") const;
  // True for 2xx, false for 404.
  Result<bool> Exists(const Context& ctx, std::string_view path) const;
  // The body of a 200 answer, piece by piece.
  Status Stream(const Context& ctx,
                std::string_view path,
                const std::function<Status(std::span<const std::byte>)>& sink) const;
  // Server-sent events: `on_event(name, data)` for each; returns when the server ends the stream or
  // on_event returns false.
  Status Events(const Context& ctx,
                std::string_view path,
                const std::function<bool(std::string_view, std::string_view)>& on_event) const;

  const Endpoint& endpoint() const { return endpoint_; }

 private:
  Result<net::HttpRequest> Request(std::string_view method, std::string_view path) const;
  Error Explain(Error error) const;

  net::Transport& transport_;
  Endpoint endpoint_;
};

// Splits a text/event-stream into events (HTML living standard, "event stream interpretation").
// Feed bytes as they come; lines are bounded. Not thread-safe.
class EventParser {
 public:
  using OnEvent = std::function<bool(std::string_view name, std::string_view data)>;
  // False when on_event asked to stop. kResourceExhausted when a line or event is too long.
  Result<bool> Feed(std::string_view bytes, const OnEvent& on_event);

 private:
  bool Line(std::string_view line, const OnEvent& on_event);
  std::string pending_;
  std::string name_;
  std::string data_;
  bool has_data_ = false;
};

}  // namespace bdn::api
