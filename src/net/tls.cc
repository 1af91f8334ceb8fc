#include "net/tls.h"

#include <algorithm>
#include <climits>
#include <string>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"

namespace bdn::net {
namespace {

using SslCtxPtr = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using SslPtr = std::unique_ptr<SSL, decltype(&SSL_free)>;

std::string LastTlsError() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

Error BadFile(const char* role, const std::string& path) {
  return Error(Code::kInvalidArgument,
               std::string("TLS ") + role + " " + path + " cannot be used: " + LastTlsError());
}

int SelectHttp11(SSL*,
                 const unsigned char** out,
                 unsigned char* out_size,
                 const unsigned char* in,
                 unsigned int in_size,
                 void*) {
  static constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof kHttp11, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

class TlsStream final : public Stream {
 public:
  TlsStream(UniqueFd socket, SslPtr ssl) : socket_(std::move(socket)), ssl_(std::move(ssl)) {}
  ~TlsStream() override { ERR_clear_error(); }

  int fd() const override { return socket_.get(); }

  IoOutcome Handshake() override {
    ERR_clear_error();
    return Outcome(SSL_accept(ssl_.get()), 0);
  }
  IoOutcome Read(std::span<std::byte> into) override {
    ERR_clear_error();
    std::size_t n = 0;
    const int rc = SSL_read_ex(ssl_.get(), into.data(), into.size(), &n);
    return Outcome(rc, n);
  }
  IoOutcome Write(std::string_view bytes, bool) override {
    if (bytes.empty()) return {IoOutcome::Kind::kBytes, 0};
    ERR_clear_error();
    std::size_t n = 0;
    const int rc = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &n);
    return Outcome(rc, n);
  }
  IoOutcome SendFile(int, std::uint64_t, std::size_t) override {
    return {IoOutcome::Kind::kFailed, 0};
  }
  bool can_send_file() const override { return false; }
  void EndOutput() override {
    ERR_clear_error();
    if (!broken_ && SSL_is_init_finished(ssl_.get()) == 1) SSL_shutdown(ssl_.get());
    ERR_clear_error();
    shutdown(fd(), SHUT_WR);
  }
  std::string client_name() const override {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        SSL_get1_peer_certificate(ssl_.get()), &X509_free);
    const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new(BIO_s_mem()), &BIO_free);
    if (!certificate || !text) return {};
    X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate.get()), 0, XN_FLAG_RFC2253);
    char* data = nullptr;
    const long size = BIO_get_mem_data(text.get(), &data);
    return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
  }

 private:
  IoOutcome Outcome(int rc, std::size_t bytes) {
    if (rc > 0) return {IoOutcome::Kind::kBytes, bytes};
    switch (SSL_get_error(ssl_.get(), rc)) {
      case SSL_ERROR_WANT_READ:
        return {IoOutcome::Kind::kWantRead, 0};
      case SSL_ERROR_WANT_WRITE:
        return {IoOutcome::Kind::kWantWrite, 0};
      case SSL_ERROR_ZERO_RETURN:
        return {IoOutcome::Kind::kEnd, 0};
      default:
        broken_ = true;  // SSL_shutdown may not be called any more
        ERR_clear_error();
        return {IoOutcome::Kind::kFailed, 0};
    }
  }

  UniqueFd socket_;
  SslPtr ssl_;
  bool broken_ = false;
};

}  // namespace

struct TlsContext::Impl {
  SslCtxPtr context{nullptr, &SSL_CTX_free};
};

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

Result<std::unique_ptr<TlsContext>> TlsContext::Make(const TlsOptions& options) {
  ERR_clear_error();
  auto impl = std::make_unique<Impl>();
  impl->context.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* const context = impl->context.get();
  if (context == nullptr) return Error(Code::kInternal, "SSL_CTX_new: " + LastTlsError());
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(
      context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context, &SelectHttp11, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context, options.certificate_file.c_str()) != 1) {
    return BadFile("certificate", options.certificate_file);
  }
  if (SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return BadFile("key", options.key_file);
  }
  if (!options.client_ca_file.empty()) {
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(options.client_ca_file.c_str());
    if (names == nullptr ||
        SSL_CTX_load_verify_locations(context, options.client_ca_file.c_str(), nullptr) != 1) {
      sk_X509_NAME_pop_free(names, X509_NAME_free);
      return BadFile("client CA", options.client_ca_file);
    }
    SSL_CTX_set_client_CA_list(context, names);  // takes ownership
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    // Resumed sessions of clients with certificates need it.
    static constexpr unsigned char kSessionContext[] = "bdn";
    SSL_CTX_set_session_id_context(context, kSessionContext, sizeof kSessionContext - 1);
  }
  return std::unique_ptr<TlsContext>(new TlsContext(std::move(impl)));
}

Result<std::unique_ptr<Stream>> TlsContext::Accept(UniqueFd socket) const {
  SslPtr ssl(SSL_new(impl_->context.get()), &SSL_free);
  if (!ssl || SSL_set_fd(ssl.get(), socket.get()) != 1) {
    return Error(Code::kInternal, "SSL_new: " + LastTlsError());
  }
  return std::unique_ptr<Stream>(std::make_unique<TlsStream>(std::move(socket), std::move(ssl)));
}

Result<std::unique_ptr<TlsFiles>> TlsFiles::Open(const TlsOptions& options) {
  std::unique_ptr<TlsFiles> files(new TlsFiles(options));
  // First the look: what changes while the files are read is read again.
  files->seen_ = files->Look();
  BDN_ASSIGN(files->context_, TlsContext::Make(options));
  return files;
}

TlsFiles::Stamp TlsFiles::StampOf(const std::string& path) {
  struct stat info {};
  if (path.empty() || ::stat(path.c_str(), &info) != 0) return {};
  // The time of the inode's change: cp -p and mv do not set it back.
  return {.inode = static_cast<std::int64_t>(info.st_ino),
          .size = info.st_size,
          .changed_ns = info.st_ctim.tv_sec * 1'000'000'000 + info.st_ctim.tv_nsec};
}

TlsFiles::Stamps TlsFiles::Look() const {
  return {StampOf(options_.certificate_file), StampOf(options_.key_file),
          StampOf(options_.client_ca_file)};
}

Result<std::unique_ptr<Stream>> TlsFiles::Accept(UniqueFd socket) {
  if (const Stamps now = Look(); now != seen_) {
    seen_ = now;
    auto fresh = TlsContext::Make(options_);
    if (fresh) {
      context_ = *std::move(fresh);  // connections keep theirs
      log::Info("the TLS certificate was read again", {{"certificate", options_.certificate_file}});
    } else {
      log::Warn("the TLS files changed and cannot be used: the old certificate stays",
                {{"error", fresh.error().message()}});
    }
  }
  return context_->Accept(std::move(socket));
}

}  // namespace bdn::net
