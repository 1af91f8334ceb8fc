#pragma once
// Internal to google_*.cc: what errors of Google's token services mean.
#include <string>

#include "base/result.h"
#include "cloud/google_auth.h"
#include "net/http.h"

namespace bdn::cloud {

enum class GoogleStep { kKey, kExchange, kImpersonate };

// `subject` names the account or the provider. `*help` and `*skewed` (the clock is wrong) may be
// null.
Error GoogleAuthError(GoogleStep step,
                      const std::string& subject,
                      const net::HttpResponse& answer,
                      WallTime now,
                      ExchangeHelp* help,
                      bool* skewed);

}  // namespace bdn::cloud
