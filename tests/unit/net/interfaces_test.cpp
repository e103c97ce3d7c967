// SPDX-License-Identifier: MIT
//
// The machine's own networks: what the kernel says of loopback, which every machine has, and route dumps made
// by hand.
#include "net/interfaces.hpp"

#include <cstring>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "base/bytes.hpp"
#include "base/netlink.hpp"
#include "net/netlink_routes.hpp"

namespace zks::net {
namespace {

using testing::Contains;
using testing::IsEmpty;

template <class T>
void append(Bytes& out, const T& value) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof value);
}

void append_attribute(Bytes& out, std::uint16_t type, ByteView value) {
  append(out, rtattr{.rta_len = static_cast<std::uint16_t>(sizeof(rtattr) + value.size()), .rta_type = type});
  out.insert(out.end(), value.begin(), value.end());
  while (out.size() % 4 != 0) out.push_back(0);
}

struct Route {
  std::string destination;
  std::uint8_t type = RTN_UNICAST;
  std::uint8_t protocol = RTPROT_KERNEL;
  std::string gateway = {};
};

Bytes message(std::uint16_t type, const Bytes& body) {
  Bytes out;
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + body.size());
  header.nlmsg_type = type;
  append(out, header);
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

Bytes route_message(const Route& route) {
  const Prefix prefix = parse_prefix(route.destination).value();
  rtmsg head{};
  head.rtm_family = prefix.address.is_ipv4() ? AF_INET : AF_INET6;
  head.rtm_dst_len = prefix.length;
  head.rtm_type = route.type;
  head.rtm_protocol = route.protocol;
  Bytes body;
  append(body, head);
  const std::size_t size = prefix.address.bits() / 8;
  append_attribute(body, RTA_DST, ByteView(prefix.address.bytes.data(), size));
  const std::uint32_t loopback_index = 1;
  Bytes index;
  append(index, loopback_index);
  append_attribute(body, RTA_OIF, index);
  if (!route.gateway.empty()) {
    const IpAddress gateway = parse_ip_address(route.gateway).value();
    append_attribute(body, RTA_GATEWAY, ByteView(gateway.bytes.data(), gateway.bits() / 8));
  }
  return message(RTM_NEWROUTE, body);
}

// The on-link routes of a datagram, read as a dump's are.
std::vector<OnLinkRoute> routes_of(const Bytes& dump) {
  std::vector<OnLinkRoute> out;
  int left = static_cast<int>(dump.size());
  const auto* at = reinterpret_cast<const nlmsghdr*>(dump.data());
  for (; mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left)) {
    if (const auto route = read_on_link_route(*at)) out.push_back(*route);
  }
  return out;
}

std::vector<std::string> on_link(const Bytes& dump) {
  std::vector<std::string> out;
  for (const OnLinkRoute& route : routes_of(dump)) out.push_back(route.prefix.text());
  return out;
}

TEST(RouteDumpTest, OnLinkRoutes) {
  EXPECT_THAT(on_link(route_message({"192.168.7.0/24"})), testing::ElementsAre("192.168.7.0/24"));
  EXPECT_THAT(on_link(route_message({"2a00:1::/64"})), testing::ElementsAre("2a00:1::/64"));
  EXPECT_THAT(on_link(route_message({"2a00:1::/64", RTN_UNICAST, RTPROT_RA})),
              testing::ElementsAre("2a00:1::/64"));
  EXPECT_THAT(on_link(route_message({"198.51.100.0/24", RTN_LOCAL, RTPROT_STATIC})),
              testing::ElementsAre("198.51.100.0/24"));
}

TEST(RouteDumpTest, WaysOutAreNot) {
  EXPECT_THAT(on_link(route_message({"0.0.0.0/1", RTN_UNICAST, RTPROT_STATIC})), IsEmpty());
  EXPECT_THAT(on_link(route_message({"10.0.0.0/8", RTN_UNICAST, RTPROT_KERNEL, "192.168.7.1"})), IsEmpty());
  EXPECT_THAT(on_link(route_message({"10.0.0.0/8", RTN_BLACKHOLE})), IsEmpty());
}

