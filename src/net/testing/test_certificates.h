#pragma once
// A certificate authority and certificates signed by it, made anew for each test: nothing secret
// lies in the repository and nothing expires.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/check.h"

namespace bdn::net::testing {

// Files live in a directory of their own until the destructor.
class TestCertificates {
 public:
  struct Files {
    std::string certificate;  // PEM
    std::string key;          // PEM
  };

  TestCertificates() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bdn_tls_XXXXXX").string();
    BDN_CHECK(::mkdtemp(pattern.data()) != nullptr);
    directory_ = pattern;
    key_ = NewKey();
    authority_ = NewCertificate("bdn test authority", key_.get());
    Extend(authority_.get(), NID_basic_constraints, "critical,CA:TRUE");
    Extend(authority_.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
    Sign(authority_.get());
    WriteCertificate(authority_file(), authority_.get());
  }
  ~TestCertificates() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  TestCertificates(const TestCertificates&) = delete;
  TestCertificates& operator=(const TestCertificates&) = delete;

  std::string authority_file() const { return directory_ + "/ca.pem"; }

  // `names` in OpenSSL's form: "IP:127.0.0.1,DNS:localhost". `file` is a file name without ending.
  Files Issue(const std::string& file, const std::string& names) {
    const Key key = NewKey();
    const Certificate certificate = NewCertificate(file, key.get());
    Extend(certificate.get(), NID_subject_alt_name, names);
    Sign(certificate.get());
    const Files files{directory_ + "/" + file + ".pem", directory_ + "/" + file + ".key"};
    WriteCertificate(files.certificate, certificate.get());
    const File out(std::fopen(files.key.c_str(), "wbe"));
    BDN_CHECK(out != nullptr);
    BDN_CHECK(PEM_write_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) ==
              1);
    return files;
  }

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using Key = std::unique_ptr<EVP_PKEY, Free>;
  using Certificate = std::unique_ptr<X509, Free>;
  using File = std::unique_ptr<std::FILE, Free>;

  static Key NewKey() {
    Key key(EVP_EC_gen("P-256"));
    BDN_CHECK(key != nullptr);
    return key;
  }
  Certificate NewCertificate(const std::string& name, EVP_PKEY* key) {
    Certificate certificate(X509_new());
    X509_set_version(certificate.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 24 * 3600);
    X509_NAME* subject = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_NAME* issuer = authority_ ? X509_get_subject_name(authority_.get()) : subject;
    X509_set_issuer_name(certificate.get(), issuer);
    X509_set_pubkey(certificate.get(), key);
    return certificate;
  }
  static void Extend(X509* certificate, int nid, const std::string& value) {
    const std::unique_ptr<X509_EXTENSION, Free> extension(
        X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str()));
    BDN_CHECK(extension != nullptr);
    BDN_CHECK(X509_add_ext(certificate, extension.get(), -1) == 1);
  }
  void Sign(X509* certificate) { BDN_CHECK(X509_sign(certificate, key_.get(), EVP_sha256()) > 0); }
  static void WriteCertificate(const std::string& path, X509* certificate) {
    const File out(std::fopen(path.c_str(), "wbe"));
    BDN_CHECK(out != nullptr);
    BDN_CHECK(PEM_write_X509(out.get(), certificate) == 1);
  }

  std::string directory_;
  long serial_ = 0;
  Key key_;
  Certificate authority_;
};

}  // namespace bdn::net::testing
