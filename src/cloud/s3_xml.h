#pragma once
// The XML of S3: pages of ListObjectsV2 and error bodies. The text comes from a server that the
// user named and is not trusted: document types are refused, so nothing can be expanded or fetched;
// depth, names and values are limited. Source: the Amazon S3 API reference.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bdn::cloud {

inline constexpr std::size_t kS3XmlDepthMax = 16;
inline constexpr std::size_t kS3XmlValueBytesMax = 64 * 1024;  // keys are at most 1024 characters

// Of the whole content; in lower-case hex, the most significant digit first.
struct S3Checksum {
  enum class Kind : std::uint8_t { kSha256, kSha1, kCrc32, kCrc32c, kCrc64Nvme };
  Kind kind = Kind::kSha256;
  std::string hex;
};

struct S3Object {
  std::string key;   // decoded, byte for byte what was stored
  std::string etag;  // without its quotes
  std::uint64_t size = 0;
  std::string storage_class;  // empty: STANDARD
  bool restored = false;      // an archived object with a readable copy
  // A listing tells that there is a checksum of the whole content, and not what it is.
  bool has_checksum = false;
  std::optional<S3Checksum> checksum = {};  // by HEAD only
  std::string archive_status = {};          // by HEAD only: of INTELLIGENT_TIERING; empty: readable
};

struct S3ErrorBody {
  std::string code;
  std::string message;
  std::string region;
  std::string request_id;
};

struct S3ListPage {
  std::vector<S3Object> objects;
  bool truncated = false;
  std::string next_token;
  // Set when a 200 carried an error instead of a page.
  std::optional<S3ErrorBody> error;
};

// Errors: kUnavailable for what is no whole page (worth another try: connections break, proxies
//         answer), kUnsupported for a document type, kResourceExhausted over a limit.
Result<S3ListPage> ParseS3ListPage(std::string_view xml);
// Empty strings for what is not there or is no XML: some servers answer with HTML or nothing.
S3ErrorBody ParseS3Error(std::string_view xml);

}  // namespace bdn::cloud
