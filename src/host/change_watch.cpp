// SPDX-License-Identifier: MIT
#include "host/change_watch.hpp"

#include <linux/netfilter/nfnetlink.h>

#include "base/netlink.hpp"

namespace zks::host {
namespace {

constexpr unsigned kRoutingGroups = netlink_group(RTNLGRP_LINK) | netlink_group(RTNLGRP_IPV4_IFADDR) |
                                    netlink_group(RTNLGRP_IPV6_IFADDR) | netlink_group(RTNLGRP_IPV4_ROUTE) |
                                    netlink_group(RTNLGRP_IPV6_ROUTE) | netlink_group(RTNLGRP_IPV4_RULE) |
                                    netlink_group(RTNLGRP_IPV6_RULE);

}  // namespace

Result<std::array<Fd, 2>> watch_changes() {
  auto routing = watch_netlink(NETLINK_ROUTE, kRoutingGroups);
  if (!routing) return routing.error();
  auto firewall = watch_netlink(NETLINK_NETFILTER, netlink_group(NFNLGRP_NFTABLES));
  if (!firewall) return firewall.error();
  return std::array<Fd, 2>{std::move(*routing), std::move(*firewall)};
}

}  // namespace zks::host
