#include "source/https_stream.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "source/testing/pattern_bytes.h"

namespace bdn::source::testing {
namespace {

// A body that counts how often it was opened, and may break off.
class StreamBody {
 public:
  explicit StreamBody(std::string content) : content_(std::move(content)) {}
  HttpsStream::Open open() {
    return [this](const Context& ctx, const ByteSink& sink) -> Status {
      ++opened;
      for (std::size_t at = 0; at < content_.size(); at += 1000) {
        BDN_TRY(ctx.Check());
        if (at >= breaks_at && opened <= breaks) return Error(Code::kUnavailable, "broken");
        const auto piece = std::string_view(content_).substr(at, 1000);
        BDN_TRY(sink(std::as_bytes(std::span(piece))));
      }
      return {};
    };
  }
  const std::string& content() const { return content_; }

  std::atomic<int> opened = 0;
  int breaks = 0;
  std::size_t breaks_at = 0;

 private:
  const std::string content_;
};

struct StreamGot {
  Status status;
  std::string bytes;
  std::uint64_t pos = 0;
  bool final = false;
};

StreamGot StreamReadOf(HttpsStream& stream,
                       const Context& ctx,
                       std::uint64_t begin,
                       std::uint64_t end) {
  StreamGot got{.pos = begin};
  got.status = stream.Read(
      ctx, &got.pos, end,
      [&](std::span<const std::byte> piece) {
        got.bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        return Status();
      },
      &got.final);
  return got;
}

class HttpsStreamTest : public ::testing::Test {
 protected:
  Context ctx_{RealClock()};
  StreamBody body_{PatternBytes(100'500, 1)};
};

TEST_F(HttpsStreamTest, RangesOneAfterTheOtherShareABody) {
  HttpsStream stream(body_.open());
  std::string all;
  for (std::uint64_t at = 0; at < 100'500; at += 7'777) {
    const auto got = StreamReadOf(stream, ctx_, at, std::min<std::uint64_t>(at + 7'777, 100'500));
    ASSERT_TRUE(got.status) << got.status.error().message();
    all += got.bytes;
  }
  EXPECT_EQ(all, body_.content());
  EXPECT_EQ(body_.opened, 1);
}

TEST_F(HttpsStreamTest, ReadersInAnyOrderAtTheSameTimeGetTheirOwn) {
  HttpsStream stream(body_.open());
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> readers;
    for (std::uint64_t i = 10; i-- > 0;) {
      readers.emplace_back([&, i] {
        const auto got = StreamReadOf(stream, ctx_, i * 10'000, (i + 1) * 10'000);
        if (!got.status || got.bytes != body_.content().substr(i * 10'000, 10'000)) ++wrong;
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

TEST_F(HttpsStreamTest, WhoComesLateWaitsForTheNextBody) {
  HttpsStream stream(body_.open());
  EXPECT_EQ(StreamReadOf(stream, ctx_, 50'000, 60'000).bytes,
            body_.content().substr(50'000, 10'000));
  EXPECT_EQ(StreamReadOf(stream, ctx_, 100, 200).bytes, body_.content().substr(100, 100));
  EXPECT_EQ(body_.opened, 2);
}

TEST_F(HttpsStreamTest, AFaultIsTheReadersAndTheNextReadBeginsAnew) {
  body_.breaks = 1;
  body_.breaks_at = 5'000;
  HttpsStream stream(body_.open());
  auto got = StreamReadOf(stream, ctx_, 2'000, 20'000);
  ASSERT_FALSE(got.status);
  EXPECT_EQ(got.status.error().code(), Code::kUnavailable);
  EXPECT_FALSE(got.final);
  EXPECT_EQ(got.pos, 5'000u);
  const auto rest = StreamReadOf(stream, ctx_, got.pos, 20'000);
  ASSERT_TRUE(rest.status);
  EXPECT_EQ(got.bytes + rest.bytes, body_.content().substr(2'000, 18'000));
}

TEST_F(HttpsStreamTest, TheErrorOfOneSinkIsItsOwn) {
  HttpsStream stream(body_.open());
  std::uint64_t pos = 0;
  bool final = false;
  const Status status = stream.Read(
      ctx_, &pos, 10'000,
      [](std::span<const std::byte>) -> Status { return Error(Code::kResourceExhausted, "full"); },
      &final);
  ASSERT_FALSE(status);
  EXPECT_TRUE(final);
  EXPECT_EQ(status.error().code(), Code::kResourceExhausted);
  EXPECT_EQ(StreamReadOf(stream, ctx_, 20'000, 30'000).bytes,
            body_.content().substr(20'000, 10'000));
  EXPECT_EQ(body_.opened, 1);
}

TEST_F(HttpsStreamTest, AReaderThatIsCancelledLeavesAndTheStreamEndsWithItsOwner) {
  std::stop_source stop;
  const Context cancelled = ctx_.WithStop(stop.get_token());
  HttpsStream stream([&](const Context& ctx, const ByteSink&) -> Status {
    stop.request_stop();
    while (ctx.Check()) std::this_thread::yield();
    return ctx.Check();
  });
  const auto got = StreamReadOf(stream, cancelled, 0, 10);
  ASSERT_FALSE(got.status);
  EXPECT_EQ(got.status.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace bdn::source::testing
