#pragma once
#include <functional>

#include "api/types.h"
#include "base/context.h"
#include "cli/terminal.h"

namespace bdn::cli {

// Watches the model's server on this machine until the context ends: says when its readiness
// endpoint first answers 2xx, then asks its liveness endpoint every 10 s and calls `unhealthy`
// after three failures in a row (again after the next three).
void WatchHealth(const Context& ctx,
                 const Terminal& terminal,
                 const api::RunBody& run,
                 MonoTime started,
                 const std::function<void()>& unhealthy);

}  // namespace bdn::cli
