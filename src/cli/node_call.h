#pragma once
// Calls to this machine's agent, and what to say when there is none.
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/app.h"

namespace bdn::cli {

// As RestClient::Call on `connection.node`. Where a control plane without an agent answers, or
// nobody does, the error names the agent's URL and says how to start one and how it is found.
Result<std::string> CallNode(const Context& ctx,
                             const Connection& connection,
                             std::string_view method,
                             std::string_view path,
                             std::string body = {});

}  // namespace bdn::cli
