// SPDX-License-Identifier: MIT
//
// Dials a relay: name lookup, TCP (addresses tried as in RFC 8305, up to TLS), where there is an upstream
// proxy CONNECT through it, TLS with verification always on, WebSocket upgrade (RFC 6455). The result is a
// Carrier.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/names.hpp"
#include "base/relay_url.hpp"
#include "carrier/carrier.hpp"
#include "carrier/dialler.hpp"
#include "carrier/segment_limits.hpp"
#include "carrier/upstream_proxy.hpp"
#include "net/egress.hpp"
#include "net/known_addresses.hpp"

namespace zks::carrier {

class TlsTrust;

struct DialOptions {
  std::string ca_file;  // PEM; trusted instead of the system's roots when set
  std::shared_ptr<TlsTrust>
      trust;                  // made already, for a process that can't read files later; null: for each dial
  std::optional<Digest> pin;  // SHA-256 of the relay certificate's SPKI; replaces chain and name checks
  std::string sni;            // TLS server name to send and verify; the host when empty
  std::vector<std::pair<std::string, std::string>> headers;  // added to the upgrade request
  std::shared_ptr<const ProxyRules> proxies;                 // null: every relay is dialled directly
  std::string interface;                                     // both as in egress.hpp
  std::shared_ptr<net::Uplink> uplink;
  // These two learn: dials with a copy of these options share them.
  std::shared_ptr<net::KnownAddresses> known = std::make_shared<net::KnownAddresses>();
  std::shared_ptr<SegmentLimits> segments = std::make_shared<SegmentLimits>();
  std::chrono::milliseconds timeout = kDialWithin;  // for everything up to the upgrade's answer
  std::size_t max_message_bytes = 1 << 20;
};

// `target` is the path after the url's prefix, "/v1/rooms/...". Errors: kNetwork (lookup, TCP), kUntrusted
// (certificate or pin), kRefused (an HTTP answer other than 101, or of a proxy other than 2xx; detail is the
// status), kTimeout.
Task<CarrierPtr> dial(asio::any_io_executor executor, RelayUrl url, std::string target, DialOptions options);

class NetworkDialler final : public Dialler {
 public:
  explicit NetworkDialler(DialOptions options) : options_(std::move(options)) {}

  Task<CarrierPtr> dial(asio::any_io_executor executor, RelayUrl relay, std::string target,
                        std::chrono::milliseconds within) override;
  void network_changed() override { options_.segments->network_changed(); }

 private:
  DialOptions options_;
};

}  // namespace zks::carrier
