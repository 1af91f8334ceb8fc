#include "codec/utf8.h"

#include <cstdint>
#include <cstring>

namespace bdn::codec {
namespace {

bool IsTail(unsigned char byte) {
  return (byte & 0xc0) == 0x80;
}

// Length of the well-formed sequence at `s` (2 to 4), 0 when there is none. RFC 3629 §4.
std::size_t SequenceAt(const unsigned char* s, std::size_t left) {
  const unsigned char lead = s[0];
  if (lead >= 0xc2 && lead <= 0xdf) return left >= 2 && IsTail(s[1]) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (left < 3 || !IsTail(s[1]) || !IsTail(s[2])) return 0;
    if (lead == 0xe0 && s[1] < 0xa0) return 0;
    if (lead == 0xed && s[1] > 0x9f) return 0;
    return 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (left < 4 || !IsTail(s[1]) || !IsTail(s[2]) || !IsTail(s[3])) return 0;
    if (lead == 0xf0 && s[1] < 0x90) return 0;
    if (lead == 0xf4 && s[1] > 0x8f) return 0;
    return 4;
  }
  return 0;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  const auto* s = reinterpret_cast<const unsigned char*>(text.data());
  const std::size_t size = text.size();
  for (std::size_t i = 0; i < size;) {
    // Names are nearly always ASCII: eight bytes at a time.
    if (size - i >= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, s + i, 8);
      if ((word & 0x8080808080808080ull) == 0) {
        i += 8;
        continue;
      }
    }
    if (s[i] < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = SequenceAt(s + i, size - i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

std::size_t CountCharacters(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) {
    if (!IsTail(static_cast<unsigned char>(c))) ++count;
  }
  return count;
}

}  // namespace bdn::codec
