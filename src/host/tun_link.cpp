// SPDX-License-Identifier: MIT
#include "host/tun_link.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <net/if.h>

#include "base/log.hpp"
#include "base/netlink.hpp"
#include "host/small_file.hpp"
#include "host/sysctl.hpp"

namespace zks::host {
namespace {

NetlinkMessage link_message(unsigned index, bool up) {
  NetlinkMessage out(RTM_NEWLINK, 0);
  auto& link = out.body<ifinfomsg>();
  link.ifi_index = static_cast<int>(index);
  link.ifi_change = IFF_UP;
  link.ifi_flags = up ? IFF_UP : 0;
  return out;
}

// Before the device is up, so that it never gets a link-local address, from which it would send router
// solicitations and listener reports.
void put_no_generated_addresses(NetlinkMessage& message) {
  nlattr* const families = mnl_attr_nest_start(message.header(), IFLA_AF_SPEC);
  nlattr* const ipv6 = mnl_attr_nest_start(message.header(), AF_INET6);
  mnl_attr_put_u8(message.header(), IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  mnl_attr_nest_end(message.header(), ipv6);
  mnl_attr_nest_end(message.header(), families);
}

Result<> add_address(Netlink& netlink, unsigned index, const IpAddress& address) {
  NetlinkMessage message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  auto& head = message.body<ifaddrmsg>();
  head.ifa_family = static_cast<std::uint8_t>(family_of(address));
  head.ifa_prefixlen = address.bits();
  head.ifa_index = index;
  message.put(IFA_LOCAL, address);
  message.put(IFA_ADDRESS, address);
  if (!address.is_ipv4()) message.put(IFA_FLAGS, IFA_F_NODAD);
  return netlink.request(message, "give the TUN device the address " + address.text());
}

Result<> remove_addresses(Netlink& netlink, unsigned index) {
  std::vector<std::unique_ptr<NetlinkMessage>> removals;
  NetlinkMessage question(RTM_GETADDR, 0);
  question.body<ifaddrmsg>().ifa_index = index;
  auto asked = netlink.dump(question, "list addresses", [&](const nlmsghdr& shown) {
    if (shown.nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(&shown) < sizeof(ifaddrmsg)) return;
    if (static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(&shown))->ifa_index != index) return;
    if (auto removal = NetlinkMessage::copy(shown, RTM_DELADDR)) removals.push_back(std::move(removal));
  });
  if (!asked) return asked;
  for (const auto& removal : removals) {
    auto removed = netlink.request(*removal, "remove an address of the TUN device");
    if (!removed && removed.error().detail != EADDRNOTAVAIL) return removed;
  }
  return {};
}

struct LinkState {
  bool up = false;
  unsigned mtu = 0;
};

int read_mtu(const nlattr* attribute, void* mtu) {
  if (mnl_attr_get_type(attribute) == IFLA_MTU && mnl_attr_get_payload_len(attribute) >= 4) {
    *static_cast<unsigned*>(mtu) = mnl_attr_get_u32(attribute);
  }
  return MNL_CB_OK;
}

Result<LinkState> link_state(Netlink& netlink, unsigned index) {
  LinkState out;
  NetlinkMessage question(RTM_GETLINK, 0);
  question.body<ifinfomsg>();
  auto asked = netlink.dump(question, "look at the TUN device", [&](const nlmsghdr& shown) {
    if (shown.nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(&shown) < sizeof(ifinfomsg)) return;
    const auto& link = *static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&shown));
    if (static_cast<unsigned>(link.ifi_index) != index) return;
    out.up = (link.ifi_flags & IFF_UP) != 0;
    mnl_attr_parse(&shown, sizeof(ifinfomsg), read_mtu, &out.mtu);
  });
  if (!asked) return asked.error();
  return out;
}

Result<> take_up(Netlink& netlink, const Plan& plan, unsigned index) {
  NetlinkMessage up = link_message(index, true);
  up.put(IFLA_MTU, plan.mtu);
  up.put(IFLA_TXQLEN, plan.tx_queue_length);
  return netlink.request(up, "take the TUN device " + plan.tun + " up");
}

