#pragma once
// azure:// as a Source: everything below a path of a container, or one blob.
// docs/sources/azure.md is for its users; cloud/azure.h is the wire.
//
// Pin:   the hash over (name, ETag, size) of all blobs below the path ("etag-set"), or over one
//        blob when there is nothing below the path but a blob of exactly that name ("etag").
// Files: names below the path, byte for byte. Content-MD5 is their hash where a blob has one.
// Reads: each range carries If-Match, and the ETag of the answer is compared as well; another one
//        is "source changed".
#include <memory>
#include <optional>
#include <string>

#include "auth/identity_tokens.h"
#include "base/result.h"
#include "model/source_uri.h"
#include "net/http.h"
#include "source/rate_limiter.h"
#include "source/retry.h"
#include "source/source.h"

namespace bdn::source {

inline constexpr std::size_t kAzureListPagesMax = 10'000;
inline constexpr std::size_t kAzureListEntriesMax = 1'000'000;

struct AzureSourceOptions {
  std::string endpoint = {};               // instead of Azure's own, see cloud::AzureContainerUrl
  std::string authority = {};              // instead of Entra ID's own address
  std::optional<std::string> secret = {};  // see cloud::ParseAzureSecret
  auth::IdentityTokens* identity = nullptr;
  RetryOptions retry = {};
  UnitRandom random = {};
};

// `transport`, `limiters` and `options.identity` outlive the source.
// Errors: kInvalidArgument for credentials, a container or an endpoint that cannot be used.
Result<std::unique_ptr<Source>> MakeAzureSource(const model::SourceUri& uri,
                                                net::Transport& transport,
                                                RateLimiters& limiters,
                                                AzureSourceOptions options);

}  // namespace bdn::source
