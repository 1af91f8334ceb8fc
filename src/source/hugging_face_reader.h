#pragma once
// Reading ranges of files at a commit of the Hub: the retries, redirects, signed addresses and
// checks behind HuggingFaceSource::Read. Internal to hugging_face*.cc.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/context.h"
#include "base/guarded.h"
#include "base/singleflight.h"
#include "cloud/hugging_face_hub.h"
#include "net/http.h"
#include "source/rate_limiter.h"
#include "source/retry.h"
#include "source/source.h"

namespace bdn::source {

// The names of the Hub's own request budgets.
inline constexpr std::string_view kHubApiBucket = "api";
inline constexpr std::string_view kHubResolverBucket = "resolvers";

// Tells the limiter what an answer of the Hub said about the budget.
void ObserveHub(const Context& ctx,
                RateLimiter& limiter,
                std::string_view bucket,
                const std::optional<cloud::HubRateLimit>& window);

// What one Read is about, and how far it came. Lives on the stack of Read.
struct HubTransfer {
  const cloud::HubRepo& repo;
  const std::string& sha;
  const RemoteFile& file;
  const ByteSink& sink;
  std::uint64_t pos = 0;  // the next byte that the sink gets
  std::uint64_t end = 0;

  cloud::HubCall call() const { return {cloud::HubStep::kRead, repo, sha, file.path}; }
};

// Thread-safe; one per source, so that the ranges of a file share its signed address.
class HuggingFaceReader {
 public:
  HuggingFaceReader(const cloud::HubClient& hub,
                    net::Transport& transport,
                    RateLimiters& limiters,
                    std::shared_ptr<RateLimiter> hub_limiter,
                    const RetryOptions& retry,
                    const UnitRandom& random)
      : hub_(hub),
        transport_(transport),
        limiters_(limiters),
        hub_limiter_(std::move(hub_limiter)),
        retry_(retry),
        random_(random) {}

  Status Read(const Context& ctx, HubTransfer& transfer);

 private:
  // Where a file's bytes are: a storage host's signed address, or the Hub itself.
  struct Target {
    net::HttpRequest request;  // without Range
    std::uint64_t generation = 0;
    std::optional<WallTime> renew_at;
  };
  using TargetPtr = std::shared_ptr<const Target>;

  // How one attempt ended, when not well.
  struct Failure {
    Error error;
    // kRetry: as RetryBudget decides. kRefused: the storage host did not take the address; ask the
    // Hub for another. kFinal: nothing helps.
    enum class Kind : std::uint8_t { kRetry, kRefused, kFinal } kind = Kind::kRetry;
  };
  using Attempt = std::optional<Failure>;  // nullopt: every byte was delivered

  Attempt TryOnce(const Context& ctx, HubTransfer& transfer, std::uint64_t* generation);
  Attempt TryHops(const Context& ctx, HubTransfer& transfer, net::HttpRequest request);
  Result<TargetPtr> Locate(const Context& ctx, const HubTransfer& transfer, std::uint64_t stale);
  Result<TargetPtr> AskForTarget(const Context& ctx, const HubTransfer& transfer);
  Attempt StorageFailure(const Context& ctx,
                         const HubTransfer& transfer,
                         const net::HttpRequest& request,
                         const net::ResponseHead& head,
                         std::string_view body) const;

  struct Targets {
    std::map<std::string, TargetPtr> by_key;
    std::uint64_t next_generation = 1;
  };
  TargetPtr FindTarget(const Context& ctx, const std::string& key, std::uint64_t stale) const;
  TargetPtr KeepTarget(const Context& ctx, const std::string& key, net::HttpRequest request);

  const cloud::HubClient& hub_;
  net::Transport& transport_;
  RateLimiters& limiters_;
  const std::shared_ptr<RateLimiter> hub_limiter_;
  const RetryOptions& retry_;
  const UnitRandom& random_;
  Guarded<Targets> targets_;
  Singleflight<std::string, TargetPtr> locating_;
};

}  // namespace bdn::source
