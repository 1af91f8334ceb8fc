#include "fakes/blob_fake.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "crypto/digest.h"
#include "crypto/hash.h"
#include "net/content_plan.h"
#include "net/curl_transport.h"

namespace bdn::fakes {
namespace {

constexpr std::string_view kVersion = "2021-12-02";

std::string Escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Answer Refuse(const BlobRefusal& refusal) {
  std::string body = fmt::format(
      "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{}</Code><Message>{}\n"
      "RequestId:fake\nTime:2026-01-01T00:00:00.0000000Z</Message>",
      refusal.code, Escape(refusal.message));
  if (!refusal.detail.empty()) {
    body += "<AuthenticationErrorDetail>" + Escape(refusal.detail) + "</AuthenticationErrorDetail>";
  }
  return {.status = refusal.status,
          .headers = {{"Content-Type", "application/xml"}, {"x-ms-error-code", refusal.code}},
          .body = body + "</Error>"};
}

std::string EtagOf(const FakeBlob& blob) {
  return "0x8D" + Sha256Of(*blob.content).substr(0, 12);
}

std::string RawMd5(const Content& content) {
  crypto::Hasher hasher(crypto::HashKind::kMd5);
  hasher.Update(content.bytes);
  const std::string hex = hasher.FinishHex();
  std::string raw;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    raw += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return raw;
}

// "/account/container/blob/name", the blob still as on the wire.
std::optional<BlobTarget> TargetOf(const net::ServerRequest& request) {
  std::string_view path = request.path().substr(1);
  const auto cut = [&path] {
    const auto part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(part.size() + 1, path.size()));
    return std::string(part);
  };
  BlobTarget target;
  target.account = cut();
  target.container = net::PercentDecode(cut()).value_or("");
  target.blob = net::PercentDecode(path).value_or("");
  if (target.account.empty() || target.container.empty()) return std::nullopt;
  const bool list = target.blob.empty() && request.query_param("comp").value_or("") == "list";
  if (target.blob.empty() && !list) return std::nullopt;
  target.right = list ? 'l' : 'r';
  return target;
}

}  // namespace

BlobFake::BlobFake(BlobFakeOptions options)
    : options_(std::move(options)),
      issuers_(net::MakeCurlTransport(
          {.addresses = *net::AddressPolicy::WithAllowed({"127.0.0.0/8", "::1/128"})})) {
  state_.With([&](State& state) { state.accounts.keys = options_.keys; });
}

BlobFake::~BlobFake() {
  Stop();
}

Result<std::unique_ptr<BlobFake>> BlobFake::Start(BlobFakeOptions options) {
  std::unique_ptr<BlobFake> fake(new BlobFake(std::move(options)));
  net::Router router;
  const net::Handler handler = [self = fake.get()](net::ServerRequest& request,
                                                   net::ServerResponse& response) {
    return self->Serve(request, response);
  };
  for (const std::string_view method : {"GET", "POST", "DELETE"}) {
    router.Add(method, "/{path...}", handler);
  }
  net::ServerOptions server;
  server.name = "fake-azure";
  server.listen = fake->options_.listen;
  server.workers = fake->options_.workers;
  server.drain_timeout = std::chrono::milliseconds(50);
  BDN_ASSIGN(fake->server_, net::StartServer(server, std::move(router)));
  return fake;
}

void BlobFake::Stop() {
  if (server_) server_->Stop();
}

void BlobFake::Put(const std::string& account,
                   const std::string& container,
                   const std::string& name,
                   FakeBlob blob) {
  blob.etag = EtagOf(blob);
  state_.With([&](State& state) {
    Container& blobs = state.containers[account + "/" + container];
    if (!name.empty()) blobs[name] = std::move(blob);
  });
}

Status BlobFake::PutDirectory(const std::string& account,
                              const std::string& container,
                              const std::string& directory) {
  BDN_ASSIGN(auto files, LoadDirectory(directory));
  for (auto& [path, content] : files) {
    FakeBlob blob;
    if (content->file == nullptr) blob.md5 = crypto::Base64Encode(RawMd5(*content));
    blob.content = std::move(content);
    Put(account, container, path, std::move(blob));
  }
  return {};
}

Status BlobFake::Serve(net::ServerRequest& request, net::ServerResponse& response) {
  if (request.path().starts_with("/_fake/")) return Control(request, response);
  LogEntry entry;
  entry.server = "azure";
  entry.method = request.method();
  entry.path = request.path();
  entry.query = request.query();
  entry.range = request.headers().Get("Range").value_or("");
  entry.peer = request.peer();
  entry.authorization = request.headers().Has("Authorization");
  const auto fault = faults_.Take(entry.server, entry.method, entry.path, entry.range);
  if (fault) entry.fault = FaultName(fault->kind);
  const std::uint64_t log_id = log_.Begin(entry);
  if (fault && fault->kind == FaultKind::kStallHead) {
    options_.clock->SleepFor(request.context().stop(), fault->stall);
  }
  Answer answer = AnswerCall(request);
  if (fault && fault->kind == FaultKind::kStatus) {
    answer = {.status = fault->status, .headers = fault->headers, .body = fault->body};
  } else if (fault && fault->kind == FaultKind::kHeaders) {
    for (const auto& [name, value] : fault->headers.fields()) answer.headers.Set(name, value);
  } else if (fault && fault->kind == FaultKind::kIgnoreRange) {
    answer.ignore_range = true;
  }
  answer.headers.Set("x-ms-request-id", fmt::format("fake-{:08x}", log_id));
  answer.headers.Set("x-ms-version", std::string(kVersion));
  const Status status = Deliver(request, response, std::move(answer),
                                {.clock = *options_.clock,
                                 .log = log_,
                                 .log_id = log_id,
                                 .fault = fault ? &*fault : nullptr,
                                 .bytes_per_second = rate_});
  log_.Finish(log_id);
  return status;
}

