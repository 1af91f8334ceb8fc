#include "cloud/s3.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "crypto/digest.h"

namespace bdn::cloud {
namespace {

bool IsS3Redirect(int status) {
  return status >= 300 && status < 400;
}

std::string_view TrimSpace(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::string Unquote(std::string_view etag) {
  etag = TrimSpace(etag);
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  return std::string(etag);
}

// Names that fit `*.s3.REGION.amazonaws.com`: a dot would need a certificate of its own.
bool FitsHost(std::string_view bucket) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return bucket.size() >= 3 && bucket.size() <= 63 && plain(bucket.front()) &&
         plain(bucket.back()) &&
         std::all_of(bucket.begin(), bucket.end(), [&](char c) { return plain(c) || c == '-'; });
}

Status CheckBucket(std::string_view bucket) {
  const bool plain = std::all_of(bucket.begin(), bucket.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
  if (bucket.empty() || bucket.size() > 255 || !plain || bucket == "." || bucket == "..") {
    return Error(Code::kInvalidArgument,
                 fmt::format("'{}' is no bucket name; ARNs and access points are not supported",
                             bucket.substr(0, 300)));
  }
  if (bucket.ends_with("--x-s3")) {
    return Error(Code::kUnsupported,
                 fmt::format("the directory bucket '{}' cannot be read; use a general purpose "
                             "bucket",
                             bucket));
  }
  return {};
}

// How a service says that temporary keys are good no more. Ceph forgets their name instead.
bool HaveEnded(std::string_view code) {
  return code == "ExpiredToken" || code == "InvalidToken" || code == "TokenRefreshRequired" ||
         code == "InvalidAccessKeyId";
}

// The strongest checksum of the whole object that an answer tells. Those of objects in parts are
// often made of the checksums of the parts ("COMPOSITE", or with the number of parts behind a '-')
// and say nothing about a file.
// Source: "Checking object integrity" in the Amazon S3 user guide.
std::optional<S3Checksum> ChecksumOf(const net::Headers& headers) {
  struct Row {
    std::string_view header;
    S3Checksum::Kind kind;
    std::size_t bytes;
  };
  constexpr std::array<Row, 5> kRows = {{
      {"x-amz-checksum-sha256", S3Checksum::Kind::kSha256, 32},
      {"x-amz-checksum-crc64nvme", S3Checksum::Kind::kCrc64Nvme, 8},
      {"x-amz-checksum-sha1", S3Checksum::Kind::kSha1, 20},
      {"x-amz-checksum-crc32c", S3Checksum::Kind::kCrc32c, 4},
      {"x-amz-checksum-crc32", S3Checksum::Kind::kCrc32, 4},
  }};
  if (headers.Get("x-amz-checksum-type").value_or("") == "COMPOSITE") return std::nullopt;
  for (const Row& row : kRows) {
    const auto text = headers.Get(row.header);
    const auto raw = text ? crypto::Base64Decode(TrimSpace(*text)) : Result<std::string>("");
    if (!raw || raw->size() != row.bytes) continue;
    return S3Checksum{
        row.kind, crypto::HexEncode(
                      std::span(reinterpret_cast<const std::uint8_t*>(raw->data()), row.bytes))};
  }
  return std::nullopt;
}

// Passes 2xx on and keeps the beginning of everything else.
class Splitter final : public net::ResponseSink {
 public:
  explicit Splitter(net::ResponseSink& inner) : inner_(inner) {}
  Status OnHead(const net::ResponseHead& answer) override {
    head = answer;
    good = answer.status >= 200 && answer.status < 300;
    return good ? inner_.OnHead(answer) : Status();
  }
  Status Write(std::span<const std::byte> bytes) override {
    if (good) return inner_.Write(bytes);
    const auto take = std::min(bytes.size(), kS3ErrorBytesMax - text.size());
    text.append(reinterpret_cast<const char*>(bytes.data()), take);
    if (take == bytes.size()) return {};
    return Error(Code::kUnavailable, "the rest of this error is not wanted");
  }
  std::optional<net::ResponseHead> head;
  bool good = false;
  std::string text;

 private:
  net::ResponseSink& inner_;
};

class TextSink final : public net::ResponseSink {
 public:
  Status OnHead(const net::ResponseHead& /*head*/) override { return {}; }
  Status Write(std::span<const std::byte> bytes) override {
    if (bytes.size() > kS3PageBytesMax - text.size()) {
      return Error(Code::kResourceExhausted,
                   fmt::format("a page of the listing is larger than {} bytes", kS3PageBytesMax));
    }
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  std::string text;
};

}  // namespace

bool IsS3Region(std::string_view region) {
  return !region.empty() && region.size() <= 32 && region.front() != '-' && region.back() != '-' &&
         std::all_of(region.begin(), region.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

Result<net::Url> S3BucketUrl(std::string_view endpoint,
                             std::string_view region,
                             std::string_view bucket,
                             bool virtual_host) {
  BDN_TRY(CheckBucket(bucket));
  if (endpoint.empty()) {
    if (!IsS3Region(region)) {
      return Error(Code::kInvalidArgument, fmt::format("'{}' is no region of S3", region));
    }
    const std::string host =
        fmt::format("s3.{}.amazonaws.com{}", region, region.starts_with("cn-") ? ".cn" : "");
    if (FitsHost(bucket)) return net::ParseUrl(fmt::format("https://{}.{}/", bucket, host));
    return net::ParseUrl(fmt::format("https://{}/{}/", host, bucket));
  }
  auto url = net::ParseUrl(endpoint);
  if (!url) return std::move(url).error().Context("the S3 endpoint");
  if (url->has_query) {
    return Error(Code::kInvalidArgument, "the S3 endpoint must not have a query");
  }
  if (!url->path.ends_with('/')) url->path += '/';
  if (!virtual_host) {
    url->path += std::string(bucket) + "/";
    return url;
  }
  if (!FitsHost(bucket)) {
    return Error(Code::kInvalidArgument,
                 fmt::format("the bucket '{}' cannot be a part of a host name, as {} wants it",
                             bucket, url->host));
  }
  url->host = std::string(bucket) + "." + url->host;
  return url;
}

S3Client::S3Client(net::Transport& transport, S3Site site, std::string authority)
    : transport_(transport),
      site_(std::move(site)),
      authority_(std::move(authority)),
      state_(State{.region = site_.region}) {}

Result<std::unique_ptr<S3Client>> S3Client::Make(net::Transport& transport, S3Site site) {
  if (site.region.empty()) site.region = kS3RegionDefault;
  if (!site.provider) site.provider = std::make_shared<StaticAwsCredentials>(site.credentials);
  BDN_ASSIGN(const net::Url url,
             S3BucketUrl(site.endpoint, site.region, site.bucket, site.virtual_host));
  return std::unique_ptr<S3Client>(new S3Client(transport, std::move(site), url.authority()));
}

Result<net::HttpRequest> S3Client::MakeRequest(const S3Call& call,
                                               const State& state,
                                               const auth::AwsCredentials& keys,
                                               WallTime now) const {
  net::HttpRequest request;
  request.method = call.step == S3Step::kHead ? "HEAD" : "GET";
  BDN_ASSIGN(request.url,
             S3BucketUrl(site_.endpoint, state.region, site_.bucket, site_.virtual_host));
  request.url.path += net::PercentEncode(call.key, "/");
  request.url.query = call.query;
  request.url.has_query = !call.query.empty();
  request.headers = call.headers;
  // Not signed: what stands between may change it. With gzip on the way sizes would not hold.
  request.headers.Set("Accept-Encoding", "identity");
  const net::Headers added =
      auth::SignSigV4(request, {.region = state.region}, keys, now + state.skew);
  for (const auto& [name, value] : added.fields()) request.headers.Set(name, value);
  return request;
}

Result<std::optional<std::string>> S3Client::RegionOf(const Context& ctx,
                                                      const State& used,
                                                      const net::ResponseHead& head,
                                                      const S3ErrorBody& body) const {
  std::string region(head.headers.Get("x-amz-bucket-region").value_or(""));
  if (region.empty()) region = body.region;
  if (region.empty() && (body.code.empty() || IsS3Redirect(head.status))) {
    // Answers to HEAD have no body, and some redirects name an address only, which is not followed.
    // Asked without credentials, Amazon names the region in a header.
    net::HttpRequest request;
    request.method = "HEAD";
    BDN_ASSIGN(request.url,
               S3BucketUrl(site_.endpoint, used.region, site_.bucket, site_.virtual_host));
    BDN_ASSIGN(const auto answer, net::FetchAll(ctx, transport_, request, kS3ErrorBytesMax));
    region = answer.headers.Get("x-amz-bucket-region").value_or("");
  }
  if (region.empty() || region == used.region) return std::optional<std::string>();
  // It becomes a part of a host name, and a signature for it goes there.
  if (!IsS3Region(region)) {
    return Error(
        Code::kPermissionDenied,
        fmt::format("{} says that the bucket {} is in a region that cannot be one: refused",
                    authority_, site_.bucket));
  }
  return std::optional<std::string>(std::move(region));
}

Result<net::ResponseHead> S3Client::Send(const Context& ctx,
                                         const S3Call& call,
                                         net::ResponseSink& sink) const {
  bool region_fixed = false;
  bool clock_fixed = false;
  bool keys_renewed = false;
  for (;;) {
    BDN_ASSIGN(const auth::AwsCredentials keys, site_.provider->Get(ctx));
    const State used = state_.With([](const State& state) { return state; });
    const WallTime now = ctx.clock().Now();
    BDN_ASSIGN(const auto request, MakeRequest(call, used, keys, now));
    Splitter splitter(sink);
    const Status status = transport_.Fetch(ctx, request, splitter);
    if (!splitter.head) {
      if (!status) return status.error();
      return Error(Code::kUnavailable, authority_ + " did not answer");
    }
    if (splitter.good) {
      if (!status) return status.error();
      return *std::move(splitter.head);
    }
    BDN_TRY(ctx.Check());
    const net::ResponseHead& head = *splitter.head;
    const S3ErrorBody body = ParseS3Error(splitter.text);
    const bool elsewhere = IsS3Redirect(head.status) ||
                           body.code == "AuthorizationHeaderMalformed" ||
                           body.code == "IllegalLocationConstraintException" ||
                           (head.status == 400 && body.code.empty());
    if (elsewhere && !region_fixed) {
      BDN_ASSIGN(auto region, RegionOf(ctx, used, head, body));
      if (region) {
        state_.With([&](State& state) { state.region = *std::move(region); });
        region_fixed = true;
        continue;
      }
    }
    if (body.code == "RequestTimeTooSkewed" && !clock_fixed) {
      const auto date = head.headers.Get("Date");
      if (const auto theirs = date ? ParseHttpDate(*date) : std::nullopt) {
        state_.With([&](State& state) { state.skew = *theirs - now; });
        clock_fixed = true;
        continue;
      }
    }
    if (HaveEnded(body.code) && !keys_renewed && site_.provider->Refused(keys)) {
      keys_renewed = true;
      continue;
    }
    Error error = ErrorOf(call, head, body, now);
    return keys_renewed ? std::move(error).Context("with keys renewed a moment ago")
                        : std::move(error);
  }
}

Result<S3ListPage> S3Client::ListPage(const Context& ctx,
                                      std::string_view prefix,
                                      std::string_view token) const {
  S3Call call{.step = S3Step::kList};
  call.query = fmt::format("encoding-type=url&list-type=2&max-keys=1000&prefix={}",
                           net::PercentEncode(prefix));
  if (!token.empty()) call.query += "&continuation-token=" + net::PercentEncode(token);
  // Tells archived objects that were restored from those that were not.
  if (site_.endpoint.empty()) call.headers.Set("x-amz-optional-object-attributes", "RestoreStatus");
  TextSink sink;
  BDN_ASSIGN(const net::ResponseHead head, Send(ctx, call, sink));
  auto page = ParseS3ListPage(sink.text);
  if (!page) {
    return std::move(page).error().Context(
        fmt::format("the listing of the bucket {} at {}", site_.bucket, authority_));
  }
  // "200 OK" was sent before something failed: the code stands in the body.
  if (page->error) {
    return ErrorOf(call, {.status = 500, .headers = head.headers}, *page->error, ctx.clock().Now());
  }
  return page;
}

Result<std::optional<S3Object>> S3Client::Head(const Context& ctx, std::string_view key) const {
  TextSink sink;
  S3Call call{.step = S3Step::kHead, .key = std::string(key)};
  // Where there are checksums, they are told to those who ask.
  call.headers.Set("x-amz-checksum-mode", "ENABLED");
  const auto head = Send(ctx, call, sink);
  if (!head) {
    const Code code = head.error().code();
    if (code == Code::kNotFound || code == Code::kPermissionDenied) {
      return std::optional<S3Object>();
    }
    return head.error();
  }
  S3Object object{.key = std::string(key), .etag = {}, .size = 0, .storage_class = {}};
  const std::string length(head->headers.Get("Content-Length").value_or(""));
  const char* end = length.data() + length.size();
  const auto [rest, bad] = std::from_chars(length.data(), end, object.size);
  object.etag = Unquote(head->headers.Get("ETag").value_or(""));
  if (bad != std::errc() || rest != end || object.etag.empty()) {
    return Error(Code::kUnavailable,
                 fmt::format("{} answered a HEAD without a size or an ETag", authority_));
  }
  object.storage_class = head->headers.Get("x-amz-storage-class").value_or("");
  object.archive_status = head->headers.Get("x-amz-archive-status").value_or("");
  const auto restore = head->headers.Get("x-amz-restore");
  object.restored = restore && restore->find("ongoing-request=\"false\"") != restore->npos;
  object.checksum = ChecksumOf(head->headers);
  return std::optional<S3Object>(std::move(object));
}

Status S3Client::GetRange(const Context& ctx,
                          std::string_view key,
                          std::string_view etag,
                          net::ByteRange range,
                          net::ResponseSink& sink) const {
  S3Call call{.step = S3Step::kRead, .key = std::string(key)};
  call.headers.Set("Range", fmt::format("bytes={}-{}", range.begin, range.end - 1));
  if (!etag.empty()) call.headers.Set("If-Match", fmt::format("\"{}\"", etag));
  BDN_TRY(Send(ctx, call, sink));
  return {};
}

}  // namespace bdn::cloud
