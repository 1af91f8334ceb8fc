#include "fakes/hub_fake.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "crypto/hash.h"

namespace bdn::fakes {
namespace {

constexpr std::uint64_t kFetchedBodyBytesMax = 16u << 20;
constexpr std::string_view kControlPrefix = "/_fake/";

net::ServerOptions MakeServerOptions(const HubFakeOptions& options, bool cdn) {
  net::ServerOptions server;
  server.name = cdn ? "fake-cdn" : "fake-hub";
  server.listen = cdn ? options.cdn_listen : options.listen;
  server.tls = options.tls;
  server.workers = options.workers;
  server.drain_timeout = std::chrono::milliseconds(50);
  return server;
}

bool AcceptsGzip(const net::ServerRequest& request) {
  return request.headers().Get("Accept-Encoding").value_or("").find("gzip") !=
         std::string_view::npos;
}

Answer StorageError(int status, std::string_view code, std::string_view message) {
  return {.status = status,
          .headers = {{"Content-Type", "application/xml"}},
          .body = fmt::format("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{}</Code>"
                              "<Message>{}</Message></Error>",
                              code, message)};
}

}  // namespace

HubFake::HubFake(HubFakeOptions options)
    : options_(std::move(options)), rate_(options_.bytes_per_second) {}

HubFake::~HubFake() {
  Stop();
}

Result<std::unique_ptr<HubFake>> HubFake::Start(HubFakeOptions options) {
  std::unique_ptr<HubFake> fake(new HubFake(std::move(options)));
  for (const bool cdn : {true, false}) {
    net::Router router;
    const net::Handler handler = [self = fake.get(), cdn](net::ServerRequest& request,
                                                          net::ServerResponse& response) {
      return self->Serve(cdn, request, response);
    };
    for (const std::string_view method : {"GET", "POST", "DELETE"}) {
      router.Add(method, "/{path...}", handler);
    }
    BDN_ASSIGN(auto server,
               net::StartServer(MakeServerOptions(fake->options_, cdn), std::move(router)));
    // Threads of the Hub read its address with the store locked.
    fake->store_.With([&](HubStore&) { (cdn ? fake->cdn_ : fake->hub_) = std::move(server); });
  }
  return fake;
}

void HubFake::Stop() {
  if (hub_) hub_->Stop();
  if (cdn_) cdn_->Stop();
}

Status HubFake::AddRepository(HubRepository repository) {
  return store_.With([&](HubStore& store) { return store.Add(std::move(repository)); });
}

Result<std::string> HubFake::Commit(std::string_view kind, std::string_view id, HubCommit commit) {
  std::map<std::string, std::shared_ptr<const HubFile>> files;
  for (auto& [path, content] : commit.files) {
    files[path] = MakeHubFile(path, std::move(content), options_.lfs);
  }
  return store_.With([&](HubStore& store) {
    return store.Commit(kind, id, commit.branch, files, commit.removed, commit.replace);
  });
}

Result<std::string> HubFake::CommitDirectory(std::string_view kind,
                                             std::string_view id,
                                             const std::string& directory,
                                             const std::string& branch) {
  BDN_ASSIGN(auto files, LoadDirectory(directory));
  return Commit(kind, id, {.files = std::move(files), .branch = branch, .replace = true});
}

Status HubFake::SetRef(std::string_view kind,
                       std::string_view id,
                       const std::string& ref,
                       const std::string& sha) {
  return store_.With([&](HubStore& store) { return store.SetRef(kind, id, ref, sha); });
}

Status HubFake::Rename(std::string_view kind, std::string_view id, const std::string& new_id) {
  return store_.With([&](HubStore& store) { return store.Rename(kind, id, new_id); });
}

Status HubFake::Change(std::string_view kind,
                       std::string_view id,
                       const std::function<void(HubRepository&)>& change) {
  return store_.With([&](HubStore& store) -> Status {
    HubRepository* repository = store.Find(kind, id);
    if (repository == nullptr) return Error(Code::kNotFound, "no repository " + std::string(id));
    change(*repository);
    return {};
  });
}

void HubFake::ExpireUrls() {
  expired_below_ = next_serial_.load();
}

Status HubFake::Serve(bool cdn, net::ServerRequest& request, net::ServerResponse& response) {
  if (!cdn && request.path().starts_with(kControlPrefix)) return Control(request, response);
  LogEntry entry;
  entry.server = cdn ? "cdn" : "hub";
  entry.method = request.method();
  entry.path = request.path();
  entry.query = request.query();
  entry.range = request.headers().Get("Range").value_or("");
  entry.peer = request.peer();
  entry.authorization = request.headers().Has("Authorization");
  const auto fault = faults_.Take(entry.server, entry.method, entry.path, entry.range);
  if (fault) entry.fault = FaultName(fault->kind);
  const std::uint64_t log_id = log_.Begin(entry);
  if (hook_) hook_(entry);
  if (fault && fault->kind == FaultKind::kStallHead) {
    // Nothing tells that the client left before an answer began: this ends with the time or the
    // stand-in, and takes one of its workers meanwhile.
    options_.clock->SleepFor(request.context().stop(), fault->stall);
  }
  if (fault && fault->kind == FaultKind::kMoveBranch) {
    if (const auto target = ParseTarget(request.path())) {
      BDN_TRY(SetRef(target->kind, target->id, fault->branch, fault->commit));
    }
  }
  Answer answer = cdn ? AnswerCdn(request) : AnswerHub(request);
  if (!cdn) CountRequest(request, &answer);
  if (fault) ApplyToAnswer(*fault, cdn, request, &answer);
  answer.headers.Set("X-Request-Id", fmt::format("fake-{:08x}", log_id));
  const Status status = Deliver(request, response, std::move(answer),
                                {.clock = *options_.clock,
                                 .log = log_,
                                 .log_id = log_id,
                                 .fault = fault ? &*fault : nullptr,
                                 .bytes_per_second = rate_});
  log_.Finish(log_id);
  return status;
}

void HubFake::CountRequest(const net::ServerRequest& request, Answer* answer) {
  const std::string_view path = request.path();
  const bool api = path.starts_with("/api/") && !path.starts_with("/api/resolve-cache/");
  const std::string bucket = api ? "api" : "resolvers";
  const std::uint64_t quota = api ? options_.api_quota : options_.resolver_quota;
  const MonoTime now = options_.clock->Monotonic();
  const Window window = windows_.With([&](auto& windows) {
    Window& w = windows[bucket];
    if (w.used == 0 || now - w.started >= options_.window) w = {now, 0};
    ++w.used;
    return w;
  });
  const auto rest =
      std::chrono::duration_cast<std::chrono::seconds>(window.started + options_.window - now);
  if (window.used > quota) {
    *answer = {.status = 429,
               .headers = {{"Content-Type", "application/json"}},
               .body = R"({"error":"We had to rate limit you."})"};
  }
  answer->headers.Set("RateLimit", fmt::format("\"{}\";r={};t={}", bucket,
                                               quota - std::min(quota, window.used), rest.count()));
  answer->headers.Set(
      "RateLimit-Policy",
      fmt::format("\"fixed window\";\"{}\";q={};w={}", bucket, quota,
                  std::chrono::duration_cast<std::chrono::seconds>(options_.window).count()));
}

void HubFake::ApplyToAnswer(const Fault& fault,
                            bool cdn,
                            const net::ServerRequest& request,
                            Answer* answer) {
  switch (fault.kind) {
    case FaultKind::kStatus:
      *answer = {.status = fault.status, .headers = fault.headers, .body = fault.body};
      return;
    case FaultKind::kHeaders:
      for (const auto& [name, value] : fault.headers.fields()) {
        answer->headers.Remove(name);
        if (!value.empty()) answer->headers.Add(name, value);
      }
      return;
    case FaultKind::kIgnoreRange:
      answer->ignore_range = true;
      return;
    case FaultKind::kGzip:
      answer->gzip = true;
      return;
    case FaultKind::kPointer: {
      HubFile file;
      file.sha256 = std::string(64, 'a');
      file.content = answer->content != nullptr ? answer->content : MakeContent("");
      answer->content = MakeContent(file.pointer());
      answer->ignore_range = true;
      return;
    }
    case FaultKind::kExpireUrl:
      ExpireUrls();
      if (cdn && fault.after_bytes == 0) {
        *answer = StorageError(403, "AccessDenied", "Request has expired");
      }
      return;
    case FaultKind::kRedirect:
      *answer = {.status = 307, .headers = answer->headers};
      answer->headers.Set("Location", fault.location);
      return;
    case FaultKind::kRedirectLoop:
      *answer = {.status = 307, .headers = answer->headers};
      answer->headers.Set("Location",
                          fmt::format("{}?again={}", request.path(), next_serial_.fetch_add(1)));
      return;
    default:
      return;  // of the body or before the answer
  }
}

std::string HubFake::Signature(std::string_view path,
                               std::string_view expires,
                               std::string_view serial) {
  return crypto::Sha256Hex(fmt::format("signed {} {} {}", path, expires, serial)).substr(0, 32);
}

std::string HubFake::SignedUrl(const HubFile& file) {
  const std::string path = "/repos/" + file.sha256;
  const auto ends = std::chrono::duration_cast<std::chrono::seconds>(
                        (options_.clock->Now() + options_.signed_url_life).time_since_epoch())
                        .count();
  const std::string expires = std::to_string(ends);
  const std::string serial = std::to_string(next_serial_.fetch_add(1));
  return fmt::format("{}{}?Expires={}&Policy={}&Signature={}&Key-Pair-Id=FAKE", cdn_url(), path,
                     expires, serial, Signature(path, expires, serial));
}

Answer HubFake::AnswerCdn(net::ServerRequest& request) {
  if (request.headers().Has("Authorization")) {
    return StorageError(400, "InvalidArgument",
                        "Only one auth mechanism allowed; a signed query and the Authorization "
                        "header were given");
  }
  const std::string expires = request.query_param("Expires").value_or("");
  const std::string serial = request.query_param("Policy").value_or("");
  if (request.query_param("Signature").value_or("") != Signature(request.path(), expires, serial)) {
    return StorageError(403, "SignatureDoesNotMatch", "The signature is wrong");
  }
  // Both are numbers: the signature says that we wrote them.
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(options_.clock->Now().time_since_epoch());
  if (std::stoll(expires) <= now.count() || std::stoull(serial) < expired_below_) {
    return StorageError(403, "AccessDenied", "Request has expired");
  }
  const std::string sha256(request.path().substr(std::string_view("/repos/").size()));
  const ContentPtr content =
      store_.With([&](const HubStore& store) { return store.FindObject(sha256); });
  if (content == nullptr) return StorageError(404, "NoSuchKey", "There is no such object");
  const bool ranged = request.headers().Has("Range");
  if (!ranged && options_.cdn_whole_bytes_max != 0 &&
      content->size > options_.cdn_whole_bytes_max) {
    return StorageError(400, "InvalidRequest", "The object is too large to be sent as a whole");
  }
  Answer answer;
  answer.content = content;
  // As long as a SHA-256, and not that of the content.
  answer.etag = "\"" + crypto::Sha256Hex("cdn etag of " + sha256) + "\"";
  answer.ignore_range = AcceptsGzip(request);
  return answer;
}

Answer HubFake::AnswerHub(net::ServerRequest& request) {
  const auto target = ParseTarget(request.path());
  if (!target) {
    return {.status = 404,
            .headers = {{"Content-Type", "application/json"}},
            .body = R"({"error":"Sorry, we can't find the page you are looking for."})"};
  }
  std::string body;
  if (request.method() == "POST") body = request.Body(kFetchedBodyBytesMax).value_or("");
  Answer answer = store_.With(
      [&](const HubStore& store) { return AnswerRepository(store, *target, request, body); });
  if (answer.content != nullptr && AcceptsGzip(request)) answer.gzip = true;
  return answer;
}

}  // namespace bdn::fakes
