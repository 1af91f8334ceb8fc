#include "cloud/azure.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "net/testing/collecting_sink.h"
#include "net/testing/memory_transport.h"

namespace bdn::cloud {
namespace {

constexpr char kSas[] =
    "sv=2021-12-02&sp=rl&se=2099-01-01T00%3A00%3A00Z&sr=c&sig=c2VjcmV0%2Babc%3D";
const std::string kKey64 =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

TEST(AzureXml, ReadsAPage) {
  const auto page = ParseAzureListPage(
      "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?>"
      "<EnumerationResults ServiceEndpoint=\"https://a.blob.core.windows.net/\" "
      "ContainerName=\"c\"><Prefix Encoded=\"true\">w%2F</Prefix><MaxResults>2</MaxResults><Blobs>"
      "<Blob><Name>w/a%20&amp;b</Name><Properties><Etag>0x8D1</Etag><Content-Length>12"
      "</Content-Length><Content-MD5>gnzLDuqKcGxMNKFokfhOew==</Content-MD5>"
      "<AccessTier>Archive</AccessTier></Properties><Metadata><k>v</k></Metadata></Blob>"
      "<Blob><Name Encoded=\"true\">w%2F%EF%BF%BE</Name><Properties><Etag>\"0x8D2\"</Etag>"
      "<Content-Length>0</Content-Length></Properties></Blob>"
      "<BlobPrefix><Name>w/p/</Name></BlobPrefix>"
      "</Blobs><NextMarker>2!a+b/=</NextMarker></EnumerationResults>");
  ASSERT_TRUE(page) << page.error().message();
  EXPECT_EQ(page->next_marker, "2!a+b/=");
  ASSERT_EQ(page->blobs.size(), 2u);
  EXPECT_EQ(page->blobs[0].name, "w/a%20&b") << "names are taken as they are";
  EXPECT_EQ(page->blobs[0].etag, "0x8D1");
  EXPECT_EQ(page->blobs[0].size, 12u);
  EXPECT_EQ(page->blobs[0].tier, "Archive");
  EXPECT_EQ(page->blobs[1].name, "w/\xef\xbf\xbe") << "unless they say otherwise";
  EXPECT_EQ(page->blobs[1].etag, "0x8D2");
}

TEST(AzureXml, RefusesWhatIsNoPage) {
  const auto code = [](const std::string& xml) { return ParseAzureListPage(xml).error().code(); };
  EXPECT_EQ(code("<!DOCTYPE l [<!ENTITY a \"b\">]><EnumerationResults>&a;</EnumerationResults>"),
            Code::kUnsupported);
  EXPECT_EQ(code("<EnumerationResults><Blobs>"), Code::kUnavailable);
  EXPECT_EQ(code(""), Code::kUnavailable);
  EXPECT_EQ(code("<html/>"), Code::kUnavailable);
  EXPECT_EQ(code("<EnumerationResults><Blobs><Blob><Name>a</Name></Blob></Blobs>"
                 "</EnumerationResults>"),
            Code::kUnavailable);
  EXPECT_EQ(code("<EnumerationResults><Blobs><Blob><Name Encoded=\"true\">%zz</Name>"
                 "<Properties><Content-Length>1</Content-Length></Properties></Blob></Blobs>"
                 "</EnumerationResults>"),
            Code::kUnavailable);
  std::string deep;
  for (std::size_t i = 0; i <= kAzureXmlDepthMax; ++i) deep += "<a>";
  EXPECT_EQ(code(deep), Code::kResourceExhausted);
  EXPECT_EQ(code("<EnumerationResults>" + std::string(kAzureXmlValueBytesMax + 1, 'x')),
            Code::kResourceExhausted);
}

TEST(AzureXml, ReadsErrorsAndTakesNothingFromOtherThings) {
  const auto error = ParseAzureError(
      "\xef\xbb\xbf<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>Server "
      "failed.\nRequestId:1</Message><AuthenticationErrorDetail>Signature not valid in the "
      "specified time frame</AuthenticationErrorDetail></Error>");
  EXPECT_EQ(error.code, "AuthenticationFailed");
  EXPECT_EQ(error.message, "Server failed.\nRequestId:1");
  EXPECT_NE(error.detail.find("time frame"), std::string::npos);
  EXPECT_EQ(ParseAzureError("<html>").code, "");
}

TEST(AzureSecret, TakesEveryFormThatPortalsShow) {
  const std::string connection =
      "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=" + kKey64 +
      ";EndpointSuffix=core.chinacloudapi.cn";
  const auto by_connection = ParseAzureSecret(connection);
  ASSERT_TRUE(by_connection) << by_connection.error().message();
  EXPECT_EQ(by_connection->account, "acme");
  EXPECT_EQ(by_connection->account_key.size(), 64u);
  EXPECT_EQ(by_connection->cloud->suffix, "core.chinacloudapi.cn");

  const auto by_key = ParseAzureSecret(" " + kKey64 + "\n");
  ASSERT_TRUE(by_key);
  EXPECT_EQ(by_key->account_key, by_connection->account_key);

  for (const std::string& text :
       {std::string("?") + kSas, std::string(kSas) + "\n",
        std::string("{\"azure_sas_token\": \"?") + kSas + "\"}",
        std::string("BlobEndpoint=https://acme.blob.core.windows.net/;SharedAccessSignature=") +
            kSas,
        std::string("https://acme.blob.core.windows.net/models?") + kSas,
        std::string("https://acme.blob.core.windows.net/models?restype=container&comp=list&") +
            kSas}) {
    const auto sas = ParseAzureSecret(text);
    ASSERT_TRUE(sas) << text << ": " << sas.error().message();
    EXPECT_EQ(sas->sas, kSas) << text;
  }
  const auto pasted = ParseAzureSecret("sv=1&sig=a+b/c=");
  ASSERT_TRUE(pasted);
  EXPECT_EQ(pasted->sas, "sv=1&sig=a%2Bb/c=");

  const auto identity = ParseAzureSecret(
      R"({"azure_tenant_id": "t-1", "azure_client_id": "c-1", "azure_client_secret": "s",
          "azure_endpoint_suffix": "core.usgovcloudapi.net"})");
  ASSERT_TRUE(identity) << identity.error().message();
  EXPECT_EQ(identity->identity->client_secret, "s");
  EXPECT_EQ(identity->cloud->authority, "https://login.microsoftonline.us");
  const auto legacy = ParseAzureSecret("{\"account_key\": \"" + kKey64 + "\"}");
  ASSERT_TRUE(legacy);
  EXPECT_EQ(legacy->account_key.size(), 64u);
}

TEST(AzureSecret, RefusesTheRestWithoutRepeatingIt) {
  const std::map<std::string, std::string> cases = {
      {"", "are required"},
      {"hf_abcdef", "are required"},
      {"{}", "are required"},
      {R"({"sas_token": "sv=1&sig=hush"})", "are required"},
      {R"({"azure_tenant_id": "hush"})", "are required"},
      {"{\"azure_sas_token\": \"sv=1&sp=rl hush\"}", "not complete"},
      {R"({"azure_sas_token": "sig=hush"})", "not complete"},
      {R"({"azure_account_key": "not base64 hush!"})", "not base64"},
      {R"({"azure_account_key": "MDEyMzQ1Njc4OWFiY2RlZg==", "azure_sas_token": "sv=1&sig=hush"})",
       "give one of"},
      {R"({"azure_tenant_id": "a/b", "azure_client_id": "hush"})", "are ids"},
      {R"({"azure_tenant_id": "a", "azure_client_id": "b", "azure_endpoint_suffix": "evil.test"})",
       "none of core.windows.net"},
      {R"({"azure_account_name": "Bad_Name", "azure_account_key": "MDEyMzQ1Njc4OWFiY2RlZg=="})",
       "account's name"},
      {"https://169.254.169.254/latest?sv=1&sig=hush", "ACCOUNT.blob"},
      {"AccountName=acme;AccountKey=", "neither AccountKey"},
      {"BlobEndpoint=http://127.0.0.1:10000/x;AccountKey=" + kKey64, "ACCOUNT.blob"},
      {"{\"azure_account_key\"", "cannot be read"},
  };
  for (const auto& [text, part] : cases) {
    const auto secret = ParseAzureSecret(text);
    ASSERT_FALSE(secret) << text;
    EXPECT_EQ(secret.error().code(), Code::kInvalidArgument) << text;
    EXPECT_NE(secret.error().message().find(part), std::string::npos) << secret.error().message();
    EXPECT_EQ(secret.error().message().find("hush"), std::string::npos) << text;
  }
}

TEST(AzureSecret, KnowsWhenASasTokenEnds) {
  EXPECT_EQ(FormatRfc3339(*AzureSasExpiry(kSas)), "2099-01-01T00:00:00Z");
  EXPECT_EQ(FormatRfc3339(*AzureSasExpiry("se=2026-05-06")), "2026-05-06T00:00:00Z");
  EXPECT_EQ(FormatRfc3339(*AzureSasExpiry("a&se=2026-05-06T07%3A08Z&b")), "2026-05-06T07:08:00Z");
  EXPECT_FALSE(AzureSasExpiry("si=policy&sig=x"));
  EXPECT_FALSE(AzureSasExpiry("se=soon"));
}

TEST(AzureContainerUrl, FollowsCloudsAndOperators) {
  const auto url = [](std::string_view endpoint, std::string_view suffix) {
    const auto made = AzureContainerUrl(endpoint, suffix, "acme", "models");
    return made ? made->ToString() : made.error().message();
  };
  EXPECT_EQ(url("", "core.windows.net"), "https://acme.blob.core.windows.net/models");
  EXPECT_EQ(url("http://127.0.0.1:10000", ""), "http://127.0.0.1:10000/acme/models");
  EXPECT_EQ(url("https://{account}.blob.stack.test/", ""), "https://acme.blob.stack.test/models");
  EXPECT_NE(url("ftp://x", "").find("the Azure endpoint"), std::string::npos);
  EXPECT_TRUE(AzureContainerUrl("", "core.windows.net", "acme", "$root"));
  EXPECT_FALSE(AzureContainerUrl("", "core.windows.net", "acme", "No_Container"));
  EXPECT_FALSE(AzureContainerUrl("", "core.windows.net", "a.evil", "models"));
  EXPECT_FALSE(AzureContainerUrl("", "core.windows.net", "acme", ""));
}

// Answers one after the other; the last one again and again.
class AzureClientTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<AzureClient>> Client(const std::string& secret,
                                              auth::IdentityTokens* ours = nullptr) {
    BDN_ASSIGN(auto parsed, ParseAzureSecret(secret));
    return AzureClient::Make(
        transport_, {.account = "acme", .container = "models", .secret = std::move(parsed)}, ours);
  }
  Error Refusal(const std::string& secret,
                int status,
                const std::string& code,
                const std::string& detail = "") {
    answers_ = {{status,
                 {{"x-ms-request-id", "r-1"}},
                 "<Error><Code>" + code +
                     "</Code><Message>Said.\nRequestId:1</Message>"
                     "<AuthenticationErrorDetail>" +
                     detail + "</AuthenticationErrorDetail></Error>"}};
    const auto client = Client(secret);
    const auto page = (*client)->ListPage(ctx_, "w/", "");
    EXPECT_FALSE(page);
    return page.error();
  }
  bdn::testing::ManualClock clock_;
  Context ctx_{clock_};
  std::vector<net::HttpResponse> answers_;
  std::size_t next_ = 0;
  net::testing::MemoryTransport transport_{[this](const net::HttpRequest&) {
    return answers_.at(std::min(next_++, answers_.size() - 1));
  }};
};

