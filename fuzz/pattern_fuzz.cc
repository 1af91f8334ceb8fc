// Patterns: the first line is a pattern, the rest a path. No pair may take long.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "model/pattern.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto newline = text.find('\n');
  const auto pattern = bdn::model::Pattern::Parse(text.substr(0, newline));
  if (!pattern || newline == std::string_view::npos) return 0;
  const auto begin = std::chrono::steady_clock::now();
  const bool matches = pattern->Matches(text.substr(newline + 1));
  // 4 KiB against 4 KiB is 16 million steps; with sanitizers and a busy machine well below this.
  BDN_CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
  BDN_CHECK(matches == pattern->Matches(text.substr(newline + 1)));
  return 0;
}
