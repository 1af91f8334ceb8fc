#include "model/volume_ref.h"

#include <algorithm>

#include <fmt/format.h>

namespace bdn::model {
namespace {

constexpr std::size_t kNameBytesMax = 256;
constexpr std::size_t kTagBytesMax = 256;
constexpr std::size_t kDigestPrefixMin = 12;
constexpr std::size_t kDigestPrefixMax = 64;

bool IsLowerAlnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool IsHex(char c) {
  return (c >= 'a' && c <= 'f') || (c >= '0' && c <= '9');
}

Error InvalidReference(std::string_view text, std::string_view why) {
  return Error(Code::kInvalidArgument,
               fmt::format("Invalid volume reference '{}': {}. Expected format: "
                           "bdn:namespace/volume[:tag|@digest]",
                           text, why));
}

}  // namespace

bool IsVolumeName(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax && IsLowerAlnum(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return IsLowerAlnum(c) || c == '.' || c == '_' || c == '-'; });
}

bool IsTagName(std::string_view tag) {
  return !tag.empty() && tag.size() <= kTagBytesMax &&
         std::all_of(tag.begin(), tag.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte > ' ' && byte != 0x7f && c != '/' && c != ':' && c != '@';
         });
}

std::string VolumeRef::ToString() const {
  std::string text = fmt::format("bdn:{}/{}", ns, volume);
  if (!tag.empty()) text += ":" + tag;
  if (!digest_prefix.empty()) text += "@" + digest_prefix;
  return text;
}

Result<VolumeRef> ParseVolumeRef(std::string_view text) {
  std::string_view rest = text;
  if (!rest.starts_with("bdn:")) return InvalidReference(text, "it does not start with 'bdn:'");
  rest.remove_prefix(4);
  if (rest.starts_with("//")) rest.remove_prefix(2);

  VolumeRef ref;
  // The digest may be spelt with "b3:" in front, so '@' is taken off before ':' is looked for.
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    std::string_view digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (digest.starts_with("b3:")) digest.remove_prefix(3);
    if (digest.size() < kDigestPrefixMin || digest.size() > kDigestPrefixMax ||
        !std::all_of(digest.begin(), digest.end(), IsHex)) {
      return InvalidReference(text, "a digest is 12 to 64 lower-case hex digits");
    }
    ref.digest_prefix = digest;
  }
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos) return InvalidReference(text, "the volume is missing");
  ref.ns = rest.substr(0, slash);
  rest.remove_prefix(slash + 1);
  if (const auto colon = rest.find(':'); colon != std::string_view::npos) {
    if (!ref.digest_prefix.empty())
      return InvalidReference(text, "give a tag or a digest, not both");
    ref.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!IsTagName(ref.tag)) {
      return InvalidReference(text,
                              "a tag is 1 to 256 characters without white space, '/', ':' and '@'");
    }
  }
  ref.volume = rest;
  if (!IsVolumeName(ref.ns) || !IsVolumeName(ref.volume)) {
    return InvalidReference(
        text,
        "namespace and volume are 1 to 256 of a-z, 0-9, '.', '_' and '-', and start with "
        "a letter or digit");
  }
  return ref;
}

}  // namespace bdn::model
