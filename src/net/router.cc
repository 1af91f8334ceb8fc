#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "net/server.h"

namespace bdn::net {
namespace routing {

struct Segment {
  // In the order of preference: where two patterns match, the smaller kind wins at the first
  // difference.
  enum class Kind : std::uint8_t { kLiteral, kParam, kRest };
  Kind kind = Kind::kLiteral;
  std::string text;  // the literal or the name
};

struct Route {
  std::string method;
  std::string pattern;
  std::vector<Segment> segments;
  Handler handler;
};

}  // namespace routing

namespace {

using routing::Route;
using routing::Segment;
using Params = std::vector<std::pair<std::string, std::string>>;

// "/a//b" → "a", "", "b"; "/" → "".
std::vector<std::string_view> SplitPath(std::string_view path) {
  std::vector<std::string_view> out;
  path.remove_prefix(1);
  while (true) {
    const std::size_t slash = path.find('/');
    out.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    path.remove_prefix(slash + 1);
  }
}

std::vector<Segment> ParsePattern(std::string_view pattern) {
  BDN_CHECK(pattern.starts_with('/'));
  std::vector<Segment> out;
  for (std::string_view part : SplitPath(pattern)) {
    // {name...} must be the last one.
    BDN_CHECK(out.empty() || out.back().kind != Segment::Kind::kRest);
    if (!part.starts_with('{')) {
      BDN_CHECK(part.find_first_of("{}") == std::string_view::npos);
      out.push_back({Segment::Kind::kLiteral, std::string(part)});
      continue;
    }
    BDN_CHECK(part.ends_with('}'));
    part = part.substr(1, part.size() - 2);
    const bool rest = part.ends_with("...");
    if (rest) part.remove_suffix(3);
    BDN_CHECK(!part.empty() && part.find_first_of("{}") == std::string_view::npos);
    out.push_back({rest ? Segment::Kind::kRest : Segment::Kind::kParam, std::string(part)});
  }
  return out;
}

// Negative when `a` is to be tried before `b`; 0 when they match the same paths.
int ComparePatterns(const std::vector<Segment>& a, const std::vector<Segment>& b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i].kind != b[i].kind) return a[i].kind < b[i].kind ? -1 : 1;
    if (a[i].kind == Segment::Kind::kLiteral && a[i].text != b[i].text) {
      return a[i].text < b[i].text ? -1 : 1;
    }
  }
  if (a.size() == b.size()) return 0;
  return a.size() < b.size() ? -1 : 1;
}

bool LiteralMatches(const std::string& literal, std::string_view part) {
  if (part.find('%') == std::string_view::npos) return part == literal;
  const auto decoded = PercentDecode(part);
  return decoded && *decoded == literal;
}

bool Matches(const std::vector<Segment>& pattern, const std::vector<std::string_view>& path) {
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (i >= path.size()) return false;
    switch (pattern[i].kind) {
      case Segment::Kind::kRest:
        return true;
      case Segment::Kind::kParam:
        if (path[i].empty()) return false;
        break;
      case Segment::Kind::kLiteral:
        if (!LiteralMatches(pattern[i].text, path[i])) return false;
        break;
    }
  }
  return pattern.size() == path.size();
}

Result<std::string> DecodeParam(const std::string& name, std::string_view text) {
  auto decoded = PercentDecode(text);
  if (!decoded) return std::move(decoded).error().Context("path parameter " + name);
  if (decoded->find('\0') != std::string::npos) {
    return Error(Code::kInvalidArgument, "path parameter " + name + " holds a NUL byte");
  }
  return *std::move(decoded);
}

Result<Params> Bind(const std::vector<Segment>& pattern,
                    const std::vector<std::string_view>& path) {
  Params params;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i].kind == Segment::Kind::kLiteral) continue;
    std::string_view text = path[i];
    if (pattern[i].kind == Segment::Kind::kRest) {
      // From the start of this segment to the end of the path.
      text = {text.data(),
              static_cast<std::size_t>(path.back().data() + path.back().size() - text.data())};
    }
    BDN_ASSIGN(std::string value, DecodeParam(pattern[i].text, text));
    params.emplace_back(pattern[i].text, std::move(value));
  }
  return params;
}

