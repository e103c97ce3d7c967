// SPDX-License-Identifier: MIT
//
// The dialling end's TLS: whom it trusts, and what it says when it does not. Between connect.hpp and the
// WebSocket upgrade in dial.cpp. Verification can't be turned off: the system's roots, a CA file, or a pin
// decide.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <boost/asio/ssl/context.hpp>

#include "base/names.hpp"
#include "base/result.hpp"

namespace zks::carrier {

// Trust for one kind of dial. It has to live until the handshake is over; the connection may outlive it.
class TlsTrust {
 public:
  // A pin replaces chain and name checks; otherwise `ca_file` replaces the system's roots unless it is empty.
  // kUsage when the file can't be read. The system's roots are loaded once for the process and shared.
  static Result<std::shared_ptr<TlsTrust>> make(const std::string& ca_file, const std::optional<Digest>& pin);

  boost::asio::ssl::context& context() { return context_; }

  // Sets the server name to send (RFC 6066; none for addresses) and the one to verify.
  Result<> prepare(SSL* ssl, const std::string& server_name) const;

  // Why a handshake with `server_name` failed: kUntrusted with the reason and what to do, else kNetwork.
  Error explain(SSL* ssl, const std::string& server_name, const boost::system::error_code& ec) const;

  explicit TlsTrust(const std::optional<Digest>& pin);

 private:
  static int check_pin(X509_STORE_CTX* chain, void* self);

  boost::asio::ssl::context context_;
  std::optional<Digest> pin_;
};

// SHA-256 of a certificate's public key (SubjectPublicKeyInfo, DER): what a pin holds.
std::optional<Digest> spki_digest(X509* certificate);

}  // namespace zks::carrier
