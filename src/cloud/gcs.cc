#include "cloud/gcs.h"

#include <utility>

#include <fmt/format.h>

#include "cloud/error_splitter.h"

namespace bdn::cloud {
namespace {

constexpr std::string_view kGcsFields = "name,size,generation,md5Hash,crc32c,contentEncoding";

}  // namespace

Result<GcsClient> GcsClient::Make(net::Transport& transport,
                                  std::string_view endpoint,
                                  std::string bucket) {
  BDN_TRY(CheckGcsBucket(bucket));
  auto url = net::ParseUrl(endpoint);
  if (!url) return std::move(url).error().Context("the endpoint of Google Cloud Storage");
  if (url->has_query) {
    return Error(Code::kInvalidArgument,
                 "the endpoint of Google Cloud Storage must not have a query");
  }
  while (url->path.ends_with('/')) url->path.pop_back();
  return GcsClient(transport, *std::move(url), std::move(bucket));
}

net::HttpRequest GcsClient::Request(std::string_view token,
                                    std::string_view root,
                                    std::string_view name,
                                    std::string query) const {
  net::HttpRequest request;
  request.url = endpoint_;
  request.url.path += fmt::format("{}/b/{}/o", root, net::PercentEncode(bucket_));
  // A name is one segment: its slashes are encoded too.
  if (!name.empty()) request.url.path += "/" + net::PercentEncode(name);
  request.url.query = std::move(query);
  request.url.has_query = true;
  request.headers.Set("Authorization", fmt::format("Bearer {}", token));
  return request;
}

Result<net::ResponseHead> GcsClient::Send(const Context& ctx,
                                          GcsStep step,
                                          std::string_view name,
                                          const net::HttpRequest& request,
                                          net::ResponseSink& sink) const {
  ErrorSplitter splitter(sink, kGcsErrorBytesMax);
  const Status status = transport_->Fetch(ctx, request, splitter);
  if (!splitter.head) {
    if (!status) return status.error();
    return Error(Code::kUnavailable, authority_ + " did not answer");
  }
  if (splitter.good) {
    if (!status) return status.error();
    return *std::move(splitter.head);
  }
  BDN_TRY(ctx.Check());
  return ErrorOf(step, name, *splitter.head, ParseGcsError(splitter.text), ctx.clock().Now());
}

Result<GcsListPage> GcsClient::ListPage(const Context& ctx,
                                        std::string_view token,
                                        std::string_view prefix,
                                        std::string_view page) const {
  std::string query =
      fmt::format("fields={}&maxResults=1000&prefix={}&projection=noAcl",
                  net::PercentEncode(fmt::format("items({}),nextPageToken", kGcsFields)),
                  net::PercentEncode(prefix));
  if (!page.empty()) query += "&pageToken=" + net::PercentEncode(page);
  net::HttpRequest request = Request(token, "/storage/v1", "", std::move(query));
  request.headers.Set("Accept-Encoding", "identity");
  TextCollector body(kGcsPageBytesMax);
  BDN_TRY(Send(ctx, GcsStep::kList, "", request, body));
  auto parsed = ParseGcsListPage(body.text);
  if (!parsed) {
    return std::move(parsed).error().Context(
        fmt::format("the listing of the bucket {} at {}", bucket_, authority_));
  }
  return parsed;
}

Result<std::optional<GcsObject>> GcsClient::Get(const Context& ctx,
                                                std::string_view token,
                                                std::string_view name) const {
  net::HttpRequest request =
      Request(token, "/storage/v1", name,
              fmt::format("fields={}&projection=noAcl", net::PercentEncode(kGcsFields)));
  request.headers.Set("Accept-Encoding", "identity");
  TextCollector body(kGcsErrorBytesMax);
  const auto head = Send(ctx, GcsStep::kGet, name, request, body);
  if (!head) {
    const Code code = head.error().code();
    if (code == Code::kNotFound || code == Code::kPermissionDenied) {
      return std::optional<GcsObject>();
    }
    return head.error();
  }
  // One object is a page of one.
  auto page = ParseGcsListPage("{\"items\":[" + body.text + "]}");
  if (!page) return std::move(page).error();
  if (page->objects.size() != 1 || page->objects[0].name != name) {
    return Error(Code::kUnavailable,
                 fmt::format("{} answered with another object than was asked for", authority_));
  }
  return std::optional<GcsObject>(std::move(page->objects[0]));
}

Status GcsClient::Read(const Context& ctx,
                       std::string_view token,
                       const Download& download,
                       net::ResponseSink& sink) const {
  net::HttpRequest request =
      Request(token, "/download/storage/v1", download.name,
              fmt::format("alt=media&generation={}", net::PercentEncode(download.generation)));
  request.headers.Set("Accept-Encoding", download.accept_gzip ? "gzip" : "identity");
  if (download.range) {
    request.headers.Set("Range",
                        fmt::format("bytes={}-{}", download.range->begin, download.range->end - 1));
  }
  BDN_TRY(Send(ctx, GcsStep::kRead, download.name, request, sink));
  return {};
}

}  // namespace bdn::cloud
