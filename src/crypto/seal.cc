#include "crypto/seal.h"

#include <fmt/format.h>
#include <sodium.h>

#include "base/check.h"

namespace bdn::crypto {
namespace {

// Sealed value: this byte, the nonce, then ciphertext and tag. The byte lets a later version of bdn
// change the cipher and still read what is stored.
constexpr char kFormat = 1;
constexpr std::size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr std::size_t kOverheadBytes = 1 + kNonceBytes + kTagBytes;
static_assert(kMasterKeyBytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

const unsigned char* Data(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// Thread-safe and cheap after the first call.
void StartLibrary() {
  BDN_CHECK(sodium_init() >= 0);
}

}  // namespace

std::string Seal(std::string_view master_key, std::string_view name, std::string_view secret) {
  BDN_CHECK(master_key.size() == kMasterKeyBytes);
  StartLibrary();
  std::string out(kOverheadBytes + secret.size(), '\0');
  out[0] = kFormat;
  auto* nonce = reinterpret_cast<unsigned char*>(out.data()) + 1;
  // 192 random bits do not collide in practice, so no counter has to survive a restart.
  randombytes_buf(nonce, kNonceBytes);
  unsigned long long size = 0;
  BDN_CHECK(crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + kNonceBytes, &size, Data(secret),
                                                       secret.size(), Data(name), name.size(),
                                                       nullptr, nonce, Data(master_key)) == 0);
  BDN_CHECK(size == secret.size() + kTagBytes);
  return out;
}

Result<std::string> Unseal(std::string_view master_key,
                           std::string_view name,
                           std::string_view sealed) {
  if (master_key.size() != kMasterKeyBytes) {
    return Error(Code::kInvalidArgument, fmt::format("the master key has {} bytes; it must have {}",
                                                     master_key.size(), kMasterKeyBytes));
  }
  if (sealed.size() < kOverheadBytes) {
    return Error(Code::kCorrupt, fmt::format("secret \"{}\": the sealed value is cut", name));
  }
  if (sealed[0] != kFormat) {
    return Error(Code::kCorrupt,
                 fmt::format("secret \"{}\": unknown format {}; it was damaged, or a newer version "
                             "wrote it",
                             name, static_cast<unsigned char>(sealed[0])));
  }
  StartLibrary();
  const std::string_view nonce = sealed.substr(1, kNonceBytes);
  const std::string_view body = sealed.substr(1 + kNonceBytes);
  std::string out(body.size() - kTagBytes, '\0');
  unsigned long long size = 0;
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          reinterpret_cast<unsigned char*>(out.data()), &size, nullptr, Data(body), body.size(),
          Data(name), name.size(), Data(nonce), Data(master_key)) != 0) {
    return Error(Code::kCorrupt,
                 fmt::format("secret \"{}\" cannot be opened: it was altered or moved, or another "
                             "master key sealed it; set it again, or start with the key that "
                             "sealed it",
                             name));
  }
  BDN_CHECK(size == out.size());
  return out;
}

}  // namespace bdn::crypto
