#pragma once
// Lists sources for the commands that look before anything is mirrored: ls, validate --explain and
// migrate.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/result.h"
#include "cli/client.h"
#include "model/source_uri.h"
#include "source/rate_limiter.h"
#include "source/source.h"
#include "source/source_factory.h"

namespace bdn::cli {

struct SourceListing {
  source::Pin pin;
  std::vector<source::RemoteFile> files;
};

// For one command on one thread. Every source is asked once; the answer, or why there is none, is
// kept.
class SourceLister {
 public:
  struct Options {
    std::vector<std::string> allow_private;
    // Tries again as often as a mirror does; else twice, for a person who waits.
    bool patient = false;
  };
  SourceLister(const Environment& env, Options options);

  // With `secret`, or HF_TOKEN for the Hub when it is empty, or anonymously. Errors: those of
  // Source::Resolve and Source::List, kTimeout when `ctx` ends.
  const Result<SourceListing>& List(const Context& ctx,
                                    const model::SourceUri& uri,
                                    const std::string& secret = {});

 private:
  Result<SourceListing> Ask(const Context& ctx,
                            const model::SourceUri& uri,
                            const std::string& secret);

  const Environment& env_;
  Options options_;
  std::unique_ptr<net::Transport> transport_;  // made at the first call
  source::RateLimiters limiters_;
  std::map<std::string, Result<SourceListing>> known_;
};

// Nobody waits longer than this at a prompt, for all sources of a config together.
inline constexpr Duration kListingMax = std::chrono::seconds(20);
// For one of them, so that one that hangs does not use up the time of the others.
inline constexpr Duration kListingOneMax = std::chrono::seconds(8);

}  // namespace bdn::cli
