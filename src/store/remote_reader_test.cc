#include "store/remote_reader.h"

#include <string>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "codec/zstd.h"
#include "crypto/blake3.h"
#include "net/testing/faulty_transport.h"
#include "net/testing/memory_transport.h"

namespace bdn::store {
namespace {

using net::testing::Fault;

class RemoteReaderTest : public ::testing::Test {
 protected:
  RemoteReaderTest() {
    for (int i = 0; i < 1000; ++i) plain += static_cast<char>('a' + i * i % 26);
    stored = plain;
    digest = crypto::Blake3Of(plain);
    type = ContentType(ObjectKind::kChunk, false);
    reader = MakeRemoteReader(
        faulty,
        [this](const Context&, const Scope& scope, bool refresh) -> Result<std::string> {
          EXPECT_EQ(scope, (Scope{"org", "ns"}));
          if (refresh) ++refreshed;
          return "token-" + std::to_string(refreshed);
        },
        [] { return 0.5; }, {.base_url = "http://tier", .attempts_max = 4});
  }

  // The tier above: one object, ranges, an entity tag, tokens below `good_token` refused.
  Result<net::HttpResponse> Serve(const net::HttpRequest& request) {
    const std::string shown(request.headers.Get("Authorization").value_or(""));
    if (!shown.starts_with("Bearer token-") || std::stoi(shown.substr(13)) < good_token) {
      return net::HttpResponse{.status = 401, .headers = {}, .body = "who are you"};
    }
    if (request.url.path != "/" + FullKey({"org", "ns"}, digest)) {
      return net::HttpResponse{.status = 404, .headers = {}, .body = ""};
    }
    net::HttpResponse response{.status = 200, .headers = {{"Content-Type", type}}, .body = stored};
    if (const auto range = request.headers.Get("Range")) {
      EXPECT_EQ(request.headers.Get("If-Match"), "\"" + digest.ToString() + "\"");
      const std::size_t from = std::stoul(std::string(range->substr(6)));
      if (from >= stored.size()) return net::HttpResponse{.status = 416, .headers = {}, .body = ""};
      response.status = 206;
      response.body = stored.substr(from);
      response.headers.Add("Content-Range", "bytes " + std::to_string(from) + "-" +
                                                std::to_string(stored.size() - 1) + "/" +
                                                std::to_string(stored.size()));
    }
    response.headers.Add("Content-Length", std::to_string(response.body.size()));
    return response;
  }
  Status Get(ObjectKind kind = ObjectKind::kChunk) {
    got.clear();
    return reader->Get(ctx, {"org", "ns"}, kind, digest, [&](std::span<const std::byte> bytes) {
      got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return Status();
    });
  }
  void ExpectWhole() {
    const Status status = Get();
    EXPECT_TRUE(status) << status.error().message();
    EXPECT_EQ(got, plain);
  }
  void ExpectFails(Code code, ObjectKind kind = ObjectKind::kChunk) {
    const Status status = Get(kind);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), code) << status.error().message();
  }

  bdn::testing::ManualClock clock;
  const Context ctx{clock};
  std::string plain;
  std::string stored;
  std::string type;
  std::string got;
  crypto::Digest digest;
  int good_token = 0;
  int refreshed = 0;
  net::testing::MemoryTransport tier{[this](const net::HttpRequest& r) { return Serve(r); }, 100};
  net::testing::FaultyTransport faulty{tier};
  std::unique_ptr<ObjectReader> reader;
};

TEST_F(RemoteReaderTest, ReadsAndVerifiesAnObject) {
  ExpectWhole();
  EXPECT_EQ(tier.calls(), 1u);
}

TEST_F(RemoteReaderTest, ReadsWhatRestsCompressed) {
  stored = codec::ZstdCompress(plain);
  type = ContentType(ObjectKind::kChunk, true);
  faulty.OnCall(0, Fault::ResetAfter(5));
  ExpectWhole();
}

TEST_F(RemoteReaderTest, ResumesWhereAConnectionBrokeWhereverItDid) {
  for (std::uint64_t at = 0; at <= plain.size(); at += 50) {
    SCOPED_TRACE(at);
    faulty.When([n = 0](const net::HttpRequest&) mutable { return n++ == 0; },
                Fault::ResetAfter(at), 1);
    ExpectWhole();
    if (at > 0 && at < plain.size()) {
      EXPECT_EQ(tier.requests().back().headers.Get("Range"), "bytes=" + std::to_string(at) + "-");
    }
  }
}

TEST_F(RemoteReaderTest, ManyBreaksWithProgressEachAreFine) {
  faulty.FromCall(0, Fault::ResetAfter(150));
  ExpectWhole();
  EXPECT_EQ(tier.calls(), 7u);
}

TEST_F(RemoteReaderTest, ATierThatIsGoneIsGivenUpAfterTheAttempts) {
  faulty.FromCall(0, Fault::Refuse());
  ExpectFails(Code::kUnavailable);
  EXPECT_EQ(faulty.calls(), 4u);
  EXPECT_EQ(clock.sleeps().size(), 3u);
}

