#include "crypto/signature.h"

#include <array>
#include <climits>
#include <utility>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/check.h"

namespace bdn::crypto {
namespace {

constexpr std::size_t kP256Bytes = 32;
constexpr int kExponentBitsMax = 64;
constexpr std::size_t kPemBytesMax = 64u << 10;

template <auto F>
struct FreeBy {
  template <class T>
  void operator()(T* thing) const {
    F(thing);
  }
};
using BioPtr = std::unique_ptr<BIO, FreeBy<BIO_free>>;
using BnPtr = std::unique_ptr<BIGNUM, FreeBy<BN_free>>;
using MdContext = std::unique_ptr<EVP_MD_CTX, FreeBy<EVP_MD_CTX_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, FreeBy<EVP_PKEY_CTX_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, FreeBy<ECDSA_SIG_free>>;
using Certificate = std::unique_ptr<X509, FreeBy<X509_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, FreeBy<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, FreeBy<OSSL_PARAM_free>>;
using KeyPtr = std::shared_ptr<EVP_PKEY>;

KeyPtr Own(EVP_PKEY* key) {
  return {key, EVP_PKEY_free};
}

const unsigned char* KeyBytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* KeyBytes(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

// OpenSSL leaves the reasons of a failure in a queue of the thread; nobody else wants ours.
Error Invalid(std::string message) {
  ERR_clear_error();
  return Error(Code::kInvalidArgument, std::move(message));
}

BnPtr ToBn(std::string_view bytes) {
  return BnPtr(BN_bin2bn(KeyBytes(bytes), static_cast<int>(bytes.size()), nullptr));
}

// A number of the key as big-endian bytes, padded on the left to `width`; 0: as long as it is.
std::string NumberOf(const EVP_PKEY* key, const char* name, std::size_t width) {
  BIGNUM* raw = nullptr;
  BDN_CHECK(EVP_PKEY_get_bn_param(key, name, &raw) == 1);
  const BnPtr number(raw);
  std::string out(width == 0 ? static_cast<std::size_t>(BN_num_bytes(raw)) : width, '\0');
  BDN_CHECK(BN_bn2binpad(raw, KeyBytes(out), static_cast<int>(out.size())) >= 0);
  return out;
}

Result<KeyPtr> FromParams(const char* type, OSSL_PARAM_BLD* builder) {
  const Params params(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  BDN_CHECK(params != nullptr && context != nullptr);
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    EVP_PKEY_free(key);
    return Invalid("the numbers do not make a public key");
  }
  return Own(key);
}

BioPtr Reader(std::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  BDN_CHECK(bio != nullptr);
  return bio;
}

// Without it OpenSSL asks the terminal for the passphrase of an encrypted key.
int NoPassphrase(char*, int, int, void*) {
  return 0;
}

// r and s of a DER signature, each in 32 bytes.
std::string RawFromDer(std::string_view der) {
  const unsigned char* at = KeyBytes(der);
  const EcdsaSignature parsed(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  BDN_CHECK(parsed != nullptr);
  std::string out(2 * kP256Bytes, '\0');
  constexpr int kWidth = kP256Bytes;
  BDN_CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), KeyBytes(out), kWidth) == kWidth);
  BDN_CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), KeyBytes(out) + kP256Bytes, kWidth) ==
            kWidth);
  return out;
}

std::string DerFromRaw(std::string_view raw) {
  const EcdsaSignature made(ECDSA_SIG_new());
  BDN_CHECK(made != nullptr);
  BDN_CHECK(ECDSA_SIG_set0(made.get(), ToBn(raw.substr(0, kP256Bytes)).release(),
                           ToBn(raw.substr(kP256Bytes)).release()) == 1);
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(made.get(), &der);
  BDN_CHECK(size > 0);
  std::string out(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return out;
}

}  // namespace

