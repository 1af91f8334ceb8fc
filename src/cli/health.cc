#include "cli/health.h"

#include <fmt/format.h>

#include "cli/client.h"

namespace bdn::cli {
namespace {

constexpr Duration kReadinessEvery = std::chrono::milliseconds(250);
constexpr Duration kLivenessEvery = std::chrono::seconds(10);
constexpr Duration kAnswerWithin = std::chrono::seconds(5);
constexpr int kFailuresMax = 3;
constexpr std::uint64_t kAnswerBytesMax = 1 << 20;

bool Answers(const Context& ctx, net::Transport& transport, int port, const std::string& path) {
  net::HttpRequest request;
  auto url = net::ParseUrl(
      fmt::format("http://127.0.0.1:{}{}{}", port, path.starts_with('/') ? "" : "/", path));
  if (!url) return false;
  request.url = *std::move(url);
  const auto answer =
      net::FetchAll(ctx.WithTimeout(kAnswerWithin), transport, request, kAnswerBytesMax);
  return answer && answer->status >= 200 && answer->status < 300;
}

}  // namespace

void WatchHealth(const Context& ctx,
                 const Terminal& terminal,
                 const api::RunBody& run,
                 MonoTime started,
                 const std::function<void()>& unhealthy) {
  const auto transport = MakeClientTransport("");
  while (!Answers(ctx, *transport, run.server_port, run.readiness_endpoint)) {
    if (!ctx.Sleep(kReadinessEvery)) return;
  }
  const double seconds = std::chrono::duration<double>(ctx.clock().Monotonic() - started).count();
  terminal.Err(
      fmt::format("bdn: the server is ready, {} after its start\n", FormatSeconds(seconds)));
  if (run.liveness_endpoint.empty()) return;
  int failures = 0;
  while (ctx.Sleep(kLivenessEvery)) {
    if (Answers(ctx, *transport, run.server_port, run.liveness_endpoint)) {
      failures = 0;
    } else if (++failures == kFailuresMax && ctx.Check()) {
      terminal.ShowWarning(fmt::format("the server's liveness endpoint {} failed {} times in a row",
                                       run.liveness_endpoint, failures));
      unhealthy();
      failures = 0;
    }
  }
}

}  // namespace bdn::cli
