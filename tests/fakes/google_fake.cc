#include "fakes/google_fake.h"

#include <utility>

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "crypto/digest.h"
#include "crypto/hash.h"
#include "crypto/signature.h"
#include "net/curl_transport.h"

namespace bdn::fakes {
namespace {

constexpr std::string_view kGoogleControlPrefix = "/_fake/";
constexpr std::uint64_t kGoogleReadBytes = 1u << 20;

// Which service a path belongs to: the name in the log.
std::string_view GooglePartOf(std::string_view path) {
  if (path == "/v1/token") return "sts";
  if (path == "/token" || path == "/oauth2/v4/token") return "oauth2";
  if (path.starts_with("/v1/projects/")) return "iam";
  return "storage";
}

std::string GoogleBase64OfHex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return crypto::Base64Encode(bytes);
}

std::string GoogleBase64HashOf(crypto::HashKind kind, const Content& content) {
  crypto::Hasher hasher(kind);
  for (std::uint64_t at = 0; at < content.size; at += kGoogleReadBytes) {
    const auto piece = content.Read(at, kGoogleReadBytes);
    if (!piece) break;
    hasher.Update(*piece);
  }
  return GoogleBase64OfHex(hasher.FinishHex());
}

void ApplyGoogleFault(const Fault& fault, const net::ServerRequest& request, Answer* answer) {
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
      // Only where it is accepted: nobody compresses for a client that refuses it.
      answer->gzip = request.headers().Get("Accept-Encoding").value_or("").find("gzip") !=
                     std::string_view::npos;
      return;
    case FaultKind::kRedirect:
      *answer = {.status = 307, .headers = answer->headers};
      answer->headers.Set("Location", fault.location);
      return;
    default:
      return;  // of the body, before the answer, or of another stand-in
  }
}

}  // namespace

GoogleFake::GoogleFake(GoogleFakeOptions options)
    : options_(std::move(options)), rate_(options_.bytes_per_second) {}

GoogleFake::~GoogleFake() {
  Stop();
}

Result<std::unique_ptr<GoogleFake>> GoogleFake::Start(GoogleFakeOptions options) {
  std::unique_ptr<GoogleFake> fake(new GoogleFake(std::move(options)));
  net::CurlTransportOptions transport;
  transport.ca_file = fake->options_.ca_file;
  BDN_TRY(transport.addresses.Allow("127.0.0.0/8"));
  fake->issuers_ = net::MakeCurlTransport(std::move(transport));
  net::ServerOptions server;
  server.name = "fake-google";
  server.listen = fake->options_.listen;
  server.tls = fake->options_.tls;
  server.workers = fake->options_.workers;
  server.drain_timeout = std::chrono::milliseconds(50);
  net::Router router;
  for (const std::string_view method : {"GET", "POST", "DELETE"}) {
    router.Add(method, "/{path...}",
               [self = fake.get()](net::ServerRequest& request, net::ServerResponse& response) {
                 return self->Serve(request, response);
               });
  }
  BDN_ASSIGN(auto started, net::StartServer(std::move(server), std::move(router)));
  // Threads of the server read its address with the state locked.
  fake->state_.With([&](State&) { fake->server_ = std::move(started); });
  return fake;
}

void GoogleFake::Stop() {
  if (server_) server_->Stop();
}

void GoogleFake::AddBucket(GoogleBucket bucket) {
  state_.With([&](State& s) {
    const std::string name = bucket.name;
    s.buckets[name].about = std::move(bucket);
  });
}

