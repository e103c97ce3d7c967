// SPDX-License-Identifier: MIT
//
// What every TCP connection of ours is set to, dialled or accepted.
#pragma once

#include <string>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>

#include "base/result.hpp"

namespace zks::net {

using TcpStream = boost::beast::tcp_stream;

// The kernel takes at most this much that it has not sent yet. What waits longer waits in the session, where
// young and small streams overtake bulk; 128 KiB is two of our largest records, enough to keep a 10 Gbit/s
// link busy for the time that a wake-up takes.
inline constexpr int kNotSentLowatBytes = 128 * 1024;

// TCP_NODELAY and TCP_NOTSENT_LOWAT. A connection that died meanwhile refuses them; its next read says so.
void tune_socket(boost::asio::ip::tcp::socket& socket);

// SO_BINDTODEVICE: what the socket sends leaves by this interface and no other. Before it is bound or
// connected; open to every user since Linux 5.7. kNetwork, saying what to do: an interface may yet appear.
Result<> bind_to_interface(boost::asio::ip::tcp::socket& socket, const std::string& interface);

// The same connection on another executor, from the next call on; nothing of it is outstanding. One that is
// gone already is not open afterwards.
TcpStream move_to(const boost::asio::any_io_executor& executor, TcpStream stream);

// Bytes handed to the kernel that the peer's kernel has not acknowledged; 0 where unknown.
std::size_t unacknowledged_bytes(boost::asio::ip::tcp::socket& socket) noexcept;

// Bytes came within the last half second, read or not (TCP_INFO); false where unknown.
bool is_receiving(boost::asio::ip::tcp::socket& socket) noexcept;

}  // namespace zks::net
