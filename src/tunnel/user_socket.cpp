// SPDX-License-Identifier: MIT
#include "tunnel/user_socket.hpp"

#include <cerrno>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace zks::tunnel {
namespace {

constexpr int kIdleSeconds = static_cast<int>(kKeepaliveIdle.count());

// A connection that died meanwhile refuses it; whoever reads it next hears so.
void set(int socket, int level, int name, int value) {
  (void)::setsockopt(socket, level, name, &value, sizeof(value));
}

}  // namespace

// No TCP_USER_TIMEOUT: it would also end a connection whose peer answers and has no room, such as a paused
// player's. A peer that is gone while it owes an acknowledgment is found out by the kernel's retransmission.
void tune_user_socket(int socket) {
  set(socket, SOL_SOCKET, SO_OOBINLINE, 1);
  set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPIDLE, kIdleSeconds);
  set(socket, IPPROTO_TCP, TCP_KEEPINTVL, kIdleSeconds / kKeepaliveProbes);
  set(socket, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
}

boost::system::error_code take_socket_error(int socket) {
  int pending = 0;
  socklen_t size = sizeof(pending);
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &pending, &size) != 0) pending = errno;
  return {pending, boost::system::system_category()};
}

bool is_ended_by_peer(int socket) {
  pollfd entry{socket, POLLRDHUP, 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & POLLRDHUP) != 0;
}

bool is_hung_up(int socket) {
  pollfd entry{socket, 0, 0};  // POLLHUP is always looked for
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & POLLHUP) != 0;
}

session::ResetCode reset_code_of_death(const boost::system::error_code& failure) {
  switch (failure.value()) {
    case ETIMEDOUT:     // keep-alive or retransmission gave up
    case EHOSTUNREACH:  // the same, and a router had said why (tcp(7), "Error handling")
    case ENETUNREACH:
      return session::ResetCode::kTimedOut;
    default:
      return session::ResetCode::kConnectionReset;
  }
}

}  // namespace zks::tunnel