constexpr char kEmptyPage[] = "<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>";

TEST_F(AzureClientTest, ErrorsNameThePlaceAndTheFix) {
  const struct {
    const char* secret;
    int status;
    const char* name;
    Code code;
    const char* part;
  } rows[] = {
      {kSas, 403, "AuthorizationPermissionMismatch", Code::kPermissionDenied,
       "lacks the right to list"},
      {kSas, 403, "AuthorizationResourceTypeMismatch", Code::kPermissionDenied, "srt=co"},
      {kSas, 403, "AuthenticationFailed", Code::kUnauthenticated, "SAS token is not valid"},
      {kKey64.c_str(), 403, "AuthenticationFailed", Code::kUnauthenticated,
       "| check azure_account_key: it may have been rotated"},
      {kSas, 404, "ContainerNotFound", Code::kNotFound, "| check the container's name"},
      {kSas, 403, "AccountIsDisabled", Code::kPermissionDenied, "is disabled"},
      {kSas, 409, "PublicAccessNotPermitted", Code::kUnauthenticated, "without credentials"},
      {kKey64.c_str(), 403, "KeyBasedAuthenticationNotPermitted", Code::kPermissionDenied,
       "azure_tenant_id"},
      {kSas, 503, "ServerBusy", Code::kRateLimited, "slow down"},
      {kSas, 500, "OperationTimedOut", Code::kUnavailable, "too slow"},
      {kSas, 500, "SomethingNew", Code::kUnavailable, "try again"},
      {kSas, 409, "BlobArchived", Code::kUnsupported, "Cool or Hot"},
      {kSas, 307, "", Code::kUnavailable, "redirects"},
  };
  for (const auto& row : rows) {
    const Error error = Refusal(row.secret, row.status, row.name);
    EXPECT_EQ(error.code(), row.code) << row.name;
    const std::string said = error.message() + " | " + error.hint();
    EXPECT_NE(said.find(row.part), std::string::npos) << said;
    EXPECT_TRUE(
        error.message().starts_with("the listing of the container models of the account "
                                    "acme: acme.blob.core.windows.net answered HTTP "))
        << error.message();
    EXPECT_NE(error.message().find("[request r-1]"), std::string::npos);
    EXPECT_EQ(error.message().find("c2VjcmV0"), std::string::npos) << "the signature of the SAS";
  }
  const Error ended =
      Refusal(kSas, 403, "AuthenticationFailed", "Signature not valid in the specified time frame");
  EXPECT_NE(ended.message().find("has ended or has not begun"), std::string::npos);
}

