#pragma once
#include <cstddef>
#include <span>
#include <string_view>

namespace bdn::os::testing {

// The bytes of a text, for File::WriteAt.
inline std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace bdn::os::testing
