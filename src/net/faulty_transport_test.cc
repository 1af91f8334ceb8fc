#include "net/testing/faulty_transport.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "net/testing/collecting_sink.h"
#include "net/testing/memory_transport.h"

namespace bdn::net {
namespace {

using namespace std::chrono_literals;
using testing::CollectingSink;
using testing::Fault;
using testing::FaultyTransport;
using testing::MemoryTransport;

class FaultyTransportTest : public ::testing::Test {
 protected:
  static HttpResponse Answer(const HttpRequest& request) {
    if (!request.headers.Has("Range")) {
      return {.status = 200, .headers = {{"Content-Length", "10"}}, .body = "0123456789"};
    }
    return {.status = 206,
            .headers = {{"Content-Length", "4"}, {"Content-Range", "bytes 2-5/10"}},
            .body = "2345"};
  }
  Status Fetch() {
    sink_ = {};
    return faulty_.Fetch(ctx_, request_, sink_);
  }

  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  MemoryTransport memory_{&Answer, 3};
  FaultyTransport faulty_{memory_};
  HttpRequest request_{.url = *ParseUrl("http://h/x?secret")};
  CollectingSink sink_;
};

TEST_F(FaultyTransportTest, BreaksTheChosenCallOnly) {
  faulty_.OnCall(1, Fault::Refuse());
  EXPECT_TRUE(Fetch());
  EXPECT_EQ(Fetch().error().code(), Code::kUnavailable);
  EXPECT_TRUE(sink_.heads.empty());
  EXPECT_TRUE(Fetch());
  EXPECT_EQ(sink_.body, "0123456789");
  EXPECT_EQ(faulty_.calls(), 3u);
  EXPECT_EQ(faulty_.fired(), 1u);
  EXPECT_EQ(memory_.calls(), 2u);
}

TEST_F(FaultyTransportTest, CutsAtEveryByte) {
  const std::string whole = "0123456789";
  for (std::size_t n = 0;; ++n) {
    FaultyTransport reset(memory_);
    reset.OnCall(0, Fault::ResetAfter(n));
    CollectingSink prefix;
    const Status status = reset.Fetch(ctx_, request_, prefix);
    EXPECT_EQ(prefix.body, whole.substr(0, n));
    if (reset.fired() == 0) {
      EXPECT_TRUE(status);
      EXPECT_EQ(n, whole.size());
      break;
    }
    EXPECT_EQ(status.error().code(), Code::kUnavailable);

    FaultyTransport truncate(memory_);
    truncate.OnCall(0, Fault::TruncateAfter(n));
    CollectingSink silent;
    EXPECT_TRUE(truncate.Fetch(ctx_, request_, silent));
    EXPECT_EQ(silent.body, whole.substr(0, n));
    EXPECT_FALSE(silent.heads.at(0).headers.Has("Content-Length"));
  }
}

TEST_F(FaultyTransportTest, FlipsOneByte) {
  faulty_.FromCall(0, Fault::FlipByte(4));
  EXPECT_TRUE(Fetch());
  EXPECT_EQ(sink_.body, "0123556789");
}

TEST_F(FaultyTransportTest, StallsForTheRequestsTimeout) {
  faulty_.OnCall(0, Fault::StallAfter(5));
  request_.limits.stall_timeout = 7s;
  const auto start = clock_.Monotonic();
  EXPECT_EQ(Fetch().error().code(), Code::kTimeout);
  EXPECT_EQ(sink_.body, "01234");
  EXPECT_EQ(clock_.Monotonic() - start, 7s);
}

TEST_F(FaultyTransportTest, LiesAboutRanges) {
  request_.headers = {{"Range", "bytes=2-5"}};
  faulty_.OnCall(0, Fault::WrongContentRange());
  faulty_.OnCall(1, Fault::IgnoreRange());
  EXPECT_TRUE(Fetch());
  EXPECT_EQ(sink_.heads.at(0).headers.Get("Content-Range"), "bytes 3-6/11");
  EXPECT_TRUE(Fetch());
  EXPECT_EQ(sink_.heads.at(0).status, 200);
  EXPECT_EQ(sink_.body, "0123456789");
  EXPECT_EQ(faulty_.fired(), 2u);
}

TEST_F(FaultyTransportTest, AnswersInTheServersPlace) {
  faulty_.OnCall(0, Fault::TooManyRequests(37s));
  faulty_.OnCall(1, Fault::ServiceUnavailable());
  faulty_.OnCall(2, Fault::ReplaceHeader("etag", "\"other\""));
  EXPECT_TRUE(Fetch());
  EXPECT_EQ(sink_.heads.at(0).status, 429);
  EXPECT_EQ(ParseRetryAfter(*sink_.heads.at(0).headers.Get("Retry-After"), clock_.Now()), 37s);
  EXPECT_TRUE(Fetch());
  EXPECT_EQ(sink_.heads.at(0).status, 503);
  EXPECT_TRUE(Fetch());
  EXPECT_EQ(sink_.heads.at(0).headers.Get("ETag"), "\"other\"");
  EXPECT_EQ(sink_.body, "0123456789");
}

TEST_F(FaultyTransportTest, ARedirectLoopMeetsTheCap) {
  faulty_.When([](const HttpRequest& r) { return r.url.path == "/x"; }, Fault::RedirectLoop());
  EXPECT_EQ(FetchFollowing(ctx_, faulty_, request_, {.hops_max = 4}, sink_).error().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(faulty_.calls(), 5u);
}

TEST_F(FaultyTransportTest, WhenCanBeLimited) {
  faulty_.When([](const HttpRequest&) { return true; }, Fault::Refuse(), 2);
  EXPECT_FALSE(Fetch());
  EXPECT_FALSE(Fetch());
  EXPECT_TRUE(Fetch());
}

TEST_F(FaultyTransportTest, TheSinksOwnErrorIsNotMistakenForAFault) {
  class Full final : public ResponseSink {
    Status OnHead(const ResponseHead&) override { return {}; }
    Status Write(std::span<const std::byte>) override {
      return Error(Code::kResourceExhausted, "disk full");
    }
  } full;
  faulty_.OnCall(0, Fault::TruncateAfter(5));
  EXPECT_EQ(faulty_.Fetch(ctx_, request_, full).error().code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace bdn::net
