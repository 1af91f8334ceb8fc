// The answers of the Hub's API and of its resolve addresses.
#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "codec/json.h"
#include "crypto/hash.h"
#include "fakes/hub_fake.h"

namespace bdn::fakes {
namespace {

constexpr std::string_view kLastModified = "2026-01-01T00:00:00.000Z";

Answer Fail(int status, std::string_view code, std::string_view message) {
  Answer answer{.status = status,
                .headers = {{"Content-Type", "application/json; charset=utf-8"},
                            {"X-Error-Message", std::string(message)}}};
  if (!code.empty()) answer.headers.Add("X-Error-Code", std::string(code));
  answer.body = codec::SerializeJson(boost::json::object{{"error", message}});
  return answer;
}

Answer Json(const boost::json::value& value) {
  return {.headers = {{"Content-Type", "application/json; charset=utf-8"}},
          .body = codec::SerializeJson(value)};
}

std::vector<std::string> Split(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t slash = std::min(path.find('/'), path.size());
    out.emplace_back(path.substr(0, slash));
    path.remove_prefix(slash);
  }
  return out;
}

// Segments that may be encoded as one ("a%2Fb") or lie apart ("a/b").
std::string JoinDecoded(const std::vector<std::string>& segments, std::size_t from) {
  std::string out;
  for (std::size_t i = from; i < segments.size(); ++i) {
    if (i > from) out += '/';
    out += net::PercentDecode(segments[i]).value_or("");
  }
  return out;
}

bool IsSha(std::string_view text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool IsVerb(const std::string& text) {
  static const std::set<std::string> kVerbs = {"revision", "tree", "paths-info", "resolve", "raw"};
  return kVerbs.contains(text);
}

std::uint64_t NumberOr(const std::optional<std::string>& text, std::uint64_t otherwise) {
  if (!text) return otherwise;
  std::uint64_t value = otherwise;
  std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

boost::json::object FileEntry(const std::string& path, const HubFile& file) {
  boost::json::object entry{
      {"type", "file"}, {"oid", file.oid}, {"size", file.content->size}, {"path", path}};
  if (file.lfs()) {
    entry["lfs"] = boost::json::object{
        {"oid", file.sha256}, {"size", file.content->size}, {"pointerSize", file.pointer().size()}};
  }
  return entry;
}

boost::json::object DirectoryEntry(const std::string& path) {
  return {{"type", "directory"}, {"oid", GitBlobIdOf("tree " + path)}, {"size", 0}, {"path", path}};
}

void AddLastCommit(boost::json::object& entry, const std::string& sha) {
  entry["lastCommit"] =
      boost::json::object{{"id", sha}, {"title", "Upload"}, {"date", kLastModified}};
}

// Files and directories below `base` ("" for all), with `recursive` at every depth.
std::map<std::string, boost::json::object> EntriesOf(const HubTree& tree,
                                                     const std::string& base,
                                                     bool recursive) {
  const std::string prefix = base.empty() ? "" : base + "/";
  std::map<std::string, boost::json::object> entries;
  for (const auto& [path, file] : tree) {
    if (!path.starts_with(prefix)) continue;
    std::size_t slash = path.find('/', prefix.size());
    const bool direct = slash == path.npos;
    for (; slash != path.npos; slash = path.find('/', slash + 1)) {
      const std::string directory = path.substr(0, slash);
      if (!entries.contains(directory)) entries[directory] = DirectoryEntry(directory);
      if (!recursive) break;
    }
    if (direct || recursive) entries[path] = FileEntry(path, *file);
  }
  return entries;
}

}  // namespace

std::optional<HubFake::Target> HubFake::ParseTarget(std::string_view path) {
  const auto segments = Split(path);
  const auto is_kind = [](const std::string& text) {
    return text == "models" || text == "datasets" || text == "spaces";
  };
  Target target;
  std::size_t i = 0;
  target.api = !segments.empty() && segments[0] == "api";
  if (target.api) ++i;
  const bool cache = target.api && segments.size() > 1 && segments[1] == "resolve-cache";
  if (cache) ++i;
  target.kind = "models";
  if (target.api) {
    if (i >= segments.size() || !is_kind(segments[i])) return std::nullopt;
    target.kind = segments[i++];
  } else if (!segments.empty() && segments[0] != "models" && is_kind(segments[0])) {
    target.kind = segments[i++];
  }
  const auto ends_id = [&](std::size_t at) {
    return at == segments.size() ||
           (at < segments.size() && (cache ? IsSha(segments[at]) : IsVerb(segments[at])));
  };
  const std::size_t id_size = ends_id(i + 2) ? 2 : ends_id(i + 1) ? 1 : 0;
  if (id_size == 0) return std::nullopt;
  target.id = JoinDecoded({segments.begin() + static_cast<std::ptrdiff_t>(i),
                           segments.begin() + static_cast<std::ptrdiff_t>(i + id_size)},
                          0);
  i += id_size;
  for (std::size_t at = i; at < segments.size(); ++at) target.raw_rest += "/" + segments[at];
  if (cache) {
    target.verb = "resolve-cache";
  } else if (i < segments.size()) {
    target.verb = segments[i++];
  }
  target.rest.assign(segments.begin() + static_cast<std::ptrdiff_t>(i), segments.end());
  return target;
}

std::optional<Answer> HubFake::Deny(const HubRepository* repository,
                                    const net::ServerRequest& request,
                                    Access access) const {
  const auto field = request.headers().Get("Authorization");
  const HubToken* token = nullptr;
  for (const HubToken& known : options_.tokens) {
    if (field == "Bearer " + known.token) token = &known;
  }
  if (field && token == nullptr && !options_.tokens.empty()) {
    return Fail(401, "", "Invalid credentials in Authorization header");
  }
  const auto opens = [&](const HubRepository& r) {
    return token != nullptr &&
           std::any_of(token->repositories.begin(), token->repositories.end(),
                       [&](const std::string& id) { return id == "*" || id == r.id; });
  };
  // Whether it is missing or private is not told.
  if (repository == nullptr || (repository->is_private && !opens(*repository))) {
    if (token == nullptr) return Fail(401, "RepoNotFound", "Invalid username or password.");
    return Fail(404, "RepoNotFound", "Repository not found");
  }
  if (repository->disabled) return Fail(403, "", "Access to this resource is disabled.");
  if (access == Access::kContent && repository->gated && !opens(*repository)) {
    return Fail(token == nullptr ? 401 : 403, "GatedRepo",
                fmt::format("Access to model {} is restricted{}", repository->id,
                            token == nullptr ? ". You must have access to it and be authenticated"
                                             : " and you are not in the authorized list"));
  }
  return std::nullopt;
}

Answer HubFake::AnswerRepository(const HubStore& store,
                                 const Target& target,
                                 net::ServerRequest& request,
                                 const std::string& body) {
  const HubRepository* repository = store.Find(target.kind, target.id);
  const bool content =
      target.verb == "resolve" || target.verb == "resolve-cache" || target.verb == "raw";
  if (repository == nullptr) {
    if (const auto today = store.RenamedTo(target.kind, target.id)) {
      Answer answer{.status = 307};
      std::string to = target.api ? "/api/" + target.kind + "/" : "/";
      if (!target.api && target.kind != "models") to += target.kind + "/";
      to += *today + target.raw_rest;
      if (!request.query().empty()) to += "?" + std::string(request.query());
      answer.headers.Add("Location", to);
      return answer;
    }
  }
  if (auto denied = Deny(repository, request, content ? Access::kContent : Access::kMetadata)) {
    return *std::move(denied);
  }
  const std::string revision =
      target.rest.empty() ? "main" : net::PercentDecode(target.rest[0]).value_or("");
  const auto sha = repository->FindRevision(revision);
  if (!sha) return Fail(404, "RevisionNotFound", "Invalid rev id: " + revision);
  if (content) return ResolveFile(*repository, *sha, target, request);
  if (target.verb.empty() || target.verb == "revision") return Info(*repository, *sha);
  if (target.verb == "tree") return Tree(*repository, *sha, target, request);
  return PathsInfo(*repository, *sha, body);
}

Answer HubFake::Info(const HubRepository& repository, const std::string& sha) const {
  boost::json::array siblings;
  for (const auto& [path, file] : *repository.commits.at(sha)) {
    siblings.push_back(boost::json::object{{"rfilename", path}});
  }
  boost::json::object info{{"_id", crypto::Sha256Hex(repository.id).substr(0, 24)},
                           {"id", repository.id},
                           {"private", repository.is_private},
                           {"disabled", repository.disabled},
                           {"sha", sha},
                           {"lastModified", kLastModified},
                           {"createdAt", kLastModified},
                           {"downloads", 0},
                           {"likes", 0},
                           {"tags", boost::json::array()},
                           {"siblings", std::move(siblings)}};
  if (repository.gated) {
    info["gated"] = "manual";
  } else {
    info["gated"] = false;
  }
  if (repository.kind == "models") info["modelId"] = repository.id;
  return Json(info);
}

Answer HubFake::Tree(const HubRepository& repository,
                     const std::string& sha,
                     const Target& target,
                     const net::ServerRequest& request) const {
  const HubTree& tree = *repository.commits.at(sha);
  const bool recursive = request.query_param("recursive").value_or("") == "true";
  const bool expand = request.query_param("expand").value_or("") == "true";
  const std::string base = JoinDecoded(target.rest, 1);
  auto entries = EntriesOf(tree, base, recursive);
  if (entries.empty() && !base.empty()) return Fail(404, "EntryNotFound", "Entry not found");
  const std::uint64_t limit = std::clamp<std::uint64_t>(
      NumberOr(request.query_param("limit"), options_.page_entries), 1, options_.page_entries);
  const std::uint64_t start = NumberOr(request.query_param("cursor"), 0);
  boost::json::array page;
  std::uint64_t at = 0;
  for (auto& [path, entry] : entries) {
    if (at >= start && at < start + limit) {
      if (expand) AddLastCommit(entry, sha);
      page.push_back(std::move(entry));
    }
    ++at;
  }
  Answer answer = Json(page);
  if (start + limit < at) {
    const std::string base_url = options_.links_name.empty() ? url() : options_.links_name;
    std::string query;
    if (recursive) query += "recursive=true&";
    if (expand) query += "expand=true&";
    answer.headers.Add("Link", fmt::format("<{}{}?{}limit={}&cursor={}>; rel=\"next\"", base_url,
                                           request.path(), query, limit, start + limit));
  }
  return answer;
}

Answer HubFake::PathsInfo(const HubRepository& repository,
                          const std::string& sha,
                          const std::string& body) const {
  const auto json = codec::ParseJson(body);
  if (!json) return Fail(400, "", json.error().message());
  const codec::JsonView root(*json);
  const auto paths = root.StringsOr("paths");
  if (!paths) return Fail(400, "", paths.error().message());
  const bool expand = root.BoolOr("expand", false).value_or(false);
  const auto entries = EntriesOf(*repository.commits.at(sha), "", true);
  boost::json::array found;
  for (const std::string& path : *paths) {
    const auto it = entries.find(path);
    if (it == entries.end()) continue;
    boost::json::object entry = it->second;
    if (expand) AddLastCommit(entry, sha);
    found.push_back(std::move(entry));
  }
  return Json(found);
}

Answer HubFake::ResolveFile(const HubRepository& repository,
                            const std::string& sha,
                            const Target& target,
                            const net::ServerRequest& request) {
  const std::string path = JoinDecoded(target.rest, 1);
  const HubTree& tree = *repository.commits.at(sha);
  const auto it = tree.find(path);
  if (it == tree.end()) {
    Answer answer = Fail(404, "EntryNotFound", "Entry not found");
    answer.headers.Add("X-Repo-Commit", sha);
    return answer;
  }
  const HubFile& file = *it->second;
  Answer answer;
  answer.headers = {{"X-Repo-Commit", sha}, {"Access-Control-Expose-Headers", "X-Repo-Commit"}};
  if (file.lfs() && target.verb == "resolve" && file.content->size > 0) {
    answer.status = 302;
    answer.headers.Add("X-Linked-Etag", "\"" + file.sha256 + "\"");
    answer.headers.Add("X-Linked-Size", std::to_string(file.content->size));
    answer.headers.Add("Location", SignedUrl(file));
    answer.body = "Found";
    return answer;
  }
  // Small files of public repositories go through an address that caches may keep.
  const bool plain = !repository.is_private && !repository.gated &&
                     repository.id.find('/') != std::string::npos && file.content->size > 0;
  if (plain && target.verb == "resolve") {
    answer.status = 307;
    answer.headers.Add("ETag", "\"" + file.oid + "\"");
    answer.headers.Add(
        "Location",
        fmt::format("/api/resolve-cache/{}/{}/{}/{}?{}etag=%22{}%22", repository.kind,
                    repository.id, sha, net::PercentEncode(path, "/"),
                    request.query().empty() ? "" : std::string(request.query()) + "&", file.oid));
    answer.body = "Temporary Redirect";
    return answer;
  }
  if (file.lfs()) {
    answer.headers.Add("X-Linked-Etag", "\"" + file.sha256 + "\"");
    answer.headers.Add("X-Linked-Size", std::to_string(file.content->size));
  }
  const bool pointer = target.verb == "raw" && file.lfs();
  answer.content = pointer ? MakeContent(file.pointer()) : file.content;
  answer.etag = "\"" + (file.lfs() && !pointer ? file.sha256 : file.oid) + "\"";
  return answer;
}

}  // namespace bdn::fakes
