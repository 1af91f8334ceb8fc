#pragma once
// Secrets at rest: libsodium's XChaCha20-Poly1305 with a random nonce; `name` is authenticated but
// not encrypted, so that a sealed value cannot be moved to another name.
#include <string>
#include <string_view>

#include "base/result.h"

namespace bdn::crypto {

inline constexpr std::size_t kMasterKeyBytes = 32;

std::string Seal(std::string_view master_key, std::string_view name, std::string_view secret);
// kCorrupt when it was altered, moved to another name, or sealed with another key.
Result<std::string> Unseal(std::string_view master_key,
                           std::string_view name,
                           std::string_view sealed);

}  // namespace bdn::crypto
