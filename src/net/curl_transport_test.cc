#include "net/curl_transport.h"

#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/guarded.h"
#include "net/testing/collecting_sink.h"
#include "net/testing/raw_server.h"

namespace bdn::net {
namespace {

using namespace std::chrono_literals;
using testing::CollectingSink;
using testing::RawServer;

CurlTransportOptions LoopbackAllowed() {
  CurlTransportOptions options;
  EXPECT_TRUE(options.addresses.Allow("127.0.0.0/8"));
  return options;
}

HttpRequest GetFrom(const std::string& url) {
  return {.url = *ParseUrl(url)};
}

class CurlTransportTest : public ::testing::Test {
 protected:
  // One request, one answer, close.
  static RawServer::Script Answer(std::string bytes, bool reset = false) {
    return [bytes = std::move(bytes), reset](RawServer::Connection& connection, int) {
      connection.ReadRequest();
      connection.Send(bytes);
      if (reset) connection.Reset();
    };
  }
  Status Fetch(const HttpRequest& request) { return transport_->Fetch(ctx_, request, sink_); }
  Status FetchFrom(std::string bytes) {
    RawServer server(Answer(std::move(bytes)));
    return Fetch(GetFrom(server.url("/p?secret=1")));
  }

  std::unique_ptr<Transport> transport_ = MakeCurlTransport(LoopbackAllowed());
  Context ctx_{RealClock()};
  CollectingSink sink_;
};

TEST_F(CurlTransportTest, DeliversHeadAndBody) {
  ASSERT_TRUE(
      FetchFrom("HTTP/1.1 404 Nope\r\nContent-Length: 5\r\nX-A:  one \r\nx-a: two\r\n"
                "Folded: a\r\n  b\r\nEmpty:\r\n\r\nhello"));
  ASSERT_EQ(sink_.heads.size(), 1u);
  const auto& head = sink_.heads[0];
  EXPECT_EQ(head.status, 404);
  EXPECT_EQ(head.headers.Get("X-A"), "one");
  EXPECT_EQ(head.headers.fields().size(), 5u);
  EXPECT_EQ(head.headers.Get("Folded"), "a b");
  EXPECT_EQ(head.headers.Get("Empty"), "");
  EXPECT_EQ(sink_.body, "hello");
}

TEST_F(CurlTransportTest, SendsTheRequestAsWritten) {
  std::string received;
  {
    RawServer server([&](RawServer::Connection& connection, int) {
      received = connection.ReadRequest();
      connection.Send("HTTP/1.1 204 No Content\r\n\r\n");
    });
    HttpRequest request = GetFrom(server.url("/a/../b%2F%c3/./?x=%20&y=[1]"));
    request.headers = {{"Authorization", "Bearer t"},
                       {"X-Twice", "1"},
                       {"X-Twice", "2"},
                       {"X-Empty", ""},
                       {"Accept-Encoding", "identity"}};
    ASSERT_TRUE(Fetch(request));
    EXPECT_TRUE(
        received.starts_with("GET /a/../b%2F%c3/./?x=%20&y=[1] HTTP/1.1\r\nHost: 127.0.0.1:" +
                             std::to_string(server.port()) + "\r\n"))
        << received;
  }
  for (const auto* line :
       {"\r\nAuthorization: Bearer t\r\n", "\r\nX-Twice: 1\r\n", "\r\nX-Twice: 2\r\n",
        "\r\nX-Empty:\r\n", "\r\nUser-Agent: bdn/0.1\r\n", "\r\nAccept-Encoding: identity\r\n"}) {
    EXPECT_NE(received.find(line), std::string::npos) << line << received;
  }
}

TEST_F(CurlTransportTest, AddsNoEncodingCookieOrRefererOfItsOwn) {
  std::string received;
  {
    RawServer server([&](RawServer::Connection& connection, int) {
      for (int i = 0; i < 2; ++i) {
        received = connection.ReadRequest();
        connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=b; Path=/\r\n\r\n");
      }
    });
    ASSERT_TRUE(Fetch(GetFrom(server.url("/"))));
    ASSERT_TRUE(Fetch(GetFrom(server.url("/"))));
  }
  for (const auto* name : {"Accept-Encoding", "Cookie", "Referer", "Expect", "Content-"}) {
    EXPECT_EQ(received.find(name), std::string::npos) << received;
  }
}

TEST_F(CurlTransportTest, SendsBodiesWithTheirLengthAndNothingInvented) {
  std::vector<std::string> received;
  {
    RawServer server([&](RawServer::Connection& connection, int) {
      for (int i = 0; i < 4; ++i) {
        received.push_back(connection.ReadRequest());
        connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      }
    });
    HttpRequest request = GetFrom(server.url("/"));
    request.method = "PUT";
    request.body = std::string("a\0b", 3);
    ASSERT_TRUE(Fetch(request));
    request.method = "POST";
    request.body.assign(3 << 20, 'x');  // so large that libcurl would ask with Expect
    request.headers = {{"Content-Type", "text/x"}};
    ASSERT_TRUE(Fetch(request));
    request.body.clear();
    ASSERT_TRUE(Fetch(request));
    request.method = "DELETE";
    request.headers = {};
    ASSERT_TRUE(Fetch(request));
  }
  ASSERT_EQ(received.size(), 4u);
  EXPECT_TRUE(received[0].starts_with("PUT / HTTP/1.1\r\n"));
  EXPECT_NE(received[0].find("\r\nContent-Length: 3\r\n"), std::string::npos);
  EXPECT_EQ(received[0].find("Content-Type"), std::string::npos);
  EXPECT_TRUE(received[0].ends_with(std::string("\r\n\r\na\0b", 7)));
  EXPECT_TRUE(received[1].ends_with(std::string(3 << 20, 'x')));
  EXPECT_EQ(received[1].find("Expect"), std::string::npos);
  EXPECT_NE(received[1].find("\r\nContent-Type: text/x\r\n"), std::string::npos);
  EXPECT_NE(received[2].find("\r\nContent-Length: 0\r\n"), std::string::npos);
  EXPECT_TRUE(received[3].starts_with("DELETE / HTTP/1.1\r\n"));
  EXPECT_EQ(received[3].find("Content-Length"), std::string::npos);
}

TEST_F(CurlTransportTest, HeadHasLengthButNoBody) {
  RawServer server([](RawServer::Connection& connection, int) {
    while (!connection.ReadRequest().empty()) {
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
    }
  });
  HttpRequest request = GetFrom(server.url("/"));
  request.method = "HEAD";
  ASSERT_TRUE(Fetch(request));
  ASSERT_TRUE(Fetch(request));
  EXPECT_EQ(sink_.heads.at(1).headers.Get("Content-Length"), "12345");
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlTransportTest, InterimHeadsAndTrailersAreNotTheHead) {
  ASSERT_TRUE(
      FetchFrom("HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n"
                "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Final: 1\r\n\r\n"
                "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"));
  ASSERT_EQ(sink_.heads.size(), 1u);
  EXPECT_EQ(sink_.heads[0].status, 200);
  EXPECT_TRUE(sink_.heads[0].headers.Has("X-Final"));
  EXPECT_FALSE(sink_.heads[0].headers.Has("X-Interim"));
  EXPECT_FALSE(sink_.heads[0].headers.Has("X-Trailer"));
  EXPECT_EQ(sink_.body, "abcde");
}

TEST_F(CurlTransportTest, NeitherFollowsNorDecodes) {
  ASSERT_TRUE(
      FetchFrom("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Encoding: gzip\r\n"
                "Content-Length: 4\r\n\r\nnogz"));
  EXPECT_EQ(sink_.heads.at(0).status, 302);
  EXPECT_EQ(sink_.body, "nogz");
}

TEST_F(CurlTransportTest, LargeBodiesComeInLargePieces) {
  const std::string body(8 << 20, 'b');
  ASSERT_TRUE(FetchFrom("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                        "\r\n\r\n" + body));
  EXPECT_EQ(sink_.body.size(), body.size());
  EXPECT_EQ(sink_.body, body);
  EXPECT_GT(sink_.largest_piece, 16u * 1024);
  EXPECT_LE(sink_.largest_piece, 256u * 1024);
}

TEST_F(CurlTransportTest, ConnectionsAreReused) {
  RawServer server([](RawServer::Connection& connection, int) {
    while (!connection.ReadRequest().empty()) {
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
  });
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Fetch(GetFrom(server.url("/"))));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlTransportTest, BrokenAnswersAreUnavailable) {
  const char* answers[] = {
      "",
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
      "hello, this is no HTTP",
      "SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
      "HTTP/1.1 100 Continue\r\n\r\n",
  };
  for (const auto* answer : answers) {
    const Status status = FetchFrom(answer);
    ASSERT_FALSE(status) << answer;
    EXPECT_EQ(status.error().code(), Code::kUnavailable) << answer << status.error().message();
    EXPECT_EQ(status.error().message().find("secret"), std::string::npos);
  }
}

TEST_F(CurlTransportTest, AShortBodyDeliversItsPrefix) {
  EXPECT_FALSE(FetchFrom("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"));
  EXPECT_EQ(sink_.body, "short");
}

TEST_F(CurlTransportTest, ResetIsUnavailable) {
  RawServer server(Answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", true));
  const Status status = Fetch(GetFrom(server.url("/")));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kUnavailable);
}

TEST_F(CurlTransportTest, RefusedConnectionIsUnavailable) {
  std::string url;
  {
    RawServer server([](RawServer::Connection&, int) {});
    url = server.url("/?secret");
  }
  const Status status = Fetch(GetFrom(url));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kUnavailable);
  EXPECT_EQ(status.error().message().find("secret"), std::string::npos);
}

TEST_F(CurlTransportTest, AFailedLookupCanBeTriedAgain) {
  for (int i = 0; i < 3; ++i) {
    const Status status = Fetch(GetFrom("http://no-such-host.invalid/"));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), Code::kUnavailable);
  }
}

TEST_F(CurlTransportTest, AnEndlessHeadIsCut) {
  RawServer server([](RawServer::Connection& connection, int) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\n");
    while (connection.Send("X-Pad: " + std::string(8000, 'x') + "\r\n")) {
    }
  });
  const Status status = Fetch(GetFrom(server.url("/")));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kUnavailable);
  EXPECT_TRUE(sink_.heads.empty());
}

