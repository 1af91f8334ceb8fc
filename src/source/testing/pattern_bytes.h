#pragma once
// Content for tests.
#include <cstdint>
#include <string>

namespace bdn::source::testing {

// Bytes that differ at every offset and between seeds.
inline std::string PatternBytes(std::size_t size, unsigned seed) {
  std::string bytes(size, '\0');
  std::uint32_t x = seed * 2654435761u + 1;
  for (char& c : bytes) {
    x = x * 1664525u + 1013904223u;
    c = static_cast<char>(x >> 24);
  }
  return bytes;
}

}  // namespace bdn::source::testing
