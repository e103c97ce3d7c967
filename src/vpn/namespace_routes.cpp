// SPDX-License-Identifier: MIT
#include "vpn/namespace_routes.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

namespace zks::vpn {
namespace {

constexpr std::uint32_t kMark = 1;
constexpr std::uint8_t kTable = 100;

using Buffer = std::array<char, 512>;
using Socket = std::unique_ptr<mnl_socket, decltype(&mnl_socket_close)>;

nlmsghdr* begin(Buffer& buffer, std::uint16_t type) {
  nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
  message->nlmsg_type = type;
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
  message->nlmsg_seq = 1;
  return message;
}

Result<> ask(const Socket& socket, const nlmsghdr* message, const char* what) {
  std::array<char, 8192> answer;
  ssize_t size = mnl_socket_sendto(socket.get(), message, message->nlmsg_len);
  if (size >= 0) size = mnl_socket_recvfrom(socket.get(), answer.data(), answer.size());
  if (size >= 0) {
    size = mnl_cb_run(answer.data(), static_cast<std::size_t>(size), 1, mnl_socket_get_portid(socket.get()),
                      nullptr, nullptr);
  }
  if (size >= 0) return {};
  return make_error(ErrorKind::kIo, std::string(what) + ": " + std::strerror(errno), errno);
}

Result<> add_route(const Socket& socket, std::uint8_t family, std::uint8_t table, std::uint8_t type,
                   unsigned device) {
  Buffer buffer;
  nlmsghdr* message = begin(buffer, RTM_NEWROUTE);
  auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
  route->rtm_family = family;
  route->rtm_table = table;
  route->rtm_type = type;
  route->rtm_scope = type == RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK;
  route->rtm_protocol = RTPROT_STATIC;
  mnl_attr_put_u32(message, RTA_OIF, device);
  return ask(socket, message, "a route in the private namespace");
}

Result<> add_rule(const Socket& socket, std::uint8_t family) {
  Buffer buffer;
  nlmsghdr* message = begin(buffer, RTM_NEWRULE);
  auto* rule = static_cast<fib_rule_hdr*>(mnl_nlmsg_put_extra_header(message, sizeof(fib_rule_hdr)));
  rule->family = family;
  rule->table = kTable;
  rule->action = FR_ACT_TO_TBL;
  mnl_attr_put_u32(message, FRA_FWMARK, kMark);
  return ask(socket, message, "a rule in the private namespace");
}

}  // namespace

Result<> route_everything_here(unsigned device, unsigned loopback) {
  const Socket socket(mnl_socket_open(NETLINK_ROUTE), &mnl_socket_close);
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    return make_error(ErrorKind::kIo, std::string("netlink: ") + std::strerror(errno));
  }
  for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    if (auto done = add_route(socket, family, RT_TABLE_MAIN, RTN_UNICAST, device); !done) return done;
    if (auto done = add_route(socket, family, kTable, RTN_LOCAL, loopback); !done) return done;
    if (auto done = add_rule(socket, family); !done) return done;
  }
  return {};
}

}  // namespace zks::vpn
