#include "net/server.h"

#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/testing/raw_client.h"
#include "os/real_fs.h"
#include "os/testing/memory_fs.h"
#include "os/testing/temp_dir.h"

namespace bdn::net {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::RawClient;
using ::testing::StartsWith;

std::string Get(const std::string& path, const std::string& fields = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: t\r\n" + fields + "\r\n";
}

// "/hello" answers, "/echo" gives the body back, "/error" fails, "/ignore" leaves the body unread.
Router BasicRouter() {
  Router router;
  router.Add("GET", "/hello", [](ServerRequest&, ServerResponse& response) {
    return response.Send(200, {{"Content-Type", "text/plain"}}, "hello");
  });
  router.Add("POST", "/echo", [](ServerRequest& request, ServerResponse& response) -> Status {
    BDN_ASSIGN(const std::string body, request.Body(1 << 20));
    return response.Send(200, {}, body);
  });
  router.Add("POST", "/ignore", [](ServerRequest&, ServerResponse& response) {
    return response.Send(200, {}, "ignored");
  });
  router.Add("GET", "/error/{name}", [](ServerRequest& request, ServerResponse&) -> Status {
    const auto code = CodeFromName(request.param("name"));
    return Error(code.value_or(Code::kInternal), "it said \"no\"\n")
        .WithHint("ask again")
        .WithRetryAfter(milliseconds(1500));
  });
  return router;
}

std::unique_ptr<Server> StartOrDie(Router router, ServerOptions options = {}) {
  options.workers = std::min<std::size_t>(options.workers, 4);
  auto server = StartServer(std::move(options), std::move(router));
  EXPECT_TRUE(server) << server.error().message();
  return *std::move(server);
}

TEST(Server, AnswersOnOneConnectionAgainAndAgain) {
  const auto server = StartOrDie(BasicRouter());
  RawClient client(server->address());
  for (int i = 0; i < 5; ++i) {
    const auto response = client.Ask(Get("/hello"));
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "hello");
    EXPECT_TRUE(response.header("Date"));
    EXPECT_FALSE(response.header("Connection"));
  }
  EXPECT_EQ(server->stats().requests, 5u);
}

TEST(Server, SpeaksOfErrorsInJsonWithTheirStatus) {
  const auto server = StartOrDie(BasicRouter());
  RawClient client(server->address());
  for (int i = 0; i < kCodeCount; ++i) {
    const CodeFacts& facts = FactsOf(static_cast<Code>(i));
    const auto response = client.Ask(Get("/error/" + std::string(facts.name)));
    EXPECT_EQ(response.status, facts.http_status);
    EXPECT_EQ(response.body,
              "{\"error\":{\"code\":\"" + std::string(facts.name) +
                  "\",\"message\":\"it said \\\"no\\\"\\n\",\"hint\":\"ask again\"}}\n");
    EXPECT_EQ(response.header("Retry-After"), "2");
    EXPECT_EQ(response.header("WWW-Authenticate").has_value(), facts.http_status == 401);
  }
}

TEST(Server, ReadsARequestThatArrivesByteByByte) {
  const auto server = StartOrDie(BasicRouter());
  RawClient client(server->address());
  const std::string request = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nabcd";
  for (const char c : request) ASSERT_TRUE(client.Send(std::string_view(&c, 1)));
  EXPECT_EQ(client.ReadResponse().body, "abcd");
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  ServerOptions options;
  options.workers = 1;
  const auto server = StartOrDie(BasicRouter(), options);
  RawClient client(server->address());
  std::string requests;
  for (int i = 0; i < 100; ++i) {
    const std::string body = std::to_string(i);
    requests += "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n\r\n" + body;
  }
  ASSERT_TRUE(client.Send(requests));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(client.ReadResponse().body, std::to_string(i));
}

TEST(Server, HeadHasTheHeadOfGetAndNoBody) {
  const auto server = StartOrDie(BasicRouter());
  RawClient client(server->address());
  const auto head = client.Ask("HEAD /hello HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Length"), "5");
  EXPECT_EQ(client.Ask(Get("/hello")).body, "hello");
}

