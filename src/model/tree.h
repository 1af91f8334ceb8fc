#pragma once
// The order of paths in a tree. CheckTree and CheckTreePath are declared in manifest.h.
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/manifest.h"

namespace bdn::model {

// Orders paths segment by segment ('/' before every other byte): "a", "a/b", "a-b". What lies below
// a directory directly follows it, which plain byte order does not give.
bool PathLess(std::string_view a, std::string_view b);
// Indices of `entries` in that order. Linear when they are in order already.
std::vector<std::uint32_t> TreeOrder(const std::vector<ManifestEntry>& entries);

}  // namespace bdn::model
