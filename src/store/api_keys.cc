#include "store/api_keys.h"

#include <utility>

#include "crypto/digest.h"
#include "crypto/hash.h"
#include "store/ids.h"

namespace bdn::store {
namespace {

constexpr std::string_view kPrefix = "bdn_";
constexpr std::size_t kRandomBytes = 32;
constexpr std::size_t kTextBytes = kPrefix.size() + 43;  // 32 bytes in base64url

}  // namespace

Result<NewApiKey> CreateApiKey(Metadata& metadata,
                               const std::string& org,
                               const std::string& name,
                               WallTime now) {
  NewApiKey made;
  made.text = std::string(kPrefix) + crypto::Base64UrlEncode(crypto::RandomBytes(kRandomBytes));
  made.row.id = NewId("key", now);
  made.row.name = name;
  made.row.org = org;
  made.row.hash_hex = ApiKeyHash(made.text);
  made.row.created_at = now;
  BDN_TRY(metadata.PutApiKey(made.row));
  return made;
}

Result<ApiKey> VerifyApiKey(Metadata& metadata, std::string_view text) {
  const Error refused = Error(Code::kUnauthenticated, "the API key is not valid")
                            .WithHint("Use a key of this server that was not revoked.");
  if (text.size() != kTextBytes || !text.starts_with(kPrefix)) return refused;
  auto found = metadata.FindApiKey(ApiKeyHash(text));
  if (!found && found.error().code() == Code::kNotFound) return refused;
  return found;
}

std::string ApiKeyHash(std::string_view text) {
  return crypto::Sha256Hex(text);
}

}  // namespace bdn::store
