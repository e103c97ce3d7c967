// SPDX-License-Identifier: MIT
//
// The keys of TLS session tickets. OpenSSL's own last as long as the process, and whoever gets them later
// opens every recorded TLS 1.2 connection that began or could be resumed with such a ticket (RFC 5077,
// section 5.5). These are replaced each hour, open tickets for an hour more, and are wiped then. TlsServer's
// contexts share them.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include <openssl/ssl.h>

#include "base/result.hpp"
#include "base/secret.hpp"

namespace zks::relay {

// Thread-safe.
class TicketKeys {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Name = std::array<std::uint8_t, 16>;

  static constexpr std::chrono::hours kLife{1};

  struct Keys {
    Name name;  // stands in the ticket
    Key cipher;
    Key mac;
  };

  // `context` makes and opens tickets with these from now on; they outlive its last handshake.
  Result<> attach(SSL_CTX* context);

  // A copy of the one to seal new tickets with.
  Keys sealing(TimePoint now);
  // A copy of the one with that name, and whether it is about to go; none: nobody's, or gone.
  std::optional<std::pair<Keys, bool>> opening(std::span<const std::uint8_t, 16> name, TimePoint now);

 private:
  void renew(TimePoint now);

  std::mutex mutex_;
  std::optional<Keys> present_;
  std::optional<Keys> previous_;
  TimePoint since_;  // of present_
};

}  // namespace zks::relay
