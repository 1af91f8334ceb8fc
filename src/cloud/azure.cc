#include "cloud/azure.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace bdn::cloud {
namespace {

// Differences of the clocks below this are not why a signature is refused (the limit is 15 min).
constexpr std::chrono::minutes kAzureSkewMin{5};

// Passes 2xx on and keeps the beginning of everything else.
class AzureSplitter final : public net::ResponseSink {
 public:
  explicit AzureSplitter(net::ResponseSink& inner) : inner_(inner) {}
  Status OnHead(const net::ResponseHead& answer) override {
    head = answer;
    good = answer.status >= 200 && answer.status < 300;
    return good ? inner_.OnHead(answer) : Status();
  }
  Status Write(std::span<const std::byte> bytes) override {
    if (good) return inner_.Write(bytes);
    const auto take = std::min(bytes.size(), kAzureErrorBytesMax - text.size());
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

class AzurePageSink final : public net::ResponseSink {
 public:
  Status OnHead(const net::ResponseHead& /*head*/) override { return {}; }
  Status Write(std::span<const std::byte> bytes) override {
    if (bytes.size() > kAzurePageBytesMax - text.size()) {
      return Error(Code::kResourceExhausted, fmt::format("a page of the listing is larger than {} "
                                                         "bytes",
                                                         kAzurePageBytesMax));
    }
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  std::string text;
};

std::string PlainAzureEtag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  return std::string(etag);
}

std::unique_ptr<AzureTokens> MakeTokens(net::Transport& transport,
                                        const AzureSite& site,
                                        auth::IdentityTokens* ours) {
  if (!site.secret.identity) return nullptr;
  const AzureCloud& cloud = *site.secret.cloud;
  return std::make_unique<AzureTokens>(
      transport, *site.secret.identity,
      site.authority.empty() ? std::string(cloud.authority) : site.authority,
      std::string(cloud.audience), ours);
}

}  // namespace

Result<net::Url> AzureContainerUrl(std::string_view endpoint,
                                   std::string_view suffix,
                                   std::string_view account,
                                   std::string_view container) {
  const bool special = container == "$root" || container == "$web" || container == "$logs";
  const bool plain = std::all_of(container.begin(), container.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (!special && (!plain || container.size() < 3 || container.size() > 63)) {
    return Error(Code::kInvalidArgument,
                 fmt::format("'{}' is no container: their names are 3 to 63 lower-case letters, "
                             "digits and '-'",
                             container.substr(0, 100)));
  }
  const bool account_plain = std::all_of(account.begin(), account.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  });
  if (!account_plain || account.size() < 3 || account.size() > 24) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("'{}' is no storage account: their names are 3 to 24 lower-case letters "
                    "and digits",
                    account.substr(0, 100)));
  }
  if (endpoint.empty()) {
    return net::ParseUrl(fmt::format("https://{}.blob.{}/{}", account, suffix, container));
  }
  std::string text(endpoint);
  while (text.ends_with('/')) text.pop_back();
  constexpr std::string_view kPlace = "{account}";
  if (const auto at = text.find(kPlace); at != std::string::npos) {
    text.replace(at, kPlace.size(), account);
  } else {
    text += "/" + std::string(account);
  }
  auto url = net::ParseUrl(text + "/" + std::string(container));
  if (!url) return std::move(url).error().Context("the Azure endpoint");
  if (url->has_query) {
    return Error(Code::kInvalidArgument, "the Azure endpoint must not have a query");
  }
  return url;
}

AzureClient::AzureClient(net::Transport& transport,
                         AzureSite site,
                         net::Url base,
                         auth::IdentityTokens* ours)
    : transport_(transport),
      site_(std::move(site)),
      base_(std::move(base)),
      authority_(base_.authority()),
      tokens_(MakeTokens(transport, site_, ours)) {}

Result<std::unique_ptr<AzureClient>> AzureClient::Make(net::Transport& transport,
                                                       AzureSite site,
                                                       auth::IdentityTokens* ours) {
  const std::string& named = site.secret.account;
  if (!named.empty() && named != site.account) {
    return Error(Code::kInvalidArgument,
                 fmt::format("the Azure credentials are for the account {}, and the source is in "
                             "the account {}",
                             named, site.account));
  }
  BDN_ASSIGN(net::Url base, AzureContainerUrl(site.endpoint, site.secret.cloud->suffix,
                                              site.account, site.container));
  return std::unique_ptr<AzureClient>(
      new AzureClient(transport, std::move(site), std::move(base), ours));
}