Result<PublicKey> PublicKey::Checked(std::shared_ptr<evp_pkey_st> key) {
  if (EVP_PKEY_is_a(key.get(), "RSA") == 1) {
    const int bits = EVP_PKEY_get_bits(key.get());
    if (bits < kRsaBitsMin || bits > kRsaBitsMax) {
      return Invalid(
          fmt::format("an RSA key of {} bits: {} to {} are taken", bits, kRsaBitsMin, kRsaBitsMax));
    }
    const BnPtr exponent = ToBn(NumberOf(key.get(), OSSL_PKEY_PARAM_RSA_E, 0));
    if (BN_is_odd(exponent.get()) == 0 || BN_is_one(exponent.get()) == 1 ||
        BN_num_bits(exponent.get()) > kExponentBitsMax) {
      return Invalid("an RSA key with an exponent that nobody uses");
    }
    return PublicKey(SignatureAlgorithm::kRs256, std::move(key));
  }
  std::array<char, 64> group{};
  if (EVP_PKEY_is_a(key.get(), "EC") != 1 ||
      EVP_PKEY_get_group_name(key.get(), group.data(), group.size(), nullptr) != 1 ||
      std::string_view(group.data()) != SN_X9_62_prime256v1) {
    return Invalid("a key of another kind: RSA and P-256 are taken");
  }
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  BDN_CHECK(context != nullptr);
  if (EVP_PKEY_public_check(context.get()) != 1) return Invalid("a point that is not on P-256");
  return PublicKey(SignatureAlgorithm::kEs256, std::move(key));
}

Result<PublicKey> PublicKey::FromRsa(std::string_view n, std::string_view e) {
  constexpr std::size_t kBytesMax = kRsaBitsMax / CHAR_BIT;
  if (n.empty() || e.empty() || n.size() > kBytesMax || e.size() > kBytesMax) {
    return Invalid(fmt::format("an RSA key of {} and {} bytes", n.size(), e.size()));
  }
  const BnPtr modulus = ToBn(n);
  const BnPtr exponent = ToBn(e);
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  BDN_CHECK(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) == 1);
  BDN_CHECK(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) == 1);
  BDN_ASSIGN(KeyPtr key, FromParams("RSA", builder.get()));
  return Checked(std::move(key));
}

Result<PublicKey> PublicKey::FromP256(std::string_view x, std::string_view y) {
  if (x.size() != kP256Bytes || y.size() != kP256Bytes) {
    return Invalid(
        fmt::format("coordinates of {} and {} bytes: P-256 has 32 each", x.size(), y.size()));
  }
  std::string point = "\x04";  // uncompressed, SEC1 §2.3.3
  point.append(x).append(y);
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  BDN_CHECK(OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME,
                                            SN_X9_62_prime256v1, 0) == 1);
  BDN_CHECK(OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                             point.size()) == 1);
  BDN_ASSIGN(KeyPtr key, FromParams("EC", builder.get()));
  return Checked(std::move(key));
}

Result<PublicKey> PublicKey::FromPem(std::string_view pem) {
  if (pem.size() > kPemBytesMax) return Invalid("a PEM text that is too long for a key");
  if (EVP_PKEY* key = PEM_read_bio_PUBKEY(Reader(pem).get(), nullptr, NoPassphrase, nullptr)) {
    return Checked(Own(key));
  }
  ERR_clear_error();
  const Certificate certificate(
      PEM_read_bio_X509(Reader(pem).get(), nullptr, NoPassphrase, nullptr));
  if (certificate != nullptr) {
    if (EVP_PKEY* key = X509_get_pubkey(certificate.get())) return Checked(Own(key));
  }
  return Invalid("not a public key or certificate in PEM form");
}

PublicNumbers PublicKey::numbers() const {
  if (algorithm_ == SignatureAlgorithm::kRs256) {
    return {.n = NumberOf(key_.get(), OSSL_PKEY_PARAM_RSA_N, 0),
            .e = NumberOf(key_.get(), OSSL_PKEY_PARAM_RSA_E, 0)};
  }
  return {.x = NumberOf(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X, kP256Bytes),
          .y = NumberOf(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y, kP256Bytes)};
}

