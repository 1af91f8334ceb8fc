#pragma once
// Secrets at rest: libsodium's XChaCha20-Poly1305 with a random nonce; `name` is authenticated but
// not encrypted, so that a sealed value cannot be moved to another name.
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bdn::crypto {

inline constexpr std::size_t kMasterKeyBytes = 32;

// `master_key` has kMasterKeyBytes bytes. The result is binary: a format byte (1), a nonce of 24
// bytes, then ciphertext and a tag of 16 bytes; 41 bytes longer than the secret. Thread-safe.
std::string Seal(std::string_view master_key, std::string_view name, std::string_view secret);
// kCorrupt when it was altered, moved to another name, or sealed with another key;
// kInvalidArgument for a key of another length. Thread-safe.
Result<std::string> Unseal(std::string_view master_key,
                           std::string_view name,
                           std::string_view sealed);

}  // namespace bdn::crypto