int read_address(const nlattr* attribute, void* out) {
  const std::uint16_t type = mnl_attr_get_type(attribute);
  auto& address = *static_cast<IpAddress*>(out);
  const bool is_it = type == (address.is_ipv4() ? IFA_LOCAL : IFA_ADDRESS);
  if (is_it && mnl_attr_get_payload_len(attribute) == address.bits() / 8) {
    std::memcpy(address.bytes.data(), mnl_attr_get_payload(attribute), address.bits() / 8);
  }
  return MNL_CB_OK;
}

Result<std::vector<IpAddress>> addresses_of(Netlink& netlink, unsigned index) {
  std::vector<IpAddress> out;
  NetlinkMessage question(RTM_GETADDR, 0);
  question.body<ifaddrmsg>().ifa_index = index;
  auto asked = netlink.dump(question, "list addresses", [&](const nlmsghdr& shown) {
    if (shown.nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(&shown) < sizeof(ifaddrmsg)) return;
    const auto& head = *static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(&shown));
    if (head.ifa_index != index) return;
    IpAddress address{.family =
                          head.ifa_family == AF_INET ? IpAddress::Family::kIpv4 : IpAddress::Family::kIpv6};
    mnl_attr_parse(&shown, sizeof(ifaddrmsg), read_address, &address);
    out.push_back(address);
  });
  if (!asked) return asked.error();
  return out;
}

}  // namespace

bool has_ipv6(const std::string& tun) {
  const auto disabled = read_sysctl("net/ipv6/conf/" + tun + "/disable_ipv6");
  return disabled && *disabled == "0";
}

Result<> set_up_tun(const Plan& plan) {
  const unsigned index = ::if_nametoindex(plan.tun.c_str());
  if (index == 0) return system_error("find the TUN device " + plan.tun, errno);
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();

  const bool ipv6 = has_ipv6(plan.tun);
  if (ipv6) {
    NetlinkMessage quiet = link_message(index, false);
    put_no_generated_addresses(quiet);
    if (auto set = netlink->request(quiet, "switch off link-local addresses of " + plan.tun); !set)
      return set;
  }
  if (auto set = take_up(*netlink, plan, index); !set) return set;
  if (auto added = add_address(*netlink, index, plan.tun_ipv4); !added) return added;
  if (ipv6) {
    if (auto added = add_address(*netlink, index, plan.tun_ipv6); !added) return added;
  }

  // Loose: with --uid the reverse route is another user's. The device is ours, and takes its setting with it.
  if (!write_sysctl("net/ipv4/conf/" + plan.tun + "/rp_filter", "2") && !plan.uids.empty()) {
    log::warn("can't set rp_filter of {}: where net.ipv4.conf.all.rp_filter is 1, its answers are dropped",
              plan.tun);
  }
  return {};
}

Result<bool> restore_tun(const Plan& plan, unsigned index) {
  if (::if_nametoindex(plan.tun.c_str()) != index) {
    return make_error(ErrorKind::kClosed,
                      "another program has deleted or renamed the TUN device " + plan.tun);
  }
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  const auto state = link_state(*netlink, index);
  if (!state) return state.error();
  bool any = false;
  if (!state->up || state->mtu != plan.mtu) {
    if (auto set = take_up(*netlink, plan, index); !set) return set.error();
    any = true;
  }
  const auto there = addresses_of(*netlink, index);
  if (!there) return there.error();
  for (const IpAddress& address : {plan.tun_ipv4, plan.tun_ipv6}) {
    if (!address.is_ipv4() && !has_ipv6(plan.tun)) continue;
    if (std::ranges::find(*there, address) != there->end()) continue;
    if (auto added = add_address(*netlink, index, address); !added) return added.error();
    any = true;
  }
  return any;
}

Result<> take_down_tun(const std::string& tun) {
  const unsigned index = ::if_nametoindex(tun.c_str());
  if (index == 0) return {};
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  if (auto removed = remove_addresses(*netlink, index); !removed) return removed;
  NetlinkMessage down = link_message(index, false);
  auto taken = netlink->request(down, "take the TUN device " + tun + " down");
  if (!taken && taken.error().detail != ENODEV) return taken;
  return {};
}

}  // namespace zks::host
