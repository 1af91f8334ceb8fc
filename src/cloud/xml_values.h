#pragma once
// Small XML answers as a list of paths and texts. The text comes from a server that is not trusted:
// document types are refused, so nothing can be expanded or fetched; depth and values are limited.
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bdn::cloud {

struct XmlLimits {
  std::size_t depth_max = 16;
  std::size_t value_bytes_max = 64 * 1024;
};

// Calls `on_value` at the end of every element with its path ("Root/Item/Key", names as written,
// without attributes) and the text since the last tag.
// Errors: kUnavailable for what is not well-formed or not whole, kUnsupported for a document type,
//         kResourceExhausted over a limit.
Status ReadXmlValues(
    std::string_view xml,
    const std::function<void(const std::string& path, const std::string& text)>& on_value,
    const XmlLimits& limits = {});

}  // namespace bdn::cloud
