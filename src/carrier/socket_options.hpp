// SPDX-License-Identifier: MIT
//
// What every TCP connection of ours is set to, dialled or accepted, and the two kinds of byte stream below a
// WebSocket.
#pragma once

#include <string>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include "base/result.hpp"

namespace zks::carrier {

using TcpStream = boost::beast::tcp_stream;
// Beast's, not Asio's: it joins a frame's header with a small payload into one TLS record.
using TlsStream = boost::beast::ssl_stream<boost::beast::tcp_stream>;

// The kernel takes at most this much that it has not sent yet. What waits longer waits in the session, where
// young and small streams overtake bulk; 128 KiB is two of our largest records, enough to keep a 10 Gbit/s
// link busy for the time that a wake-up takes.
inline constexpr int kNotSentLowatBytes = 128 * 1024;

// TCP_NODELAY and TCP_NOTSENT_LOWAT. A connection that died meanwhile refuses them; its next read says so.
void tune_socket(boost::asio::ip::tcp::socket& socket);

// SO_BINDTODEVICE: what the socket sends leaves by this interface and no other. Before it is bound or
// connected; open to every user since Linux 5.7. kNetwork, saying what to do: an interface may yet appear.
Result<> bind_to_interface(boost::asio::ip::tcp::socket& socket, const std::string& interface);

// Bytes handed to the kernel that the peer's kernel has not acknowledged; 0 where unknown.
std::size_t unacknowledged_bytes(boost::asio::ip::tcp::socket& socket) noexcept;

}  // namespace zks::carrier
