#pragma once
// hf:// as a Source: models, datasets and spaces of the Hugging Face Hub, or of a mirror or gateway
// that speaks its protocol. docs/sources/hf.md is for its users; cloud/hugging_face_hub.h is the
// wire.
//
// Pin:   the commit SHA, asked once from the Hub's API (also for a full SHA: that tells whether the
//        repository exists, is readable, and how it is called today). Listing and reading use the
//        SHA, so a branch that moves meanwhile changes nothing.
// Files: LFS and Xet files have the SHA-256 of their content (ContentHash::kSha256), all others the
//        id of their git blob (kGitBlobSha1); that hash is their etag.
// Reads: always by bounded ranges, never of an empty file. The storage host behind a redirect never
//        sees the token; its signed address is shared by all ranges of a file and renewed when it
//        ends.
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "model/source_uri.h"
#include "net/http.h"
#include "source/rate_limiter.h"
#include "source/retry.h"
#include "source/source.h"

namespace bdn::source {

// Limits on what a Hub may make us hold or do.
inline constexpr int kHubListPagesMax = 10'000;
inline constexpr std::size_t kHubListEntriesMax = 1'000'000;
inline constexpr int kHubRefreshesMax = 3;  // fresh addresses in a row that give not one byte

struct HuggingFaceOptions {
  std::string endpoint = {};               // empty: https://huggingface.co
  std::optional<std::string> secret = {};  // holds the token, with blanks around it at most
  RetryOptions retry = {};
  UnitRandom random = {};
};

// `transport` and `limiters` outlive the source.
// Errors: kInvalidArgument for a token or an endpoint that cannot be used.
Result<std::unique_ptr<Source>> MakeHuggingFaceSource(const model::SourceUri& uri,
                                                      net::Transport& transport,
                                                      RateLimiters& limiters,
                                                      HuggingFaceOptions options);

}  // namespace bdn::source
