#include "source/https.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/guarded.h"
#include "cloud/hugging_face_hub.h"
#include "codec/json.h"
#include "crypto/hash.h"
#include "source/https_sinks.h"
#include "source/https_stream.h"
#include "source/listing.h"

namespace bdn::source {
namespace {

constexpr std::size_t kHttpsSecretBytesMax = 64 * 1024;

// Written by us or by the transport; a secret must not change what a request means.
constexpr std::array<std::string_view, 12> kHttpsReserved = {
    "accept-encoding", "connection", "content-length",      "expect", "host", "if-match",
    "if-none-match",   "if-range",   "if-unmodified-since", "range",  "te",   "transfer-encoding"};

std::string HttpsLower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::string_view HttpsTrim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// What one look at the server says.
struct HttpsLook {
  RemoteFile file;
  std::string kind;  // of the pin
  std::vector<std::string> warnings;
};

class HttpsSource final : public Source {
 public:
  HttpsSource(net::Url url,
              std::string name,
              net::Transport& transport,
              std::shared_ptr<RateLimiter> limiter,
              net::Headers secret,
              HttpsSourceOptions options)
      : url_(std::move(url)),
        name_(std::move(name)),
        secret_(std::move(secret)),
        retry_(options.retry),
        random_(std::move(options.random)),
        transport_(transport),
        limiter_(std::move(limiter)) {
    identity_ = net::RedactUrl(url_.ToString());
    // A query may be a signature: it tells sources apart, and nobody sees it.
    if (url_.has_query)
      identity_ += "?(sha256 " + crypto::Sha256Hex(url_.query).substr(0, 16) + ")";
    for (const auto& [header, value] : secret_.fields()) {
      redirects_.credential_headers.push_back(header);
    }
  }

  Result<Pin> Resolve(const Context& ctx) override;
  Result<std::vector<RemoteFile>> List(const Context& ctx, const Pin& pin) override;
  Status Read(const Context& ctx,
              const Pin& pin,
              const RemoteFile& file,
              net::ByteRange range,
              const ByteSink& sink) override;

 private:
  struct Last {
    std::string fingerprint;
    std::vector<RemoteFile> files;
  };

  template <class F>
  auto Ask(const Context& ctx, F&& call) -> std::invoke_result_t<F> {
    RetryBudget budget(retry_, random_);
    for (;;) {
      BDN_ASSIGN(auto slot, limiter_->Acquire(ctx, ""));
      auto answer = call();
      slot.Release();
      if (answer) {
        limiter_->Succeeded();
        return answer;
      }
      if (answer.error().code() == Code::kRateLimited) {
        limiter_->Throttled(ctx, "", answer.error().retry_after());
      }
      BDN_TRY(budget.Wait(ctx, answer.error()));
    }
  }

  net::HttpRequest Request(std::string_view method, std::string_view range) const {
    net::HttpRequest request{.method = std::string(method), .url = url_, .headers = secret_};
    request.headers.Set("Accept-Encoding", "identity");
    if (!range.empty()) request.headers.Set("Range", std::string(range));
    return request;
  }
  // Sends one probe. An answer of 2xx or 416 stays in `sink`; all others are its error.
  Status Probe(const Context& ctx,
               std::string_view method,
               std::string_view range,
               HttpsProbeSink& sink);
  Result<HttpsLook> LookAt(const Context& ctx);
  Result<HttpsLook> Count(const Context& ctx);
  Status CheckAnswer(const net::ResponseHead& head) const;
  // What an answer of 300 and more to a read means.
  Error RefusalOf(const HttpsRangeSink& answer, WallTime now) const;
  // One attempt; `*pos` follows what the sink has got.
  Status ReadRange(const Context& ctx,
                   const RemoteFile& file,
                   std::uint64_t* pos,
                   std::uint64_t end,
                   const ByteSink& sink,
                   bool* final);
  std::shared_ptr<HttpsStream> StreamOf(const RemoteFile& file);
  std::vector<RemoteFile> FilesOf(const HttpsLook& look) const { return {look.file}; }
  Error ErrorOf(const net::ResponseHead& head, std::string_view text, WallTime now) const;

