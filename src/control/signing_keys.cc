#include "control/signing_keys.h"

#include <algorithm>
#include <utility>

namespace bdn::control {

const store::SigningKey* SigningAt(const std::vector<store::SigningKey>& keys, WallTime now) {
  const store::SigningKey* found = nullptr;
  for (const auto& key : keys) {
    if (key.signs_from > now || key.published_until <= now) continue;
    // Of two that begin in one moment the one that stays longer is the new one.
    if (found == nullptr || std::pair(key.signs_from, key.published_until) >
                                std::pair(found->signs_from, found->published_until)) {
      found = &key;
    }
  }
  return found;
}

std::vector<store::SigningKey> PublishedAt(const std::vector<store::SigningKey>& keys,
                                           WallTime now) {
  std::vector<store::SigningKey> out;
  std::copy_if(keys.begin(), keys.end(), std::back_inserter(out),
               [&](const store::SigningKey& key) { return key.published_until > now; });
  return out;
}

Result<std::vector<store::SigningKey>> AfterRotation(const std::vector<store::SigningKey>& keys,
                                                     store::SigningKey fresh,
                                                     WallTime now,
                                                     const RotationOptions& options) {
  std::vector<store::SigningKey> out = PublishedAt(keys, now);
  const bool first = out.empty();
  fresh.created_at = now;
  fresh.signs_from = first || options.revoke ? now : now + options.lead;
  fresh.published_until = kPublishedForEver;
  if (options.revoke) return std::vector<store::SigningKey>{std::move(fresh)};
  for (auto& key : out) {
    if (key.signs_from > now) {
      return Error(Code::kFailedPrecondition, "a rotation is under way: the next key signs from " +
                                                  FormatRfc3339(key.signs_from))
          .WithHint("Wait until then; in an emergency --revoke drops all keys but a new one.");
    }
    key.published_until =
        std::min(key.published_until, fresh.signs_from + options.token_life + kKeySetCache);
  }
  out.push_back(std::move(fresh));
  return out;
}

}  // namespace bdn::control