TEST(Server, ClosesAfterHttp10AndConnectionClose) {
  const auto server = StartOrDie(BasicRouter());
  for (const std::string& request :
       {std::string("GET /hello HTTP/1.0\r\n\r\n"), Get("/hello", "Connection: close\r\n")}) {
    RawClient client(server->address());
    ASSERT_TRUE(client.Send(request));
    const std::string all = client.ReadAll();
    EXPECT_THAT(all, HasSubstr("\r\nConnection: close\r\n"));
    EXPECT_THAT(all, EndsWith("\r\n\r\nhello"));
    EXPECT_TRUE(client.ended());
  }
}

TEST(Server, TellsTheClientToContinueWhenTheHandlerReads) {
  const auto server = StartOrDie(BasicRouter());
  RawClient client(server->address());
  const std::string fields =
      " HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  ASSERT_TRUE(client.Send("POST /echo" + fields));
  EXPECT_EQ(client.ReadResponse().head, "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.Send("ok"));
  EXPECT_EQ(client.ReadResponse().body, "ok");
  // A handler that does not read: whether the body follows is not known, so the connection ends.
  const auto refused = client.Ask("POST /ignore" + fields);
  EXPECT_EQ(refused.status, 200);
  EXPECT_EQ(client.ReadAll(), "");
  EXPECT_TRUE(client.ended());
}

TEST(Server, DrainsASmallUnreadBodyAndGoesOn) {
  const auto server = StartOrDie(BasicRouter());
  RawClient client(server->address());
  const std::string body(100'000, 'x');
  const auto response =
      client.Ask("POST /ignore HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n" + body);
  EXPECT_EQ(response.body, "ignored");
  EXPECT_EQ(client.Ask(Get("/hello")).body, "hello");
}

TEST(Server, AnswerSurvivesALargeUnreadBody) {
  const auto server = StartOrDie(BasicRouter());
  RawClient client(server->address());
  const std::string body(4 << 20, 'x');
  ASSERT_TRUE(
      client.Send("POST /ignore HTTP/1.1\r\nHost: t\r\nContent-Length: 4194304\r\n\r\n" + body));
  client.EndOutput();
  EXPECT_THAT(client.ReadAll(), EndsWith("ignored"));
  EXPECT_TRUE(client.ended());
}

TEST(Server, DecodesChunkedRequestBodies) {
  const auto server = StartOrDie(BasicRouter());
  RawClient client(server->address());
  const std::string head = "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(client.Ask(head + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n").body, "abcde");
  EXPECT_EQ(client.Ask(head + "0\r\n\r\n").status, 200);
  EXPECT_EQ(client.Ask(head + "zz\r\n").status, 400);
  EXPECT_EQ(client.ReadAll(), "");
}

TEST(Server, RefusesBodiesOverTheLimit) {
  ServerOptions options;
  options.body_bytes_max = 2 << 20;
  const auto server = StartOrDie(BasicRouter(), options);
  const std::string announced = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: ";
  EXPECT_EQ(RawClient(server->address()).Ask(announced + "3000000\r\n\r\n").status, 413);
  EXPECT_EQ(RawClient(server->address()).Ask(announced + "1048577\r\n\r\n").status, 413);
  RawClient chunked(server->address());
  ASSERT_TRUE(chunked.Send(
      "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n" +
      std::string(0x100001, 'x') + "\r\n0\r\n\r\n"));
  EXPECT_EQ(chunked.ReadResponse().status, 413);
}