// The request as a handler sees it: everything of the outer one, and the parameters.
class BoundRequest final : public ServerRequest {
 public:
  BoundRequest(ServerRequest& outer, Params params) : outer_(outer), params_(std::move(params)) {}
  std::string_view method() const override { return outer_.method(); }
  std::string_view path() const override { return outer_.path(); }
  std::string_view query() const override { return outer_.query(); }
  const Headers& headers() const override { return outer_.headers(); }
  std::string_view peer() const override { return outer_.peer(); }
  std::string_view host() const override { return outer_.host(); }
  std::string_view tls_client() const override { return outer_.tls_client(); }
  std::string_view param(std::string_view name) const override {
    for (const auto& [key, value] : params_) {
      if (key == name) return value;
    }
    return {};
  }
  std::optional<std::string> query_param(std::string_view name) const override {
    return outer_.query_param(name);
  }
  Result<std::string> Body(std::uint64_t bytes_max) override { return outer_.Body(bytes_max); }
  Status ReadBody(const std::function<Status(std::span<const std::byte>)>& sink) override {
    return outer_.ReadBody(sink);
  }
  const Context& context() const override { return outer_.context(); }

 private:
  ServerRequest& outer_;
  const Params params_;
};

Status SendMethodNotAllowed(ServerResponse& response, const std::vector<std::string>& allowed) {
  std::string list;
  for (const std::string& method : allowed) list += (list.empty() ? "" : ", ") + method;
  const Error error =
      Error(Code::kInvalidArgument, "this path does not support the method; use " + list);
  return response.Send(405, {{"Allow", list}, {"Content-Type", "application/json"}},
                       ErrorJson(error));
}

}  // namespace

struct Router::Impl {
  std::vector<Route> routes;  // in the order of preference
  std::vector<std::string> listed;
  std::vector<std::function<Status(ServerRequest&)>> before;
};

Router::Router() : impl_(std::make_unique<Impl>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

void Router::Add(std::string_view method, std::string_view pattern, Handler handler) {
  Route route{std::string(method), std::string(pattern), ParsePattern(pattern), std::move(handler)};
  const auto at = std::find_if(impl_->routes.begin(), impl_->routes.end(), [&](const Route& other) {
    const int order = ComparePatterns(route.segments, other.segments);
    BDN_CHECK(order != 0 || other.method != route.method);
    return order < 0;
  });
  impl_->listed.push_back(route.method + " " + route.pattern);
  impl_->routes.insert(at, std::move(route));
}

void Router::Before(std::function<Status(ServerRequest&)> check) {
  impl_->before.push_back(std::move(check));
}

std::vector<std::string> Router::Routes() const {
  return impl_->listed;
}

Status Router::Serve(ServerRequest& request, ServerResponse& response) const {
  const std::string_view path = request.path();
  const Route* chosen = nullptr;
  std::vector<std::string> allowed;
  if (path.starts_with('/')) {
    const auto parts = SplitPath(path);
    const Route* get = nullptr;
    for (const Route& route : impl_->routes) {
      if (!Matches(route.segments, parts)) continue;
      if (route.method == request.method()) {
        chosen = &route;
        break;
      }
      if (get == nullptr && route.method == "GET") get = &route;
      allowed.push_back(route.method);
    }
    if (chosen == nullptr && request.method() == "HEAD") chosen = get;
    if (chosen != nullptr) {
      BDN_ASSIGN(Params params, Bind(chosen->segments, parts));
      BoundRequest bound(request, std::move(params));
      for (const auto& check : impl_->before) BDN_TRY(check(bound));
      return chosen->handler(bound, response);
    }
  }
  if (allowed.empty()) return Error(Code::kNotFound, "no such path: " + std::string(path));
  if (std::find(allowed.begin(), allowed.end(), "GET") != allowed.end()) {
    allowed.push_back("HEAD");
  }
  std::sort(allowed.begin(), allowed.end());
  allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
  return SendMethodNotAllowed(response, allowed);
}

}  // namespace bdn::net
