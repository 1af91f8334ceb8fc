#pragma once
#include <string>

#include "base/result.h"
#include "control/oidc_issuer.h"
#include "source/source.h"
#include "source/source_factory.h"
#include "store/metadata.h"
#include "store/secrets.h"

namespace bdn::control {

// Whose tokens mirrors show where their config says AWS_OIDC or GCP_OIDC.
struct MirrorIdentity {
  OidcIssuer* issuer = nullptr;  // outlives the sources; null where none is set up
  std::string team = {};
};

// Makes the Source of a mirror row: its spec, and the value of the secret that it names. A secret
// that is not set leaves a public source readable: the source is made without a credential, and
// what it is refused then says that the secret is not set.
Result<std::unique_ptr<source::Source>> MakeMirrorSource(
    const store::Mirror& mirror,
    store::SecretVault& vault,
    const source::SourceEnvironment& environment,
    const MirrorIdentity& identity = {});

}  // namespace bdn::control
