#pragma once
// The control plane over HTTP: routes, authentication, and the object surface that tiers read.
// docs/openapi.json lists every route; a test compares the two.
#include <atomic>
#include <memory>
#include <string>

#include "base/wakeup.h"
#include "control/control_plane.h"
#include "control/oidc_issuer.h"
#include "control/training_routes.h"
#include "net/server.h"
#include "store/api_keys.h"
#include "store/gc.h"

namespace bdn::control {

struct HttpApiDeps {
  ControlPlane& control;
  store::Metadata& metadata;
  store::ObjectStore& objects;
  const Clock& clock;
  std::string grant_key;  // 32 random bytes, the same on every replica
  // Woken when a mirror of this process has changed; streams of events look then at once. Those
  // of other replicas are seen when a stream looks again by itself.
  const Wakeup& mirror_changed;
  // The training store's routes are added when there is one.
  TrainingStore* training = nullptr;
  std::string public_url = {};  // of presigned URLs; empty: the Host that the caller used
  bool tls = false;             // the server speaks https
  OidcIssuer* oidc = nullptr;   // null where no issuer is set up
};

// Who may call: keys named "node:…" belong to nodes and may read secrets of a run; every other key
// is an operator's.
inline constexpr std::string_view kNodeKeyPrefix = "node:";

// Adds /v1/…, /bdn/…, /healthz, /readyz and /metrics. `deps` must outlive the router.
void AddControlRoutes(net::Router& router, const HttpApiDeps& deps);
// Bearer key or "X-Api-Key" for everything but health, readiness and metrics; the object surface
// takes a grant too. Shared by the roles that listen on one address.
void AddAuthentication(net::Router& router, const HttpApiDeps& deps);

}  // namespace bdn::control
