#pragma once
// API keys: "bdn_" and 32 random bytes in base64url. Only the SHA-256 is stored: with 256 bits of
// chance in the key there is nothing to guess, so a slow password hash would add nothing.
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "store/metadata.h"

namespace bdn::store {

struct NewApiKey {
  ApiKey row;
  std::string text;  // shown once, to whoever asked for it; never stored, never logged
};

// Makes and stores a key of an organisation. `name` is for people.
Result<NewApiKey> CreateApiKey(Metadata& metadata,
                               const std::string& org,
                               const std::string& name,
                               WallTime now);
// The row of a key as a client presents it. kUnauthenticated when it is not one of ours, unknown or
// revoked; the message never repeats it.
Result<ApiKey> VerifyApiKey(Metadata& metadata, std::string_view text);
// What is stored of a key.
std::string ApiKeyHash(std::string_view text);

}  // namespace bdn::store
