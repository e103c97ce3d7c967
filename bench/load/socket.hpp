// SPDX-License-Identifier: MIT
//
// Blocking TCP sockets for bench_load and bench_forward, and the client's half of SOCKS5 (RFC 1928). Whatever
// ends a connection ends a transfer; what can't begin is a std::runtime_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <netinet/in.h>
#include <sys/types.h>
#include <unistd.h>

namespace zks::bench {

class Socket {
 public:
  // Owns `fd`; throws when it is negative, with errno.
  explicit Socket(int fd);
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }

  int fd() const { return fd_; }
  void no_delay() const;
  void shut_down() const;
  void finish() const;  // half-close

  // False at the end of the connection, whatever ended it.
  bool send_all(const char* data, std::size_t size) const;
  bool receive_all(char* data, std::size_t size) const;
  // Bytes that have come; 0 or less at the end.
  ssize_t receive(char* data, std::size_t size) const;

 private:
  int fd_;
};

struct Endpoint {
  std::string address = "127.0.0.1";  // IPv4
  std::uint16_t port = 0;             // 0: none
};

sockaddr_in socket_address(const Endpoint& endpoint);

// Listens with a long queue; port 0 takes a free one.
Socket listen_at(const Endpoint& endpoint);
std::uint16_t local_port(const Socket& socket);
Socket connect_to(const Endpoint& endpoint);

// A connection to `target`, by the SOCKS5 proxy where `proxy` has a port.
Socket connect_through(const Endpoint& proxy, const Endpoint& target);

}  // namespace zks::bench
