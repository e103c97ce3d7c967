// SPDX-License-Identifier: MIT
//
// What every socket is set to that carries the bytes of a user's program, accepted or connected, at both
// ends: no byte of its stream goes missing, and a peer that is gone is found out. Lanes are not such sockets:
// they have the session's own PING.
#pragma once

#include <chrono>

#include <boost/system/error_code.hpp>

#include "session/frames.hpp"

namespace zks::tunnel {

// Keep-alive (RFC 9293, section 3.8.4): after `idle` without a segment the peer is asked, then each quarter
// of that; after the fourth question without an answer the connection is over (ETIMEDOUT), twice `idle` after
// the last segment.
inline constexpr std::chrono::seconds kKeepaliveIdle{60};
inline constexpr int kKeepaliveProbes = 4;

// Urgent bytes stay in their place (SO_OOBINLINE), and keep-alive. A unix socket, whose death the kernel
// tells anyway, knows the first alone. Before the first byte is read.
void tune_user_socket(int socket);

// What is wrong with the connection, and forgets it, as the kernel does.
boost::system::error_code take_socket_error(int socket);
// The other end has sent all that it will (FIN), whatever of it is still to be read.
bool is_ended_by_peer(int socket);
// Nothing that is written can be read any more: a unix socket whose peer closed it.
bool is_hung_up(int socket);

// What the other end is told of a connection that broke: that its peer stopped answering, or that it was
// reset.
session::ResetCode reset_code_of_death(const boost::system::error_code& failure);

}  // namespace zks::tunnel
