#pragma once
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bdn::crypto {

// BLAKE3-256 of uncompressed bytes: the name of every object at rest (docs/formats/objects.md).
struct Digest {
  std::array<std::uint8_t, 32> bytes{};
  friend auto operator<=>(const Digest&, const Digest&) = default;

  std::string hex() const;       // 64 lower-case digits
  std::string ToString() const;  // "b3:" + hex
};

// "b3:" + exactly 64 lower-case hex digits; anything else is kInvalidArgument.
Result<Digest> ParseDigest(std::string_view text);
// The same without the prefix.
Result<Digest> ParseDigestHex(std::string_view hex);

std::string HexEncode(std::span<const std::uint8_t> bytes);
// Accepts both cases; kInvalidArgument on odd length or another character.
Result<std::string> HexDecode(std::string_view hex);
// RFC 4648: standard alphabet with padding, and the URL alphabet without.
std::string Base64Encode(std::string_view bytes);
Result<std::string> Base64Decode(std::string_view text);
std::string Base64UrlEncode(std::string_view bytes);
Result<std::string> Base64UrlDecode(std::string_view text);

}  // namespace bdn::crypto

template <>
struct std::hash<bdn::crypto::Digest> {
  std::size_t operator()(const bdn::crypto::Digest& d) const noexcept {
    std::size_t h = 0;
    for (int i = 0; i < 8; ++i) h = (h << 8) | d.bytes[static_cast<std::size_t>(i)];
    return h;
  }
};
