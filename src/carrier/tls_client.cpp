// SPDX-License-Identifier: MIT
#include "carrier/tls_client.hpp"

#include <boost/asio/ip/address.hpp>
#include <openssl/x509v3.h>
#include <sodium.h>

namespace zks::carrier {
namespace {

namespace ssl = boost::asio::ssl;

// What travels is sealed already, so the fastest suite of TLS 1.3 goes first.
constexpr const char* kCipherSuites =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr unsigned char kAlpn[] = "\x08http/1.1";  // what a browser sends for a WebSocket

bool is_address(const std::string& name) {
  boost::system::error_code ec;
  boost::asio::ip::make_address(name, ec);
  return !ec;
}

}  // namespace

std::optional<Digest> spki_digest(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0) return std::nullopt;
  const Digest digest = sha256(ByteView(der, static_cast<std::size_t>(size)));
  OPENSSL_free(der);
  return digest;
}

TlsTrust::TlsTrust(const std::optional<Digest>& pin) : context_(ssl::context::tls_client), pin_(pin) {
  SSL_CTX* native = context_.native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_ciphersuites(native, kCipherSuites);
  SSL_CTX_set_verify(native, SSL_VERIFY_PEER, nullptr);
  if (pin_) SSL_CTX_set_cert_verify_callback(native, &TlsTrust::check_pin, this);
}

Result<std::shared_ptr<TlsTrust>> TlsTrust::make(const std::string& ca_file,
                                                 const std::optional<Digest>& pin) {
  if (pin) return std::make_shared<TlsTrust>(pin);
  boost::system::error_code ec;
  if (ca_file.empty()) {
    static const std::shared_ptr<TlsTrust> kSystemRoots = [] {
      auto trust = std::make_shared<TlsTrust>(std::nullopt);
      trust->context_.set_default_verify_paths();
      return trust;
    }();
    return kSystemRoots;
  }
  auto trust = std::make_shared<TlsTrust>(std::nullopt);
  trust->context_.load_verify_file(ca_file, ec);
  if (ec)
    return make_error(ErrorKind::kUsage, "can't read CA certificates from " + ca_file + ": " + ec.message());
  return trust;
}

Result<> TlsTrust::prepare(SSL* ssl, const std::string& server_name) const {
  SSL_set_alpn_protos(ssl, kAlpn, sizeof kAlpn - 1);
  bool done = true;
  if (is_address(server_name)) {
    done = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name.c_str()) == 1;
  } else {
    // SSL_set_tlsext_host_name() without its C cast.
    done = SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                    const_cast<char*>(server_name.c_str())) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    done = done && SSL_set1_host(ssl, server_name.c_str()) == 1;
  }
  if (!done) return make_error(ErrorKind::kUsage, "'" + server_name + "' can't be a TLS server name");
  return {};
}

// Called once per handshake instead of the chain verification: the leaf's key is the pinned one, or nothing
// is.
int TlsTrust::check_pin(X509_STORE_CTX* chain, void* self) {
  const auto* trust = static_cast<const TlsTrust*>(self);
  X509* leaf = X509_STORE_CTX_get0_cert(chain);
  const auto digest = leaf == nullptr ? std::nullopt : spki_digest(leaf);
  const bool match = digest && sodium_memcmp(digest->data(), trust->pin_->data(), digest->size()) == 0;
  X509_STORE_CTX_set_error(chain, match ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
  return match ? 1 : 0;
}

Error TlsTrust::explain(SSL* ssl, const std::string& server_name, const boost::system::error_code& ec) const {
  const long verdict = SSL_get_verify_result(ssl);
  if (verdict == X509_V_OK) {
    return make_error(ErrorKind::kNetwork, "TLS with " + server_name + " failed: " + ec.message());
  }
  if (pin_) {
    return make_error(ErrorKind::kUntrusted,
                      "the relay " + server_name +
                          " shows a certificate whose key is not the pinned one; get a new "
                          "link if the relay's key was changed on purpose, otherwise someone is in between");
  }
  return make_error(ErrorKind::kUntrusted, "the relay " + server_name +
                                               " shows a certificate that is not trusted (" +
                                               X509_verify_cert_error_string(verdict) +
                                               "); give its CA with --relay-ca, or use a link with a pin");
}

}  // namespace zks::carrier
