#include "source/testing/memory_hub.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "crypto/hash.h"

namespace bdn::source::testing {
namespace {

std::string Sha1Hex(std::string_view text) {
  crypto::Hasher hasher(crypto::HashKind::kSha1);
  hasher.Update(text);
  return hasher.FinishHex();
}

net::HttpResponse Fail(int status, const std::string& code) {
  return {
      status, {{"X-Error-Code", code}, {"X-Request-Id", "r-1"}}, R"({"error":")" + code + "\"}"};
}

std::optional<std::string_view> After(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  return text.substr(prefix.size());
}

std::uint64_t Number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t QueryNumber(std::string_view query, std::string_view name) {
  const std::size_t at = query.find(std::string(name) + "=");
  return at == query.npos ? 0 : Number(query.substr(at + name.size() + 1));
}

std::string JsonQuote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      out += {'\\', 'u', '0', '0', kHex[static_cast<unsigned char>(c) >> 4], kHex[c & 15]};
    } else {
      out += c;
    }
  }
  return out + "\"";
}

net::Url MustParse(const std::string& text) {
  return net::ParseUrl(text).value();
}

}  // namespace

std::string GitBlobId(std::string_view content) {
  return Sha1Hex("blob " + std::to_string(content.size()) + std::string(1, '\0') +
                 std::string(content));
}

net::HttpResponse ServeContent(const net::HttpRequest& request, const std::string& content) {
  const auto range = request.headers.Get("Range");
  if (!range) return {200, {{"Content-Length", std::to_string(content.size())}}, content};
  const auto spec = After(*range, "bytes=").value_or("");
  const std::uint64_t first = Number(spec);
  const std::size_t dash = spec.find('-');
  std::uint64_t last = dash == spec.npos ? content.size() : Number(spec.substr(dash + 1));
  const std::string total = std::to_string(content.size());
  if (first >= content.size()) return {416, {{"Content-Range", "bytes */" + total}}, ""};
  last = std::min<std::uint64_t>(last, content.size() - 1);
  const std::string body = content.substr(first, last - first + 1);
  return {206,
          {{"Content-Range",
            "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" + total},
           {"Content-Length", std::to_string(body.size())}},
          body};
}

MemoryHub::MemoryHub(const Clock& clock, MemoryHubOptions options)
    : clock_(clock),
      options_(std::move(options)),
      endpoint_(MustParse(options_.endpoint)),
      storage_(MustParse(options_.storage)),
      transport_([this](const net::HttpRequest& request) -> Result<net::HttpResponse> {
        if (hook_) {
          if (auto answer = hook_(request)) return *std::move(answer);
        }
        return Answer(request);
      }) {
  Commit([](Tree&) {});
}

void MemoryHub::Commit(const std::function<void(Tree&)>& change) {
  state_.With([&](State& s) {
    change(s.tree);
    std::string all = s.head;
    for (const auto& [path, file] : s.tree) all += path + '\0' + GitBlobId(file.content) + '\0';
    s.head = Sha1Hex(all);
    s.commits[s.head] = s.tree;
  });
}

void MemoryHub::Publish(const std::string& path, const std::string& content) {
  Commit([&](Tree& tree) { tree[path] = {content, false}; });
}

void MemoryHub::PublishLfs(const std::string& path, const std::string& content) {
  Commit([&](Tree& tree) { tree[path] = {content, true}; });
}

void MemoryHub::Remove(const std::string& path) {
  Commit([&](Tree& tree) { tree.erase(path); });
}

std::string MemoryHub::head() const {
  return state_.With([](const State& s) { return s.head; });
}

bool MemoryHub::IsStorage(const net::HttpRequest& request) const {
  return request.url.SameOrigin(storage_);
}

std::size_t MemoryHub::CountOf(std::string_view part) const {
  std::size_t count = 0;
  for (const auto& request : transport_.requests()) {
    if (request.url.ToString().find(part) != std::string::npos) ++count;
  }
  return count;
}

bool MemoryHub::token_leaked() const {
  const auto requests = transport_.requests();
  return std::any_of(requests.begin(), requests.end(), [&](const auto& request) {
    return !request.url.SameOrigin(endpoint_) && request.headers.Has("Authorization");
  });
}

net::HttpResponse MemoryHub::Answer(const net::HttpRequest& request) {
  return state_.With([&](State& s) -> net::HttpResponse {
    if (IsStorage(request)) return Storage(s, request);
    if (!request.url.SameOrigin(endpoint_)) return {599, {}, "no such host"};
    if (!options_.token.empty() &&
        request.headers.Get("Authorization") != "Bearer " + options_.token) {
      return Fail(401, "RepoNotFound");
    }
    const std::string& path = request.url.path;
    const std::string api = "/api/" + options_.kind + "/" + options_.id;
    if (const auto revision = After(path, api + "/revision/")) {
      return Info(s, net::PercentDecode(*revision).value());
    }
    if (const auto sha = After(path, api + "/tree/")) return List(s, *sha, request.url);
    const std::string prefix = options_.kind == "models" ? "/" : "/" + options_.kind + "/";
    const std::string cache = "/api/resolve-cache/" + options_.kind + "/" + options_.id + "/";
    if (const auto rest = After(path, prefix + options_.id + "/resolve/")) {
      return ResolveFile(s, request, rest->substr(0, 40),
                         net::PercentDecode(rest->substr(41)).value());
    }
    if (const auto rest = After(path, cache)) {
      const auto commit = s.commits.find(std::string(rest->substr(0, 40)));
      const auto name = net::PercentDecode(rest->substr(41)).value();
      if (commit == s.commits.end() || !commit->second.contains(name)) {
        return Fail(404, "EntryNotFound");
      }
      return ServeContent(request, commit->second.at(name).content);
    }
    return Fail(404, "RepoNotFound");
  });
}

