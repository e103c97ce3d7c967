// SPDX-License-Identifier: MIT
//
// What every TCP connection of ours is set to, dialled or accepted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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

// TCP_MAXSEG: what is sent, and by the SYN what comes, is in segments of at most `bytes`, TCP's options
// included. Before it is connected. Fragments (IP_PMTUDISC_DONT) would be no way out: there are none in IPv6,
// NATs and firewalls drop them, and what the other end sends stays as it is. A kernel that refuses sends as
// before.
void limit_segments(boost::asio::ip::tcp::socket& socket, int bytes);

// Of a connection (tcp(7), TCP_INFO).
struct TcpState {
  std::size_t unacknowledged_bytes = 0;  // handed to the kernel, with those that were not sent yet
  std::uint32_t retransmits = 0;         // in a row, without an acknowledgement
  std::uint32_t send_segment = 0;        // bytes of one that is full
  std::uint32_t receive_segment = 0;     // of the largest that came, about
  std::uint64_t acknowledged_bytes = 0;
  std::uint64_t received_bytes = 0;
};

// TCP_INFO; none of a socket that is closed, or where the kernel does not know.
std::optional<TcpState> tcp_state(boost::asio::ip::tcp::socket& socket) noexcept;

// The same connection on another executor, from the next call on; nothing of it is outstanding. One that is
// gone already is not open afterwards.
TcpStream move_to(const boost::asio::any_io_executor& executor, TcpStream stream);

// Bytes handed to the kernel that the peer's kernel has not acknowledged; 0 where unknown.
std::size_t unacknowledged_bytes(boost::asio::ip::tcp::socket& socket) noexcept;

// Bytes came within the last half second, read or not (TCP_INFO); false where unknown.
bool is_receiving(boost::asio::ip::tcp::socket& socket) noexcept;

}  // namespace zks::net
