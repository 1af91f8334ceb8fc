// Tokens and key sets from strangers: any bytes are taken apart or refused, and nothing that no key
// signed is ever accepted. Input: a key set, an empty line, a token.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "auth/jwt.h"
#include "crypto/signature.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bdn;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(text.find("\n\n"), text.size());
  const std::string_view token = text.substr(std::min(end + 2, text.size()));
  static const auto kKey = crypto::PrivateKey::Generate(crypto::SignatureAlgorithm::kEs256);
  const std::vector<auth::Jwk> ours{{"k", kKey.public_key()}};
  const auth::JwtExpectation expected{.issuer = "joe", .audience = "a", .now = WallTime{}};
  if (auth::VerifyJwt(token, ours, expected)) std::abort();
  (void)auth::ParseJwt(token);
  const auto keys = auth::ParseJwks(text.substr(0, end));
  if (!keys) return 0;
  for (const auth::Jwk& key : *keys) (void)auth::JwkThumbprint(key.key);
  (void)auth::VerifyJwt(token, *keys, expected);
  return 0;
}
