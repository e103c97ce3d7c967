// SPDX-License-Identifier: MIT
//
// A client that speaks HTTP: one request after the other, each with a tunnel (CONNECT), an exchange over a
// stream (http_exchange.hpp), or a page of the proxy's own. What is asked is decided in http_request.hpp.
//
// A stream that carried a request to its end is kept for the next one, when that goes to the same place. A
// server may close it at any time; then only a request that could be repeated is sent again. One stream a
// client is kept, as long as the client's connection.
#pragma once

#include <chrono>
#include <memory>

#include "base/ascii.hpp"
#include "frontdoor/credentials.hpp"
#include "tunnel/connection.hpp"
#include "tunnel/connection_set.hpp"

namespace zks::frontdoor {

namespace asio = boost::asio;

// What the server, which outlives them, lends to its HTTP clients.
struct HttpDoor {
  std::shared_ptr<tunnel::StreamOpener> opener;
  std::shared_ptr<const Credentials> credentials;  // null: none are asked for
  tunnel::ConnectionSet& handshakes;  // where a client stands while it has not said what it wants next
  const bool& stopping;
  std::chrono::milliseconds header_timeout;
  std::chrono::milliseconds idle_timeout;
  std::chrono::milliseconds line_timeout;
};

// True for what an HTTP method may begin with here, and an empty line before it (RFC 9112, section 2.2).
inline bool may_begin_http(std::uint8_t byte) {
  return is_letter(static_cast<char>(byte)) || byte == '\r' || byte == '\n';
}

// Until the connection is over. The first bytes are in client->input(), and the client's time for the first
// header is running.
asio::awaitable<void> serve_http(std::shared_ptr<tunnel::Connection> client, HttpDoor door,
                                 std::unique_ptr<tunnel::ConnectionSet::Membership> among_handshakes);

}  // namespace zks::frontdoor
