#pragma once
// What to answer when a client asks for (a part of) one immutable representation: the conditional
// and range rules of RFC 9110 §13.2.2 and §14, as a pure function.
#include <cstdint>
#include <string_view>

#include "net/http.h"

namespace bdn::net {

struct ContentPlan {
  int status = 200;  // 200, 206, 304, 412, 416
  ByteRange range;   // of the representation; meaningful for 200 and 206
};

// `etag` is a quoted strong entity tag, or empty for none; `size` the whole representation.
ContentPlan PlanContent(std::string_view method,
                        const Headers& headers,
                        std::string_view etag,
                        std::uint64_t size);

// Whether a list of entity tags ("*", or `"a", W/"b"`) names `etag`. Weak comparison ignores W/.
bool EtagListMatches(std::string_view list, std::string_view etag, bool weak);

}  // namespace bdn::net
