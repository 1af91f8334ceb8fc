#pragma once
// A real S3 server, a bucket of one test in it, and the real s3:// source over libcurl before it.
// The bucket is filled by requests that our own signer signs: PUT, POST and queries are proved too.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "auth/sigv4.h"
#include "model/source_uri.h"
#include "net/curl_transport.h"
#include "source/source_factory.h"
#include "source/testing/source_conformance.h"

namespace bdn::integration {

// The server that the program was given on its command line.
struct S3Server {
  std::string kind;  // "rgw" or "swift"
  std::string endpoint;
  auth::AwsCredentials keys;
  bool is_rgw() const { return kind == "rgw"; }
};
inline S3Server& TheServer() {
  static S3Server server;
  return server;
}

// Counts what goes over the wire, and lets a test look at it.
class CountingTransport final : public net::Transport {
 public:
  CountingTransport()
      : inner_(net::MakeCurlTransport(
            {.addresses = *net::AddressPolicy::WithAllowed({"127.0.0.1"})})) {}
  Status Fetch(const Context& ctx,
               const net::HttpRequest& request,
               net::ResponseSink& sink) override {
    calls_ += 1;
    return inner_->Fetch(ctx, request, sink);
  }
  int calls() const { return calls_; }

 private:
  std::unique_ptr<net::Transport> inner_;
  std::atomic<int> calls_{0};
};

// A machine whose clock is wrong.
class SkewedClock final : public Clock {
 public:
  explicit SkewedClock(Duration skew) : skew_(skew) {}
  WallTime Now() const override { return RealClock().Now() + skew_; }
  MonoTime Monotonic() const override { return RealClock().Monotonic(); }
  bool SleepFor(std::stop_token stop, Duration wait) const override {
    return RealClock().SleepFor(stop, wait);
  }

 private:
  const Duration skew_;
};

class S3Bucket {
 public:
  S3Bucket() : name_(fmt::format("bucket-{}", next_++)) {
    const auto made = Send("PUT", "", "", "");
    EXPECT_EQ(made.status, 200) << made.body;
  }
  const std::string& name() const { return name_; }
  CountingTransport& transport() { return transport_; }
  const Context& context() const { return ctx_; }

  void Put(const std::string& key, const std::string& content) {
    const auto answer = Send("PUT", key, "", content);
    EXPECT_EQ(answer.status, 200) << key << ": " << answer.body;
  }
  void Delete(const std::string& key) { EXPECT_EQ(Send("DELETE", key, "", "").status, 204); }

  // An object in parts; each but the last has at least 5 MiB.
  void PutParts(const std::string& key, const std::vector<std::string>& parts) {
    const std::string id = Between(Send("POST", key, "uploads", "").body, "<UploadId>", "</");
    ASSERT_FALSE(id.empty());
    std::string list;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto answer =
          Send("PUT", key, fmt::format("partNumber={}&uploadId={}", i + 1, net::PercentEncode(id)),
               parts[i]);
      ASSERT_EQ(answer.status, 200) << answer.body;
      list += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1,
                          answer.headers.Get("ETag").value_or(""));
    }
    const auto done = Send("POST", key, "uploadId=" + net::PercentEncode(id),
                           "<CompleteMultipartUpload>" + list + "</CompleteMultipartUpload>");
    ASSERT_EQ(done.status, 200) << done.body;
    ASSERT_EQ(done.body.find("<Error>"), std::string::npos) << done.body;
  }

  net::HttpResponse Send(const std::string& method,
                         const std::string& key,
                         const std::string& query,
                         const std::string& body) {
    net::HttpRequest request = Unsigned(key, query);
    request.method = method;
    request.body = body;
    const auto added =
        auth::SignSigV4(request, {.region = "us-east-1"}, TheServer().keys, RealClock().Now());
    for (const auto& [name, value] : added.fields()) request.headers.Set(name, value);
    return Fetch(request);
  }
  net::HttpRequest Unsigned(const std::string& key, const std::string& query) const {
    net::HttpRequest request;
    auto url = net::ParseUrl(TheServer().endpoint);
    EXPECT_TRUE(url);
    request.url = *std::move(url);
    request.url.path = "/" + name_ + (key.empty() ? "" : "/" + net::PercentEncode(key, "/"));
    request.url.query = query;
    request.url.has_query = !query.empty();
    return request;
  }
  net::HttpResponse Fetch(const net::HttpRequest& request) {
    auto answer = net::FetchAll(ctx_, transport_, request, 64u << 20);
    EXPECT_TRUE(answer) << answer.error().message();
    return answer ? *std::move(answer) : net::HttpResponse{};
  }

  static std::string SecretOf(const auth::AwsCredentials& keys, const std::string& more = "") {
    return fmt::format(R"({{"aws_access_key_id": "{}", "aws_secret_access_key": "{}"{}}})",
                       keys.access_key_id, keys.secret_access_key, more);
  }
  std::unique_ptr<source::Source> MakeSource(
      const std::string& path, const std::string& secret = SecretOf(TheServer().keys)) {
    const auto uri = model::ParseSourceUri("s3://" + name_ + (path.empty() ? "" : "/" + path));
    EXPECT_TRUE(uri) << uri.error().message();
    auto made = source::MakeSource(
        *uri, {.secret = secret},
        {.transport = transport_, .limiters = limiters_, .s3_endpoint = TheServer().endpoint});
    EXPECT_TRUE(made) << made.error().message();
    return made ? *std::move(made) : nullptr;
  }

 private:
  static std::string Between(const std::string& text,
                             const std::string& from,
                             const std::string& to) {
    const auto begin = text.find(from);
    if (begin == std::string::npos) return {};
    return text.substr(begin + from.size(),
                       text.find(to, begin + from.size()) - begin - from.size());
  }

  inline static int next_ = 0;
  const std::string name_;
  Context ctx_{RealClock()};
  CountingTransport transport_;
  source::RateLimiters limiters_;
};

}  // namespace bdn::integration
