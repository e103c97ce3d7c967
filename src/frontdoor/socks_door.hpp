// SPDX-License-Identifier: MIT
//
// A client that speaks SOCKS: the handshake (socks5_parser.hpp, socks4.hpp), a stream to what it asks for,
// the reply, and then the splice. proxy_server.hpp calls these one after the other.
#pragma once

#include <memory>
#include <optional>

#include "frontdoor/credentials.hpp"
#include "frontdoor/socks_codes.hpp"
#include "tunnel/connection.hpp"

namespace zks::frontdoor {

namespace asio = boost::asio;

struct SocksRequest {
  std::uint8_t version = kSocks5Version;
  session::Destination destination;
  bool associates = false;  // UDP ASSOCIATE (udp_association.hpp); CONNECT otherwise
};

// Until the client asked for a destination. std::nullopt when it went away or was refused (and told so).
// `credentials` as in Socks5Parser; SOCKS4 knows none, and is refused where they are asked for. The first
// bytes, at least one, are in client->input().
asio::awaitable<std::optional<SocksRequest>> read_socks5(std::shared_ptr<tunnel::Connection> client,
                                                         std::shared_ptr<const Credentials> credentials);
asio::awaitable<std::optional<SocksRequest>> read_socks4(std::shared_ptr<tunnel::Connection> client,
                                                         std::shared_ptr<const Credentials> credentials);

// Opens the stream, replies and copies until both directions are over.
asio::awaitable<void> serve_socks(std::shared_ptr<tunnel::Connection> client,
                                  std::shared_ptr<tunnel::StreamOpener> opener, SocksRequest request);

}  // namespace zks::frontdoor
