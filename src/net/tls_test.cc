#include "net/tls.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "net/testing/raw_client.h"
#include "net/testing/test_certificates.h"
#include "os/testing/temp_dir.h"

namespace bdn::net {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::RawClient;
using testing::TestCertificates;

constexpr auto kNames = "IP:127.0.0.1,DNS:localhost";

// A blocking TLS client that verifies the server.
class TlsClient {
 public:
  struct Options {
    std::string ca_file;
    TestCertificates::Files own = {};
    int version_max = 0;
  };
  TlsClient(const std::string& address, const Options& options)
      : socket_(address),
        context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free),
        ssl_(nullptr, &SSL_free) {
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_load_verify_locations(context_.get(), options.ca_file.c_str(), nullptr);
    SSL_CTX_set_max_proto_version(context_.get(), options.version_max);
    if (options.version_max != 0) SSL_CTX_set_security_level(context_.get(), 0);
    if (!options.own.key.empty()) {
      SSL_CTX_use_certificate_chain_file(context_.get(), options.own.certificate.c_str());
      SSL_CTX_use_PrivateKey_file(context_.get(), options.own.key.c_str(), SSL_FILETYPE_PEM);
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set1_host(ssl_.get(), "localhost");
    SSL_set_fd(ssl_.get(), socket_.fd());
    const timeval limit{20, 0};
    setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    connected_ = SSL_connect(ssl_.get()) == 1;
  }
  bool connected() const { return connected_; }
  bool Send(std::string_view text) {
    return SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) ==
           static_cast<int>(text.size());
  }
  std::string ReadAll() {
    std::string out;
    char bytes[16 * 1024];
    int n = 0;
    while ((n = SSL_read(ssl_.get(), bytes, sizeof bytes)) > 0) {
      out.append(bytes, static_cast<std::size_t>(n));
    }
    clean_end_ = SSL_get_error(ssl_.get(), n) == SSL_ERROR_ZERO_RETURN;
    return out;
  }
  bool clean_end() const { return clean_end_; }

 private:
  RawClient socket_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  bool connected_ = false;
  bool clean_end_ = false;
};

class Tls : public ::testing::Test {
 protected:
  std::unique_ptr<Server> Start(TlsOptions tls) {
    Router router;
    router.Add("GET", "/who", [](ServerRequest& request, ServerResponse& response) {
      return response.Send(200, {}, request.tls_client());
    });
    router.Add("POST", "/echo", [](ServerRequest& request, ServerResponse& response) -> Status {
      BDN_ASSIGN(const std::string body, request.Body(16 << 20));
      return response.SendBytes({}, body, {});
    });
    ServerOptions options;
    options.workers = 1;
    options.tls = std::move(tls);
    auto server = StartServer(std::move(options), std::move(router));
    EXPECT_TRUE(server) << server.error().message();
    return *std::move(server);
  }
  std::string Ask(const Server& server, const TlsClient::Options& options, std::string request) {
    TlsClient client(server.address(), options);
    if (!client.connected() || !client.Send(request)) return "no connection";
    return client.ReadAll();
  }
  static constexpr auto kWho = "GET /who HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";

  os::testing::TempDir dir_;
  TestCertificates ca_;
  TestCertificates::Files own_ = ca_.Issue("server", kNames);
};

TEST_F(Tls, ServesAndEndsCleanly) {
  const auto server = Start({own_.certificate, own_.key});
  EXPECT_THAT(server->base_url(), ::testing::StartsWith("https://127.0.0.1:"));
  TlsClient client(server->address(), {ca_.authority_file()});
  ASSERT_TRUE(client.connected());
  ASSERT_TRUE(client.Send(kWho));
  EXPECT_THAT(client.ReadAll(), HasSubstr("200 OK"));
  EXPECT_TRUE(client.clean_end());
}

TEST_F(Tls, CarriesLargeBodiesBothWays) {
  const auto server = Start({own_.certificate, own_.key});
  const std::string body(3'000'000, 'x');
  const std::string answer =
      Ask(*server, {ca_.authority_file()},
          "POST /echo HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n" +
              body);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n" + body));
}