TEST(RouteDumpTest, SeveralMessages) {
  Bytes dump = route_message({"192.168.7.0/24"});
  const Bytes second = route_message({"192.168.8.0/24"});
  const Bytes done = message(NLMSG_DONE, Bytes(4));
  dump.insert(dump.end(), second.begin(), second.end());
  dump.insert(dump.end(), done.begin(), done.end());
  const std::vector<OnLinkRoute> routes = routes_of(dump);
  ASSERT_EQ(routes.size(), 2u);
  EXPECT_EQ(routes[0].interface, 1u);
}

TEST(RouteDumpTest, OtherMessagesAreNoRoutes) {
  Bytes other = route_message({"192.168.7.0/24"});
  other[4] = RTM_DELROUTE;
  EXPECT_THAT(on_link(other), IsEmpty());
  EXPECT_THAT(on_link(message(RTM_NEWROUTE, Bytes(sizeof(rtmsg) - 1))), IsEmpty());
  EXPECT_THAT(on_link(message(NLMSG_ERROR, Bytes(20))), IsEmpty());
}

TEST(RouteDumpTest, CutAtEveryLengthAndEveryByteChanged) {
  const Bytes whole = route_message({"2a00:1::/64", RTN_UNICAST, RTPROT_KERNEL});
  ASSERT_EQ(routes_of(whole).size(), 1u);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_TRUE(routes_of(cut).empty()) << length;
  }
  // The first four are the message's length, which the kernel is believed: libmnl takes one above 2^31 for
  // small.
  for (std::size_t at = sizeof(std::uint32_t); at < whole.size(); ++at) {
    for (int change = 1; change < 256; ++change) {
      Bytes altered = whole;
      altered[at] ^= static_cast<std::uint8_t>(change);
      for (const OnLinkRoute& route : routes_of(altered)) {
        EXPECT_LE(route.prefix.length, route.prefix.address.bits());
      }
    }
  }
}

bool covered(const std::vector<LocalNetwork>& networks, const char* text) {
  const IpAddress address = parse_ip_address(text).value();
  for (const LocalNetwork& network : networks) {
    if (network.prefix.contains(address)) return true;
  }
  return false;
}

TEST(InterfacesTest, LoopbackIsAmongTheMachinesNetworks) {
  const auto networks = read_local_networks();
  ASSERT_TRUE(networks.has_value()) << networks.error().text;
  EXPECT_TRUE(covered(*networks, "127.0.0.1"));
  EXPECT_TRUE(covered(*networks, "127.1.2.3"));
  EXPECT_FALSE(covered(*networks, "8.8.8.8"));
  for (const LocalNetwork& network : *networks) EXPECT_GT(network.prefix.length, 0);
}

TEST(InterfacesTest, WatchGivesAFirstSnapshot) {
  boost::asio::io_context context;
  std::vector<LocalNetwork> seen;
  const auto watch = InterfaceWatch::start(
      context.get_executor(), [&](std::vector<LocalNetwork> networks) { seen = std::move(networks); });
  ASSERT_TRUE(watch.has_value()) << watch.error().text;
  EXPECT_TRUE(covered(seen, "127.0.0.1"));
}

// Runs in a thread with a network namespace of its own, whose loopback is down at first.
void watch_loopback_come_up(bool& permitted, bool& before, bool& after) {
  permitted = ::unshare(CLONE_NEWNET) == 0;
  if (!permitted) return;
  boost::asio::io_context context;
  std::vector<LocalNetwork> seen;
  const auto watch = InterfaceWatch::start(
      context.get_executor(), [&](std::vector<LocalNetwork> networks) { seen = std::move(networks); });
  ASSERT_TRUE(watch.has_value()) << watch.error().text;
  before = covered(seen, "127.0.0.1");

  ifreq up{};
  std::strcpy(up.ifr_name, "lo");
  up.ifr_flags = IFF_UP;
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::ioctl(socket, SIOCSIFFLAGS, &up), 0);
  ::close(socket);
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!after && context.run_one_until(give_up) > 0) after = covered(seen, "127.0.0.1");
}

TEST(InterfacesTest, WatchSeesAnAddressCome) {
  bool permitted = false;
  bool before = true;
  bool after = false;
  std::thread thread(watch_loopback_come_up, std::ref(permitted), std::ref(before), std::ref(after));
  thread.join();
  if (!permitted) GTEST_SKIP() << "a network namespace takes root";
  EXPECT_FALSE(before);
  EXPECT_TRUE(after);
}

}  // namespace
}  // namespace zks::net
