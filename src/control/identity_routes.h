#pragma once
// The OIDC issuer over HTTP: what AWS and Google fetch without a key, what operators look at, and
// the tokens of running servers.
#include <string_view>

#include "control/http_api.h"
#include "net/server.h"

namespace bdn::control {

// {issuer's path}/.well-known/openid-configuration and …/jwks.json, public; GET /v1/oidc and
// POST /v1/oidc/rotate for operators; POST /v1/deployments/{id}/identity-token for nodes: a token
// of that deployment and no other. `deps` must outlive the router.
void AddIdentityRoutes(net::Router& router, const HttpApiDeps& deps);
// The two paths that need no key.
bool IsPublicIdentityPath(const HttpApiDeps& deps, std::string_view path);

}  // namespace bdn::control
