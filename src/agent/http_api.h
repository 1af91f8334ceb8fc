#pragma once
#include "agent/node_agent.h"
#include "net/server.h"

namespace bdn::agent {

// The node's API: /v1/node/leases, /v1/node/mounts, /v1/node/cache. `agent` and `cache` must
// outlive the router.
void AddNodeRoutes(net::Router& router, NodeAgent& agent, cache::NodeCache& cache, os::Fs& host);

}  // namespace bdn::agent
