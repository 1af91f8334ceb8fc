#include "cli/node_call.h"

#include <utility>

namespace bdn::cli {
namespace {

constexpr std::string_view kStartOne =
    "start `bdn agent` on this machine; commands find it by BDN_NODE_URL, or by the client.json "
    "in its data directory when BDN_DATA names that and ~/.config/bdn/client.json is not there";

}  // namespace

Result<std::string> CallNode(const Context& ctx,
                             const Connection& connection,
                             std::string_view method,
                             std::string_view path,
                             std::string body) {
  auto answer = connection.node->Call(ctx, method, path, std::move(body));
  if (answer) return answer;
  const std::string& url = connection.node->endpoint().url;
  const Error& error = answer.error();
  // A control plane alone has none of the node's paths; an agent has all of them.
  if (error.code() == Code::kNotFound && error.message().starts_with("no such path: ")) {
    return Error(Code::kFailedPrecondition, "no agent serves " + url)
        .WithHint(std::string(kStartOne));
  }
  // With `bdn up` both have one address, and the hint is that of the control plane.
  if (error.code() == Code::kUnavailable && url != connection.control->endpoint().url &&
      error.message().starts_with("cannot reach bdn at ")) {
    return Error(Code::kUnavailable,
                 "the agent of this machine does not answer: " + error.message())
        .WithHint("it was at " + url + "; " + std::string(kStartOne));
  }
  return answer;
}

}  // namespace bdn::cli
