// SPDX-License-Identifier: MIT
//
// The server's side of the upgrade: answers a request that was already read, on a TCP or TLS stream, and
// makes the stream a Carrier.
#pragma once

#include <chrono>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>

#include "carrier/carrier.hpp"
#include "carrier/tls_stream.hpp"

namespace zks::carrier {

using UpgradeRequest = boost::beast::http::request<boost::beast::http::empty_body>;

// The Server header of every answer.
inline constexpr const char* kServerHeader = "nginx";

struct AcceptOptions {
  std::size_t max_message_bytes = 1 << 20;
  std::chrono::milliseconds timeout{10'000};  // for the answer to the upgrade
};

// From the next message's beginning on, for a carrier of accept_upgrade().
void set_max_message(Carrier& carrier, std::size_t bytes);

// Whether `request` asks for a WebSocket at all.
bool is_upgrade(const UpgradeRequest& request);

Task<CarrierPtr> accept_upgrade(net::TcpStream stream, UpgradeRequest request, AcceptOptions options);
Task<CarrierPtr> accept_upgrade(TlsStream stream, UpgradeRequest request, AcceptOptions options);

}  // namespace zks::carrier
