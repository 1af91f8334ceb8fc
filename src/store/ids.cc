#include "store/ids.h"

#include <cstdint>

#include "crypto/hash.h"

namespace bdn::store {

std::string NewId(std::string_view prefix, WallTime now) {
  constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";  // no i, l, o, u
  constexpr int kTimeChars = 9;                                               // 45 bits
  constexpr std::size_t kRandomChars = 7;                                     // 35 bits
  const auto ms = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count());
  std::string id(prefix);
  id += '_';
  for (int i = kTimeChars - 1; i >= 0; --i) id += kAlphabet[(ms >> (5 * i)) & 31];
  for (const char c : crypto::RandomBytes(kRandomChars)) {
    id += kAlphabet[static_cast<unsigned char>(c) & 31];
  }
  return id;
}

}  // namespace bdn::store
