#pragma once
// Grants: short-lived signed rights to read the objects of one organisation and namespace. A tier
// shows one with every read; knowing a digest never gives bytes by itself.
//
// Text form: "bdng1.<base64url of org LF namespace LF expiry seconds>.<base64url of HMAC-SHA256>".
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace bdn::auth {

inline constexpr Duration kGrantLife = std::chrono::hours(1);

struct Grant {
  std::string org;
  std::string ns;
  WallTime expires_at;
};

// `key` is secret and at least 32 bytes. Names must not hold a line feed.
std::string SignGrant(std::string_view key, const Grant& grant);
// kUnauthenticated for a text that is no grant of this key or has expired at `now`.
Result<Grant> VerifyGrant(std::string_view key, std::string_view text, WallTime now);

}  // namespace bdn::auth
