#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "net/curl_transport.h"
#include "net/server.h"
#include "net/testing/collecting_sink.h"
#include "net/testing/test_certificates.h"

namespace bdn::net {
namespace {

class CurlTlsTest : public ::testing::Test {
 protected:
  // A server that shows a certificate for `names`; returns its URL.
  std::string Serve(const std::string& names) {
    const auto files = certificates_.Issue("server", names);
    ServerOptions options;
    options.workers = 2;
    options.tls = TlsOptions{
        .certificate_file = files.certificate, .key_file = files.key, .client_ca_file = {}};
    Router router;
    router.Add("GET", "/x", [](ServerRequest&, ServerResponse& response) {
      return response.Send(200, {}, "over TLS");
    });
    auto server = StartServer(std::move(options), std::move(router));
    EXPECT_TRUE(server);
    server_ = *std::move(server);
    return server_->base_url() + "/x?secret";
  }
  Status Fetch(const std::string& url, const std::string& ca_file) {
    CurlTransportOptions options;
    EXPECT_TRUE(options.addresses.Allow("127.0.0.1"));
    options.ca_file = ca_file;
    const HttpRequest request{.url = *ParseUrl(url)};
    return MakeCurlTransport(options)->Fetch(Context(RealClock()), request, sink_);
  }

  testing::TestCertificates certificates_;
  std::unique_ptr<Server> server_;
  testing::CollectingSink sink_;
};

TEST_F(CurlTlsTest, AcceptsACertificateOfANamedAuthority) {
  const std::string url = Serve("IP:127.0.0.1");
  ASSERT_TRUE(url.starts_with("https://"));
  const Status status = Fetch(url, certificates_.authority_file());
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(sink_.body, "over TLS");
}

TEST_F(CurlTlsTest, RefusesWhatDoesNotVerify) {
  const std::string right = Serve("IP:127.0.0.1");
  const Status unknown = Fetch(right, "");
  const Status unreadable = Fetch(right, "/nonexistent/ca.pem");
  const std::string wrong = Serve("DNS:other.example");
  const Status misnamed = Fetch(wrong, certificates_.authority_file());
  for (const auto* status : {&unknown, &unreadable, &misnamed}) {
    ASSERT_FALSE(*status);
    EXPECT_EQ(status->error().code(), Code::kPermissionDenied) << status->error().message();
    EXPECT_EQ(status->error().message().find("secret"), std::string::npos);
  }
  EXPECT_NE(unknown.error().message().find("does not verify"), std::string::npos);
  EXPECT_NE(unreadable.error().message().find("/nonexistent/ca.pem"), std::string::npos);
  EXPECT_TRUE(sink_.heads.empty());
}

TEST_F(CurlTlsTest, PlainTextOnATlsPortIsUnavailable) {
  std::string url = Serve("IP:127.0.0.1");
  url.replace(0, 5, "http");
  EXPECT_EQ(Fetch(url, "").error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace bdn::net