TEST(Server, ServesNothingAfterAMalformedHead) {
  const auto server = StartOrDie(BasicRouter());
  RawClient client(server->address());
  ASSERT_TRUE(client.Send(
      "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
      "0\r\n\r\n" +
      Get("/hello")));
  const std::string all = client.ReadAll();
  EXPECT_THAT(all, StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_THAT(all, ::testing::Not(HasSubstr("hello")));
  EXPECT_THAT(all, HasSubstr("\r\nConnection: close\r\n"));
}

TEST(Server, ASlowHeadHoldsNoWorkerAndTimesOut) {
  ServerOptions options;
  options.workers = 1;
  options.head_timeout = milliseconds(200);
  const auto server = StartOrDie(BasicRouter(), options);
  RawClient slow(server->address());
  ASSERT_TRUE(slow.Send("GET /hello HTTP/1.1\r\nHo"));
  RawClient silent(server->address());
  EXPECT_EQ(RawClient(server->address()).Ask(Get("/hello")).body, "hello");
  EXPECT_THAT(slow.ReadAll(), StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(silent.ReadAll(), "");
}

TEST(Server, ClosesIdleConnections) {
  ServerOptions options;
  options.idle_timeout = milliseconds(100);
  const auto server = StartOrDie(BasicRouter(), options);
  RawClient client(server->address());
  EXPECT_EQ(client.Ask(Get("/hello")).status, 200);
  EXPECT_EQ(client.ReadAll(), "");
  EXPECT_TRUE(client.ended());
}

TEST(Server, WaitingForAWorkerIsNotTheClientsDelay) {
  Router router = BasicRouter();
  router.Add("GET", "/slow", [](ServerRequest& request, ServerResponse& response) -> Status {
    BDN_TRY(request.context().Sleep(milliseconds(400)));
    return response.Send(200, {}, "slow");
  });
  ServerOptions options;
  options.workers = 1;
  options.head_timeout = milliseconds(40);
  const auto server = StartOrDie(std::move(router), options);
  RawClient first(server->address());
  RawClient second(server->address());
  ASSERT_TRUE(first.Send(Get("/slow")));
  ASSERT_TRUE(second.Send(Get("/slow")));
  EXPECT_EQ(first.ReadResponse().body, "slow");
  EXPECT_EQ(second.ReadResponse().body, "slow");
}

TEST(Server, CutsAReaderBelowTheMinimumRate) {
  std::latch done(1);
  Status outcome;
  Router router;
  const std::string big(64 << 20, 'x');
  router.Add("GET", "/big", [&](ServerRequest&, ServerResponse& response) {
    outcome = response.SendBytes({}, big, {});
    done.count_down();
    return outcome;
  });
  ServerOptions options;
  options.rate_window = milliseconds(100);
  const auto server = StartOrDie(std::move(router), options);
  RawClient client(server->address());
  ASSERT_TRUE(client.Send(Get("/big")));
  done.wait();  // without a byte read
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Code::kTimeout);
}

TEST(Server, CutsASenderBelowTheMinimumRate) {
  ServerOptions options;
  options.rate_window = milliseconds(100);
  const auto server = StartOrDie(BasicRouter(), options);
  RawClient client(server->address());
  ASSERT_TRUE(client.Send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nabc"));
  EXPECT_EQ(client.ReadResponse().status, 408);
}

TEST(Server, StreamsInChunksAndLearnsThatTheClientLeft) {
  std::latch left(1);
  Router router;
  router.Add("GET", "/events", [&](ServerRequest& request, ServerResponse& response) -> Status {
    BDN_TRY(response.Begin(200, {{"Content-Type", "text/event-stream"}}));
    BDN_TRY(response.Write("data: 1\n\n"));
    if (request.query() == "end") return {};
    const Status slept = request.context().Sleep(std::chrono::seconds(60));
    EXPECT_FALSE(slept);
    left.count_down();
    return slept;
  });
  const auto server = StartOrDie(std::move(router));
  RawClient whole(server->address());
  ASSERT_TRUE(whole.Send(Get("/events?end")));
  EXPECT_THAT(whole.ReadThrough("0\r\n\r\n"),
              AllOf(HasSubstr("\r\nTransfer-Encoding: chunked\r\n"),
                    EndsWith("\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n")));
  {
    RawClient client(server->address());
    ASSERT_TRUE(client.Send(Get("/events")));
    EXPECT_THAT(client.ReadThrough("data: 1"), HasSubstr("200 OK"));
  }
  left.wait();
  RawClient old(server->address());
  ASSERT_TRUE(old.Send("GET /events?end HTTP/1.0\r\n\r\n"));
  EXPECT_THAT(old.ReadAll(), EndsWith("\r\n\r\ndata: 1\n\n"));
}

TEST(Server, AStreamWithALengthIsCutWhenItEndsEarly) {
  Router router;
  router.Add("GET", "/part", [&](ServerRequest&, ServerResponse& response) -> Status {
    BDN_TRY(response.Begin(200, {{"Content-Length", "10"}}));
    return response.Write("half");
  });
  router.Add("GET", "/fail", [&](ServerRequest&, ServerResponse& response) -> Status {
    BDN_TRY(response.Begin(200, {}));
    return Error(Code::kUnavailable, "the source went away");
  });
  const auto server = StartOrDie(std::move(router));
  RawClient part(server->address());
  ASSERT_TRUE(part.Send(Get("/part")));
  EXPECT_THAT(part.ReadAll(), EndsWith("\r\n\r\nhalf"));
  RawClient failed(server->address());
  ASSERT_TRUE(failed.Send(Get("/fail")));
  EXPECT_THAT(failed.ReadAll(), EndsWith("\r\n\r\n"));  // no last chunk
}

TEST(Server, AbortResetsOrCloses) {
  Router router;
  router.Add("GET", "/abort", [](ServerRequest& request, ServerResponse& response) -> Status {
    response.Abort(request.query() == "reset");
    return {};
  });
  const auto server = StartOrDie(std::move(router));
  RawClient reset(server->address());
  ASSERT_TRUE(reset.Send(Get("/abort?reset")));
  EXPECT_EQ(reset.ReadAll(), "");
  EXPECT_TRUE(reset.was_reset());
  RawClient closed(server->address());
  ASSERT_TRUE(closed.Send(Get("/abort")));
  EXPECT_EQ(closed.ReadAll(), "");
  EXPECT_TRUE(closed.ended());
}

TEST(Server, RefusesMalformedHeaderFieldsOfHandlers) {
  Router router;
  router.Add("GET", "/", [](ServerRequest&, ServerResponse& response) {
    return response.Send(200, {{"X", "a\r\nSet-Cookie: b"}}, "");
  });
  router.Add("GET", "/nothing", [](ServerRequest&, ServerResponse&) { return Status(); });
  const auto server = StartOrDie(std::move(router));
  RawClient client(server->address());
  EXPECT_EQ(client.Ask(Get("/")).status, 500);
  EXPECT_EQ(client.Ask(Get("/nothing")).status, 500);
}

TEST(Server, DrainLetsRequestsEndAndClosesTheRest) {
  std::latch begun(1);
  Router router = BasicRouter();
  router.Add("GET", "/wait", [&](ServerRequest& request, ServerResponse& response) -> Status {
    begun.count_down();
    EXPECT_FALSE(request.context().Sleep(std::chrono::seconds(60)));  // until Stop
    return response.Send(200, {}, "finished");
  });
  const auto server = StartOrDie(std::move(router));
  RawClient idle(server->address());
  EXPECT_EQ(idle.Ask(Get("/hello")).status, 200);
  RawClient busy(server->address());
  ASSERT_TRUE(busy.Send(Get("/wait")));
  begun.wait();
  const std::jthread stopper([&] { server->Stop(); });
  const auto response = busy.ReadResponse();
  EXPECT_EQ(response.body, "finished");
  EXPECT_EQ(response.header("Connection"), "close");
  EXPECT_EQ(idle.ReadAll(), "");
  EXPECT_TRUE(idle.ended());
  EXPECT_EQ(busy.ReadAll(), "");
}

TEST(Server, RefusesConnectionsAfterStop) {
  const auto server = StartOrDie(BasicRouter());
  server->Stop();
  server->Stop();
  EXPECT_FALSE(RawClient(server->address()).connected());
  EXPECT_EQ(server->stats().connections_open, 0u);
}

TEST(Server, DrainCutsWhatDoesNotEndInTime) {
  std::latch begun(1);
  Router router;
  router.Add("GET", "/endless", [&](ServerRequest&, ServerResponse& response) -> Status {
    BDN_TRY(response.Begin(200, {}));
    begun.count_down();
    const std::string piece(1 << 20, 'x');
    while (true) BDN_TRY(response.Write(piece));
  });
  ServerOptions options;
  options.drain_timeout = milliseconds(100);
  const auto server = StartOrDie(std::move(router), options);
  RawClient client(server->address());
  ASSERT_TRUE(client.Send(Get("/endless")));
  begun.wait();
  server->Stop();  // returns
  EXPECT_EQ(server->stats().connections_open, 0u);
}

TEST(Server, TellsConnectionsOverTheLimit) {
  ServerOptions options;
  options.connections_max = 2;
  const auto server = StartOrDie(BasicRouter(), options);
  RawClient a(server->address());
  RawClient b(server->address());
  EXPECT_EQ(a.Ask(Get("/hello")).status, 200);
  EXPECT_EQ(b.Ask(Get("/hello")).status, 200);
  RawClient c(server->address());
  const auto refused = c.Ask(Get("/hello"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.body, HasSubstr("too many connections"));
  EXPECT_EQ(c.ReadAll(), "");
  EXPECT_EQ(a.Ask(Get("/hello")).status, 200);
}

TEST(Server, ServesOnUnixSocketsAndReplacesAStaleOne) {
  const os::testing::TempDir dir;
  ServerOptions options;
  options.listen = "unix:" + dir.path() + "/s";
  {
    // A server that died leaves its socket file behind.
    const int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    options.listen.copy(at.sun_path, sizeof at.sun_path - 1, 5);
    ASSERT_EQ(bind(stale, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    close(stale);
  }
  Router router;
  router.Add("GET", "/peer", [](ServerRequest& request, ServerResponse& response) {
    return response.Send(200, {}, request.peer());
  });
  const auto server = StartOrDie(std::move(router), options);
  EXPECT_EQ(server->address(), options.listen);
  EXPECT_EQ(RawClient(server->address()).Ask(Get("/peer")).body, "unix");
  const auto second = StartServer(options, Router());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kUnavailable);
}

TEST(Server, SaysWhatIsWrongWithAListenAddress) {
  for (const char* where : {"", "80", ":80", "localhost", "localhost:", "::1:80", "127.0.0.1:x",
                            "unix:", "127.0.0.1:99999"}) {
    const auto server = StartServer({.listen = where}, Router());
    ASSERT_FALSE(server) << where;
    EXPECT_EQ(server.error().code(), Code::kInvalidArgument) << where;
  }
  const auto server = StartOrDie(Router());
  const auto taken = StartServer({.listen = server->address()}, Router());
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), Code::kUnavailable);
}

TEST(Server, ListensOnIpv6) {
  auto server = StartServer({.listen = "[::1]:0"}, BasicRouter());
  if (!server) {  // a machine without IPv6
    EXPECT_EQ(server.error().code(), Code::kUnavailable);
    return;
  }
  EXPECT_THAT((*server)->base_url(), StartsWith("http://[::1]:"));
}

// --- bodies from files ---

class ServerFile : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    for (std::size_t i = 0; i < content_.size(); ++i) {
      content_[i] = static_cast<char>((i * 2654435761u) >> 13);
    }
    if (std::string_view(GetParam()) == "disk") {
      fs_ = *os::OpenRealFs(dir_.path());
    } else {
      fs_ = std::make_unique<os::testing::MemoryFs>();
    }
    file_ = *fs_->Open("f", os::OpenMode::kCreateNew, 0644);
    ASSERT_TRUE(file_->WriteAt(0, std::as_bytes(std::span("skipped", 7))));
    ASSERT_TRUE(file_->WriteAt(7, std::as_bytes(std::span(content_))));
    Router router;
    router.Add("GET", "/f", [this](ServerRequest& request, ServerResponse& response) {
      // "?long" promises more than the file has.
      const std::uint64_t size = content_.size() + (request.query() == "long" ? 1 : 0);
      return response.SendFile({{"X-A", "b"}}, {file_.get(), 7, size, "\"tag\""});
    });
    server_ = StartOrDie(std::move(router));
  }

  std::string content_ = std::string((9 << 20) + 123, '\0');
  os::testing::TempDir dir_;
  std::unique_ptr<os::Fs> fs_;
  std::unique_ptr<os::File> file_;
  std::unique_ptr<Server> server_;
};

