// SPDX-License-Identifier: MIT
#include "net/netlink_routes.hpp"

#include "base/netlink.hpp"

namespace zks::net {
namespace {

// The kernel answers at once; this only keeps a broken one from holding the program for ever.
constexpr std::chrono::seconds kAnswerWithin{2};

bool is_on_link(const rtmsg& route, bool has_gateway) {
  switch (route.rtm_type) {
    case RTN_LOCAL:
    case RTN_BROADCAST:
    case RTN_ANYCAST:
      return true;
    case RTN_UNICAST:
      return !has_gateway && (route.rtm_protocol == RTPROT_KERNEL || route.rtm_protocol == RTPROT_RA);
    default:
      return false;
  }
}

struct Attributes {
  std::size_t address_bytes;
  std::optional<IpAddress> destination = {};
  unsigned interface = 0;
  bool has_gateway = false;
};

int take(const nlattr* attribute, void* data) {
  Attributes& out = *static_cast<Attributes*>(data);
  const auto* value = static_cast<const std::uint8_t*>(mnl_attr_get_payload(attribute));
  const std::size_t size = mnl_attr_get_payload_len(attribute);
  switch (mnl_attr_get_type(attribute)) {
    case RTA_DST:
      if (size == out.address_bytes) out.destination = size == 4 ? make_ipv4(value) : make_ipv6(value);
      break;
    case RTA_OIF:
      if (size == sizeof out.interface) out.interface = mnl_attr_get_u32(attribute);
      break;
    case RTA_GATEWAY:
    case RTA_VIA:
      out.has_gateway = true;
      break;
    default:
      break;
  }
  return MNL_CB_OK;
}

}  // namespace

std::optional<OnLinkRoute> read_on_link_route(const nlmsghdr& message) {
  if (message.nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(&message) < sizeof(rtmsg)) {
    return std::nullopt;
  }
  const rtmsg& route = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
  if (route.rtm_family != AF_INET && route.rtm_family != AF_INET6) return std::nullopt;
  Attributes found{.address_bytes = route.rtm_family == AF_INET ? std::size_t{4} : std::size_t{16}};
  if (route.rtm_dst_len > found.address_bytes * 8) return std::nullopt;
  mnl_attr_parse(&message, sizeof(rtmsg), take, &found);
  if (!found.destination || !is_on_link(route, found.has_gateway)) return std::nullopt;
  return OnLinkRoute{make_prefix(*found.destination, route.rtm_dst_len), found.interface};
}

Result<std::vector<OnLinkRoute>> read_on_link_routes() {
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  netlink->limit_answers(kAnswerWithin);
  NetlinkMessage question(RTM_GETROUTE, 0);
  question.body<rtmsg>().rtm_family = AF_UNSPEC;
  std::vector<OnLinkRoute> out;
  const auto listed = netlink->dump(question, "list routes", [&out](const nlmsghdr& message) {
    if (const auto route = read_on_link_route(message)) out.push_back(*route);
  });
  if (!listed) return listed.error();
  return out;
}

}  // namespace zks::net
