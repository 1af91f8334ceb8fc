#include "net/curl_transport.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include <curl/curl.h>

#include "base/check.h"
#include "base/guarded.h"
#include "net/curl_transfer.h"
#include "net/text.h"

namespace bdn::net {
namespace {

// Handles that wait for their next call, each with half a MiB of buffers and an open connection.
constexpr std::size_t kIdleLanesMax = 32;
// A wait for a free connection looks at the context's deadline this often.
constexpr std::chrono::milliseconds kSlotWait{100};

void InitialiseCurlOnce() {
  static std::once_flag once;
  std::call_once(once, [] { BDN_CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
}

// The hosts that are reached without the proxy.
class NoProxy {
 public:
  explicit NoProxy(std::string_view list) {
    while (!list.empty()) {
      const auto comma = list.find(',');
      Add(TrimBlanks(list.substr(0, comma)));
      list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    }
  }
  bool Covers(const std::string& host) const {
    if (all_ || addresses_.IsAllowed(host, host)) return true;
    return std::any_of(domains_.begin(), domains_.end(),
                       [&](const std::string& domain) { return host.ends_with(domain); });
  }

 private:
  void Add(std::string_view entry) {
    if (entry.starts_with('.')) entry.remove_prefix(1);
    if (entry == "*") all_ = true;
    // An entry that is neither name nor CIDR can match no host; the proxy is then used.
    if (addresses_.Allow(entry)) domains_.push_back("." + ToLower(entry));
  }
  bool all_ = false;
  AddressPolicy addresses_;
  std::vector<std::string> domains_;  // ".example.com"
};

class CurlTransport final : public Transport {
 public:
  explicit CurlTransport(CurlTransportOptions options)
      : options_(std::move(options)), no_proxy_(options_.no_proxy) {
    InitialiseCurlOnce();
  }

  Status Fetch(const Context& ctx, const HttpRequest& request, ResponseSink& sink) override {
    BDN_TRY(ctx.Check());
    BDN_TRY(ValidateRequest(request));
    const bool use_proxy = !options_.proxy.empty() && !no_proxy_.Covers(request.url.host);
    if (use_proxy) BDN_TRY(options_.addresses.CheckLiteral(request.url.host));
    const std::string origin = request.url.scheme + "://" + request.url.authority();
    BDN_ASSIGN(auto lane, Take(ctx, origin));
    Status status = CurlTransfer(options_, use_proxy, ctx, request, sink, *lane).Run();
    GiveBack(std::move(lane));
    return status;
  }

 private:
  using LanePtr = std::unique_ptr<CurlLane>;
  struct Pool {
    std::vector<LanePtr> idle;          // least recently used first
    std::map<std::string, int> active;  // calls under way by origin
  };

  Result<LanePtr> Take(const Context& ctx, const std::string& origin) {
    const int limit = std::max(1, options_.connections_per_host_max);
    LanePtr lane;
    const auto try_take = [&](Pool& pool) {
      int& active = pool.active[origin];
      if (active >= limit) return false;
      ++active;
      const auto found = std::find_if(pool.idle.rbegin(), pool.idle.rend(),
                                      [&](const LanePtr& l) { return l->origin == origin; });
      if (found != pool.idle.rend()) {
        lane = std::move(*found);
        pool.idle.erase(std::next(found).base());
      }
      return true;
    };
    while (!pool_.WaitFor(ctx.stop(), kSlotWait, try_take)) BDN_TRY(ctx.Check());
    if (!lane) lane = std::make_unique<CurlLane>();
    lane->origin = origin;
    return lane;
  }

  void GiveBack(LanePtr lane) {
    LanePtr evicted;  // closes its connections outside the lock
    pool_.Change([&](Pool& pool) {
      if (--pool.active[lane->origin] == 0) pool.active.erase(lane->origin);
      pool.idle.push_back(std::move(lane));
      if (pool.idle.size() > kIdleLanesMax) {
        evicted = std::move(pool.idle.front());
        pool.idle.erase(pool.idle.begin());
      }
    });
  }

  const CurlTransportOptions options_;
  const NoProxy no_proxy_;
  Guarded<Pool> pool_;
};

}  // namespace

std::unique_ptr<Transport> MakeCurlTransport(CurlTransportOptions options) {
  return std::make_unique<CurlTransport>(std::move(options));
}

}  // namespace bdn::net
