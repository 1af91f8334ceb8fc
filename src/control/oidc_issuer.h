#pragma once
// bdn as an OpenID Connect issuer: its keys, what it publishes, and the tokens of workloads.
// docs/oidc.md is for its users; control/signing_keys.h says how keys change.
//
// Keys are made on first use and rest in the metadata, their private half sealed with the master
// key. Every replica of the control plane reads the same ones.
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/identity_tokens.h"
#include "auth/workload.h"
#include "base/clock.h"
#include "base/guarded.h"
#include "base/result.h"
#include "control/signing_keys.h"
#include "crypto/signature.h"
#include "store/metadata.h"
#include "store/secrets.h"

namespace bdn::control {

inline constexpr std::size_t kAudienceBytesMax = 255;  // AWS
inline constexpr Duration kTokenLifeMin = std::chrono::seconds(10);

struct OidcOptions {
  std::string issuer;         // auth::CheckIssuer
  std::string audience = {};  // of tokens for nobody in particular; empty: the issuer's name
  crypto::SignatureAlgorithm algorithm = crypto::SignatureAlgorithm::kRs256;  // of new keys
  Duration token_life = auth::kTokenLifeMax;
};

// Thread-safe.
class OidcIssuer {
 public:
  // Makes the first key; where new keys are to have another algorithm than the newest one, begins a
  // rotation. The rest is borrowed for the issuer's life. kInvalidArgument: an option.
  static Result<std::unique_ptr<OidcIssuer>> Make(store::Metadata& metadata,
                                                  store::SecretVault& vault,
                                                  const Clock& clock,
                                                  OidcOptions options);

  const OidcOptions& options() const { return options_; }

  // What AWS and Google fetch: JSON documents.
  std::string Discovery() const;
  Result<std::string> Jwks();

  struct Token {
    std::string text;  // a bearer secret
    std::string subject;
    std::string audience;
    WallTime expires_at;
  };
  // `audience` empty: the default one. kInvalidArgument for a workload or an audience that cannot
  // stand in a token.
  Result<Token> Mint(const auth::Workload& workload, std::string_view audience);
  // The tokens of one workload; lives as long as the issuer.
  auth::IdentityTokens& TokensOf(const auth::Workload& workload);

  struct KeyInfo {
    store::SigningKey key;  // its sealed half is empty
    bool signs = false;
    std::string thumbprint;  // SHA-1 of its certificate in upper-case hex; empty without one
  };
  // Those that are published now.
  Result<std::vector<KeyInfo>> Keys();
  // A new key. kFailedPrecondition: see AfterRotation; or somebody else rotates too.
  Status Rotate(Duration lead, bool revoke);

 private:
  struct LoadedKey {
    store::SigningKey row;
    crypto::PrivateKey key;
    std::string certificate;  // DER; only of RSA keys, whose signature is always the same
  };
  struct Loaded {
    std::vector<store::SigningKey> rows;
    std::vector<LoadedKey> keys;
  };
  class WorkloadTokens;

  OidcIssuer(store::Metadata& metadata,
             store::SecretVault& vault,
             const Clock& clock,
             OidcOptions options);

  Status EnsureKeys();
  store::SigningKey FreshKey() const;
  // The keys of the metadata; opened again only when a row changed.
  Result<std::shared_ptr<const Loaded>> Load();
  Result<LoadedKey> Open(const store::SigningKey& row) const;

  store::Metadata& metadata_;
  store::SecretVault& vault_;
  const Clock& clock_;
  const OidcOptions options_;
  Guarded<std::shared_ptr<const Loaded>> loaded_;
  Guarded<std::map<std::string, std::unique_ptr<auth::IdentityTokens>>> workloads_;
};

}  // namespace bdn::control