TEST_P(ServerFile, ServesTheWholeAndItsRanges) {
  RawClient client(server_->address());
  const auto whole = client.Ask(Get("/f"));
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.header("ETag"), "\"tag\"");
  EXPECT_EQ(whole.header("X-A"), "b");
  EXPECT_EQ(whole.header("Accept-Ranges"), "bytes");
  EXPECT_EQ(whole.header("Content-Type"), "application/octet-stream");
  EXPECT_TRUE(whole.body == content_);
  const std::string size = std::to_string(content_.size());
  const auto part = client.Ask(Get("/f", "Range: bytes=100-3000099\r\n"));
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.header("Content-Range"), "bytes 100-3000099/" + size);
  EXPECT_TRUE(part.body == content_.substr(100, 3'000'000));
  const auto tail = client.Ask(Get("/f", "Range: bytes=-5\r\n"));
  EXPECT_EQ(tail.body, content_.substr(content_.size() - 5));
  const auto beyond = client.Ask(Get("/f", "Range: bytes=99999999-\r\n"));
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(beyond.header("Content-Range"), "bytes */" + size);
}

TEST_P(ServerFile, AnswersConditionsAndHead) {
  RawClient client(server_->address());
  const auto same = client.Ask(Get("/f", "If-None-Match: \"tag\"\r\n"));
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.header("ETag"), "\"tag\"");
  EXPECT_FALSE(same.header("Content-Length"));
  EXPECT_EQ(client.Ask(Get("/f", "If-Match: \"other\"\r\n")).status, 412);
  const auto head = client.Ask("HEAD /f HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Length"), std::to_string(content_.size()));
  const auto changed = client.Ask(Get("/f", "Range: bytes=0-0\r\nIf-Range: \"old\"\r\n"));
  EXPECT_EQ(changed.status, 200);
}

TEST_P(ServerFile, CutsTheConnectionWhenTheFileIsShort) {
  RawClient client(server_->address());
  ASSERT_TRUE(client.Send(Get("/f?long")));
  EXPECT_THAT(client.ReadThrough("\r\n\r\n"),
              HasSubstr("Content-Length: " + std::to_string(content_.size() + 1)));
  EXPECT_EQ(client.ReadAll().size(), content_.size());
}

TEST_P(ServerFile, ServesManyClientsAtOnce) {
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> clients;
    for (int c = 0; c < 8; ++c) {
      clients.emplace_back([&, c] {
        RawClient client(server_->address());
        for (int i = 0; i < 20; ++i) {
          const std::size_t begin = static_cast<std::size_t>(c * 500'000 + i * 10'007);
          const auto part = client.Ask(Get("/f", "Range: bytes=" + std::to_string(begin) + "-" +
                                                     std::to_string(begin + 99'999) + "\r\n"));
          if (part.body != content_.substr(begin, 100'000)) wrong += 1;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(Files, ServerFile, ::testing::Values("disk", "memory"), [](const auto& p) {
  return std::string(p.param);
});

}  // namespace
}  // namespace bdn::net