TEST_F(Tls, ASlowHandshakeHoldsNoWorker) {
  const auto server = Start({own_.certificate, own_.key});
  const RawClient silent(server->address());
  const RawClient half(server->address());
  ASSERT_TRUE(half.Send("\x16\x03\x01"));
  EXPECT_THAT(Ask(*server, {ca_.authority_file()}, kWho), HasSubstr("200 OK"));
}

TEST_F(Tls, PlainTextAndOldVersionsAreRefused) {
  const auto server = Start({own_.certificate, own_.key});
  RawClient plain(server->address());
  ASSERT_TRUE(plain.Send(kWho));
  EXPECT_THAT(plain.ReadAll(), ::testing::Not(HasSubstr("200 OK")));
  EXPECT_FALSE(
      TlsClient(server->address(), {ca_.authority_file(), {}, TLS1_1_VERSION}).connected());
  EXPECT_TRUE(TlsClient(server->address(), {ca_.authority_file(), {}, TLS1_2_VERSION}).connected());
}

TEST_F(Tls, DemandsAClientCertificateOfTheRightAuthority) {
  TestCertificates stranger;
  const auto server = Start({own_.certificate, own_.key, ca_.authority_file()});
  EXPECT_THAT(Ask(*server, {ca_.authority_file(), ca_.Issue("node-7", kNames)}, kWho),
              EndsWith("\r\n\r\nCN=node-7"));
  EXPECT_THAT(Ask(*server, {ca_.authority_file(), stranger.Issue("other", kNames)}, kWho),
              ::testing::Not(HasSubstr("200 OK")));
  EXPECT_THAT(Ask(*server, {ca_.authority_file()}, kWho), ::testing::Not(HasSubstr("200 OK")));
}

TEST_F(Tls, SaysWhichFileIsUnusable) {
  const std::string broken = dir_.path() + "/broken.pem";
  std::ofstream(broken) << "not a certificate";
  const auto other = ca_.Issue("other", kNames);
  struct Case {
    TlsOptions options;
    std::string named;
  };
  for (const Case& c : {Case{{broken, own_.key}, "certificate " + broken},
                        Case{{"/nowhere", own_.key}, "certificate /nowhere"},
                        Case{{own_.certificate, broken}, "key " + broken},
                        Case{{own_.certificate, other.key}, "key " + other.key},
                        Case{{own_.certificate, own_.key, broken}, "client CA " + broken}}) {
    const auto made = TlsContext::Make(c.options);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(made.error().message(), HasSubstr(c.named));
  }
}

TEST_F(Tls, ACertificateThatChangesOnTheDiskIsUsedForTheNextConnection) {
  const TestCertificates::Files files{.certificate = dir_.path() + "/served.pem",
                                      .key = dir_.path() + "/served.key"};
  const auto install = [](const std::string& from, const std::string& to) {
    std::filesystem::copy_file(from, to + ".new");
    std::filesystem::rename(to + ".new", to);
  };
  install(own_.certificate, files.certificate);
  install(own_.key, files.key);
  const auto server = Start({files.certificate, files.key});
  EXPECT_THAT(Ask(*server, {ca_.authority_file()}, kWho), HasSubstr("200 OK"));
  TlsClient old(server->address(), {ca_.authority_file()});

  TestCertificates renewed;
  const auto fresh = renewed.Issue("renewed", kNames);
  install(fresh.certificate, files.certificate);
  // Without its key it cannot be used: the old one stays.
  EXPECT_THAT(Ask(*server, {ca_.authority_file()}, kWho), HasSubstr("200 OK"));
  install(fresh.key, files.key);
  EXPECT_THAT(Ask(*server, {renewed.authority_file()}, kWho), HasSubstr("200 OK"));
  EXPECT_FALSE(TlsClient(server->address(), {ca_.authority_file()}).connected());
  // Connections that stand go on.
  ASSERT_TRUE(old.Send(kWho));
  EXPECT_THAT(old.ReadAll(), HasSubstr("200 OK"));
}

}  // namespace
}  // namespace bdn::net