TEST_F(AzureClientTest, AWrongClockIsAllowedForOnce) {
  answers_ = {{403,
               {{"Date", "Thu, 01 Jan 2026 02:00:00 GMT"}},
               "<Error><Code>AuthenticationFailed</Code></Error>"},
              {200, {}, kEmptyPage}};
  const auto client = Client(kKey64);
  EXPECT_TRUE((*client)->ListPage(ctx_, "", ""));
  const auto requests = transport_.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].headers.Get("x-ms-date"), "Thu, 01 Jan 2026 00:00:00 GMT");
  EXPECT_EQ(requests[1].headers.Get("x-ms-date"), "Thu, 01 Jan 2026 02:00:00 GMT");
  answers_.pop_back();
  next_ = 0;
  const auto other = Client(kKey64);
  EXPECT_FALSE((*other)->ListPage(ctx_, "", ""));
  EXPECT_EQ(transport_.calls(), 4u);
}

class FixedTokens final : public auth::IdentityTokens {
 public:
  Result<std::string> Mint(std::string_view audience) override {
    asked = audience;
    return std::string("our.own.token");
  }
  std::string asked;
};

constexpr char kFederated[] = R"({"azure_tenant_id": "t-1", "azure_client_id": "c-1"})";

TEST_F(AzureClientTest, ProvesItselfWithOurTokenAndUsesTheAnswerUntilItEnds) {
  FixedTokens ours;
  answers_ = {{200, {}, R"({"token_type":"Bearer","expires_in":3599,"access_token":"AT1"})"},
              {200, {}, kEmptyPage},
              {200, {}, kEmptyPage},
              {200, {}, R"({"token_type":"Bearer","expires_in":3599,"access_token":"AT2"})"},
              {200, {}, kEmptyPage}};
  const auto client = Client(kFederated, &ours);
  ASSERT_TRUE((*client)->ListPage(ctx_, "", ""));
  ASSERT_TRUE((*client)->ListPage(ctx_, "", ""));
  clock_.Advance(std::chrono::minutes(56));
  ASSERT_TRUE((*client)->ListPage(ctx_, "", ""));
  const auto requests = transport_.requests();
  ASSERT_EQ(requests.size(), 5u);
  EXPECT_EQ(requests[0].url.ToString(), "https://login.microsoftonline.com/t-1/oauth2/v2.0/token");
  EXPECT_EQ(requests[0].body,
            "grant_type=client_credentials&client_id=c-1&scope=https%3A%2F%2Fstorage.azure.com%2F."
            "default&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3A"
            "jwt-bearer&client_assertion=our.own.token");
  EXPECT_EQ(ours.asked, "api://AzureADTokenExchange");
  EXPECT_EQ(requests[1].headers.Get("Authorization"), "Bearer AT1");
  EXPECT_EQ(requests[2].headers.Get("Authorization"), "Bearer AT1");
  EXPECT_EQ(requests[4].headers.Get("Authorization"), "Bearer AT2");
}

