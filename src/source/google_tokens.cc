#include "source/google_tokens.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/guarded.h"
#include "base/singleflight.h"

namespace bdn::source {
namespace {

// One token, shared and renewed.
class GoogleTokenCache {
 public:
  template <class F>
  Result<std::string> Get(const Context& ctx, F&& ask) {
    if (auto token = Find(ctx)) return *std::move(token);
    return asking_.Do(ctx, 0, [&](const Context& own) -> Result<std::string> {
      if (auto token = Find(own)) return *std::move(token);
      BDN_ASSIGN(cloud::GoogleToken token, ask(own));
      const Duration early = std::min<Duration>(kGoogleRenewBefore, token.life / 4);
      const MonoTime renew_at = own.clock().Monotonic() + token.life - early;
      kept_.With([&](std::optional<Kept>& kept) { kept = Kept{token.value, renew_at}; });
      return token.value;
    });
  }
  void Drop(std::string_view used) {
    kept_.With([&](std::optional<Kept>& kept) {
      if (kept && kept->value == used) kept.reset();
    });
  }

 private:
  struct Kept {
    std::string value;
    MonoTime renew_at{};
  };
  std::optional<std::string> Find(const Context& ctx) const {
    const MonoTime now = ctx.clock().Monotonic();
    return kept_.With([&](const std::optional<Kept>& kept) -> std::optional<std::string> {
      if (!kept || now >= kept->renew_at) return std::nullopt;
      return kept->value;
    });
  }
  Guarded<std::optional<Kept>> kept_;
  Singleflight<int, std::string> asking_;
};

// With retries, as for every other call.
template <class F>
auto GoogleRetrying(const Context& ctx, const GoogleTokenOptions& options, F&& call)
    -> std::invoke_result_t<F> {
  RetryBudget budget(options.retry, options.random);
  for (;;) {
    auto answer = call();
    if (answer) return answer;
    BDN_TRY(budget.Wait(ctx, answer.error()));
  }
}

class GoogleKeyTokens final : public GoogleTokens {
 public:
  GoogleKeyTokens(net::Transport& transport,
                  std::string token_url,
                  cloud::GcpServiceAccountKey key,
                  GoogleTokenOptions options)
      : transport_(transport),
        token_url_(std::move(token_url)),
        key_(std::move(key)),
        options_(std::move(options)) {}

  Result<std::string> Get(const Context& ctx) override {
    return cache_.Get(ctx, [&](const Context& own) {
      // Each try signs anew: an assertion is for now.
      return GoogleRetrying(
          own, options_, [&] { return cloud::RequestKeyToken(own, transport_, token_url_, key_); });
    });
  }
  void Refused(std::string_view used) override { cache_.Drop(used); }

 private:
  net::Transport& transport_;
  const std::string token_url_;
  const cloud::GcpServiceAccountKey key_;
  const GoogleTokenOptions options_;
  GoogleTokenCache cache_;
};

class GoogleRoleTokens final : public GoogleTokens {
 public:
  GoogleRoleTokens(net::Transport& transport,
                   cloud::GoogleEndpoints endpoints,
                   auth::IdentityTokens& identity,
                   cloud::GcpProvider provider,
                   std::string email,
                   GoogleTokenOptions options)
      : transport_(transport),
        endpoints_(std::move(endpoints)),
        identity_(identity),
        provider_(std::move(provider)),
        email_(std::move(email)),
        options_(std::move(options)) {}

  Result<std::string> Get(const Context& ctx) override {
    return cache_.Get(ctx, [&](const Context& own) { return Impersonate(own); });
  }
  void Refused(std::string_view used) override { cache_.Drop(used); }

 private:
  Result<cloud::GoogleToken> Impersonate(const Context& ctx) {
    for (bool again = false;; again = true) {
      BDN_ASSIGN(const std::string federated,
                 federated_.Get(ctx, [&](const Context& own) { return Exchange(own); }));
      auto token = GoogleRetrying(ctx, options_, [&] {
        return cloud::ImpersonateServiceAccount(ctx, transport_, endpoints_, email_, federated);
      });
      if (token || again || token.error().code() != Code::kUnauthenticated) return token;
      federated_.Drop(federated);
    }
  }

  // With a token for the issuer's own audience, which `bdn oidc show` has providers allow; else for
  // the provider's, which it expects when nobody set any.
  Result<cloud::GoogleToken> Exchange(const Context& ctx) {
    using Help = cloud::ExchangeHelp;
    bool to_provider = to_provider_.With([](bool value) { return value; });
    bool minted_again = false;
    bool switched = false;
    for (;;) {
      Help help = Help::kNone;
      auto token = GoogleRetrying(ctx, options_, [&]() -> Result<cloud::GoogleToken> {
        help = Help::kNone;
        BDN_ASSIGN(const std::string subject,
                   identity_.Mint(to_provider ? provider_.token_audience() : std::string()));
        return cloud::ExchangeToken(ctx, transport_, endpoints_, provider_, subject, &help);
      });
      if (token) to_provider_.With([&](bool& value) { value = to_provider; });
      if (help == Help::kFreshToken && !std::exchange(minted_again, true)) continue;
      if (help == Help::kOtherAudience && !std::exchange(switched, true)) {
        to_provider = !to_provider;
        continue;
      }
      return token;
    }
  }

  net::Transport& transport_;
  const cloud::GoogleEndpoints endpoints_;
  auth::IdentityTokens& identity_;
  const cloud::GcpProvider provider_;
  const std::string email_;
  const GoogleTokenOptions options_;
  Guarded<bool> to_provider_{false};  // which audience was taken last
  GoogleTokenCache federated_;
  GoogleTokenCache cache_;
};

}  // namespace

std::unique_ptr<GoogleTokens> MakeGoogleKeyTokens(net::Transport& transport,
                                                  std::string token_url,
                                                  cloud::GcpServiceAccountKey key,
                                                  GoogleTokenOptions options) {
  return std::make_unique<GoogleKeyTokens>(transport, std::move(token_url), std::move(key),
                                           std::move(options));
}

std::unique_ptr<GoogleTokens> MakeGoogleRoleTokens(net::Transport& transport,
                                                   cloud::GoogleEndpoints endpoints,
                                                   auth::IdentityTokens& identity,
                                                   cloud::GcpProvider provider,
                                                   std::string email,
                                                   GoogleTokenOptions options) {
  return std::make_unique<GoogleRoleTokens>(transport, std::move(endpoints), identity,
                                            std::move(provider), std::move(email),
                                            std::move(options));
}

}  // namespace bdn::source
