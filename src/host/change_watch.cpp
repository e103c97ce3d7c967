// SPDX-License-Identifier: MIT
#include "host/change_watch.hpp"

#include <cerrno>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "host/small_file.hpp"

namespace zks::host {
namespace {

constexpr unsigned group(unsigned number) {
  return 1U << (number - 1);
}

constexpr unsigned kRoutingGroups = group(RTNLGRP_LINK) | group(RTNLGRP_IPV4_IFADDR) |
                                    group(RTNLGRP_IPV6_IFADDR) | group(RTNLGRP_IPV4_ROUTE) |
                                    group(RTNLGRP_IPV6_ROUTE) | group(RTNLGRP_IPV4_RULE) |
                                    group(RTNLGRP_IPV6_RULE);

Result<Fd> listen_to(int protocol, unsigned groups) {
  Fd out(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  own.nl_groups = groups;
  if (!out || ::bind(out.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) {
    return system_error("watch this machine's network settings", errno);
  }
  return out;
}

}  // namespace

Result<std::array<Fd, 2>> watch_changes() {
  auto routing = listen_to(NETLINK_ROUTE, kRoutingGroups);
  if (!routing) return routing.error();
  auto firewall = listen_to(NETLINK_NETFILTER, group(NFNLGRP_NFTABLES));
  if (!firewall) return firewall.error();
  return std::array<Fd, 2>{std::move(*routing), std::move(*firewall)};
}

void drain_changes(int socket) {
  char first = 0;  // the kernel drops the rest of each message
  // ENOBUFS: more came than the socket holds. That is a change too, and what comes next can be read.
  while (::recv(socket, &first, sizeof first, 0) >= 0 || errno == ENOBUFS || errno == EINTR) {
  }
}

}  // namespace zks::host
