// SPDX-License-Identifier: MIT
//
// SOCKS5 UDP ASSOCIATE (RFC 1928, sections 4, 6 and 7): a relay socket on the address that the client's TCP
// connection came to, a flow through the tunnel (tunnel/flow.hpp), and the header of socks5_udp.hpp between
// them. It ends with the TCP connection.
//
// Datagrams are taken only from the client's own address, and only from one port of it: that of the first
// datagram, or the one that the client announced, once it speaks. Many programs announce where they want to
// send to instead of where they send from, so what is announced alone can't decide. Another user of the
// network can't use the association, and another program of the same machine not once it is in use.
//
// Executor: the connection's.
#pragma once

#include <memory>

#include "tunnel/connection.hpp"
#include "tunnel/connection_set.hpp"

namespace zks::frontdoor {

namespace asio = boost::asio;

// `announced`: from where the client will send, as it said in its request. Without a `membership` there are
// too many associations. Replies, and returns when the client is gone.
asio::awaitable<void> serve_udp_associate(std::shared_ptr<tunnel::Connection> client,
                                          std::shared_ptr<tunnel::StreamOpener> opener,
                                          session::Destination announced,
                                          std::unique_ptr<tunnel::ConnectionSet::Membership> membership);

}  // namespace zks::frontdoor
