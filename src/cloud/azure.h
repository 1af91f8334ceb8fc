#pragma once
// The wire of the Azure Blob service: addresses, credentials, one attempt of each call, and what
// answers mean. Nothing here waits or retries, with two exceptions that belong to proving who we
// are: a clock that the server finds wrong and a token that it refuses are put right once a call.
//
// Source: learn.microsoft.com, "Blob service REST API", version 2021-12-02.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/azure_shared_key.h"
#include "base/context.h"
#include "base/guarded.h"
#include "base/result.h"
#include "cloud/azure_secret.h"
#include "cloud/azure_tokens.h"
#include "cloud/azure_xml.h"
#include "net/http.h"

namespace bdn::cloud {

inline constexpr std::string_view kAzureVersion = "2021-12-02";
inline constexpr int kAzurePageBlobs = 5000;
// 5000 blobs with 8 KiB of metadata each.
inline constexpr std::size_t kAzurePageBytesMax = 64u << 20;
inline constexpr std::size_t kAzureErrorBytesMax = 64 * 1024;

// Where a container is: its path does not end with '/'. `endpoint` empty: ACCOUNT.blob.SUFFIX. Else
// "{account}" in it is replaced; an endpoint without it gets the account as the first segment of
// the path, as emulators have it. Errors: kInvalidArgument.
Result<net::Url> AzureContainerUrl(std::string_view endpoint,
                                   std::string_view suffix,
                                   std::string_view account,
                                   std::string_view container);

struct AzureSite {
  std::string endpoint = {};   // empty: Azure
  std::string authority = {};  // instead of the cloud's own address for tokens
  std::string account;
  std::string container;
  AzureSecret secret;
};

enum class AzureStep : std::uint8_t { kList, kHead, kRead };

// Thread-safe.
class AzureClient {
 public:
  // `ours` may be null; it is used by secrets with a tenant and a client only. Everything passed in
  // outlives the client. Errors: as AzureContainerUrl; kInvalidArgument when the secret says that
  // it is for another account.
  static Result<std::unique_ptr<AzureClient>> Make(net::Transport& transport,
                                                   AzureSite site,
                                                   auth::IdentityTokens* ours);

  // host[:port] that requests go to: for limits and messages.
  const std::string& authority() const { return authority_; }
  const AzureSite& site() const { return site_; }

  // One page of the blobs whose names begin with `prefix`.
  Result<AzureListPage> ListPage(const Context& ctx,
                                 std::string_view prefix,
                                 std::string_view marker) const;
  // Get Blob Properties; nullopt where there is none.
  Result<std::optional<AzureBlob>> Head(const Context& ctx, std::string_view name) const;
  // Get Blob, one range. `sink` sees answers of 2xx only; all others become an error.
  // Errors: kFailedPrecondition (412 or 416: not the blob that was listed), kNotFound,
  //         kUnauthenticated, kPermissionDenied, kUnsupported (archived, customer's key),
  //         kRateLimited, kUnavailable, and what transport and sink return.
  Status GetRange(const Context& ctx,
                  std::string_view name,
                  std::string_view etag,
                  net::ByteRange range,
                  net::ResponseSink& sink) const;

 private:
  struct Call {
    AzureStep step = AzureStep::kList;
    std::string name = {};   // empty: the container
    std::string query = {};  // already encoded, without the SAS
    net::Headers headers = {};
  };
  AzureClient(net::Transport& transport, AzureSite site, net::Url base, auth::IdentityTokens* ours);

  Result<net::HttpRequest> MakeRequest(const Call& call,
                                       Duration skew,
                                       WallTime now,
                                       const std::string& token) const;
  Result<net::ResponseHead> Send(const Context& ctx,
                                 const Call& call,
                                 net::ResponseSink& sink) const;
  Error ErrorOf(const Call& call,
                const net::ResponseHead& head,
                const AzureErrorBody& body,
                WallTime now) const;

  net::Transport& transport_;
  const AzureSite site_;
  const net::Url base_;
  const std::string authority_;
  const std::unique_ptr<AzureTokens> tokens_;
  mutable Guarded<Duration> skew_{Duration{0}};  // the server's clock minus ours
};

}  // namespace bdn::cloud
