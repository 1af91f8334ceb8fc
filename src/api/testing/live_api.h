#pragma once
// Routes served on a loopback port, and calls to them as a client makes them.
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "api/rest_client.h"
#include "net/curl_transport.h"
#include "net/server.h"

namespace bdn::api::testing {

class LiveApi {
 public:
  explicit LiveApi(net::Router router)
      : transport_(net::MakeCurlTransport(
            {.addresses = *net::AddressPolicy::WithAllowed({"127.0.0.1"})})) {
    auto server = net::StartServer({.workers = 4}, std::move(router));
    EXPECT_TRUE(server) << server.error().message();
    if (server) server_ = *std::move(server);
  }
  RestClient Client(std::string key) {
    return RestClient(*transport_, {.url = server_->base_url(), .api_key = std::move(key)});
  }
  // The answer as it is, whatever its status; -1 when there was none.
  net::HttpResponse Send(const Context& ctx,
                         std::string method,
                         const std::string& path,
                         net::Headers headers,
                         std::string body = {}) {
    auto url = net::ParseUrl(server_->base_url() + path);
    if (!url) return {.status = -1, .headers = {}, .body = url.error().message()};
    net::HttpRequest request;
    request.method = std::move(method);
    request.url = *std::move(url);
    request.headers = std::move(headers);
    request.body = std::move(body);
    auto answer = net::FetchAll(ctx, *transport_, request, 64u << 20);
    if (!answer) return {.status = -1, .headers = {}, .body = answer.error().message()};
    return *std::move(answer);
  }
  void Stop() { server_->Stop(); }

 private:
  std::unique_ptr<net::Transport> transport_;
  std::unique_ptr<net::Server> server_;
};

}  // namespace bdn::api::testing
