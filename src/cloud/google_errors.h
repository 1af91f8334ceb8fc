#pragma once
// Internal to google_*.cc: what errors of Google's token services mean.
#include <string>

#include "base/result.h"
#include "net/http.h"

namespace bdn::cloud {

enum class GoogleStep { kKey, kExchange, kImpersonate };

// `subject` names the account or the provider; `*stale` (may be null) is set when a fresh token of
// our issuer may help, `*skewed` when the clock is wrong.
Error GoogleAuthError(GoogleStep step,
                      const std::string& subject,
                      const net::HttpResponse& answer,
                      WallTime now,
                      bool* stale,
                      bool* skewed);

}  // namespace bdn::cloud
