#pragma once
// Who may do what at the stand-in for the Azure Blob service: Shared Key, SAS tokens and access
// tokens, verified for real and written apart from the product's own signer.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "net/server.h"

namespace bdn::fakes {

struct BlobRefusal {
  int status = 403;
  std::string code;
  std::string message;
  std::string detail = {};  // AuthenticationErrorDetail
};

struct BlobAccounts {
  std::map<std::string, std::string, std::less<>> keys;  // raw bytes, by account
  // What access tokens may do: "l" and "r", as in the sp of a SAS token.
  std::map<std::string, std::string, std::less<>> tokens;
};

struct BlobTarget {
  std::string account;
  std::string container;
  std::string blob;  // decoded; empty: the container
  char right = 'r';  // 'l' or 'r'
};

// Nothing when the request may go on.
std::optional<BlobRefusal> CheckBlobAccess(const net::ServerRequest& request,
                                           const BlobTarget& target,
                                           const BlobAccounts& accounts,
                                           WallTime now);

}  // namespace bdn::fakes
