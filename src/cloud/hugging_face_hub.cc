#include "cloud/hugging_face_hub.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "codec/json.h"

namespace bdn::cloud {
namespace {

constexpr std::size_t kServerTextBytesMax = 300;
constexpr int kHopsMax = 10;

bool IsLowerHex(std::string_view text, std::size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string_view TrimBlanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n\f\v";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

template <class T>
std::optional<T> ParseNumber(std::string_view text) {
  T value{};
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (bad != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// `"api";r=37;t=120` → the parameter's text; structured fields (RFC 9651) as the Hub writes them.
std::optional<std::string_view> Parameter(std::string_view field, std::string_view name) {
  while (!field.empty()) {
    const std::size_t end = std::min(field.find(';'), field.size());
    const std::string_view part = TrimBlanks(field.substr(0, end));
    field.remove_prefix(std::min(end + 1, field.size()));
    if (part.size() > name.size() && part.starts_with(name) && part[name.size()] == '=') {
      return part.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> QueryValue(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.size() > name.size() && part.starts_with(name) && part[name.size()] == '=') {
      return part.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

// "20260101T000000Z", as signed requests of AWS and Google write it.
std::optional<WallTime> ParseBasicDate(std::string_view text) {
  if (text.size() != 16 || text[8] != 'T') return std::nullopt;
  return ParseRfc3339(fmt::format("{}-{}-{}T{}:{}:{}", text.substr(0, 4), text.substr(4, 2),
                                  text.substr(6, 2), text.substr(9, 2), text.substr(11, 2),
                                  text.substr(13)));
}

std::string RepoPath(const HubRepo& repo) {
  return net::PercentEncode(repo.id, "/");
}

Result<HubTreeEntry> ParseTreeEntry(const codec::JsonView& item) {
  HubTreeEntry entry;
  BDN_ASSIGN(entry.type, item.String("type"));
  BDN_ASSIGN(entry.path, item.String("path"));
  if (entry.type != "file") return entry;
  BDN_ASSIGN(entry.oid, item.String("oid"));
  BDN_ASSIGN(entry.size, item.Uint("size"));
  BDN_ASSIGN(const auto lfs, item.Find("lfs"));
  if (lfs) {
    BDN_ASSIGN(entry.lfs_sha256, lfs->String("oid"));
    BDN_ASSIGN(entry.size, lfs->Uint("size"));
    if (!IsLowerHex(entry.lfs_sha256, 64)) {
      return Error(Code::kInvalidArgument, lfs->path() + ".oid: not a SHA-256");
    }
  }
  if (!IsLowerHex(entry.oid, 40)) {
    return Error(Code::kInvalidArgument, item.path() + ".oid: not a git object id");
  }
  return entry;
}

}  // namespace

Result<HubEndpoint> HubEndpoint::Parse(std::string_view text) {
  text = TrimBlanks(text);
  if (text.empty()) text = kHubEndpointDefault;
  while (text.ends_with('/')) text.remove_suffix(1);
  auto url = net::ParseUrl(text);
  if (!url) return std::move(url).error().Context("Hugging Face endpoint");
  if (url->has_query) {
    return Error(Code::kInvalidArgument, "Hugging Face endpoint: it may not have a query (?…)");
  }
  if (url->path == "/") url->path.clear();
  HubEndpoint endpoint;
  endpoint.base_ = *std::move(url);
  return endpoint;
}

std::string HubEndpoint::ToString() const {
  return fmt::format("{}://{}{}", base_.scheme, base_.authority(), base_.path);
}

net::Url HubEndpoint::Rewrite(net::Url url) const {
  static const net::Url kDefault{
      .scheme = "https", .host = "huggingface.co", .port = 443, .path = "/", .query = {}};
  if (!url.SameOrigin(kDefault) || Owns(url)) return url;
  url.scheme = base_.scheme;
  url.host = base_.host;
  url.port = base_.port;
  url.path = base_.path + url.path;
  return url;
}

net::Url HubEndpoint::At(std::string_view path) const {
  net::Url url = base_;
  url.path += path;
  return url;
}

std::string HubEndpoint::PageOf(const HubRepo& repo) const {
  const std::string prefix = repo.kind == "models" ? "" : repo.kind + "/";
  return ToString() + "/" + prefix + RepoPath(repo);
}

std::optional<HubRateLimit> ParseHubRateLimit(const net::Headers& headers) {
  const auto field = headers.Get("RateLimit");
  if (!field) return std::nullopt;
  const auto remaining = Parameter(*field, "r");
  const auto reset = Parameter(*field, "t");
  if (!remaining || !reset) return std::nullopt;
  const auto r = ParseNumber<std::uint64_t>(*remaining);
  const auto t = ParseNumber<std::uint32_t>(*reset);
  if (!r || !t) return std::nullopt;
  HubRateLimit limit;
  limit.remaining = *r;
  limit.reset = std::chrono::seconds(*t);
  if (const std::size_t end = field->find('"', 1); field->starts_with('"') && end < field->size()) {
    limit.bucket = field->substr(1, end - 1);
  }
  if (const auto policy = headers.Get("RateLimit-Policy")) {
    if (const auto quota = Parameter(*policy, "q")) {
      limit.quota = ParseNumber<std::uint64_t>(*quota);
    }
  }
  return limit;
}

std::optional<std::chrono::milliseconds> HubRetryAfter(const net::Headers& headers, WallTime now) {
  // The window is the cause only when nothing is left of it.
  if (const auto limit = ParseHubRateLimit(headers); limit && limit->remaining == 0) {
    return limit->reset + std::chrono::seconds(1);
  }
  if (const auto wait = headers.Get("Retry-After")) return net::ParseRetryAfter(*wait, now);
  return std::nullopt;
}

std::vector<HubWarning> ParseHubWarnings(const net::Headers& headers) {
  std::vector<HubWarning> warnings;
  for (const auto& [name, value] : headers.fields()) {
    constexpr std::string_view kName = "x-hf-warning";
    const bool ours = std::equal(
        name.begin(), name.end(), kName.begin(), kName.end(),
        [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b; });
    if (!ours) continue;
    HubWarning warning;
    std::string_view text = value;
    if (const std::size_t semicolon = text.find(';'); semicolon != std::string_view::npos) {
      warning.topic = Printable(TrimBlanks(text.substr(0, semicolon)), kServerTextBytesMax);
      text.remove_prefix(semicolon + 1);
    }
    warning.message = Printable(TrimBlanks(text), kServerTextBytesMax);
    if (!warning.message.empty()) warnings.push_back(std::move(warning));
  }
  return warnings;
}

std::string NormalizeETag(std::string_view value) {
  value = TrimBlanks(value);
  if (value.starts_with("W/")) value.remove_prefix(2);
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    value = value.substr(1, value.size() - 2);
  }
  return std::string(value);
}

std::optional<WallTime> SignedUrlExpiry(const net::Url& url) {
  if (const auto at = QueryValue(url.query, "Expires")) {
    // Seconds since 1970. Nine digits keep the conversion to nanoseconds far from overflow.
    const auto seconds = ParseNumber<std::uint32_t>(*at);
    if (seconds) return WallTime(std::chrono::seconds(*seconds));
  }
  for (const std::string prefix : {"X-Amz-", "X-Goog-"}) {
    const auto date = QueryValue(url.query, prefix + "Date");
    const auto lifetime = QueryValue(url.query, prefix + "Expires");
    if (!date || !lifetime) continue;
    const auto start = ParseBasicDate(*date);
    const auto seconds = ParseNumber<std::uint32_t>(*lifetime);
    if (start && seconds) return *start + std::chrono::seconds(*seconds);
  }
  return std::nullopt;
}

std::string Printable(std::string_view text, std::size_t bytes_max) {
  std::string out(text.substr(0, bytes_max));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '.';
  }
  if (text.size() <= bytes_max) return out;
  // Not in the middle of a UTF-8 sequence.
  while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0) == 0x80) out.pop_back();
  if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xC0) out.pop_back();
  return out + "…";
}

Result<std::string> ParseHubToken(std::string_view secret) {
  const std::string_view token = TrimBlanks(secret);
  if (token.empty()) {
    return Error(Code::kInvalidArgument,
                 "The Hugging Face token is empty: store the token (it begins with hf_) in the "
                 "secret");
  }
  if (token.size() > kHubTokenBytesMax) {
    return Error(Code::kInvalidArgument,
                 fmt::format("The Hugging Face token is longer than {} bytes: the secret must hold "
                             "the token alone",
                             kHubTokenBytesMax));
  }
  if (!std::all_of(token.begin(), token.end(), [](char c) { return c > 0x20 && c < 0x7f; })) {
    return Error(Code::kInvalidArgument,
                 "The Hugging Face token holds a blank, a line break or another character that "
                 "cannot be sent: the secret must hold the token alone");
  }
  return std::string(token);
}

bool IsCommitSha(std::string_view text) {
  return IsLowerHex(text, 40);
}

bool IsRepoId(std::string_view id) {
  if (id.empty() || id.size() > 200 || std::count(id.begin(), id.end(), '/') > 1) return false;
  if (id.front() == '/' || id.back() == '/' || id.find("..") != std::string_view::npos) {
    return false;
  }
  const std::size_t slash = id.find('/');
  if (id.substr(0, slash) == "." || (slash != id.npos && id.substr(slash + 1) == ".")) return false;
  return std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || c == '/';
  });
}

HubClient::HubClient(net::Transport& transport,
                     HubEndpoint endpoint,
                     std::optional<std::string> token)
    : transport_(transport), endpoint_(std::move(endpoint)), token_(std::move(token)) {}

net::HttpRequest HubClient::MakeRequest(std::string_view method, net::Url url) const {
  net::HttpRequest request;
  request.method = method;
  // Identity everywhere: with gzip the storage hosts ignore Range, and sizes go missing.
  request.headers.Add("Accept-Encoding", "identity");
  if (token_ && endpoint_.Owns(url)) request.headers.Add("Authorization", "Bearer " + *token_);
  request.url = std::move(url);
  return request;
}

Result<std::optional<net::HttpRequest>> HubClient::NextHop(const net::HttpRequest& request,
                                                           const net::ResponseHead& head,
                                                           int hops_so_far) const {
  static const net::RedirectPolicy kPolicy{.hops_max = kHopsMax};
  net::ResponseHead seen = head;
  const auto location = head.headers.Get("Location");
  if (location && endpoint_.Owns(request.url)) {
    if (const auto target = net::ResolveUrl(request.url, *location)) {
      const net::Url rewritten = endpoint_.Rewrite(*target);
      if (!rewritten.SameOrigin(*target)) seen.headers.Set("Location", rewritten.ToString());
    }
  }
  auto next = net::NextHop(request, seen, kPolicy, hops_so_far);
  // kFailedPrecondition means "source changed" to callers of a source; a circle of redirects is not
  // that.
  if (!next && next.error().code() == Code::kFailedPrecondition) {
    return std::move(next).error().WithCode(Code::kPermissionDenied);
  }
  return next;
}

Result<net::HttpResponse> HubClient::GetJson(const Context& ctx,
                                             const HubCall& call,
                                             net::Url url,
                                             HubTrace* trace) const {
  net::HttpRequest request = MakeRequest("GET", std::move(url));
  request.headers.Add("Accept", "application/json");
  for (int hops = 0;; ++hops) {
    BDN_ASSIGN(auto response, net::FetchAll(ctx, transport_, request, kHubPageBytesMax));
    if (trace != nullptr) {
      if (auto limit = ParseHubRateLimit(response.headers)) trace->rate_limit = std::move(limit);
      for (auto& warning : ParseHubWarnings(response.headers)) {
        trace->warnings.push_back(std::move(warning));
      }
    }
    BDN_ASSIGN(auto next, NextHop(request, {response.status, response.headers}, hops));
    if (next) {
      request = *std::move(next);
      continue;
    }
    if (response.status == 200) return response;
    if (response.status >= 400) {
      return ErrorOf(call, response.status, response.headers, response.body, ctx.clock().Now());
    }
    return Error(Code::kUnavailable, fmt::format("{} answered {} to a GET of the API",
                                                 endpoint_.ToString(), response.status));
  }
}

Result<HubRepoInfo> HubClient::GetInfo(const Context& ctx,
                                       const HubRepo& repo,
                                       std::string_view revision,
                                       HubTrace* trace) const {
  const HubCall call{HubStep::kResolve, repo, std::string(revision), {}};
  BDN_ASSIGN(const auto response,
             GetJson(ctx, call,
                     endpoint_.At(fmt::format("/api/{}/{}/revision/{}", repo.kind, RepoPath(repo),
                                              net::PercentEncode(revision))),
                     trace));
  const auto parse = [&]() -> Result<HubRepoInfo> {
    BDN_ASSIGN(const auto json, codec::ParseJson(response.body, {.bytes_max = kHubPageBytesMax}));
    const codec::JsonView root(json);
    HubRepoInfo info;
    BDN_ASSIGN(info.id, root.String("id"));
    BDN_ASSIGN(info.sha, root.String("sha"));
    BDN_ASSIGN(info.disabled, root.BoolOr("disabled", false));
    if (!IsCommitSha(info.sha)) return Error(Code::kInvalidArgument, "sha: not a commit");
    if (!IsRepoId(info.id)) return Error(Code::kInvalidArgument, "id: not a repository name");
    return info;
  };
  auto info = parse();
  if (info) return info;
  return Error(Code::kUnavailable,
               fmt::format("{} answered with something that is not a repository's description "
                           "({}): is this the address of a Hub?",
                           endpoint_.ToString(), info.error().message()));
}

net::Url HubClient::TreeUrl(const HubRepo& repo, std::string_view sha) const {
  net::Url url = endpoint_.At(
      fmt::format("/api/{}/{}/tree/{}", repo.kind, RepoPath(repo), net::PercentEncode(sha)));
  url.query = "recursive=true&expand=false";
  url.has_query = true;
  return url;
}

Result<HubTreePage> HubClient::GetTreePage(const Context& ctx,
                                           const HubRepo& repo,
                                           std::string_view sha,
                                           const net::Url& page,
                                           HubTrace* trace) const {
  const HubCall call{HubStep::kList, repo, std::string(sha), {}};
  BDN_ASSIGN(const auto response, GetJson(ctx, call, page, trace));
  const auto parse = [&]() -> Result<HubTreePage> {
    BDN_ASSIGN(const auto json, codec::ParseJson(response.body, {.bytes_max = kHubPageBytesMax}));
    BDN_ASSIGN(const auto items, codec::JsonView(json).Items());
    HubTreePage out;
    out.entries.reserve(items.size());
    for (const auto& item : items) {
      BDN_ASSIGN(auto entry, ParseTreeEntry(item));
      out.entries.push_back(std::move(entry));
    }
    if (const auto link = net::NextLink(response.headers)) {
      BDN_ASSIGN(auto next, net::ResolveUrl(page, *link));
      out.next = endpoint_.Rewrite(std::move(next));
    }
    return out;
  };
  auto out = parse();
  if (out) return out;
  return Error(Code::kUnavailable,
               fmt::format("{} answered with something that is not a listing ({})",
                           endpoint_.ToString(), out.error().message()));
}

net::HttpRequest HubClient::ResolveRequest(std::string_view method,
                                           const HubRepo& repo,
                                           std::string_view sha,
                                           std::string_view path) const {
  const std::string prefix = repo.kind == "models" ? "" : repo.kind + "/";
  return MakeRequest(
      method, endpoint_.At(fmt::format("/{}{}/resolve/{}/{}", prefix, RepoPath(repo),
                                       net::PercentEncode(sha), net::PercentEncode(path, "/"))));
}

}  // namespace bdn::cloud
