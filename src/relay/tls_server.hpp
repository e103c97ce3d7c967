// SPDX-License-Identifier: MIT
//
// The accepting end's TLS: the certificate and key in files, read at start and again at each reload, so that
// a renewed certificate needs no restart. Connections keep the one they began with.
#pragma once

#include <memory>
#include <mutex>

#include <boost/asio/ssl/context.hpp>

#include "base/result.hpp"
#include "relay/options.hpp"
#include "relay/ticket_keys.hpp"

namespace zks::relay {

// Thread-safe.
class TlsServer {
 public:
  explicit TlsServer(TlsFiles files) : files_(std::move(files)) {}

  // kUsage names the file that is unreadable, or says that key and certificate do not belong together. The
  // context in use stays on an error.
  Result<> reload();
  std::shared_ptr<boost::asio::ssl::context> context() const;

 private:
  const TlsFiles files_;
  TicketKeys tickets_;
  mutable std::mutex mutex_;
  std::shared_ptr<boost::asio::ssl::context> context_;
};

}  // namespace zks::relay
