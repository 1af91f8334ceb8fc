#include "control/mirror_sources.h"

#include <utility>

#include "mirror/spec.h"

namespace bdn::control {

Result<std::unique_ptr<source::Source>> MakeMirrorSource(
    const store::Mirror& mirror,
    store::SecretVault& vault,
    const source::SourceEnvironment& environment) {
  BDN_ASSIGN(const model::WeightsSource weights, mirror::SpecFromJson(mirror.spec));
  source::SourceCredentials credentials;
  credentials.auth = weights.auth;
  const std::string& name = weights.auth.auth_secret_name;
  if (!name.empty()) {
    auto value = vault.Get(mirror.scope.org, name);
    if (value) {
      credentials.secret = *std::move(value);
    } else if (value.error().code() != Code::kNotFound) {
      return std::move(value).error();
    }
  }
  auto made = source::MakeSource(weights.uri, credentials, environment);
  if (!made && !name.empty()) return std::move(made).error().Context("secret '" + name + "'");
  return made;
}

}  // namespace bdn::control
