#pragma once
// The wire of the Hugging Face Hub: addresses, one attempt of each call, and what answers mean.
// No policy: nothing here waits, retries, caches or compares with a listing; that is
// source/hugging_face.h. Facts: huggingface.co/docs/hub, github.com/huggingface/huggingface_hub.
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/result.h"
#include "net/http.h"

namespace bdn::cloud {

inline constexpr std::string_view kHubEndpointDefault = "https://huggingface.co";
inline constexpr std::uint64_t kHubPageBytesMax = 16ull << 20;  // one JSON answer
inline constexpr std::size_t kHubTokenBytesMax = 4096;

struct HubRepo {
  std::string kind = "models";  // "models", "datasets" or "spaces"
  std::string id;               // "owner/name"; the oldest repositories have a name only
};

// Where the Hub is: https://huggingface.co, or a mirror or gateway that the operator named.
class HubEndpoint {
 public:
  // Empty text means the default; trailing slashes are cut. kInvalidArgument for what is no http or
  // https URL, or has a query.
  static Result<HubEndpoint> Parse(std::string_view text);

  const net::Url& url() const { return base_; }
  // "https://huggingface.co": for messages.
  std::string ToString() const;
  // The same scheme, host and port: the only place that sees the token.
  bool Owns(const net::Url& url) const { return base_.SameOrigin(url); }
  // A gateway hands on links that name the default host; they mean the gateway.
  net::Url Rewrite(net::Url url) const;
  // The endpoint's URL followed by `path` (which starts with '/', already percent-encoded).
  net::Url At(std::string_view path) const;
  // The page that people open: "https://huggingface.co/datasets/owner/name".
  std::string PageOf(const HubRepo& repo) const;

 private:
  net::Url base_;  // its path has no trailing '/'; "" for none
};

// What a call was about, so that its errors can say it.
enum class HubStep : std::uint8_t { kResolve, kList, kRead };
struct HubCall {
  HubStep step = HubStep::kResolve;
  HubRepo repo;
  std::string revision;
  std::string path;  // kRead
};

// RateLimit: "api";r=37;t=120 and RateLimit-Policy: "fixed window";"api";q=500;w=300, which come
// with every answer.
struct HubRateLimit {
  std::string bucket;  // "api", "resolvers", "pages"
  std::uint64_t remaining = 0;
  std::chrono::seconds reset{0};
  std::optional<std::uint64_t> quota;
};
std::optional<HubRateLimit> ParseHubRateLimit(const net::Headers& headers);
// How long a 429 asks to wait: the window's rest when nothing remains of it, else Retry-After, else
// unknown.
std::optional<std::chrono::milliseconds> HubRetryAfter(const net::Headers& headers, WallTime now);

// "topic; message" of X-HF-Warning; the topic may be empty.
struct HubWarning {
  std::string topic;
  std::string message;
};
std::vector<HubWarning> ParseHubWarnings(const net::Headers& headers);

// An ETag without W/ and quotes.
std::string NormalizeETag(std::string_view value);
// When a signed URL ends, as its query says it (Expires, X-Amz-Date and -Expires, X-Goog-…);
// nullopt when it does not say.
std::optional<WallTime> SignedUrlExpiry(const net::Url& url);
// Printable ASCII and UTF-8 as it is, everything else as '.'; at most `bytes_max`. For text of
// others inside our messages and logs.
std::string Printable(std::string_view text, std::size_t bytes_max);

// A token as a secret holds it: blanks and newlines around it are cut. kInvalidArgument when
// nothing is left, or when it holds a character that has no place in a header.
Result<std::string> ParseHubToken(std::string_view secret);

struct HubRepoInfo {
  std::string id;   // canonical spelling
  std::string sha;  // 40 hex digits
  bool disabled = false;
};

struct HubTreeEntry {
  std::string type;  // "file", "directory", perhaps others later
  std::string path;
  std::string oid;  // git object; for LFS that of the pointer, not of the content
  std::uint64_t size = 0;
  std::string lfs_sha256;  // empty: not LFS
};

struct HubTreePage {
  std::vector<HubTreeEntry> entries;
  std::optional<net::Url> next;  // rewritten to the endpoint, origin not checked
};

// What came along with an answer, also with one that is an error.
struct HubTrace {
  std::optional<HubRateLimit> rate_limit;
  std::vector<HubWarning> warnings;
};

// Is `text` a full commit SHA (40 lower-case hex digits)?
bool IsCommitSha(std::string_view text);
// Is `id` something that can be put into an address: one or two segments of [A-Za-z0-9._-]?
bool IsRepoId(std::string_view id);

// One attempt a call. Redirects are followed (a renamed repository answers with one), with the
// token only on the endpoint's origin. Thread-safe.
class HubClient {
 public:
  HubClient(net::Transport& transport, HubEndpoint endpoint, std::optional<std::string> token);

  const HubEndpoint& endpoint() const { return endpoint_; }
  bool has_token() const { return token_.has_value(); }

  // GET /api/{kind}/{id}/revision/{revision}
  Result<HubRepoInfo> GetInfo(const Context& ctx,
                              const HubRepo& repo,
                              std::string_view revision,
                              HubTrace* trace) const;
  // GET /api/{kind}/{id}/tree/{sha}?recursive=true&expand=false, then what `next` says.
  net::Url TreeUrl(const HubRepo& repo, std::string_view sha) const;
  Result<HubTreePage> GetTreePage(const Context& ctx,
                                  const HubRepo& repo,
                                  std::string_view sha,
                                  const net::Url& page,
                                  HubTrace* trace) const;
  // GET or HEAD /[kind/]{id}/resolve/{sha}/{path}: the content, or a redirect to it.
  net::HttpRequest ResolveRequest(std::string_view method,
                                  const HubRepo& repo,
                                  std::string_view sha,
                                  std::string_view path) const;
  // The next hop of a request that may have been answered with a redirect (net::NextHop, with
  // links to the default host rewritten while we are on the endpoint).
  Result<std::optional<net::HttpRequest>> NextHop(const net::HttpRequest& request,
                                                  const net::ResponseHead& head,
                                                  int hops_so_far) const;
  // What an answer of the Hub with status 400 or more means and what to do about it.
  Error ErrorOf(const HubCall& call,
                int status,
                const net::Headers& headers,
                std::string_view body,
                WallTime now) const;

 private:
  net::HttpRequest MakeRequest(std::string_view method, net::Url url) const;
  Result<net::HttpResponse> GetJson(const Context& ctx,
                                    const HubCall& call,
                                    net::Url url,
                                    HubTrace* trace) const;
  // Text of the Hub for our message: printable, short, without the token.
  std::string Quote(std::string_view text) const;
  Error UnauthorizedError(const HubCall& call, const net::Headers& headers) const;
  Error ForbiddenError(const HubCall& call, const net::Headers& headers) const;
  Error NotFoundError(const HubCall& call,
                      std::string_view code,
                      const net::Headers& headers) const;

  net::Transport& transport_;
  const HubEndpoint endpoint_;
  const std::optional<std::string> token_;
};

}  // namespace bdn::cloud
