#include "control/mirror_sources.h"

#include <utility>

#include <fmt/format.h>

#include "mirror/spec.h"

namespace bdn::control {
namespace {

bool MayWantCredentials(Code code) {
  return code == Code::kUnauthenticated || code == Code::kPermissionDenied ||
         code == Code::kNotFound;  // how private repositories look without a credential
}

Error SayUnset(Error error, const std::string& name) {
  return std::move(error)
      .Context(fmt::format("the secret '{}' that the config names is not set in this control plane",
                           name))
      .WithHint(fmt::format("set it with `bdn secret set {}` and push again", name));
}

// A source read without the credential that its config names: refusals say so first.
class SourceOfUnsetSecret final : public source::Source {
 public:
  SourceOfUnsetSecret(std::unique_ptr<source::Source> inner, std::string name)
      : inner_(std::move(inner)), name_(std::move(name)) {}

  Result<source::Pin> Resolve(const Context& ctx) override { return Say(inner_->Resolve(ctx)); }
  Result<std::vector<source::RemoteFile>> List(const Context& ctx,
                                               const source::Pin& pin) override {
    return Say(inner_->List(ctx, pin));
  }
  Result<source::RemoteFile> Describe(const Context& ctx,
                                      const source::Pin& pin,
                                      const source::RemoteFile& file) override {
    return Say(inner_->Describe(ctx, pin, file));
  }
  Status Read(const Context& ctx,
              const source::Pin& pin,
              const source::RemoteFile& file,
              net::ByteRange range,
              const source::ByteSink& sink) override {
    return Say(inner_->Read(ctx, pin, file, range, sink));
  }

 private:
  template <class T>
  Result<T> Say(Result<T> result) const {
    if (result || !MayWantCredentials(result.error().code())) return result;
    return SayUnset(std::move(result).error(), name_);
  }

  const std::unique_ptr<source::Source> inner_;
  const std::string name_;
};

}  // namespace

Result<std::unique_ptr<source::Source>> MakeMirrorSource(
    const store::Mirror& mirror,
    store::SecretVault& vault,
    const source::SourceEnvironment& environment,
    const MirrorIdentity& identity) {
  BDN_ASSIGN(const model::WeightsSource weights, mirror::SpecFromJson(mirror.spec));
  source::SourceCredentials credentials;
  credentials.auth = weights.auth;
  if (identity.issuer != nullptr) {
    mirror::AskedBy by = mirror::AskedByOf(mirror.spec);
    // Entra ID compares subjects as a whole: one that names the deployment would fit no other.
    if (weights.uri.scheme == model::Scheme::kAzure) by = {};
    credentials.identity =
        &identity.issuer->TokensOf({.org = mirror.scope.org,
                                    .team = identity.team,
                                    .model = by.deployment.empty() ? "" : auth::ModelIdOf(by.model),
                                    .deployment = by.deployment,
                                    .environment = {},
                                    .type = auth::WorkloadType::kModelBuild});
  }
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
  if (name.empty()) return made;
  if (credentials.secret) {
    if (!made) return std::move(made).error().Context("secret '" + name + "'");
    return made;
  }
  if (!made) return SayUnset(std::move(made).error(), name);
  return std::make_unique<SourceOfUnsetSecret>(*std::move(made), name);
}

}  // namespace bdn::control
