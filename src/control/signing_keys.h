#pragma once
// When which key of the OIDC issuer signs and is published. Pure.
//
// Verifiers keep a key set for up to a day, and some look for an unknown key only now and then. So
// a key is published a while before it signs, and stays published until the last token that it
// signed has ended and every copy of the set without it would be old:
//
//   old  ──signs──────────────┐· · · published · · ·┐
//   new        published · · ·├──signs──────────────────
//              └ rotation     └ rotation + lead     └ + token life + cache
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/metadata.h"

namespace bdn::control {

inline constexpr Duration kKeyLeadDefault = std::chrono::hours(24);
inline constexpr Duration kKeyLeadMax = std::chrono::hours(24 * 30);
inline constexpr Duration kKeySetCache = std::chrono::hours(24);
inline constexpr WallTime kPublishedForEver = WallTime::max();

// The key that signs at `now`: of those that may, the one that began last. Null for an empty list.
const store::SigningKey* SigningAt(const std::vector<store::SigningKey>& keys, WallTime now);
// Those that verifiers must see at `now`, in their order.
std::vector<store::SigningKey> PublishedAt(const std::vector<store::SigningKey>& keys,
                                           WallTime now);

struct RotationOptions {
  Duration lead = kKeyLeadDefault;  // between publishing the new key and signing with it
  Duration token_life = std::chrono::hours(1);
  // Drops all other keys at once: what they signed is refused from then on.
  bool revoke = false;
};
// The keys after `fresh` (its kid, algorithm and sealed half) was added at `now`.
// kFailedPrecondition while an earlier rotation still waits for its lead, unless `revoke`.
Result<std::vector<store::SigningKey>> AfterRotation(const std::vector<store::SigningKey>& keys,
                                                     store::SigningKey fresh,
                                                     WallTime now,
                                                     const RotationOptions& options);

}  // namespace bdn::control
