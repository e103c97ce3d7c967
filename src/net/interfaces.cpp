// SPDX-License-Identifier: MIT
#include "net/interfaces.hpp"

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>

#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.hpp"
#include "base/netlink.hpp"
#include "net/netlink_routes.hpp"

namespace zks::net {
namespace {

using boost::system::error_code;

constexpr unsigned kGroups = netlink_group(RTNLGRP_LINK) | netlink_group(RTNLGRP_IPV4_IFADDR) |
                             netlink_group(RTNLGRP_IPV6_IFADDR) | netlink_group(RTNLGRP_IPV4_ROUTE) |
                             netlink_group(RTNLGRP_IPV6_ROUTE) | netlink_group(RTNLGRP_IPV6_PREFIX);
constexpr std::chrono::milliseconds kPause{100};
constexpr std::chrono::milliseconds kRetryPause{1000};

std::uint8_t prefix_length(const IpAddress& mask) {
  int bits = 0;
  for (const std::uint8_t byte : mask.bytes) bits += std::popcount(byte);
  return static_cast<std::uint8_t>(bits);
}

void add(std::vector<LocalNetwork>& out, Prefix prefix, const char* interface) {
  if (prefix.length > 0) out.push_back({.prefix = prefix, .interface = interface});
}

void add_addresses(std::vector<LocalNetwork>& out, const ifaddrs& entry) {
  const auto address = ip_address_of(entry.ifa_addr);
  if (!address) return;
  add(out, make_prefix(*address, address->bits()), entry.ifa_name);
  // The other end of a point-to-point link, or the broadcast address: a union, so one test covers both.
  const auto other = ip_address_of(entry.ifa_dstaddr);
  if (other) add(out, make_prefix(*other, other->bits()), entry.ifa_name);
  const auto mask = ip_address_of(entry.ifa_netmask);
  if (!mask) return;
  add(out, make_prefix(*address, prefix_length(*mask)), entry.ifa_name);
  if (other) add(out, make_prefix(*other, prefix_length(*mask)), entry.ifa_name);
}

}  // namespace

Result<std::vector<LocalNetwork>> read_local_networks() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) {
    return make_error(ErrorKind::kIo, std::string("can't list interfaces: ") + std::strerror(errno), errno);
  }
  std::vector<LocalNetwork> out;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) add_addresses(out, *entry);
  freeifaddrs(list);

  const auto routes = read_on_link_routes();
  if (!routes) return routes.error();
  for (const OnLinkRoute& route : *routes) {
    char name[IF_NAMESIZE] = "?";  // the interface may be gone by now
    if_indextoname(route.interface, name);
    add(out, route.prefix, name);
  }
  return out;
}

InterfaceWatch::InterfaceWatch(boost::asio::any_io_executor executor, int netlink,
                               std::function<void(Networks)> on_change)
    : netlink_(executor, netlink),
      pause_(executor),
      on_change_(std::move(on_change)),
      alive_(std::make_shared<InterfaceWatch*>(this)) {}

InterfaceWatch::~InterfaceWatch() {
  *alive_ = nullptr;
}

Result<std::unique_ptr<InterfaceWatch>> InterfaceWatch::start(boost::asio::any_io_executor executor,
                                                              std::function<void(Networks)> on_change) {
  auto netlink = watch_netlink(NETLINK_ROUTE, kGroups);
  if (!netlink) return netlink.error();
  std::unique_ptr<InterfaceWatch> watch(
      new InterfaceWatch(executor, netlink->release(), std::move(on_change)));
  // Subscribed before the first snapshot, so that no change falls between the two.
  auto networks = read_local_networks();
  if (!networks) return networks.error();
  watch->on_change_(std::move(*networks));
  watch->wait();
  return watch;
}

void InterfaceWatch::wait() {
  netlink_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [alive = alive_](const error_code& ec) {
                        if (!ec && *alive != nullptr) (*alive)->refresh();
                      });
}

void InterfaceWatch::refresh() {
  drain_netlink(netlink_.native_handle());
  auto networks = read_local_networks();
  if (networks) {
    on_change_(std::move(*networks));
  } else {
    log::warn("the list of this machine's networks is out of date: {}", networks.error().text);
  }
  const bool failed = networks.has_error();
  pause_.expires_after(failed ? kRetryPause : kPause);
  pause_.async_wait([alive = alive_, failed](const error_code& ec) {
    if (ec || *alive == nullptr) return;
    if (failed) {
      (*alive)->refresh();
    } else {
      (*alive)->wait();
    }
  });
}

}  // namespace zks::net
