// SPDX-License-Identifier: MIT
#include "host/connections.hpp"

#include <algorithm>
#include <cerrno>

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/netlink.hpp"

namespace zks::host {
namespace {

// What listens has sent nothing, and waits for whoever comes next.
constexpr std::uint32_t kStates = ~((1u << TCP_LISTEN) | (1u << TCP_TIME_WAIT));

struct Found {
  std::uint8_t family = 0;
  inet_diag_sockid id{};
};

NetlinkMessage question(std::uint8_t family, std::uint8_t protocol, std::uint16_t type) {
  NetlinkMessage out(type, 0);
  auto& head = out.body<inet_diag_req_v2>();
  head.sdiag_family = family;
  head.sdiag_protocol = protocol;
  head.idiag_states = kStates;
  return out;
}

Result<> find(Netlink& netlink, std::uint8_t family, std::uint8_t protocol,
              const std::vector<IpAddress>& local, std::vector<Found>& out) {
  NetlinkMessage message = question(family, protocol, SOCK_DIAG_BY_FAMILY);
  return netlink.dump(message, "list connections", [&](const nlmsghdr& shown) {
    if (mnl_nlmsg_get_payload_len(&shown) < sizeof(inet_diag_msg)) return;
    const auto& socket = *static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(&shown));
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(socket.id.idiag_src);
    // A socket of both families has an IPv4 address in its IPv6 form.
    const IpAddress source = unmapped(socket.idiag_family == AF_INET ? make_ipv4(bytes) : make_ipv6(bytes));
    if (std::find(local.begin(), local.end(), source) != local.end())
      out.push_back({socket.idiag_family, socket.id});
  });
}

}  // namespace

Result<> end_connections(const std::vector<IpAddress>& local) {
  auto netlink = Netlink::open(NETLINK_SOCK_DIAG);
  if (!netlink) return {};
  for (const std::uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
    std::vector<Found> found;
    for (const std::uint8_t family : {AF_INET, AF_INET6}) {
      // ENOENT: the kernel has no list of this kind.
      auto listed = find(*netlink, family, protocol, local, found);
      if (!listed && listed.error().detail != ENOENT) return listed;
    }
    for (const Found& socket : found) {
      NetlinkMessage message = question(socket.family, protocol, SOCK_DESTROY);
      message.fixed<inet_diag_req_v2>().id = socket.id;
      auto ended = netlink->request(message, "end a connection of the tunnel");
      if (!ended && ended.error().detail == EOPNOTSUPP) return {};
      if (!ended && ended.error().detail != ENOENT) return ended;  // ENOENT: ended by itself
    }
  }
  return {};
}

}  // namespace zks::host