TEST_F(RemoteReaderTest, WaitsAsLongAsTheTierAsks) {
  faulty.OnCall(0, Fault::TooManyRequests(std::chrono::seconds(20)));
  ExpectWhole();
  ASSERT_EQ(clock.sleeps().size(), 1u);
  EXPECT_GE(clock.sleeps()[0], std::chrono::seconds(20));
}

TEST_F(RemoteReaderTest, ARefusedTokenIsRenewedOnceAlsoInTheMiddle) {
  good_token = 1;
  ExpectWhole();
  EXPECT_EQ(refreshed, 1);
  faulty.OnCall(faulty.calls(), Fault::ResetAfter(300));
  faulty.OnCall(faulty.calls() + 1, Fault::Respond(401));
  ExpectWhole();
  EXPECT_EQ(refreshed, 2);
  good_token = 1000;
  ExpectFails(Code::kUnauthenticated);
}

TEST_F(RemoteReaderTest, AnotherKindIsRefused) {
  ExpectFails(Code::kCorrupt, ObjectKind::kManifest);
  EXPECT_TRUE(got.empty());
  type = "text/html";
  ExpectFails(Code::kUnsupported);
}

TEST_F(RemoteReaderTest, FlippedBytesAreNeverASuccess) {
  for (std::uint64_t at = 0; at < plain.size(); at += 111) {
    faulty.When([](const net::HttpRequest&) { return true; }, Fault::FlipByte(at), 1);
    ExpectFails(Code::kCorrupt);
    ExpectWhole();
  }
}

TEST_F(RemoteReaderTest, ATruncatedObjectIsNotWhole) {
  faulty.OnCall(0, Fault::TruncateAfter(400));
  ExpectFails(Code::kCorrupt);  // no length: nothing to believe
  stored.resize(400);           // a length, and fewer bytes than the digest's
  ExpectFails(Code::kCorrupt);
}

TEST_F(RemoteReaderTest, ATooLongObjectIsNotWhole) {
  stored += "more";
  ExpectFails(Code::kCorrupt);
}

TEST_F(RemoteReaderTest, ALengthOrCodingThatChangesInTheMiddleIsCorrupt) {
  faulty.OnCall(0, Fault::ResetAfter(300));
  faulty.OnCall(1, Fault::ReplaceHeader("Content-Range", "bytes 300-1000/1001"));
  ExpectFails(Code::kCorrupt);
  faulty.OnCall(2, Fault::ResetAfter(300));
  faulty.OnCall(3, Fault::ReplaceHeader("Content-Type", ContentType(ObjectKind::kChunk, true)));
  ExpectFails(Code::kCorrupt);
}

TEST_F(RemoteReaderTest, AWrongRangeOrNoneIsTriedAgain) {
  faulty.OnCall(0, Fault::ResetAfter(300));
  faulty.OnCall(1, Fault::WrongContentRange());
  faulty.OnCall(2, Fault::IgnoreRange());
  ExpectWhole();
}

TEST_F(RemoteReaderTest, WhatIsNotThereIsNotFoundAtOnce) {
  digest = crypto::Blake3Of(std::string_view("other"));
  const crypto::Digest asked = crypto::Blake3Of(std::string_view("absent"));
  const Status status = reader->Get(ctx, {"org", "ns"}, ObjectKind::kChunk, asked,
                                    [](std::span<const std::byte>) { return Status(); });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kNotFound);
  EXPECT_EQ(tier.calls(), 1u);
}

// Breaks after the last byte of the body.
class LateReset final : public net::Transport {
 public:
  explicit LateReset(net::Transport& inner) : inner_(inner) {}
  Status Fetch(const Context& ctx,
               const net::HttpRequest& request,
               net::ResponseSink& sink) override {
    BDN_TRY(inner_.Fetch(ctx, request, sink));
    return Error(Code::kUnavailable, "reset");
  }

 private:
  net::Transport& inner_;
};

TEST_F(RemoteReaderTest, ABreakAfterTheLastByteTakesNothingAway) {
  LateReset late(tier);
  const auto careful = MakeRemoteReader(
      late, [](const Context&, const Scope&, bool) -> Result<std::string> { return "token-0"; },
      [] { return 0.5; }, {.base_url = "http://tier"});
  std::string bytes;
  const Status status = careful->Get(
      ctx, {"org", "ns"}, ObjectKind::kChunk, digest, [&](std::span<const std::byte> piece) {
        bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        return Status();
      });
  EXPECT_TRUE(status) << status.error().message();
  EXPECT_EQ(bytes, plain);
  EXPECT_EQ(tier.calls(), 1u);
}

TEST_F(RemoteReaderTest, AStoppedCallerStopsTheRetries) {
  faulty.FromCall(0, Fault::ServiceUnavailable());
  std::stop_source stop;
  stop.request_stop();
  const Status status =
      reader->Get(ctx.WithStop(stop.get_token()), {"org", "ns"}, ObjectKind::kChunk, digest,
                  [](std::span<const std::byte>) { return Status(); });
  EXPECT_EQ(status.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace bdn::store
