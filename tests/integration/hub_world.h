#pragma once
// The stand-in for the Hub on real sockets and the real hf:// source over libcurl before it. Time
// goes by as it does, but nobody waits: a back-off moves the clock and returns.
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/guarded.h"
#include "fakes/hub_fake.h"
#include "model/source_uri.h"
#include "net/curl_transport.h"
#include "source/content_verifier.h"
#include "source/source_factory.h"
#include "source/testing/pattern_bytes.h"

namespace bdn::integration {

using source::testing::PatternBytes;

class ImpatientClock final : public Clock {
 public:
  WallTime Now() const override { return RealClock().Now() + skipped(); }
  MonoTime Monotonic() const override { return RealClock().Monotonic() + skipped(); }
  bool SleepFor(std::stop_token stop, Duration wait) const override {
    if (stop.stop_requested()) return false;
    skipped_.With([&](Duration& skipped) { skipped += wait; });
    return true;
  }
  // The sum of all waits.
  Duration skipped() const {
    return skipped_.With([](const Duration& skipped) { return skipped; });
  }

 private:
  mutable Guarded<Duration> skipped_{Duration{0}};
};

// Every request gives up after a silence of `stall_timeout`.
class StallLimit final : public net::Transport {
 public:
  StallLimit(std::unique_ptr<net::Transport> inner, Duration stall_timeout)
      : inner_(std::move(inner)), stall_timeout_(stall_timeout) {}
  Status Fetch(const Context& ctx,
               const net::HttpRequest& request,
               net::ResponseSink& sink) override {
    net::HttpRequest hasty = request;
    hasty.limits.stall_timeout = stall_timeout_;
    return inner_->Fetch(ctx, hasty, sink);
  }

 private:
  std::unique_ptr<net::Transport> inner_;
  const Duration stall_timeout_;
};

class HubWorld : public ::testing::Test {
 protected:
  static constexpr std::string_view kToken = "hf_reader";

  void Start(fakes::HubFakeOptions options = {}) {
    if (options.tokens.empty()) options.tokens = {{std::string(kToken)}};
    auto hub = fakes::HubFake::Start(std::move(options));
    ASSERT_TRUE(hub) << hub.error().message();
    hub_ = *std::move(hub);
    ASSERT_TRUE(hub_->AddRepository({.id = "owner/name"}));
    source_ = MakeSource(std::string(kToken));
  }
  net::CurlTransportOptions TransportOptions() const {
    return {.addresses = *net::AddressPolicy::WithAllowed({"127.0.0.1"}), .ca_file = ca_file_};
  }
  std::unique_ptr<source::Source> MakeSource(std::optional<std::string> secret,
                                             const std::string& uri = "hf://owner/name") {
    if (!transport_) {
      transport_ =
          std::make_unique<StallLimit>(net::MakeCurlTransport(TransportOptions()), stall_timeout_);
    }
    const auto parsed = model::ParseSourceUri(uri);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message());
    auto made = source::MakeSource(
        *parsed, {.secret = std::move(secret)},
        {.transport = *transport_, .limiters = limiters_, .hf_endpoint = hub_->url(), .random = [] {
           return 0.5;
         }});
    EXPECT_TRUE(made) << (made ? "" : made.error().message());
    return made ? *std::move(made) : nullptr;
  }

  // Commits one file, pins and lists. "m.bin" is an LFS object, "config.json" is not.
  void Publish(const std::string& path, const std::string& content) {
    Commit({{path, content}});
    Pin();
    ASSERT_EQ(files_.size(), 1u);
  }
  std::string Commit(const std::map<std::string, std::string>& files,
                     const std::string& branch = "main") {
    fakes::HubCommit commit{.branch = branch};
    for (const auto& [path, content] : files) commit.files[path] = fakes::MakeContent(content);
    const auto sha = hub_->Commit("models", "owner/name", std::move(commit));
    EXPECT_TRUE(sha) << (sha ? "" : sha.error().message());
    return sha ? *sha : std::string();
  }
  void Pin() {
    const auto pin = source_->Resolve(ctx_);
    ASSERT_TRUE(pin) << pin.error().message();
    pin_ = *pin;
    auto files = source_->List(ctx_, pin_);
    ASSERT_TRUE(files) << files.error().message();
    files_ = *std::move(files);
  }
  // The bytes of a range; what came before an error is in `partial_`.
  Result<std::string> Read(const source::RemoteFile& file, net::ByteRange range) {
    partial_.clear();
    BDN_TRY(source_->Read(ctx_, pin_, file, range, [&](std::span<const std::byte> piece) -> Status {
      partial_.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      return {};
    }));
    return partial_;
  }
  Result<std::string> ReadAll() { return Read(files_.at(0), {0, files_.at(0).size}); }
  void ExpectContent(const std::string& content) {
    const auto bytes = ReadAll();
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_TRUE(*bytes == content) << "other bytes than published";
  }
  // No secret in an error: neither the token nor a signed address.
  void ExpectError(const Error& error, Code code, std::string_view says) {
    const std::string& text = error.message();
    EXPECT_EQ(error.code(), code) << text;
    EXPECT_NE(text.find(says), text.npos) << text;
    EXPECT_EQ(text.find("Signature"), text.npos) << text;
    EXPECT_EQ(text.find(kToken), text.npos) << text;
  }
  void ExpectReadFails(net::ByteRange range, Code code, std::string_view says) {
    const auto bytes = Read(files_.at(0), range);
    ASSERT_FALSE(bytes);
    ExpectError(bytes.error(), code, says);
  }
  void ExpectResolveFails(Code code, std::string_view says) {
    const auto pin = source_->Resolve(ctx_);
    ASSERT_FALSE(pin);
    ExpectError(pin.error(), code, says);
  }

  // Requests to "hub" or "cdn" whose path has `part`.
  std::size_t Count(std::string_view server, std::string_view part = "") const {
    return hub_->log().CountIf([&](const fakes::LogEntry& e) {
      return e.server == server && e.path.find(part) != std::string::npos;
    });
  }
  bool TokenLeaked() const {
    return hub_->log().CountIf(
               [](const fakes::LogEntry& e) { return e.server == "cdn" && e.authorization; }) > 0;
  }
  std::uint64_t CdnBytes() const {
    const auto entries = hub_->log().entries();
    return std::accumulate(entries.begin(), entries.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const fakes::LogEntry& e) {
                             return e.server == "cdn" ? sum + e.bytes : sum;
                           });
  }
  void TearDown() override {
    if (hub_) {
      EXPECT_FALSE(TokenLeaked()) << "the storage host saw the token";
    }
  }

  ImpatientClock clock_;
  Context ctx_{clock_};
  source::RateLimiters limiters_;
  std::string ca_file_;
  // Long, so that a busy machine is not taken for a silent host; tests of stalls shorten it.
  Duration stall_timeout_ = std::chrono::seconds(20);
  std::unique_ptr<fakes::HubFake> hub_;
  std::unique_ptr<net::Transport> transport_;
  std::unique_ptr<source::Source> source_;
  source::Pin pin_;
  std::vector<source::RemoteFile> files_;
  std::string partial_;
};

}  // namespace bdn::integration