Result<net::HttpRequest> AzureClient::MakeRequest(const Call& call,
                                                  Duration skew,
                                                  WallTime now,
                                                  const std::string& token) const {
  net::HttpRequest request;
  request.method = call.step == AzureStep::kHead ? "HEAD" : "GET";
  request.url = base_;
  if (!call.name.empty()) request.url.path += "/" + net::PercentEncode(call.name, "/");
  request.url.query = call.query;
  request.headers = call.headers;
  request.headers.Set("Accept-Encoding", "identity");
  request.headers.Set("x-ms-version", std::string(kAzureVersion));
  if (!site_.secret.account_key.empty()) {
    request.headers.Set("x-ms-date", FormatHttpDate(now + skew));
    request.url.has_query = !request.url.query.empty();
    request.headers.Set("Authorization", auth::SignAzureSharedKey(
                                             request, {site_.account, site_.secret.account_key}));
    return request;
  }
  if (!token.empty()) request.headers.Set("Authorization", "Bearer " + token);
  if (!site_.secret.sas.empty()) {
    if (!request.url.query.empty()) request.url.query += '&';
    request.url.query += site_.secret.sas;
  }
  request.url.has_query = !request.url.query.empty();
  return request;
}

Result<net::ResponseHead> AzureClient::Send(const Context& ctx,
                                            const Call& call,
                                            net::ResponseSink& sink) const {
  bool clock_fixed = false;
  bool token_fixed = false;
  for (;;) {
    std::string token;
    if (tokens_) {
      BDN_ASSIGN(token, tokens_->Get(ctx));
    }
    const WallTime now = ctx.clock().Now();
    const Duration skew = skew_.With([](Duration d) { return d; });
    BDN_ASSIGN(const auto request, MakeRequest(call, skew, now, token));
    AzureSplitter splitter(sink);
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
    AzureErrorBody body = ParseAzureError(splitter.text);
    // HEAD has no body; the code is in a header of every answer.
    if (body.code.empty()) body.code = head.headers.Get("x-ms-error-code").value_or("");
    if (tokens_ && head.status == 401 && !token_fixed) {
      tokens_->Forget(token);
      token_fixed = true;
      continue;
    }
    const auto date = head.headers.Get("Date");
    const auto theirs = date ? ParseHttpDate(*date) : std::nullopt;
    if (!site_.secret.account_key.empty() && head.status == 403 && theirs && !clock_fixed &&
        std::chrono::abs(*theirs - (now + skew)) > kAzureSkewMin) {
      skew_.With([&](Duration& d) { d = *theirs - now; });
      clock_fixed = true;
      continue;
    }
    return ErrorOf(call, head, body, now);
  }
}

Result<AzureListPage> AzureClient::ListPage(const Context& ctx,
                                            std::string_view prefix,
                                            std::string_view marker) const {
  Call call{.step = AzureStep::kList};
  // Metadata tells the markers of directories from empty blobs.
  call.query =
      fmt::format("restype=container&comp=list&include=metadata&maxresults={}", kAzurePageBlobs);
  if (!prefix.empty()) call.query += "&prefix=" + net::PercentEncode(prefix);
  if (!marker.empty()) call.query += "&marker=" + net::PercentEncode(marker);
  AzurePageSink sink;
  BDN_TRY(Send(ctx, call, sink));
  auto page = ParseAzureListPage(sink.text);
  if (!page) {
    return std::move(page).error().Context(
        fmt::format("the listing of the container {} at {}", site_.container, authority_));
  }
  return page;
}

Result<std::optional<AzureBlob>> AzureClient::Head(const Context& ctx,
                                                   std::string_view name) const {
  AzurePageSink sink;
  const auto head = Send(ctx, {.step = AzureStep::kHead, .name = std::string(name)}, sink);
  if (!head) {
    if (head.error().code() == Code::kNotFound) return std::optional<AzureBlob>();
    return head.error();
  }
  AzureBlob blob{.name = std::string(name), .etag = {}};
  const auto field = [&](std::string_view key) {
    return std::string(head->headers.Get(key).value_or(""));
  };
  const std::string length = field("Content-Length");
  const char* end = length.data() + length.size();
  const auto [rest, bad] = std::from_chars(length.data(), end, blob.size);
  blob.etag = PlainAzureEtag(field("ETag"));
  if (bad != std::errc() || rest != end || blob.etag.empty()) {
    return Error(Code::kUnavailable,
                 fmt::format("{} answered a HEAD without a size or an ETag", authority_));
  }
  blob.tier = field("x-ms-access-tier");
  blob.content_md5 = field("Content-MD5");
  blob.is_folder =
      field("x-ms-meta-hdi_isfolder") == "true" || field("x-ms-resource-type") == "directory";
  blob.customer_key = !field("x-ms-encryption-key-sha256").empty();
  return std::optional<AzureBlob>(std::move(blob));
}

Status AzureClient::GetRange(const Context& ctx,
                             std::string_view name,
                             std::string_view etag,
                             net::ByteRange range,
                             net::ResponseSink& sink) const {
  Call call{.step = AzureStep::kRead, .name = std::string(name)};
  call.headers.Set("Range", fmt::format("bytes={}-{}", range.begin, range.end - 1));
  if (!etag.empty()) call.headers.Set("If-Match", fmt::format("\"{}\"", etag));
  BDN_TRY(Send(ctx, call, sink));
  return {};
}

}  // namespace bdn::cloud
