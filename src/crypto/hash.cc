#include "crypto/hash.h"

#include <algorithm>
#include <climits>
#include <optional>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/check.h"
#include "crypto/crc.h"
#include "crypto/digest.h"

namespace bdn::crypto {
namespace {

constexpr std::size_t kSha256Bytes = 32;

const EVP_MD* Method(HashKind kind) {
  switch (kind) {
    case HashKind::kSha256:
      return EVP_sha256();
    case HashKind::kSha1:
      return EVP_sha1();
    case HashKind::kMd5:
      return EVP_md5();
    case HashKind::kCrc32:
    case HashKind::kCrc32c:
    case HashKind::kCrc64Nvme:
      break;
  }
  BDN_CHECK(false && "no HashKind of OpenSSL");
}

std::optional<Crc> MakeCrc(HashKind kind) {
  switch (kind) {
    case HashKind::kCrc32:
      return Crc(CrcKind::kCrc32);
    case HashKind::kCrc32c:
      return Crc(CrcKind::kCrc32c);
    case HashKind::kCrc64Nvme:
      return Crc(CrcKind::kCrc64Nvme);
    case HashKind::kSha256:
    case HashKind::kSha1:
    case HashKind::kMd5:
      break;
  }
  return std::nullopt;
}

std::string HexOf(const Crc& crc) {
  std::array<std::uint8_t, sizeof(std::uint64_t)> out{};
  for (std::size_t i = 0; i < crc.size(); ++i) {
    out[i] = static_cast<std::uint8_t>(crc.value() >> (8 * (crc.size() - 1 - i)));
  }
  return HexEncode(std::span(out).first(crc.size()));
}

unsigned char* Bytes(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

// OpenSSL's digests fail only when memory is out or the library was built without one of the three;
// neither can be handled by a caller, so both end the process.
struct Hasher::State {
  explicit State(HashKind kind) : crc(MakeCrc(kind)) {
    if (crc) return;
    context = EVP_MD_CTX_new();
    BDN_CHECK(context != nullptr);
    BDN_CHECK(EVP_DigestInit_ex(context, Method(kind), nullptr) == 1);
  }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  std::optional<Crc> crc;
  EVP_MD_CTX* context = nullptr;  // of all kinds but CRCs
  bool finished = false;
};

Hasher::Hasher(HashKind kind) : state_(std::make_unique<State>(kind)) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::Update(std::span<const std::byte> bytes) {
  BDN_CHECK(!state_->finished);
  if (state_->crc) return state_->crc->Update(bytes);
  BDN_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

void Hasher::Update(std::string_view text) {
  Update(std::as_bytes(std::span(text)));
}

std::string Hasher::FinishHex() {
  BDN_CHECK(!state_->finished);
  state_->finished = true;
  if (state_->crc) return HexOf(*state_->crc);
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  BDN_CHECK(EVP_DigestFinal_ex(state_->context, out.data(), &size) == 1);
  return HexEncode(std::span(out).first(size));
}

std::string Sha256(std::string_view bytes) {
  std::string out(kSha256Bytes, '\0');
  BDN_CHECK(EVP_Digest(bytes.data(), bytes.size(), Bytes(out), nullptr, EVP_sha256(), nullptr) ==
            1);
  return out;
}

std::string Sha256Hex(std::string_view bytes) {
  const std::string raw = Sha256(bytes);
  return HexEncode({Bytes(std::string_view(raw)), raw.size()});
}

std::string HmacSha256(std::string_view key, std::string_view message) {
  BDN_CHECK(key.size() <= INT_MAX);
  std::string out(kSha256Bytes, '\0');
  // A null key means "the key of last time" to OpenSSL; an empty view may hold a null pointer.
  const void* key_data = key.empty() ? "" : key.data();
  BDN_CHECK(HMAC(EVP_sha256(), key_data, static_cast<int>(key.size()), Bytes(message),
                 message.size(), Bytes(out), nullptr) != nullptr);
  return out;
}

bool EqualConstantTime(std::string_view a, std::string_view b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

std::string RandomBytes(std::size_t count) {
  std::string out(count, '\0');
  for (std::size_t done = 0; done < count;) {
    const std::size_t step = std::min<std::size_t>(count - done, INT_MAX);
    BDN_CHECK(RAND_bytes(Bytes(out) + done, static_cast<int>(step)) == 1);
    done += step;
  }
  return out;
}

}  // namespace bdn::crypto
