#include "control/oidc_issuer.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "auth/jwt.h"
#include "auth/oidc_documents.h"
#include "base/log.h"
#include "crypto/digest.h"
#include "crypto/hash.h"

namespace bdn::control {
namespace {

constexpr std::size_t kTokenIdBytes = 16;

std::string SealName(const std::string& kid) {
  return "oidc-key/" + kid;
}

Status CheckAudience(std::string_view audience) {
  const bool plain = std::all_of(audience.begin(), audience.end(),
                                 [](char c) { return c > 0x20 && c < 0x7f && c != '"'; });
  if (!audience.empty() && audience.size() <= kAudienceBytesMax && plain) return {};
  return Error(
      Code::kInvalidArgument,
      fmt::format("an audience is 1 to {} printable characters without blanks", kAudienceBytesMax));
}

}  // namespace

class OidcIssuer::WorkloadTokens final : public auth::IdentityTokens {
 public:
  WorkloadTokens(OidcIssuer& issuer, auth::Workload workload)
      : issuer_(issuer), workload_(std::move(workload)) {}
  Result<std::string> Mint(std::string_view audience) override {
    BDN_ASSIGN(Token token, issuer_.Mint(workload_, audience));
    return std::move(token.text);
  }

 private:
  OidcIssuer& issuer_;
  const auth::Workload workload_;
};

OidcIssuer::OidcIssuer(store::Metadata& metadata,
                       store::SecretVault& vault,
                       const Clock& clock,
                       OidcOptions options)
    : metadata_(metadata), vault_(vault), clock_(clock), options_(std::move(options)) {}

Result<std::unique_ptr<OidcIssuer>> OidcIssuer::Make(store::Metadata& metadata,
                                                     store::SecretVault& vault,
                                                     const Clock& clock,
                                                     OidcOptions options) {
  BDN_TRY(auth::CheckIssuer(options.issuer));
  if (options.audience.empty()) options.audience = auth::IssuerName(options.issuer);
  BDN_TRY(CheckAudience(options.audience));
  if (options.token_life < kTokenLifeMin || options.token_life > auth::kTokenLifeMax) {
    return Error(Code::kInvalidArgument, "tokens of the OIDC issuer live for 10 s to 1 h");
  }
  auto issuer =
      std::unique_ptr<OidcIssuer>(new OidcIssuer(metadata, vault, clock, std::move(options)));
  BDN_TRY(issuer->EnsureKeys());
  BDN_TRY(issuer->Load());  // a master key that does not fit is found at the start
  return issuer;
}

store::SigningKey OidcIssuer::FreshKey() const {
  const auto key = crypto::PrivateKey::Generate(options_.algorithm);
  store::SigningKey row;
  row.kid = auth::JwkThumbprint(key.public_key());
  row.algorithm = auth::JwtAlgorithmName(options_.algorithm);
  row.sealed = vault_.Seal(SealName(row.kid), key.ToPem());
  return row;
}

Status OidcIssuer::EnsureKeys() {
  BDN_ASSIGN(const auto rows, metadata_.ListSigningKeys());
  if (!rows.empty() && rows.back().algorithm == auth::JwtAlgorithmName(options_.algorithm)) {
    return {};
  }
  const Status rotated = Rotate(kKeyLeadDefault, false);
  if (rotated) {
    log::Info(rows.empty() ? "made the first key of the OIDC issuer"
                           : "the OIDC issuer changes to keys of another algorithm");
    return {};
  }
  // Another replica was faster, or an earlier rotation has to end first.
  return rotated.error().code() == Code::kFailedPrecondition ? Status() : rotated;
}

Status OidcIssuer::Rotate(Duration lead, bool revoke) {
  if (lead < Duration::zero() || lead > kKeyLeadMax) {
    return Error(Code::kInvalidArgument, "a key is published 0 s to 30 days before it signs");
  }
  BDN_ASSIGN(const auto rows, metadata_.ListSigningKeys());
  BDN_ASSIGN(const auto changed,
             AfterRotation(rows, FreshKey(), clock_.Now(),
                           {.lead = lead, .token_life = options_.token_life, .revoke = revoke}));
  return metadata_.ReplaceSigningKeys(rows, changed);
}

Result<OidcIssuer::LoadedKey> OidcIssuer::Open(const store::SigningKey& row) const {
  auto pem = vault_.Unseal(SealName(row.kid), row.sealed);
  if (!pem) {
    return std::move(pem)
        .error()
        .Context("the OIDC issuer's key " + row.kid)
        .WithHint("The master key is not the one that sealed it: restore that key.");
  }
  BDN_ASSIGN(crypto::PrivateKey key, crypto::PrivateKey::FromPem(*pem));
  std::string certificate;
  if (key.algorithm() == crypto::SignatureAlgorithm::kRs256) {
    certificate = key.SelfSignedCertificate(auth::IssuerName(options_.issuer), row.created_at);
  }
  return LoadedKey{row, std::move(key), std::move(certificate)};
}

Result<std::shared_ptr<const OidcIssuer::Loaded>> OidcIssuer::Load() {
  BDN_ASSIGN(auto rows, metadata_.ListSigningKeys());
  auto held = loaded_.With([](auto& loaded) { return loaded; });
  if (held && held->rows == rows) return held;
  auto fresh = std::make_shared<Loaded>();
  for (const auto& row : rows) {
    BDN_ASSIGN(LoadedKey key, Open(row));
    fresh->keys.push_back(std::move(key));
  }
  fresh->rows = std::move(rows);
  loaded_.With([&](auto& loaded) { loaded = fresh; });
  return std::shared_ptr<const Loaded>(std::move(fresh));
}

std::string OidcIssuer::Discovery() const {
  return auth::DiscoveryDocument(options_.issuer);
}

Result<std::string> OidcIssuer::Jwks() {
  BDN_ASSIGN(const auto loaded, Load());
  const WallTime now = clock_.Now();
  const store::SigningKey* signer = SigningAt(loaded->rows, now);
  std::vector<auth::PublishedKey> published;
  for (std::size_t i = 0; i < loaded->keys.size(); ++i) {
    const LoadedKey& key = loaded->keys[i];
    if (key.row.published_until <= now) continue;
    // The one that signs comes first: Ceph looks at no other.
    published.insert(&loaded->rows[i] == signer ? published.begin() : published.end(),
                     {key.key.public_key(), key.certificate});
  }
  return auth::JwksDocument(published);
}

Result<OidcIssuer::Token> OidcIssuer::Mint(const auth::Workload& workload,
                                           std::string_view audience) {
  Token token;
  token.audience = audience.empty() ? options_.audience : std::string(audience);
  BDN_TRY(CheckAudience(token.audience));
  BDN_ASSIGN(const auto loaded, Load());
  const WallTime now = clock_.Now();
  const store::SigningKey* signer = SigningAt(loaded->rows, now);
  if (signer == nullptr) return Error(Code::kInternal, "the OIDC issuer has no key");
  const std::string random = crypto::RandomBytes(kTokenIdBytes);
  BDN_ASSIGN(const auto claims, auth::TokenClaims(options_.issuer, token.audience, workload,
                                                  {.now = now, .life = options_.token_life},
                                                  crypto::Base64UrlEncode(random)));
  BDN_ASSIGN(token.subject, auth::SubjectOf(workload));
  token.expires_at = WallTime(std::chrono::seconds(claims.at("exp").get_int64()));
  const auto& key = loaded->keys[static_cast<std::size_t>(signer - loaded->rows.data())];
  token.text = auth::SignJwt(key.key, key.row.kid, claims);
  return token;
}

auth::IdentityTokens& OidcIssuer::TokensOf(const auth::Workload& workload) {
  const std::string name =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}", workload.org, workload.team, workload.model,
                  workload.deployment, workload.environment, auth::WorkloadTypeName(workload.type));
  return workloads_.With([&](auto& all) -> auth::IdentityTokens& {
    auto& slot = all[name];
    if (!slot) slot = std::make_unique<WorkloadTokens>(*this, workload);
    return *slot;
  });
}

Result<std::vector<OidcIssuer::KeyInfo>> OidcIssuer::Keys() {
  BDN_ASSIGN(const auto loaded, Load());
  const WallTime now = clock_.Now();
  const store::SigningKey* signer = SigningAt(loaded->rows, now);
  std::vector<KeyInfo> out;
  for (std::size_t i = 0; i < loaded->keys.size(); ++i) {
    const LoadedKey& key = loaded->keys[i];
    if (key.row.published_until <= now) continue;
    KeyInfo info{.key = key.row, .signs = &loaded->rows[i] == signer, .thumbprint = {}};
    info.key.sealed.clear();
    if (!key.certificate.empty()) {
      crypto::Hasher hasher(crypto::HashKind::kSha1);
      hasher.Update(key.certificate);
      info.thumbprint = hasher.FinishHex();
      std::transform(info.thumbprint.begin(), info.thumbprint.end(), info.thumbprint.begin(),
                     [](char c) { return c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c; });
    }
    out.push_back(std::move(info));
  }
  return out;
}

}  // namespace bdn::control