TEST_F(CurlTransportTest, TheSinksErrorIsWhatFetchReturns) {
  sink_.on_head = [] { return Status(Error(Code::kFailedPrecondition, "etag differs")); };
  EXPECT_EQ(FetchFrom("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").error().message(),
            "etag differs");
  EXPECT_EQ(sink_.body, "");
  sink_.on_head = nullptr;
  sink_.on_write = [] { return Status(Error(Code::kResourceExhausted, "disk full")); };
  EXPECT_EQ(FetchFrom("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").error().code(),
            Code::kResourceExhausted);
  sink_.on_write = nullptr;
  EXPECT_TRUE(FetchFrom("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
}

TEST_F(CurlTransportTest, SilenceIsATimeout) {
  for (const auto* start : {"", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"}) {
    RawServer server([&](RawServer::Connection& connection, int) {
      connection.ReadRequest();
      connection.Send(start);
      connection.AwaitClose();
    });
    HttpRequest request = GetFrom(server.url("/?secret"));
    request.limits.stall_timeout = 50ms;
    const Status status = Fetch(request);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), Code::kTimeout);
    EXPECT_NE(status.error().message().find("no byte for 50 ms"), std::string::npos);
    EXPECT_EQ(status.error().message().find("secret"), std::string::npos);
  }
}

TEST_F(CurlTransportTest, TheContextsDeadlineEndsATransferThatStillMoves) {
  RawServer server([](RawServer::Connection& connection, int) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\n\r\n");
    while (connection.Send(std::string(64 * 1024, 'x'))) {
    }
  });
  CollectingSink sink;
  sink.on_write = [&] {
    sink.body.clear();
    return Status();
  };
  const Status status = transport_->Fetch(ctx_.WithTimeout(100ms), GetFrom(server.url("/")), sink);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kTimeout);
}

