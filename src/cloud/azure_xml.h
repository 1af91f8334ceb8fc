#pragma once
// The XML of the Azure Blob service: pages of List Blobs and error bodies. Not trusted: document
// types are refused, so nothing can be expanded or fetched; depth and values are limited.
// Source: learn.microsoft.com, "List Blobs" and "Status and error codes" of the Blob service.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bdn::cloud {

inline constexpr std::size_t kAzureXmlDepthMax = 16;
inline constexpr std::size_t kAzureXmlValueBytesMax = 64 * 1024;  // names: at most 1024 characters

struct AzureBlob {
  std::string name;  // decoded, byte for byte what was stored
  std::string etag;  // without its quotes
  std::uint64_t size = 0;
  std::string tier = {};         // "Hot", "Archive", …; may be empty
  std::string content_md5 = {};  // base64, as its owner set it; may be empty
  // A directory of a hierarchical namespace, or the marker that tools leave for one.
  bool is_folder = false;
  bool customer_key = false;  // encrypted with a key that comes with each request
};

struct AzureErrorBody {
  std::string code;
  std::string message;
  std::string detail;  // AuthenticationErrorDetail
};

struct AzureListPage {
  std::vector<AzureBlob> blobs;  // without snapshots, old versions and deleted ones
  std::string next_marker;       // empty on the last page
};

// Errors: kUnavailable for what is no whole page (worth another try: connections break, proxies
//         answer), kUnsupported for a document type, kResourceExhausted over a limit.
Result<AzureListPage> ParseAzureListPage(std::string_view xml);
// Empty strings for what is not there or is no XML.
AzureErrorBody ParseAzureError(std::string_view xml);

}  // namespace bdn::cloud
