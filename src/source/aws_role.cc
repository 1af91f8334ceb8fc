#include "source/aws_role.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/guarded.h"
#include "base/log.h"
#include "base/singleflight.h"

namespace bdn::source {
namespace {

// Keys that end sooner are not given out any more: a request takes a moment.
constexpr Duration kUsableLeft = std::chrono::seconds(10);
constexpr Duration kRenewAgainAfter = std::chrono::seconds(30);

bool SameKeys(const auth::AwsCredentials& a, const auth::AwsCredentials& b) {
  return a.access_key_id == b.access_key_id && a.session_token == b.session_token;
}

class AwsRole final : public cloud::AwsCredentialsProvider {
 public:
  AwsRole(net::Transport& transport,
          auth::IdentityTokens& identity,
          cloud::StsRole role,
          AwsRoleOptions options)
      : transport_(transport),
        identity_(identity),
        role_(std::move(role)),
        options_(std::move(options)) {}

  Result<auth::AwsCredentials> Get(const Context& ctx) override {
    BDN_TRY(ctx.Check());
    if (const auto fresh = FreshAt(ctx.clock().Monotonic())) return *fresh;
    return flights_.Do(ctx, 0, [this](const Context& own) { return Renew(own); });
  }

  bool Refused(const auth::AwsCredentials& used) override {
    held_.With([&](std::optional<Held>& held) {
      if (held && SameKeys(held->keys, used)) held.reset();
    });
    return true;
  }

 private:
  struct Held {
    auth::AwsCredentials keys;
    MonoTime renew_at;
    MonoTime ends_at;
  };

  std::optional<auth::AwsCredentials> FreshAt(MonoTime now) const {
    return held_.With([&](const std::optional<Held>& held) {
      return held && now < held->renew_at ? std::optional(held->keys) : std::nullopt;
    });
  }
  // The old keys where they are still good; the next exchange then waits a little.
  std::optional<auth::AwsCredentials> KeepAt(MonoTime now) {
    return held_.With([&](std::optional<Held>& held) -> std::optional<auth::AwsCredentials> {
      if (!held || now + kUsableLeft >= held->ends_at) return std::nullopt;
      held->renew_at = now + kRenewAgainAfter;
      return held->keys;
    });
  }

  Result<auth::AwsCredentials> Renew(const Context& ctx) {
    // Whoever waited for the exchange of another finds its keys here.
    if (const auto fresh = FreshAt(ctx.clock().Monotonic())) return *fresh;
    RetryBudget budget(options_.retry, options_.random);
    bool token_replaced = false;
    for (;;) {
      BDN_ASSIGN(const std::string token, identity_.Mint(""));
      const MonoTime asked = ctx.clock().Monotonic();
      Duration life{0};
      auto keys = cloud::AssumeRoleWithWebIdentity(ctx, transport_, role_, token, &life);
      if (keys && life <= kUsableLeft) {
        keys = Error(Code::kUnavailable, "STS gave keys that have ended already");
      }
      if (keys) {
        const MonoTime ends = asked + life;
        const MonoTime renew = ends - std::min(kAwsKeysRefreshBefore, life / 2);
        held_.With([&](std::optional<Held>& held) { held = Held{keys->credentials, renew, ends}; });
        return std::move(keys->credentials);
      }
      if (keys.error().code() == Code::kUnauthenticated && !token_replaced) {
        token_replaced = true;
        continue;
      }
      if (const auto old = KeepAt(ctx.clock().Monotonic())) {
        log::Warn("keys of an AWS role are not renewed yet", {{"why", keys.error().message()}});
        return *old;
      }
      BDN_TRY(budget.Wait(ctx, keys.error()));
    }
  }

  net::Transport& transport_;
  auth::IdentityTokens& identity_;
  const cloud::StsRole role_;
  const AwsRoleOptions options_;
  mutable Guarded<std::optional<Held>> held_;
  Singleflight<int, auth::AwsCredentials> flights_;
};

}  // namespace

Result<std::shared_ptr<cloud::AwsCredentialsProvider>> MakeAwsRole(net::Transport& transport,
                                                                   auth::IdentityTokens& identity,
                                                                   cloud::StsRole role,
                                                                   AwsRoleOptions options) {
  BDN_TRY(cloud::CheckStsRole(role));
  return std::shared_ptr<cloud::AwsCredentialsProvider>(
      std::make_shared<AwsRole>(transport, identity, std::move(role), std::move(options)));
}

}  // namespace bdn::source
