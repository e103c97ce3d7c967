// SPDX-License-Identifier: MIT
#include "socket.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace zks::bench {
namespace {

constexpr int kQueue = 4096;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

}  // namespace

Socket::Socket(int fd) : fd_(fd) {
  if (fd_ < 0) fail("socket");
}

void Socket::no_delay() const {
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void Socket::shut_down() const {
  ::shutdown(fd_, SHUT_RDWR);
}
void Socket::finish() const {
  ::shutdown(fd_, SHUT_WR);
}

bool Socket::send_all(const char* data, std::size_t size) const {
  while (size > 0) {
    const ssize_t sent = ::send(fd_, data, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

bool Socket::receive_all(char* data, std::size_t size) const {
  while (size > 0) {
    const ssize_t got = receive(data, size);
    if (got <= 0) return false;
    data += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

ssize_t Socket::receive(char* data, std::size_t size) const {
  return ::recv(fd_, data, size, 0);
}

sockaddr_in socket_address(const Endpoint& endpoint) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(endpoint.port);
  if (::inet_pton(AF_INET, endpoint.address.c_str(), &address.sin_addr) != 1) {
    throw std::runtime_error("not an IPv4 address: " + endpoint.address);
  }
  return address;
}

Socket listen_at(const Endpoint& endpoint) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = socket_address(endpoint);
  if (::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.fd(), kQueue) != 0) {
    fail("cannot listen at " + endpoint.address);
  }
  return socket;
}

std::uint16_t local_port(const Socket& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
  return ntohs(address.sin_port);
}

Socket connect_to(const Endpoint& endpoint) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = socket_address(endpoint);
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("cannot connect to port " + std::to_string(endpoint.port));
  }
  socket.no_delay();
  return socket;
}

Socket connect_through(const Endpoint& proxy, const Endpoint& target) {
  if (proxy.port == 0) return connect_to(target);
  Socket socket = connect_to(proxy);
  // VER NMETHODS METHOD=none; VER CMD=CONNECT RSV ATYP=IPv4 address port.
  const std::array<char, 3> greeting{5, 1, 0};
  std::array<char, 10> request{5, 1, 0, 1};
  const sockaddr_in address = socket_address(target);
  std::memcpy(&request[4], &address.sin_addr, 4);
  std::memcpy(&request[8], &address.sin_port, 2);
  std::array<char, 2> method{};
  std::array<char, 10> reply{};
  if (!socket.send_all(greeting.data(), greeting.size()) ||
      !socket.receive_all(method.data(), method.size()) || method[1] != 0 ||
      !socket.send_all(request.data(), request.size()) || !socket.receive_all(reply.data(), reply.size()) ||
      reply[1] != 0 || reply[3] != 1) {
    throw std::runtime_error("the proxy refused to connect");
  }
  return socket;
}

}  // namespace zks::bench