bool PublicKey::Verify(std::string_view message, std::string_view signature) const {
  std::string der;
  if (algorithm_ == SignatureAlgorithm::kEs256) {
    if (signature.size() != 2 * kP256Bytes) return false;
    der = DerFromRaw(signature);
    signature = der;
  }
  const MdContext context(EVP_MD_CTX_new());
  BDN_CHECK(context != nullptr);
  BDN_CHECK(EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1);
  const bool good = EVP_DigestVerify(context.get(), KeyBytes(signature), signature.size(),
                                     KeyBytes(message), message.size()) == 1;
  ERR_clear_error();
  return good;
}

PrivateKey PrivateKey::Generate(SignatureAlgorithm algorithm) {
  EVP_PKEY* key = algorithm == SignatureAlgorithm::kRs256
                      ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{kRsaBitsMin})
                      : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", SN_X9_62_prime256v1);
  BDN_CHECK(key != nullptr);
  return PrivateKey(PublicKey(algorithm, Own(key)));
}

Result<PrivateKey> PrivateKey::FromPem(std::string_view pem) {
  if (pem.size() > kPemBytesMax) return Invalid("a PEM text that is too long for a key");
  EVP_PKEY* key = PEM_read_bio_PrivateKey(Reader(pem).get(), nullptr, NoPassphrase, nullptr);
  if (key == nullptr) {
    return Invalid(
        "not a private key in PEM form: expected \"-----BEGIN PRIVATE KEY-----\", not encrypted");
  }
  BDN_ASSIGN(PublicKey checked, PublicKey::Checked(Own(key)));
  return PrivateKey(std::move(checked));
}

std::string PrivateKey::ToPem() const {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  BDN_CHECK(bio != nullptr);
  BDN_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), public_.key_.get(), nullptr, nullptr, 0,
                                          nullptr, nullptr) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string PrivateKey::Sign(std::string_view message) const {
  const MdContext context(EVP_MD_CTX_new());
  BDN_CHECK(context != nullptr);
  EVP_PKEY* const key = public_.key_.get();
  BDN_CHECK(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1);
  std::size_t size = 0;
  BDN_CHECK(EVP_DigestSign(context.get(), nullptr, &size, KeyBytes(message), message.size()) == 1);
  std::string signature(size, '\0');
  BDN_CHECK(EVP_DigestSign(context.get(), KeyBytes(signature), &size, KeyBytes(message),
                           message.size()) == 1);
  signature.resize(size);  // of DER the first answer is the most that it can be
  return algorithm() == SignatureAlgorithm::kEs256 ? RawFromDer(signature) : signature;
}

std::string PrivateKey::SelfSignedCertificate(std::string_view common_name, WallTime from) const {
  const Certificate certificate(X509_new());
  BDN_CHECK(certificate != nullptr);
  EVP_PKEY* const key = public_.key_.get();
  BDN_CHECK(X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  BDN_CHECK(ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1) == 1);
  const auto since = std::chrono::floor<std::chrono::seconds>(from.time_since_epoch()).count();
  BDN_CHECK(ASN1_TIME_set(X509_getm_notBefore(certificate.get()), since) != nullptr);
  // RFC 5280 §4.1.2.5: the date of certificates that do not expire.
  BDN_CHECK(ASN1_TIME_set_string(X509_getm_notAfter(certificate.get()), "99991231235959Z") == 1);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  constexpr std::size_t kCommonNameMax = 64;  // RFC 5280 appendix A, ub-common-name
  common_name = common_name.substr(0, kCommonNameMax);
  BDN_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, KeyBytes(common_name),
                                       static_cast<int>(common_name.size()), -1, 0) == 1);
  BDN_CHECK(X509_set_issuer_name(certificate.get(), name) == 1);
  BDN_CHECK(X509_set_pubkey(certificate.get(), key) == 1);
  BDN_CHECK(X509_sign(certificate.get(), key, EVP_sha256()) > 0);
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate.get(), &der);
  BDN_CHECK(size > 0);
  std::string out(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return out;
}

}  // namespace bdn::crypto
