#pragma once
// What the tests of hf:// share: a hub in memory, a clock that stands, and short words.
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "source/source_factory.h"
#include "source/testing/memory_hub.h"
#include "source/testing/source_conformance.h"

namespace bdn::source::testing {

class HubTest : public ::testing::Test {
 protected:
  void Start(MemoryHubOptions options = {}, std::optional<std::string> secret = std::nullopt) {
    hub_ = std::make_unique<MemoryHub>(clock_, options);
    options_ = options;
    source_ = Make(std::move(secret));
  }
  std::unique_ptr<Source> Make(std::optional<std::string> secret, std::string revision = "") {
    model::SourceUri uri;
    uri.scheme = model::Scheme::kHf;
    uri.repo_kind = options_.kind;
    uri.owner = "owner";
    uri.repo = "name";
    uri.revision = std::move(revision);
    uri.text = "hf://owner/name";
    auto made = MakeSource(uri, {.secret = std::move(secret)},
                           {.transport = hub_->transport(),
                            .limiters = limiters_,
                            .hf_endpoint = options_.endpoint,
                            .random = [] { return 0.0; }});
    EXPECT_TRUE(made) << (made ? "" : made.error().message());
    return made ? *std::move(made) : nullptr;
  }
  Pin MustResolve() {
    auto pin = source_->Resolve(ctx_);
    EXPECT_TRUE(pin) << (pin ? "" : pin.error().message());
    return pin ? *pin : Pin{};
  }
  std::vector<RemoteFile> MustList(const Pin& pin) {
    auto files = source_->List(ctx_, pin);
    EXPECT_TRUE(files) << (files ? "" : files.error().message());
    return files ? *files : std::vector<RemoteFile>{};
  }
  // Publishes one LFS file and pins it.
  void PinLfs(const std::string& content) {
    hub_->PublishLfs("m.bin", content);
    pin_ = MustResolve();
    files_ = MustList(pin_);
    ASSERT_EQ(files_.size(), 1u);
  }
  void PinSmall(const std::string& content) {
    hub_->Publish("config.json", content);
    pin_ = MustResolve();
    files_ = MustList(pin_);
    ASSERT_EQ(files_.size(), 1u);
  }
  Result<std::string> Read(net::ByteRange range) {
    partial_.clear();
    return ReadRange(ctx_, *source_, pin_, files_[0], range, &partial_);
  }
  Result<std::string> ReadAll() { return Read({0, files_[0].size}); }
  Duration Slept() const {
    const auto sleeps = clock_.sleeps();
    return std::accumulate(sleeps.begin(), sleeps.end(), Duration{});
  }
  std::size_t calls() { return hub_->transport().calls(); }

  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  RateLimiters limiters_;
  MemoryHubOptions options_;
  std::unique_ptr<MemoryHub> hub_;
  std::unique_ptr<Source> source_;
  Pin pin_;
  std::vector<RemoteFile> files_;
  std::string partial_;  // what the last Read delivered, also on failure
};

inline bool Has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace bdn::source::testing
