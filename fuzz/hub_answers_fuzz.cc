// Whatever a Hub, or something that stands in its place, answers: status, headers and body are
// taken from the input. Nothing may crash, and what is accepted must be fit for use.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/testing/manual_clock.h"
#include "cloud/hugging_face_hub.h"
#include "net/testing/memory_transport.h"

namespace {

using namespace bdn;

// "status\nName: value\n…\n\nbody"
net::HttpResponse ParseInput(std::string_view input) {
  net::HttpResponse response;
  const auto line = [&] {
    const std::size_t end = std::min(input.find('\n'), input.size());
    const std::string_view text = input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
    return text;
  };
  response.status = 100 + std::abs(std::atoi(std::string(line().substr(0, 3)).c_str())) % 500;
  for (int i = 0; i < 32; ++i) {
    const std::string_view field = line();
    const std::size_t colon = field.find(": ");
    if (colon == field.npos) break;
    response.headers.Add(std::string(field.substr(0, colon)), std::string(field.substr(colon + 2)));
  }
  response.body = input;
  return response;
}

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const net::HttpResponse answer = ParseInput({reinterpret_cast<const char*>(data), size});
  int calls = 0;
  net::testing::MemoryTransport transport(
      [&](const net::HttpRequest&) -> Result<net::HttpResponse> {
        Require(++calls < 100);
        return answer;
      });
  const bdn::testing::ManualClock clock;
  const Context ctx(clock);
  const cloud::HubRepo repo{"models", "o/r"};
  const cloud::HubClient hub(transport, *cloud::HubEndpoint::Parse("http://hub.test"), "hf_token");
  const auto info = hub.GetInfo(ctx, repo, "main", nullptr);
  if (info) Require(cloud::IsRepoId(info->id) && cloud::IsCommitSha(info->sha));
  cloud::HubTrace trace;
  const auto page = hub.GetTreePage(ctx, repo, "s", hub.TreeUrl(repo, "s"), &trace);
  if (page && page->next) (void)cloud::SignedUrlExpiry(*page->next);
  for (const auto step : {cloud::HubStep::kResolve, cloud::HubStep::kRead}) {
    const Error error = hub.ErrorOf({step, repo, "main", "f"}, answer.status, answer.headers,
                                    answer.body, clock.Now());
    Require(error.message().find("hf_token") == std::string::npos);
  }
  for (const auto& request : transport.requests()) {
    Require(!request.headers.Has("Authorization") || hub.endpoint().Owns(request.url));
  }
  return 0;
}
