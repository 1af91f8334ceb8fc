#pragma once
// UTF-8 (RFC 3629): names from outside are checked before they become names on disk.
#include <cstddef>
#include <string_view>

namespace bdn::codec {

// Well-formed: no overlong forms, no surrogates, nothing above U+10FFFF, nothing cut off.
bool IsUtf8(std::string_view text);
// Characters (code points) in well-formed text; other bytes count as they come.
std::size_t CountCharacters(std::string_view text);

}  // namespace bdn::codec
