#pragma once
// gs:// as a Source: everything below a path of a bucket of Google Cloud Storage, or one object.
// docs/sources/gs.md is for its users; cloud/gcs.h is the wire.
//
// Pin:   the hash over (name, generation, size) of all objects below the path ("generation-set"),
// or
//        of one object when there is nothing below the path but an object of exactly that name
//        ("generation").
// Files: names below the path, byte for byte. A generation names one content for ever. The
//        publisher's hash is MD5, or CRC-32C for objects that were composed.
// Reads: the generation stands in every request and is compared with every answer. What is stored
//        is asked for (gzip is accepted and not decoded): only so are ranges and hashes those of
//        the listing.
// gzip:  an object that is stored compressed (Content-Encoding: gzip) is delivered decompressed.
// List
//        reads such an object once: it verifies what is stored and takes size and SHA-256 of what
//        comes out; each range is then read from the beginning of what is stored.
#include <memory>
#include <optional>
#include <string>

#include "auth/identity_tokens.h"
#include "base/result.h"
#include "model/config.h"
#include "model/source_uri.h"
#include "net/http.h"
#include "source/rate_limiter.h"
#include "source/retry.h"
#include "source/source.h"

namespace bdn::source {

inline constexpr std::size_t kGcsListPagesMax = 10'000;
inline constexpr std::size_t kGcsListEntriesMax = 1'000'000;
// Objects that are stored compressed: how large one may be, before and after, and how many there
// may be. They are small texts; anything larger was compressed by mistake.
inline constexpr std::uint64_t kGcsGunzipBytesMax = 256ull << 20;
inline constexpr std::size_t kGcsGunzipObjectsMax = 1000;

struct GcsSourceOptions {
  // Storage, tokens and IAM at one other address; empty for Google.
  std::string endpoint = {};
  std::optional<std::string> secret = {};    // JSON, see cloud::ParseGcpSecret
  model::WeightsAuth auth = {};              // what the config says
  auth::IdentityTokens* identity = nullptr;  // for GCP_OIDC; outlives the source
  RetryOptions retry = {};
  UnitRandom random = {};
};

// `transport` and `limiters` outlive the source.
// Errors: kInvalidArgument for credentials, a bucket or an endpoint that cannot be used;
//         kFailedPrecondition for GCP_OIDC where no issuer is set up.
Result<std::unique_ptr<Source>> MakeGcsSource(const model::SourceUri& uri,
                                              net::Transport& transport,
                                              RateLimiters& limiters,
                                              GcsSourceOptions options);

}  // namespace bdn::source
