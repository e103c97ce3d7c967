// SPDX-License-Identifier: MIT
#include "datagrams.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <sys/socket.h>

namespace zks::bench {
namespace {

using Clock = std::chrono::steady_clock;

// RSV RSV FRAG ATYP address port, before each datagram (RFC 1928, section 7).
constexpr std::size_t kHeader = 10;

// How long the sink waits for stragglers.
constexpr timeval kPatience{1, 0};

struct Arrived {
  std::vector<bool> seen;
  std::uint64_t received = 0;
  std::uint64_t reordered = 0;
};

void receive_until_silence(const Socket& sink, Arrived& arrived) {
  std::vector<char> datagram(65536);
  std::uint32_t last = 0;
  for (;;) {
    const ssize_t got = sink.receive(datagram.data(), datagram.size());
    if (got < 4) return;
    std::uint32_t number = 0;
    std::memcpy(&number, datagram.data(), 4);
    if (number >= arrived.seen.size() || arrived.seen[number]) continue;
    arrived.seen[number] = true;
    ++arrived.received;
    if (number < last) ++arrived.reordered;
    last = number;
  }
}

struct Association {
  Socket control;  // the association lives as long as this connection
  Socket datagrams;
};

Association associate(const Endpoint& proxy) {
  Socket control = connect_to(proxy);
  const std::array<char, 3> greeting{5, 1, 0};
  const std::array<char, 10> request{5, 3, 0, 1};
  std::array<char, 2> method{};
  std::array<char, 10> reply{};
  if (!control.send_all(greeting.data(), greeting.size()) ||
      !control.receive_all(method.data(), method.size()) || method[1] != 0 ||
      !control.send_all(request.data(), request.size()) || !control.receive_all(reply.data(), reply.size()) ||
      reply[1] != 0 || reply[3] != 1) {
    throw std::runtime_error("the proxy refused to associate");
  }
  sockaddr_in address = socket_address(proxy);
  std::memcpy(&address.sin_port, &reply[8], 2);
  Socket datagrams(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (::connect(datagrams.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot reach the proxy's UDP port");
  }
  return {std::move(control), std::move(datagrams)};
}

Socket make_sink(sockaddr_in& address) {
  Socket sink(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  address = socket_address({});
  const int room = 4 << 20;
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  ::setsockopt(sink.fd(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  ::setsockopt(sink.fd(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  if (::bind(sink.fd(), generic, size) != 0 || ::getsockname(sink.fd(), generic, &size) != 0) {
    throw std::runtime_error("cannot bind a UDP socket");
  }
  return sink;
}

}  // namespace

void run_datagrams(const Endpoint& proxy, const DatagramLoad& load) {
  sockaddr_in target{};
  const Socket sink = make_sink(target);
  const Association way = associate(proxy);
  const auto count =
      static_cast<std::uint32_t>(load.mbit_s * 1e6 / 8 / static_cast<double>(load.size) * load.seconds);
  std::vector<char> datagram(kHeader + load.size);
  datagram[3] = 1;
  std::memcpy(&datagram[4], &target.sin_addr, 4);
  std::memcpy(&datagram[8], &target.sin_port, 2);
  Arrived arrived;
  arrived.seen.resize(count);
  std::thread reader([&] { receive_until_silence(sink, arrived); });
  const auto began = Clock::now();
  for (std::uint32_t number = 0; number < count; ++number) {
    std::memcpy(&datagram[kHeader], &number, 4);
    // One that the kernel has no room for is lost like any other.
    ::send(way.datagrams.fd(), datagram.data(), datagram.size(), MSG_NOSIGNAL);
    std::this_thread::sleep_until(began + std::chrono::duration<double>(load.seconds * (number + 1) / count));
  }
  const double took = std::chrono::duration<double>(Clock::now() - began).count();
  reader.join();
  std::printf(
      "{\"datagrams\": %u, \"received\": %llu, \"lost_percent\": %.3f, \"reordered\": %llu, \"sent_mbit_s\": "
      "%.1f}\n",
      count, static_cast<unsigned long long>(arrived.received),
      100.0 * static_cast<double>(count - arrived.received) / count,
      static_cast<unsigned long long>(arrived.reordered),
      count * static_cast<double>(load.size) * 8 / took / 1e6);
}

}  // namespace zks::bench
