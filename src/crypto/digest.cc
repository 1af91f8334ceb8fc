#include "crypto/digest.h"

#include <fmt/format.h>

namespace bdn::crypto {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view kDigestPrefix = "b3:";
constexpr std::size_t kDigestHexChars = 64;
constexpr std::size_t kQuotedCharsMax = 80;  // of foreign text repeated in a message

// -1 for a character that is not a hex digit.
constexpr int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Foreign text as it may stand in a message: cut, and without control characters.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kQuotedCharsMax)) {
    out += (c >= ' ' && c <= '~') ? c : '?';
  }
  out += text.size() > kQuotedCharsMax ? "\"..." : "\"";
  return out;
}

std::array<std::int8_t, 256> MakeReverse(std::string_view alphabet) {
  std::array<std::int8_t, 256> table;
  table.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::int8_t>(i);
  }
  return table;
}

std::string EncodeBase64(std::string_view bytes, std::string_view alphabet, bool pad) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : bytes) {
    bits = (bits << 8) | static_cast<std::uint8_t>(c);
    count += 8;
    while (count >= 6) {
      count -= 6;
      out += alphabet[(bits >> count) & 63];
    }
  }
  if (count > 0) out += alphabet[(bits << (6 - count)) & 63];
  while (pad && out.size() % 4 != 0) out += '=';
  return out;
}

// Strict: one text for one value, so that bits which no encoder sets are refused as well
// (RFC 4648 §3.5). `text` is without padding.
Result<std::string> DecodeBase64(std::string_view text,
                                 const std::array<std::int8_t, 256>& reverse,
                                 std::string_view what) {
  if (text.size() % 4 == 1) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} of impossible length {}: it was cut", what, text.size()));
  }
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int value = reverse[static_cast<std::uint8_t>(text[i])];
    if (value < 0) {
      return Error(Code::kInvalidArgument,
                   fmt::format("{}: character {} does not belong to its alphabet", what, i + 1));
    }
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(static_cast<std::uint8_t>(bits >> count));
    }
  }
  if ((bits & ((1U << count) - 1)) != 0) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{}: the last character carries stray bits", what));
  }
  return out;
}

}  // namespace

std::string Digest::hex() const {
  return HexEncode(bytes);
}

std::string Digest::ToString() const {
  return std::string(kDigestPrefix) + hex();
}

Result<Digest> ParseDigest(std::string_view text) {
  if (!text.starts_with(kDigestPrefix)) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} is not a digest: expected \"b3:\" and 64 lower-case hex digits",
                             Quoted(text)));
  }
  return ParseDigestHex(text.substr(kDigestPrefix.size()));
}

Result<Digest> ParseDigestHex(std::string_view hex) {
  const auto refuse = [&] {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} is not a digest: expected 64 lower-case hex digits", Quoted(hex)));
  };
  if (hex.size() != kDigestHexChars) return refuse();
  Digest digest;
  for (std::size_t i = 0; i < digest.bytes.size(); ++i) {
    const char a = hex[2 * i];
    const char b = hex[2 * i + 1];
    const int high = HexValue(a);
    const int low = HexValue(b);
    // One spelling for one digest: they are compared as text in URLs, file names and tables.
    if (high < 0 || low < 0 || (a >= 'A' && a <= 'F') || (b >= 'A' && b <= 'F')) return refuse();
    digest.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return digest;
}

std::string HexEncode(std::span<const std::uint8_t> bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 15];
  }
  return out;
}

Result<std::string> HexDecode(std::string_view hex) {
  if (hex.size() % 2 != 0) {
    return Error(Code::kInvalidArgument,
                 fmt::format("hex of odd length {}: it was cut", hex.size()));
  }
  std::string out;
  out.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = HexValue(hex[i]);
    const int low = HexValue(hex[i + 1]);
    if (high < 0 || low < 0) {
      return Error(Code::kInvalidArgument,
                   fmt::format("hex: character {} is not a hex digit", high < 0 ? i + 1 : i + 2));
    }
    out += static_cast<char>(static_cast<std::uint8_t>(high * 16 + low));
  }
  return out;
}

std::string Base64Encode(std::string_view bytes) {
  return EncodeBase64(bytes, kBase64, true);
}

Result<std::string> Base64Decode(std::string_view text) {
  static const auto kReverse = MakeReverse(kBase64);
  if (text.size() % 4 != 0) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("base64 of length {}: it was cut or its padding is missing", text.size()));
  }
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return DecodeBase64(text, kReverse, "base64");
}

std::string Base64UrlEncode(std::string_view bytes) {
  return EncodeBase64(bytes, kBase64Url, false);
}

Result<std::string> Base64UrlDecode(std::string_view text) {
  static const auto kReverse = MakeReverse(kBase64Url);
  return DecodeBase64(text, kReverse, "base64url");
}

}  // namespace bdn::crypto