  const net::Url url_;
  const std::string name_;
  const net::Headers secret_;
  const RetryOptions retry_;
  const UnitRandom random_;
  net::Transport& transport_;
  const std::shared_ptr<RateLimiter> limiter_;
  std::string identity_;
  net::RedirectPolicy redirects_;
  Guarded<Last> last_;  // so that List after Resolve does not ask again
  Guarded<bool> without_ranges_{false};
  struct Streaming {
    std::string version;
    std::shared_ptr<HttpsStream> stream;
  };
  Guarded<Streaming> streaming_;  // last: its thread ends before what it uses
};

Error HttpsSource::ErrorOf(const net::ResponseHead& head,
                           std::string_view text,
                           WallTime now) const {
  const int status = head.status;
  const bool known = !secret_.fields().empty();
  std::string_view fix = "see what the server says";
  Code code = CodeFromHttpStatus(status);
  if (status >= 300 && status < 400) {
    code = Code::kUnavailable;
    fix = "it redirects without saying where";
  } else if (status == 401) {
    code = Code::kUnauthenticated;
    fix = known ? "it does not know the secret's credential: check it, it may have expired"
                : "it wants a credential: name a secret with a token in the source's auth section";
  } else if (status == 403) {
    code = Code::kPermissionDenied;
    fix = known ? "the secret's credential may not read this file; an address with a signature may "
                  "have expired"
                : "it may want a credential, or an address with a signature has expired";
  } else if (status == 404 || status == 410) {
    code = Code::kNotFound;
    fix = "check the address";
  } else if (status == 429) {
    code = Code::kRateLimited;
    fix = "it asks to slow down";
  } else if (status == 501) {
    code = Code::kUnsupported;
    fix = "it cannot answer such a request";
  } else if (status == 408 || status == 425 || status >= 500) {
    code = Code::kUnavailable;
    fix = "try again later";
  }
  std::string shown = cloud::Printable(HttpsTrim(text), 200);
  if (shown.starts_with('<')) shown.clear();  // a page for browsers
  Error error(code, fmt::format("{}: HTTP {}{}: {}", identity_, status,
                                shown.empty() ? "" : " (" + shown + ")", fix));
  const auto wait = head.headers.Get("Retry-After");
  if (wait && (status == 429 || status == 503)) {
    if (const auto time = net::ParseRetryAfter(*wait, now)) {
      error = std::move(error).WithRetryAfter(*time);
    }
  }
  return error;
}

Status HttpsSource::Probe(const Context& ctx,
                          std::string_view method,
                          std::string_view range,
                          HttpsProbeSink& sink) {
  const Status status =
      net::FetchFollowing(ctx, transport_, Request(method, range), redirects_, sink);
  BDN_TRY(ctx.Check());
  if (sink.problem) return std::move(*sink.problem).Context(identity_);
  if (!status && !(sink.cut && sink.head)) return status.error();
  if (!sink.head) return Error(Code::kUnavailable, url_.authority() + " did not answer");
  if (sink.good() || sink.head->status == 416) return {};
  return ErrorOf(*sink.head, sink.text, ctx.clock().Now());
}

// A page where a file should be is mostly a login, or a proxy that speaks for the server.
Status HttpsSource::CheckAnswer(const net::ResponseHead& head) const {
  if (const auto encoding = HttpsEncoding(head.headers); !encoding.empty()) {
    return Error(
               Code::kUnsupported,
               fmt::format("{}: the server compresses the answer ({}) though it was asked not to, "
                           "so sizes and ranges cannot be relied on",
                           identity_, cloud::Printable(encoding, 40)))
        .WithHint("publish the file without Content-Encoding");
  }
  const std::string type = HttpsLower(head.headers.Get("Content-Type").value_or(""));
  const std::string name = HttpsLower(name_);
  if (type.starts_with("text/html") && !name.ends_with(".html") && !name.ends_with(".htm")) {
    return Error(
               Code::kInvalidArgument,
               fmt::format("{}: the server answered with a web page instead of a file", identity_))
        .WithHint(
            "open the address in a browser; it may lead to a login or to a page about the file");
  }
  return {};
}

Result<HttpsLook> HttpsSource::Count(const Context& ctx) {
  return Ask(ctx, [&]() -> Result<HttpsLook> {
    HttpsProbeSink sink(true);
    BDN_TRY(Probe(ctx, "GET", "", sink));
    if (sink.head->status != 200) {
      return Error(Code::kUnavailable,
                   fmt::format("{}: answered HTTP {} to a GET", identity_, sink.head->status));
    }
    BDN_TRY(CheckAnswer(*sink.head));
    HttpsLook look;
    look.file.path = name_;
    look.file.size = sink.bytes;
    look.file.hash_kind = ContentHash::kSha256;
    look.file.hash = sink.hasher.FinishHex();
    look.file.etag = HttpsValidator(sink.head->headers);
    if (look.file.etag.empty()) look.file.etag = std::string(kHttpsHashMark) + look.file.hash;
    look.kind = "sha256";
    look.warnings.push_back(
        fmt::format("{} does not say how large the file is, or which version of it: it was read "
                    "once to know, and is read again to be mirrored",
                    url_.authority()));
    return look;
  });
}

Result<HttpsLook> HttpsSource::LookAt(const Context& ctx) {
  struct Seen {
    net::ResponseHead head;
    std::optional<std::uint64_t> size;
  };
  const auto head = Ask(ctx, [&]() -> Result<Seen> {
    HttpsProbeSink sink(false);
    BDN_TRY(Probe(ctx, "HEAD", "", sink));
    return Seen{*sink.head, HttpsContentLength(sink.head->headers)};
  });
  // Servers that refuse HEAD, and signatures that hold for GET only, say so in many ways: what GET
  // says counts. Trouble that GET would meet as well is reported as it is.
  if (!head && (head.error().retryable() || head.error().code() == Code::kCancelled)) {
    return head.error();
  }
  Seen seen;
  const bool told = head && head->head.status == 200;
  if (told) seen = *head;
  // A HEAD without a length, or with 0, is not to be believed.
  const bool doubt = !told || seen.size.value_or(0) == 0;
  if (doubt) {
    BDN_ASSIGN(seen, Ask(ctx, [&]() -> Result<Seen> {
                 HttpsProbeSink sink(false);
                 BDN_TRY(Probe(ctx, "GET", "bytes=0-0", sink));
                 Seen now{*sink.head, std::nullopt};
                 const std::string_view range(now.head.headers.Get("Content-Range").value_or(""));
                 if (now.head.status == 200) now.size = HttpsContentLength(now.head.headers);
                 if (now.head.status == 416 && range == "bytes */0") now.size = 0;
                 if (now.head.status == 206) {
                   if (const auto got = net::ParseContentRange(range)) now.size = got->total;
                 }
                 return now;
               }));
  }
  if (seen.head.status != 416) BDN_TRY(CheckAnswer(seen.head));
  HttpsLook look;
  look.file.etag = HttpsValidator(seen.head.headers);
  if (!seen.size || (look.file.etag.empty() && seen.head.status != 416)) return Count(ctx);
  look.file.path = name_;
  look.file.size = *seen.size;
  look.kind = look.file.etag.starts_with(kHttpsDateMark) ? "last-modified" : "etag";
  if (look.file.etag.empty()) {  // an empty file whose 416 names no version: its hash is known
    look.file.etag = std::string(kHttpsHashMark) + crypto::Sha256Hex("");
    look.kind = "sha256";
  }
  return look;
}

std::string HttpsFingerprintOf(const HttpsLook& look) {
  return crypto::Sha256Hex(
      fmt::format("{}\n{}\n{}", look.file.etag, look.file.size, look.file.hash));
}

Result<Pin> HttpsSource::Resolve(const Context& ctx) {
  BDN_TRY(ctx.Check());
  BDN_ASSIGN(HttpsLook look, LookAt(ctx));
  BDN_TRY(CheckListing(identity_, {look.file}, {}));
  Pin pin{.fingerprint = HttpsFingerprintOf(look),
          .fingerprint_type = look.kind,
          .identity = identity_,
          .warnings = std::move(look.warnings)};
  last_.With([&](Last& last) { last = {pin.fingerprint, {look.file}}; });
  return pin;
}

Result<std::vector<RemoteFile>> HttpsSource::List(const Context& ctx, const Pin& pin) {
  BDN_TRY(ctx.Check());
  auto files = last_.With([&](const Last& last) {
    return last.fingerprint == pin.fingerprint ? last.files : std::vector<RemoteFile>();
  });
  if (!files.empty()) return files;
  BDN_ASSIGN(const HttpsLook look, LookAt(ctx));
  if (HttpsFingerprintOf(look) != pin.fingerprint) {
    return Error(
        Code::kFailedPrecondition,
        fmt::format("source changed: {} is another file than when it was pinned", identity_));
  }
  return std::vector<RemoteFile>{look.file};
}

Error HttpsSource::RefusalOf(const HttpsRangeSink& answer, WallTime now) const {
  Error error = ErrorOf(*answer.head, answer.text, now);
  const int code = answer.head->status;
  if (code != 404 && code != 410 && code != 412 && code != 416) return error;
  // It was there, with this size, when it was listed.
  return Error(Code::kFailedPrecondition, "source changed: " + error.message());
}

Status HttpsSource::ReadRange(const Context& ctx,
                              const RemoteFile& file,
                              std::uint64_t* pos,
                              std::uint64_t end,
                              const ByteSink& sink,
                              bool* final) {
  *final = true;
  BDN_ASSIGN(auto slot, limiter_->Acquire(ctx, ""));
  *final = false;
  HttpsRangeSink answer(file, sink, pos, end, url_.authority());
  const Status transfer = net::FetchFollowing(
      ctx, transport_, Request("GET", fmt::format("bytes={}-{}", *pos, end - 1)), redirects_,
      answer);
  slot.Release();
  Status status = answer.Finish(transfer, final);
  if (answer.without_ranges()) without_ranges_.With([](bool& value) { value = true; });
  if (status || *final || !answer.refused()) return status;
  return RefusalOf(answer, ctx.clock().Now());
}

std::shared_ptr<HttpsStream> HttpsSource::StreamOf(const RemoteFile& file) {
  const std::string version = fmt::format("{} {}", file.size, file.etag);
  return streaming_.With([&](Streaming& s) {
    if (s.stream && s.version == version) return s.stream;
    s.version = version;
    s.stream = std::make_shared<HttpsStream>(
        [this, file](const Context& ctx, const ByteSink& sink) -> Status {
          BDN_ASSIGN(auto slot, limiter_->Acquire(ctx, ""));
          std::uint64_t pos = 0;
          HttpsRangeSink answer(file, sink, &pos, file.size, url_.authority());
          const Status transfer =
              net::FetchFollowing(ctx, transport_, Request("GET", ""), redirects_, answer);
          slot.Release();
          bool final = false;
          Status status = answer.Finish(transfer, &final);
          if (status || final || !answer.refused()) return status;
          return RefusalOf(answer, ctx.clock().Now());
        });
    return s.stream;
  });
}

Status HttpsSource::Read(const Context& ctx,
                         const Pin& pin,
                         const RemoteFile& file,
                         net::ByteRange range,
                         const ByteSink& sink) {
  BDN_TRY(ctx.Check());
  if (range.begin > range.end || range.end > file.size) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{}: the range [{}, {}) does not lie in its {} bytes", file.path,
                             range.begin, range.end, file.size));
  }
  if (pin.identity != identity_) {
    return Error(Code::kInvalidArgument, "the pin is not one of " + identity_);
  }
  if (range.begin == range.end) return {};
  RetryBudget budget(retry_, random_);
  for (std::uint64_t pos = range.begin;;) {
    const std::uint64_t before = pos;
    const bool streamed = without_ranges_.With([](bool value) { return value; });
    bool final = false;
    const Status status = streamed ? StreamOf(file)->Read(ctx, &pos, range.end, sink, &final)
                                   : ReadRange(ctx, file, &pos, range.end, sink, &final);
    if (status) {
      limiter_->Succeeded();
      return {};
    }
    if (final) return status;
    if (pos > before) budget.Progress();
    const Error& error = status.error();
    const bool now_streamed = without_ranges_.With([](bool value) { return value; });
    if (now_streamed && !streamed) continue;
    if (error.code() == Code::kRateLimited) limiter_->Throttled(ctx, "", error.retry_after());
    BDN_TRY(budget.Wait(ctx, error));
  }
}

}  // namespace

