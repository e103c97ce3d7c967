// SPDX-License-Identifier: MIT
#include "net/address_order.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/port.hpp"

namespace zks::net {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress socket_address(const IpAddress& address) {
  constexpr std::uint16_t kAnyPort = kDnsPort;  // no packet is sent
  SocketAddress out;
  if (address.is_ipv4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(kAnyPort);
    std::memcpy(&in.sin_addr, address.bytes.data(), sizeof in.sin_addr);
    std::memcpy(&out.storage, &in, sizeof in);
    out.size = sizeof in;
  } else {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(kAnyPort);
    std::memcpy(&in6.sin6_addr, address.bytes.data(), sizeof in6.sin6_addr);
    std::memcpy(&out.storage, &in6, sizeof in6);
    out.size = sizeof in6;
  }
  return out;
}

// The source address that the routing tables give for `address`, null without a route. Connecting a UDP
// socket asks them and sends nothing.
std::optional<IpAddress> source_for(const IpAddress& address) {
  const int fd = ::socket(address.is_ipv4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::nullopt;
  SocketAddress remote = socket_address(address);
  SocketAddress local{.storage = {}, .size = sizeof(sockaddr_storage)};
  std::optional<IpAddress> out;
  if (::connect(fd, remote.get(), remote.size) == 0 && ::getsockname(fd, local.get(), &local.size) == 0) {
    out = ip_address_of(local.get());
  }
  ::close(fd);
  return out;
}

bool is_unique_local(const IpAddress& address) {
  return !address.is_ipv4() && (address.bytes[0] & 0xfe) == 0xfc;  // fc00::/7
}

// True when at least one has a route.
bool put_routed_first(std::vector<IpAddress>& addresses) {
  const auto first_unrouted = std::stable_partition(
      addresses.begin(), addresses.end(), [](const IpAddress& a) { return source_for(a).has_value(); });
  return first_unrouted != addresses.begin();
}

// `ipv6` is not empty, the best one first.
bool has_matching_source(const std::vector<IpAddress>& ipv6) {
  const auto source = source_for(ipv6.front());
  return source && is_unique_local(*source) == is_unique_local(ipv6.front());
}

}  // namespace

std::vector<IpAddress> order_addresses(std::vector<IpAddress> ipv6, std::vector<IpAddress> ipv4) {
  const bool ipv6_routed = put_routed_first(ipv6);
  const bool ipv4_routed = put_routed_first(ipv4);
  const bool ipv4_begins = ipv4_routed && !(ipv6_routed && has_matching_source(ipv6));
  return ipv4_begins ? alternate(ipv4, ipv6) : alternate(ipv6, ipv4);
}

}  // namespace zks::net