TEST_F(AzureClientTest, ARefusedTokenIsReplacedOnce) {
  FixedTokens ours;
  answers_ = {{200, {}, R"({"expires_in":3599,"access_token":"AT1"})"},
              {401, {}, "<Error><Code>InvalidAuthenticationInfo</Code></Error>"},
              {200, {}, R"({"expires_in":3599,"access_token":"AT2"})"},
              {401, {}, "<Error><Code>InvalidAuthenticationInfo</Code></Error>"}};
  const auto client = Client(kFederated, &ours);
  const auto page = (*client)->ListPage(ctx_, "", "");
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code(), Code::kUnauthenticated);
  EXPECT_EQ(transport_.calls(), 4u);
}

TEST_F(AzureClientTest, EntraErrorsSayWhatToChange) {
  FixedTokens ours;
  answers_ = {
      {401,
       {},
       R"({"error":"invalid_client","error_description":"AADSTS700213: No matching federated )"
       R"(identity record found for presented assertion subject 'x'.\r\nTrace ID: 1"})"}};
  const auto client = Client(kFederated, &ours);
  const auto page = (*client)->ListPage(ctx_, "", "");
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code(), Code::kUnauthenticated);
  EXPECT_NE(page.error().message().find("AADSTS700213: No matching"), std::string::npos);
  EXPECT_EQ(page.error().message().find("Trace ID"), std::string::npos);
  EXPECT_EQ(page.error().hint(), "the application has no federated credential with this subject");
  const auto alone = Client(kFederated);
  const auto none = (*alone)->ListPage(ctx_, "", "");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Code::kFailedPrecondition);
}