Result<std::string> GoogleFake::Put(const std::string& bucket,
                                    const std::string& name,
                                    GoogleObject object) {
  Stored stored;
  if (!object.composed) stored.md5 = GoogleBase64HashOf(crypto::HashKind::kMd5, *object.content);
  stored.crc32c = GoogleBase64HashOf(crypto::HashKind::kCrc32c, *object.content);
  stored.object = std::move(object);
  const WallTime now = options_.clock->Now();
  stored.updated = FormatRfc3339(now);
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  return state_.With([&](State& s) -> Result<std::string> {
    const auto it = s.buckets.find(bucket);
    if (it == s.buckets.end()) return Error(Code::kNotFound, "there is no bucket " + bucket);
    // Microseconds, as Google's look; counted on, so that two in one are two.
    stored.generation = static_cast<std::uint64_t>(micros) + ++s.puts;
    const std::string generation = std::to_string(stored.generation);
    it->second.objects[name] = std::make_shared<const Stored>(std::move(stored));
    return generation;
  });
}

Status GoogleFake::PutDirectory(const std::string& bucket,
                                const std::string& prefix,
                                const std::string& directory) {
  BDN_ASSIGN(auto files, LoadDirectory(directory));
  for (auto& [path, content] : files) {
    BDN_TRY(Put(bucket, prefix + path, {.content = std::move(content)}));
  }
  return {};
}

Status GoogleFake::Remove(const std::string& bucket, const std::string& name) {
  return state_.With([&](State& s) -> Status {
    const auto it = s.buckets.find(bucket);
    if (it == s.buckets.end() || it->second.objects.erase(name) == 0) {
      return Error(Code::kNotFound, "there is no object " + bucket + "/" + name);
    }
    return {};
  });
}

std::string GoogleFake::AddServiceAccount(const std::string& email) {
  const auto key = crypto::PrivateKey::Generate(crypto::SignatureAlgorithm::kRs256);
  const std::string kid = crypto::Sha256Hex(auth::JwkThumbprint(key.public_key())).substr(0, 40);
  state_.With(
      [&](State& s) { s.accounts[email].keys.push_back({.kid = kid, .key = key.public_key()}); });
  return boost::json::serialize(
      boost::json::object{{"type", "service_account"},
                          {"project_id", "fake-project"},
                          {"private_key_id", kid},
                          {"private_key", key.ToPem()},
                          {"client_email", email},
                          {"client_id", "100000000000000000001"},
                          {"auth_uri", "https://accounts.google.com/o/oauth2/auth"},
                          {"token_uri", "https://oauth2.googleapis.com/token"},
                          {"universe_domain", "googleapis.com"}});
}

void GoogleFake::DeleteKeys(const std::string& email) {
  state_.With([&](State& s) { s.accounts[email].keys.clear(); });
}

void GoogleFake::SetProvider(GoogleProvider provider) {
  state_.With([&](State& s) {
    const std::string name = provider.name;
    s.providers[name] = std::move(provider);
  });
}

void GoogleFake::Bind(const std::string& email, const std::string& provider) {
  state_.With([&](State& s) { s.accounts[email].principals.insert(provider); });
}

void GoogleFake::ExpireTokens() {
  state_.With([](State& s) { s.tokens.clear(); });
}

Answer GoogleFake::AnswerTo(std::string_view part, net::ServerRequest& request) {
  if (part == "sts") return AnswerSts(request);
  if (part == "oauth2") return AnswerOauth(request);
  if (part == "iam") return AnswerIam(request);
  return AnswerStorage(request);
}

Status GoogleFake::Serve(net::ServerRequest& request, net::ServerResponse& response) {
  if (request.path().starts_with(kGoogleControlPrefix)) return Control(request, response);
  LogEntry entry;
  const std::string_view part = GooglePartOf(request.path());
  entry.server = part;
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
  Answer answer = AnswerTo(part, request);
  if (fault) ApplyGoogleFault(*fault, request, &answer);
  answer.headers.Set("X-GUploader-UploadID", fmt::format("fake-{:08x}", log_id));
  const Status status = Deliver(request, response, std::move(answer),
                                {.clock = *options_.clock,
                                 .log = log_,
                                 .log_id = log_id,
                                 .fault = fault ? &*fault : nullptr,
                                 .bytes_per_second = rate_});
  log_.Finish(log_id);
  return status;
}

}  // namespace bdn::fakes
