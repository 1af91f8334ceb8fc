// The JSON of Google Cloud Storage.
#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "cloud/gcs.h"
#include "codec/json.h"

namespace bdn::cloud {
namespace {

constexpr std::size_t kGcsNameBytesMax = 4096;  // more than the service allows (1024)

Error BadGcsListing(std::string_view why) {
  return Error(Code::kUnavailable,
               fmt::format("this is no listing of Google Cloud Storage: {}", why));
}

// 64-bit numbers are strings, because JSON's are often doubles.
std::optional<std::uint64_t> GcsNumber(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, bad] = std::from_chars(text.data(), end, value);
  if (bad != std::errc() || rest != end || text.empty()) return std::nullopt;
  return value;
}

int GcsSextetOf(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Base64 (RFC 4648 §4, padded) of exactly `bytes` bytes as lower-case hex; empty when it is none.
std::string GcsHexOfBase64(std::string_view text, std::size_t bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() != (bytes * 8 + 5) / 6) return {};
  std::string hex;
  unsigned bits = 0;
  int have = 0;
  for (const char c : text) {
    const int sextet = GcsSextetOf(c);
    if (sextet < 0) return {};
    bits = (bits << 6) | static_cast<unsigned>(sextet);
    have += 6;
    if (have < 8) continue;
    have -= 8;
    const unsigned byte = (bits >> have) & 0xff;
    hex += {kHex[byte >> 4], kHex[byte & 15]};
  }
  return hex;
}

Result<GcsObject> ParseGcsObject(const codec::JsonView& item) {
  GcsObject object;
  BDN_ASSIGN(object.name, item.String("name"));
  if (object.name.empty() || object.name.size() > kGcsNameBytesMax) {
    return BadGcsListing("an object without a name that can be one");
  }
  BDN_ASSIGN(const std::string size, item.String("size"));
  BDN_ASSIGN(object.generation, item.String("generation"));
  const auto bytes = GcsNumber(size);
  const auto generation = GcsNumber(object.generation);
  if (!bytes || !generation || *generation == 0 || object.generation.size() > 20) {
    return BadGcsListing("an object whose size or generation is no number");
  }
  object.size = *bytes;
  BDN_ASSIGN(const std::string md5, item.StringOr("md5Hash", ""));
  BDN_ASSIGN(const std::string crc32c, item.StringOr("crc32c", ""));
  object.md5 = GcsHexOfBase64(md5, 16);
  object.crc32c = GcsHexOfBase64(crc32c, 4);  // the bytes of the number, the highest first
  if ((object.md5.empty() && !md5.empty()) || (object.crc32c.empty() && !crc32c.empty())) {
    return BadGcsListing("an object whose hash is no hash");
  }
  BDN_ASSIGN(object.content_encoding, item.StringOr("contentEncoding", ""));
  return object;
}

}  // namespace

Result<GcsListPage> ParseGcsListPage(std::string_view json) {
  const auto value = codec::ParseJson(json, {.bytes_max = kGcsPageBytesMax, .depth_max = 16});
  if (!value) return BadGcsListing(value.error().message());
  const auto parsed = [&]() -> Result<GcsListPage> {
    const codec::JsonView root(*value);
    // An error with status 200, or a page of somebody in between.
    BDN_ASSIGN(const auto error, root.Find("error"));
    if (error) return BadGcsListing("it is an error");
    GcsListPage page;
    BDN_ASSIGN(const auto items, root.Find("items"));
    BDN_ASSIGN(page.next_token, root.StringOr("nextPageToken", ""));
    if (!items) return page;
    BDN_ASSIGN(const auto objects, items->Items());
    page.objects.reserve(objects.size());
    for (const auto& item : objects) {
      BDN_ASSIGN(auto object, ParseGcsObject(item));
      page.objects.push_back(std::move(object));
    }
    return page;
  }();
  if (!parsed && parsed.error().code() == Code::kInvalidArgument) {
    return BadGcsListing(parsed.error().message());
  }
  return parsed;
}

GcsErrorBody ParseGcsError(std::string_view body) {
  GcsErrorBody out;
  const auto value = codec::ParseJson(body, {.bytes_max = kGcsErrorBytesMax, .depth_max = 16});
  if (!value) {
    // Downloads answer in plain text; a page for browsers tells nobody anything.
    if (!body.starts_with('<')) out.message = body.substr(0, 300);
    return out;
  }
  const codec::JsonView root(*value);
  const auto error = root.Find("error");
  if (!error || !*error) return out;
  out.message = (*error)->StringOr("message", "").value_or("");
  const auto errors = (*error)->Find("errors");
  if (!errors || !*errors) return out;
  const auto items = (*errors)->Items();
  if (items && !items->empty()) out.reason = items->front().StringOr("reason", "").value_or("");
  return out;
}

Status CheckGcsBucket(std::string_view bucket) {
  const bool plain = std::all_of(bucket.begin(), bucket.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
  if (plain && bucket.size() >= 3 && bucket.size() <= 222) return {};
  return Error(
      Code::kInvalidArgument,
      fmt::format("'{}' is no name of a bucket of Google Cloud Storage", bucket.substr(0, 300)));
}

}  // namespace bdn::cloud
