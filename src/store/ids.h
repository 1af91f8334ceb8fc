#pragma once
// Names of rows: "dep_" and 16 characters of Crockford's base32 in lower case, which sort by the
// time of their making (like a ULID): 9 characters of milliseconds since 1970, 7 of chance.
#include <string>
#include <string_view>

#include "base/clock.h"

namespace bdn::store {

// `prefix` without the underscore: "dep", "mir", "key". Thread-safe.
std::string NewId(std::string_view prefix, WallTime now);

}  // namespace bdn::store
