// SPDX-License-Identifier: MIT
#include "relay/tls_server.hpp"

namespace zks::relay {
namespace {

namespace ssl = boost::asio::ssl;

// What travels is sealed already, so the fastest suite of TLS 1.3 goes first.
constexpr const char* kCipherSuites =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

}  // namespace

Result<> TlsServer::reload() {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_ciphersuites(native, kCipherSuites);
  SSL_CTX_set_options(native,
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Tickets resume sessions without memory here; the server's own cache would hold 20,000 of them.
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  if (const Result<> attached = tickets_.attach(native); !attached) return attached;
  boost::system::error_code ec;
  context->use_certificate_chain_file(files_.certificate, ec);
  if (ec) {
    return make_error(ErrorKind::kUsage,
                      "can't read the certificate in " + files_.certificate + ": " + ec.message());
  }
  context->use_private_key_file(files_.key, ssl::context::pem, ec);
  if (ec) return make_error(ErrorKind::kUsage, "can't use the key in " + files_.key + ": " + ec.message());
  if (SSL_CTX_check_private_key(native) != 1) {
    return make_error(ErrorKind::kUsage,
                      files_.key + " is not the key of the certificate in " + files_.certificate);
  }
  const std::lock_guard lock(mutex_);
  context_ = std::move(context);
  return {};
}

std::shared_ptr<ssl::context> TlsServer::context() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

}  // namespace zks::relay
