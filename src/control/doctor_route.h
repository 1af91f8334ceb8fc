#pragma once
// POST /v1/doctor: what a source needs and does not get, tried from where mirrors run, with the
// secrets of this control plane and the identity of its issuer. Values of secrets never come back.
#include <functional>
#include <string>

#include "auth/identity_tokens.h"
#include "net/http.h"
#include "net/server.h"
#include "source/source_factory.h"
#include "store/secrets.h"

namespace bdn::control {

inline constexpr Duration kDoctorMax = std::chrono::minutes(2);

struct DoctorRouteDeps {
  net::Transport& upstream;
  // What mirrors use, around another transport.
  std::function<source::SourceEnvironment(net::Transport&)> environment;
  store::SecretVault& vault;
  std::string org = "default";
  // Whose tokens prove an AWS_OIDC or GCP_OIDC; empty, or null from it: there is no issuer.
  std::function<auth::IdentityTokens*()> identity = {};
};

// `deps` outlives the router. The body: {"source": "…", "auth": {as in config.yaml}}.
void AddDoctorRoute(net::Router& router, const DoctorRouteDeps& deps);

}  // namespace bdn::control