Result<net::Headers> ParseHttpsSecret(std::string_view secret) {
  const auto bad = [](std::string why) {
    return Error(Code::kInvalidArgument, "The secret for an https:// source " + std::move(why))
        .WithHint("Store a plain token, or JSON: {\"headers\": {\"X-Api-Key\": \"…\"}}");
  };
  secret = HttpsTrim(secret);
  if (secret.empty()) return bad("is empty");
  if (secret.size() > kHttpsSecretBytesMax) return bad("is too long");
  net::Headers headers;
  if (!secret.starts_with('{')) {
    headers.Set("Authorization", "Bearer " + std::string(secret));
  } else {
    const auto value =
        codec::ParseJson(secret, {.bytes_max = kHttpsSecretBytesMax, .depth_max = 4});
    if (!value) return bad("begins like JSON and is not");
    const auto* object = value->if_object();
    const auto* named = object != nullptr ? object->if_contains("headers") : nullptr;
    if (named == nullptr || !named->is_object()) return bad("has no object 'headers'");
    if (object->size() != 1) return bad("has keys beside 'headers'");
    for (const auto& [name, text] : named->get_object()) {
      if (!text.is_string()) return bad("has a header that is no text");
      headers.Set(std::string_view(name.data(), name.size()),
                  std::string(HttpsTrim({text.get_string().data(), text.get_string().size()})));
    }
    if (headers.fields().empty()) return bad("names no header");
    if (headers.fields().size() > kHttpsSecretHeadersMax) return bad("names too many headers");
  }
  for (const auto& [name, value] : headers.fields()) {
    if (std::find(kHttpsReserved.begin(), kHttpsReserved.end(), HttpsLower(name)) !=
        kHttpsReserved.end()) {
      return bad(fmt::format("may not set the header {}", cloud::Printable(name, 60)));
    }
    if (value.empty() || !std::all_of(value.begin(), value.end(), [](char c) {
          return (c >= 0x20 && c < 0x7f) || c == '\t';
        })) {
      return bad("holds a character that cannot be sent in a header");
    }
  }
  if (!net::ValidateRequest({.url = {}, .headers = headers})) {
    return bad("names a header that is none");
  }
  return headers;
}

Result<std::unique_ptr<Source>> MakeHttpsSource(const model::SourceUri& uri,
                                                net::Transport& transport,
                                                RateLimiters& limiters,
                                                HttpsSourceOptions options) {
  BDN_ASSIGN(net::Url url, net::ParseUrl(uri.Canonical()));
  net::Headers secret;
  if (options.secret) {
    BDN_ASSIGN(secret, ParseHttpsSecret(*options.secret));
  }
  std::string name = uri.path;
  if (auto decoded = net::PercentDecode(name);
      decoded && decoded->find('/') == std::string::npos && *decoded != "." && *decoded != "..") {
    name = *std::move(decoded);
  }
  const std::string key = secret.fields().empty() ? "" : secret.fields()[0].second;
  auto limiter = limiters.For(url.authority(), key);
  return std::unique_ptr<Source>(
      std::make_unique<HttpsSource>(std::move(url), std::move(name), transport, std::move(limiter),
                                    std::move(secret), std::move(options)));
}

}  // namespace bdn::source
