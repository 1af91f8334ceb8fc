#pragma once
// Signatures by asymmetric keys: RSASSA-PKCS1-v1_5 with SHA-256 (RS256) and ECDSA on P-256 with
// SHA-256 (ES256), the two that AWS, Google and every JOSE library verify. By OpenSSL's EVP.
//
// The key decides the algorithm; nothing here takes one from a message.
// Source: RFC 7518 §3.3 and §3.4 (shape of signatures), RFC 5958 and RFC 5915 (PEM).
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

struct evp_pkey_st;  // EVP_PKEY

namespace bdn::crypto {

enum class SignatureAlgorithm : std::uint8_t { kRs256, kEs256 };

inline constexpr int kRsaBitsMin = 2048;
// More makes a verification slow enough to be an attack.
inline constexpr int kRsaBitsMax = 8192;

// What a public key is made of, as big-endian bytes: `n` and `e` without leading zeros for RSA,
// `x` and `y` of exactly 32 bytes for P-256. The other two are empty.
struct PublicNumbers {
  std::string n = {};
  std::string e = {};
  std::string x = {};
  std::string y = {};
  friend bool operator==(const PublicNumbers&, const PublicNumbers&) = default;
};

// A value; copies share the key. Thread-safe.
class PublicKey {
 public:
  // kInvalidArgument for a modulus outside kRsaBitsMin..kRsaBitsMax, an even or huge exponent, or a
  // point that is not on the curve.
  static Result<PublicKey> FromRsa(std::string_view n, std::string_view e);
  static Result<PublicKey> FromP256(std::string_view x, std::string_view y);
  // "-----BEGIN PUBLIC KEY-----", or the key of a "-----BEGIN CERTIFICATE-----". kInvalidArgument.
  static Result<PublicKey> FromPem(std::string_view pem);

  SignatureAlgorithm algorithm() const { return algorithm_; }
  PublicNumbers numbers() const;
  // Whether `signature` (its shape as PrivateKey::Sign makes it) is this key's over `message`.
  bool Verify(std::string_view message, std::string_view signature) const;

 private:
  friend class PrivateKey;
  PublicKey(SignatureAlgorithm algorithm, std::shared_ptr<evp_pkey_st> key)
      : algorithm_(algorithm), key_(std::move(key)) {}
  static Result<PublicKey> Checked(std::shared_ptr<evp_pkey_st> key);

  SignatureAlgorithm algorithm_;
  std::shared_ptr<evp_pkey_st> key_;
};

// A value; copies share the key. Thread-safe.
class PrivateKey {
 public:
  // RSA of 2048 bits or P-256.
  static PrivateKey Generate(SignatureAlgorithm algorithm);
  // An unencrypted PKCS#8, PKCS#1 or SEC1 key, as Google's service account files have it.
  // kInvalidArgument for anything else, for other curves and for RSA keys that are too short; the
  // message never has a part of the text.
  static Result<PrivateKey> FromPem(std::string_view pem);

  SignatureAlgorithm algorithm() const { return public_.algorithm(); }
  const PublicKey& public_key() const { return public_; }
  // PKCS#8, not encrypted: seal it before it goes anywhere.
  std::string ToPem() const;

  // RS256: as many bytes as the modulus has. ES256: 64 bytes, r then s, each padded on the left
  // with zeros to 32 bytes (not the DER form).
  std::string Sign(std::string_view message) const;

  // A self-signed X.509 certificate (DER) of this key with `common_name`, valid from `from`
  // (seconds count) to the end of 9999. It proves nothing: some verifiers take a key only in this
  // wrapping. RSA keys give the same bytes for the same arguments; ES256 ones do not.
  std::string SelfSignedCertificate(std::string_view common_name, WallTime from) const;

 private:
  explicit PrivateKey(PublicKey key) : public_(std::move(key)) {}

  PublicKey public_;  // its EVP_PKEY has the private half too
};

}  // namespace bdn::crypto