Answer BlobFake::AnswerCall(net::ServerRequest& request) {
  if (request.method() == "POST" && request.path().ends_with("/oauth2/v2.0/token")) {
    return AnswerToken(request);
  }
  const auto target = TargetOf(request);
  if (!target || (request.method() != "GET" && request.method() != "HEAD")) {
    return Refuse({405, "UnsupportedHttpVerb", "The resource doesn't support this verb."});
  }
  const WallTime now = options_.clock->Now();
  return state_.With([&](State& state) {
    std::erase_if(state.token_ends, [&](const auto& one) {
      if (one.second > now) return false;
      state.accounts.tokens.erase(one.first);
      return true;
    });
    if (const auto refusal = CheckBlobAccess(request, *target, state.accounts, now)) {
      return Refuse(*refusal);
    }
    const auto container = state.containers.find(target->account + "/" + target->container);
    if (container == state.containers.end()) {
      return Refuse({404, "ContainerNotFound", "The specified container does not exist."});
    }
    if (target->blob.empty()) return AnswerList(container->second, target->container, request);
    const auto blob = container->second.find(target->blob);
    if (blob == container->second.end()) {
      return Refuse({404, "BlobNotFound", "The specified blob does not exist."});
    }
    return AnswerBlob(blob->second, request);
  });
}

Answer BlobFake::AnswerBlob(const FakeBlob& blob, const net::ServerRequest& request) const {
  if (request.method() == "GET" && blob.tier == "Archive") {
    return Refuse({409, "BlobArchived", "This operation is not permitted on an archived blob."});
  }
  const std::string etag = "\"" + blob.etag + "\"";
  const auto match = request.headers().Get("If-Match");
  if (match && !net::EtagListMatches(*match, etag, false)) {
    return Refuse({412, "ConditionNotMet",
                   "The condition specified using HTTP conditional header(s) is not met."});
  }
  Answer answer;
  // The service prefers its own header.
  answer.range = request.headers().Get("x-ms-range").value_or("");
  answer.content = blob.content;
  answer.etag = etag;
  answer.headers = {{"x-ms-blob-type", "BlockBlob"},
                    {"x-ms-access-tier", blob.tier},
                    {"Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"}};
  const bool ranged = !answer.range.empty() || request.headers().Has("Range");
  if (!blob.md5.empty()) {
    answer.headers.Set(ranged ? "x-ms-blob-content-md5" : "Content-MD5", blob.md5);
  }
  for (const auto& [name, value] : blob.metadata) answer.headers.Set("x-ms-meta-" + name, value);
  return answer;
}

Answer BlobFake::AnswerList(const Container& container,
                            const std::string& name,
                            const net::ServerRequest& request) const {
  const std::string prefix = request.query_param("prefix").value_or("");
  const std::string marker = request.query_param("marker").value_or("");
  const bool metadata =
      request.query_param("include").value_or("").find("metadata") != std::string::npos;
  std::size_t limit = options_.page_blobs;
  if (const auto asked = request.query_param("maxresults")) {
    std::size_t number = 0;
    std::from_chars(asked->data(), asked->data() + asked->size(), number);
    if (number > 0) limit = std::min(limit, number);
  }
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"{}/\" "
      "ContainerName=\"{}\"><Prefix>{}</Prefix><Blobs>",
      server_->base_url(), Escape(name), Escape(prefix));
  std::size_t count = 0;
  std::string next;
  // The marker is opaque: "2!" and the name to go on with, in hex.
  const std::string from =
      marker.starts_with("2!") ? net::PercentDecode(marker.substr(2)).value_or("") : std::string();
  for (auto it = container.lower_bound(from); it != container.end(); ++it) {
    if (!it->first.starts_with(prefix)) continue;
    if (count++ == limit) {
      next = "2!" + net::PercentEncode(it->first);
      break;
    }
    const FakeBlob& blob = it->second;
    text += fmt::format(
        "<Blob><Name>{}</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 "
        "GMT</Last-Modified><Etag>{}</Etag><Content-Length>{}</Content-Length><Content-Type>"
        "application/octet-stream</Content-Type><Content-MD5>{}</Content-MD5><BlobType>BlockBlob"
        "</BlobType><AccessTier>{}</AccessTier></Properties>",
        Escape(it->first), blob.etag, blob.content->size, blob.md5, blob.tier);
    if (metadata) {
      text += "<Metadata>";
      for (const auto& [key, value] : blob.metadata) {
        text += fmt::format("<{0}>{1}</{0}>", key, Escape(value));
      }
      text += "</Metadata>";
    }
    text += "</Blob>";
  }
  text += "</Blobs><NextMarker>" + Escape(next) + "</NextMarker></EnumerationResults>";
  return {.headers = {{"Content-Type", "application/xml"}}, .body = std::move(text)};
}

}  // namespace bdn::fakes