TEST_F(AzureClientTest, HeadReadsPropertiesAndKnowsWhatIsNotThere) {
  answers_ = {
      {200, {{"Content-Length", "7"}, {"ETag", "\"0x8D1\""}, {"x-ms-access-tier", "Archive"}}, ""},
      {404, {{"x-ms-error-code", "BlobNotFound"}}, ""},
      {403, {{"x-ms-error-code", "AuthorizationPermissionMismatch"}}, ""},
      {200, {{"Content-Length", "7"}}, ""}};
  const auto client = Client(kSas);
  const auto blob = (*client)->Head(ctx_, "w/a b");
  ASSERT_TRUE(blob && *blob);
  EXPECT_EQ((*blob)->etag, "0x8D1");
  EXPECT_EQ((*blob)->size, 7u);
  EXPECT_EQ((*blob)->tier, "Archive");
  EXPECT_EQ(transport_.requests()[0].url.path, "/models/w/a%20b");
  const auto gone = (*client)->Head(ctx_, "x");
  ASSERT_TRUE(gone);
  EXPECT_FALSE(*gone);
  EXPECT_EQ((*client)->Head(ctx_, "x").error().code(), Code::kPermissionDenied);
  EXPECT_EQ((*client)->Head(ctx_, "x").error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace bdn::cloud
