#include "auth/azure_shared_key.h"

#include <gtest/gtest.h>

#include "crypto/digest.h"

namespace bdn::auth {
namespace {

// The published key of the storage emulator; the signatures below were made by npm's
// @azure/storage-blob 12.32.0 with it and a fixed clock.
AzureSharedKey Key() {
  return {"myaccount",
          *crypto::Base64Decode("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVE"
                                "rCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==")};
}

net::HttpRequest Request(const std::string& method, const std::string& url, const char* id) {
  net::HttpRequest request;
  request.method = method;
  request.url = *net::ParseUrl("http://127.0.0.1:18022" + url);
  request.headers = {{"x-ms-version", "2026-04-06"},
                     {"Accept", "application/xml"},
                     {"User-Agent", "anything"},
                     {"x-ms-client-request-id", id},
                     {"X-Ms-Date", "Mon, 23 Nov 2026 07:00:00 GMT"}};
  return request;
}

TEST(AzureSharedKey, SignsAListingAsTheNpmClientDoes) {
  const auto request = Request("GET",
                               "/models?comp=list&prefix=w%20x%2F%C3%A9%2B%2F&maxresults=5000&"
                               "restype=container",
                               "f324925b-99cc-4bb8-ae98-a50a1b7188dc");
  EXPECT_EQ(SignAzureSharedKey(request, Key()),
            "SharedKey myaccount:a3ek7zJ00ui8hUTxOvRNDu43AjhkQZGBjvn3kO8Am0I=");
}

TEST(AzureSharedKey, SignsAConditionalRangeAsTheNpmClientDoes) {
  auto request =
      Request("GET", "/models/w/a%20b%2Bc%25%C3%A9.bin", "2a799ff3-f6af-44a1-8d70-6e4c857feda7");
  request.headers.Set("x-ms-range", "bytes=5-14");
  request.headers.Set("If-Match", "\"0x8D1\"");
  EXPECT_EQ(SignAzureSharedKey(request, Key()),
            "SharedKey myaccount:sZY7OCapffR1GmA1ju88nrGoAwfGGh8FbDqyeyk44aY=");
}

TEST(AzureSharedKey, SignsAHeadAsTheNpmClientDoes) {
  const auto request = Request("HEAD", "/m2/x", "2919e412-861a-4f5b-abb2-548355c0cf3c");
  EXPECT_EQ(SignAzureSharedKey(request, Key()),
            "SharedKey myaccount:NuA5DpsE72mvJmQgWdRRpXqAiBSIR5artN5+1C0yue8=");
}

// learn.microsoft.com, "Authorize with Shared Key", the examples of the Blob service.
TEST(AzureSharedKey, WritesTheDocumentedString) {
  net::HttpRequest request;
  request.url = *net::ParseUrl(
      "http://myaccount.blob.core.windows.net/mycontainer?restype=container&"
      "comp=metadata&timeout=20");
  request.headers = {{"x-ms-version", "2015-02-21"},
                     {"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}};
  EXPECT_EQ(AzureStringToSign(request, "myaccount"),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n"
            "x-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\nrestype:container\n"
            "timeout:20");
}

TEST(AzureSharedKey, JoinsRepeatedParametersInOrderAndCountsTheBody) {
  net::HttpRequest request;
  request.method = "PUT";
  request.url = *net::ParseUrl("http://h/c?include=snapshots&comp=list&include=metadata&&x");
  request.body = "12345";
  request.headers = {{"Content-Length", "7"}, {"Range", "bytes=0-1"}};
  EXPECT_EQ(AzureStringToSign(request, "a"),
            "PUT\n\n\n5\n\n\n\n\n\n\n\nbytes=0-1\n/a/c\ncomp:list\ninclude:metadata,snapshots\nx:");
}

}  // namespace
}  // namespace bdn::auth