TEST_F(CurlTransportTest, AStopRequestEndsAWaitingCall) {
  std::stop_source stop;
  RawServer server([&](RawServer::Connection& connection, int) {
    connection.ReadRequest();
    stop.request_stop();
    connection.AwaitClose();
  });
  const Context ctx(RealClock(), stop.get_token());
  const auto start = RealClock().Monotonic();
  const Status status = transport_->Fetch(ctx, GetFrom(server.url("/")), sink_);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kCancelled);
  EXPECT_LT(RealClock().Monotonic() - start, 900ms);  // below the poll's own period
}

TEST_F(CurlTransportTest, GuardRefusesWithItsOwnMessage) {
  auto guarded = MakeCurlTransport({});
  RawServer server([](RawServer::Connection&, int) {});
  const std::string port = std::to_string(server.port());
  for (const std::string host :
       {"127.0.0.1", "2130706433", "0x7f000001", "017700000001", "127.1", "localhost", "[::1]",
        "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "169.254.169.254", "0"}) {
    const Status status =
        guarded->Fetch(ctx_, GetFrom("http://" + host + ":" + port + "/?secret"), sink_);
    ASSERT_FALSE(status) << host;
    EXPECT_EQ(status.error().code(), Code::kPermissionDenied) << host << status.error().message();
    EXPECT_NE(status.error().message().find("refused to connect"), std::string::npos) << host;
    EXPECT_EQ(status.error().message().find("secret"), std::string::npos);
    EXPECT_FALSE(status.error().hint().empty());
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(CurlTransportTest, OtherSchemesAndInjectedHeadersNeverReachTheWire) {
  HttpRequest request = GetFrom("http://127.0.0.1:1/");
  request.headers = {{"A", "b\r\nX: y"}};
  EXPECT_EQ(Fetch(request).error().code(), Code::kInvalidArgument);
}

TEST_F(CurlTransportTest, ProxyIsUsedWhenNamedAndLiteralHostsAreStillChecked) {
  std::string received;
  RawServer proxy([&](RawServer::Connection& connection, int) {
    received = connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  auto options = CurlTransportOptions{};
  options.proxy = proxy.url("");
  options.no_proxy = "direct.example, .svc,10.0.0.0/8";
  auto transport = MakeCurlTransport(options);
  ASSERT_TRUE(transport->Fetch(ctx_, GetFrom("http://hub.example/x"), sink_));
  EXPECT_TRUE(received.starts_with("GET http://hub.example/x HTTP/1.1\r\n")) << received;
  for (const auto* url :
       {"http://169.254.169.254/", "http://2852039166/", "http://localhost/", "http://10.0.0.1/"}) {
    EXPECT_EQ(transport->Fetch(ctx_, GetFrom(url), sink_).error().code(), Code::kPermissionDenied);
  }
  EXPECT_EQ(proxy.connections(), 1);
}

TEST_F(CurlTransportTest, CallsBeyondTheHostsLimitWaitForTheirTurn) {
  struct Seen {
    int now = 0;
    int most = 0;
  };
  Guarded<Seen> seen;
  RawServer server([&](RawServer::Connection& connection, int) {
    while (!connection.ReadRequest().empty()) {
      seen.With([](Seen& s) { s.most = std::max(s.most, ++s.now); });
      seen.With([](Seen& s) { --s.now; });
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
  });
  auto options = LoopbackAllowed();
  options.connections_per_host_max = 2;
  auto transport = MakeCurlTransport(options);
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < 8; ++i) {
      callers.emplace_back([&] {
        CollectingSink sink;
        for (int n = 0; n < 10; ++n) {
          EXPECT_TRUE(transport->Fetch(ctx_, GetFrom(server.url("/")), sink));
        }
        EXPECT_EQ(sink.body.size(), 20u);
      });
    }
  }
  EXPECT_LE(seen.With([](const Seen& s) { return s.most; }), 2);
  EXPECT_LE(server.connections(), 2);
}

TEST_F(CurlTransportTest, AWaitForATurnCanTimeOut) {
  std::stop_source stop;
  RawServer server([](RawServer::Connection& connection, int) { connection.AwaitClose(); });
  auto options = LoopbackAllowed();
  options.connections_per_host_max = 1;
  auto transport = MakeCurlTransport(options);
  std::jthread holder([&] {
    CollectingSink sink;
    EXPECT_FALSE(
        transport->Fetch(Context(RealClock(), stop.get_token()), GetFrom(server.url("/")), sink));
  });
  while (server.connections() == 0) std::this_thread::yield();
  EXPECT_EQ(
      transport->Fetch(ctx_.WithTimeout(20ms), GetFrom(server.url("/")), sink_).error().code(),
      Code::kTimeout);
  stop.request_stop();
}

}  // namespace
}  // namespace bdn::net