net::HttpResponse MemoryHub::Info(const State& state, std::string_view revision) const {
  std::string sha;
  if (revision == "main") sha = state.head;
  for (const auto& [commit, tree] : state.commits) {
    if (revision.size() >= 7 && commit.starts_with(revision)) sha = commit;
  }
  if (sha.empty()) return Fail(404, "RevisionNotFound");
  return {200,
          {{"Content-Type", "application/json"}},
          R"({"id":")" + options_.id + R"(","sha":")" + sha + R"(","gated":false})"};
}

net::HttpResponse MemoryHub::List(const State& state,
                                  std::string_view sha,
                                  const net::Url& url) const {
  const auto commit = state.commits.find(std::string(sha));
  if (commit == state.commits.end()) return Fail(404, "RevisionNotFound");
  const std::uint64_t start = QueryNumber(url.query, "cursor");
  std::string body = "[";
  std::uint64_t at = 0;
  for (const auto& [path, file] : commit->second) {
    if (at >= start && at < start + options_.page_entries) {
      if (body.size() > 1) body += ",";
      const std::string size = std::to_string(file.content.size());
      body += R"({"type":"file","oid":")" + GitBlobId(file.lfs ? "pointer" : file.content) +
              R"(","size":)" + size + R"(,"path":)" + JsonQuote(path);
      if (file.lfs) {
        body += R"(,"lfs":{"oid":")" + crypto::Sha256Hex(file.content) + R"(","size":)" + size +
                R"(,"pointerSize":130})";
      }
      body += "}";
    }
    ++at;
  }
  net::HttpResponse response{200, {{"Content-Type", "application/json"}}, body + "]"};
  if (start + options_.page_entries < at) {
    response.headers.Add(
        "Link", "<" + options_.links_name + url.path + "?recursive=true&expand=false&cursor=" +
                    std::to_string(start + options_.page_entries) + ">; rel=\"next\"");
  }
  return response;
}

net::HttpResponse MemoryHub::ResolveFile(State& state,
                                         const net::HttpRequest& request,
                                         std::string_view sha,
                                         const std::string& path) const {
  const auto commit = state.commits.find(std::string(sha));
  if (commit == state.commits.end()) return Fail(404, "RevisionNotFound");
  const auto it = commit->second.find(path);
  if (it == commit->second.end()) return Fail(404, "EntryNotFound");
  const File& file = it->second;
  net::Headers meta{{"X-Repo-Commit", std::string(sha)}};
  if (file.lfs) {
    const std::string hash = crypto::Sha256Hex(file.content);
    meta.Add("X-Linked-Etag", "\"" + hash + "\"");
    meta.Add("X-Linked-Size", std::to_string(file.content.size()));
    const auto ends = std::chrono::duration_cast<std::chrono::seconds>(
        (clock_.Now() + options_.address_life).time_since_epoch());
    meta.Add("Location", options_.storage + "/blob/" + hash +
                             "?Expires=" + std::to_string(ends.count()) +
                             "&Signature=" + std::to_string(++state.serial));
    return {302, meta, "Found"};
  }
  meta.Add("ETag", "\"" + GitBlobId(file.content) + "\"");
  if (options_.small_files_redirect) {
    meta.Add("Location", "/api/resolve-cache/" + options_.kind + "/" + options_.id + "/" +
                             std::string(sha) + "/" + net::PercentEncode(path, "/") +
                             "?etag=%22x%22");
    return {307, meta, "Temporary Redirect"};
  }
  net::HttpResponse response = ServeContent(request, file.content);
  for (const auto& [name, value] : meta.fields()) response.headers.Add(name, value);
  return response;
}

net::HttpResponse MemoryHub::Storage(const State& state, const net::HttpRequest& request) const {
  if (request.headers.Has("Authorization")) return {400, {}, "<Error>two credentials</Error>"};
  const WallTime ends(std::chrono::seconds(QueryNumber(request.url.query, "Expires")));
  if (clock_.Now() >= ends) return {403, {}, "<Error><Code>AccessDenied</Code></Error>"};
  for (const auto& [commit, tree] : state.commits) {
    for (const auto& [path, file] : tree) {
      if (!file.lfs || request.url.path != "/blob/" + crypto::Sha256Hex(file.content)) continue;
      auto response = ServeContent(request, file.content);
      // Sixty-four hex digits, and not the content's hash: storage hosts do that.
      response.headers.Add("ETag", "\"" + crypto::Sha256Hex("etag" + path) + "\"");
      return response;
    }
  }
  return {404, {}, ""};
}

}  // namespace bdn::source::testing
