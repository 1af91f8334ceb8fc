#pragma once
// The Shared Key scheme of Azure Storage (Blob service): proof of an account's key in a header.
// Pure: the same values give the same text; nothing here reads a clock or sends anything.
//
// A signature is good for about 15 minutes and for one request: sign again for every try and range.
// Source: learn.microsoft.com, "Authorize with Shared Key", version 2015-02-21 and later.
#include <string>
#include <string_view>

#include "net/http.h"

namespace bdn::auth {

struct AzureSharedKey {
  std::string account;
  std::string key;  // the raw bytes; portals and connection strings show them in base64
};

// What is signed for `request`: the method, eleven standard headers (Content-Length is that of the
// body), all x-ms-… headers by name, and the path and query. Names of x-ms-… headers that differ
// only in punctuation are sorted by the server in another order than here; bdn sends none.
std::string AzureStringToSign(const net::HttpRequest& request, std::string_view account);

// The value of Authorization. `request` must have x-ms-date and x-ms-version by now.
std::string SignAzureSharedKey(const net::HttpRequest& request, const AzureSharedKey& key);

}  // namespace bdn::auth
