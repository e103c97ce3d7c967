// SPDX-License-Identifier: MIT
//
// What goes where: packets as the TUN device has them, on pairs of sockets in place of devices.
#include "vpn/gate.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../packet/packet_fixture.hpp"
#include "gate_opener.hpp"

namespace zks::vpn {
namespace {

using packet::be16;
using packet::copy;
using packet::operator+;

const Bytes kNoOffload(packet::kVirtioHeader);

Fd listener(int family) {
  Fd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  EXPECT_EQ(::listen(fd.get(), 1), 0);
  return fd;
}

class GateTest : public testing::Test {
 protected:
  GateTest() {
    Devices devices;
    host = pair(devices.tun);
    kernel = pair(devices.inner.device.fd);
    devices.inner.listener_ipv4 = listener(AF_INET);
    devices.inner.listener_ipv6 = listener(AF_INET6);
    GateOptions options;
    options.dns_ipv4 = packet::ip("198.18.0.2");
    options.dns_ipv6 = packet::ip("2001:2::2");
    gate = std::make_shared<Gate>(opener, std::move(devices), options);
    gate->start();
  }

  static Fd pair(Fd& theirs) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
    theirs = Fd(ends[1]);
    return Fd(ends[0]);
  }
  void send(const Fd& device, const Bytes& frame) {
    ASSERT_EQ(::write(device.get(), frame.data(), frame.size()), static_cast<ssize_t>(frame.size()));
    opener->run();
  }
  // A packet of a program of this machine.
  void take(const Bytes& packet) { send(host, kNoOffload + packet); }
  // The next frame that was written to a device; empty: none.
  static Bytes next(const Fd& device) {
    Bytes out(70'000);
    const ssize_t size = ::read(device.get(), out.data(), out.size());
    out.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return out;
  }
  // What the next packet to the host says, if it is an ICMP message: "192.0.2.9: 3 1".
  std::string said() const {
    const Bytes frame = next(host);
    const auto packet = packet::parse(ByteView(frame).subspan(std::min(frame.size(), kNoOffload.size())));
    if (!packet) return "nothing";
    return packet->source.text() + ": " + std::to_string(packet->transport[0]) + " " +
           std::to_string(packet->transport[1]);
  }
  static Bytes udp_to(const char* target, std::uint16_t port, const Bytes& data) {
    Bytes bytes = be16(5353) + be16(port) + be16(8 + data.size()) + be16(0) + data;
    const auto from = packet::ip("10.0.0.1");
    bytes = packet::with_checksum(bytes, 6,
                                  packet::pseudo_sum(from, packet::ip(target), packet::kUdp, bytes.size()));
    return packet::ipv4(bytes, {.target = target});
  }
  static Bytes ping_to(const char* target) {
    return packet::ipv4(packet::with_checksum(Bytes{8, 0, 0, 0} + be16(77) + be16(3), 2),
                        {.protocol = packet::kIcmp, .target = target});
  }
  // A segment to the tunnel's own name server, which needs no exit.
  static Bytes tcp_to_dns(const Bytes& data) {
    Bytes segment = packet::tcp(packet::ip("10.0.0.1"), packet::ip("198.18.0.2"), 0x10, data);
    segment[2] = 0;
    segment[3] = 53;  // its checksum is the kernel's to look at
    return packet::ipv4(segment, {.protocol = packet::kTcp, .target = "198.18.0.2"});
  }
  static Bytes with_hop_limit(Bytes packet, std::uint8_t hops) {
    if (packet[0] >> 4 == 6) {
      packet[7] = hops;
      return packet;
    }
    packet[8] = hops;
    packet[10] = packet[11] = 0;
    const Bytes header(packet.begin(), packet.begin() + 20);
    return packet::with_checksum(header, 10) + Bytes(packet.begin() + 20, packet.end());
  }
  // "Fragmentation needed" about a datagram of 1,500 bytes to 10.0.0.1, port 5353.
  static Bytes too_big(std::size_t mtu) {
    const Bytes quoted =
        packet::ipv4(be16(9) + be16(5353) + be16(1480) + be16(0),
                     {.flags = 0x4000, .total = 1500, .source = "192.0.2.9", .target = "10.0.0.1"});
    return packet::ipv4(packet::with_checksum(Bytes{3, 4, 0, 0} + be16(0) + be16(mtu) + quoted, 2),
                        {.protocol = packet::kIcmp});
  }
  std::uint64_t malformed(packet::Malformed reason) const {
    return gate->status().malformed[static_cast<std::size_t>(reason)];
  }

  boost::asio::io_context loop;
  std::shared_ptr<GateOpener> opener = std::make_shared<GateOpener>(loop);
  Fd host;  // our ends of the two devices
  Fd kernel;
  std::shared_ptr<Gate> gate;
};

TEST_F(GateTest, CopiesTcpToTheKernelAndBackAsItIs) {
  const Bytes segment = kNoOffload + tcp_to_dns(packet::counted(100));
  send(host, segment);
  EXPECT_EQ(next(kernel), segment);
  Bytes back = kNoOffload + packet::tcp6(0x10, packet::counted(9));
  back[0] = 1;  // whatever the header says
  send(kernel, back);
  EXPECT_EQ(next(host), back);
}

TEST_F(GateTest, AsksTheExitBeforeTheKernelSeesASyn) {
  take(packet::tcp4(0x02));
  EXPECT_EQ(opener->opened, std::vector<std::string>{"192.0.2.9:443"});
  EXPECT_TRUE(next(kernel).empty());
  const Bytes frame = next(host);
  const auto packet = packet::parse(ByteView(frame).subspan(kNoOffload.size()));
  ASSERT_TRUE(packet);
  EXPECT_TRUE(packet::parse_tcp(*packet).value().rst);
  EXPECT_EQ(gate->status().tcp.refused, 1U);
}

TEST_F(GateTest, SendsDatagramsByFlowsAndQueriesToTheResolver) {
  take(udp_to("192.0.2.9", 9, {'h', 'i'}));
  EXPECT_EQ(opener->datagrams, std::vector<std::string>{"192.0.2.9:9 hi"});
  EXPECT_EQ(gate->status().flows, 1U);
  const Bytes query{1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1};
  take(udp_to("198.18.0.2", 53, query));
  EXPECT_EQ(opener->queries, std::vector<Bytes>{query});
  const Bytes frame = next(host);
  const auto packet = packet::parse(ByteView(frame).subspan(kNoOffload.size()));
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->source.text(), "198.18.0.2");
  EXPECT_EQ(packet::parse_udp(*packet).value().target_port, 5353);
  EXPECT_EQ(gate->status().flows, 1U);
  take(udp_to("198.18.0.2", 54, query));
  EXPECT_EQ(said(), "198.18.0.2: 3 3");
}

TEST_F(GateTest, SaysThatAnExitCarriesNoUdp) {
  opener->carries_udp = false;
  take(udp_to("192.0.2.9", 9, {'h', 'i'}));
  EXPECT_EQ(said(), "198.18.0.2: 3 13");
  EXPECT_EQ(gate->status().unreachable, 1U);
}

TEST_F(GateTest, LetsTheExitPingAndAnswersForItself) {
  take(ping_to("192.0.2.9"));
  EXPECT_EQ(opener->echoes.size(), 1U);
  EXPECT_EQ(said(), "nothing");
  take(ping_to("198.18.0.2"));
  EXPECT_EQ(opener->echoes.size(), 1U);
  EXPECT_EQ(said(), "198.18.0.2: 0 0");
}

TEST_F(GateTest, SaysWhichProtocolsItDoesNotHave) {
  take(packet::ipv4(Bytes(8), {.protocol = 47}));
  EXPECT_EQ(said(), "198.18.0.2: 3 2");
  take(packet::ipv6(47, Bytes(8)));
  EXPECT_EQ(said(), "2001:2::2: 4 1");
  EXPECT_EQ(gate->status().unreachable, 2U);
}

TEST_F(GateTest, SaysThatTheExitHasNoIpv6) {
  opener->capabilities.emplace().ipv6 = false;
  take(packet::udp6({'x'}));
  EXPECT_EQ(said(), "2001:2::2: 1 0");
  take(packet::tcp6(0x02));
  EXPECT_EQ(said(), "2001:2::2: 1 0");
  EXPECT_TRUE(opener->opened.empty() && opener->datagrams.empty());
  opener->capabilities->ipv6 = true;
  take(packet::udp6({'x'}));
  EXPECT_EQ(opener->datagrams.size(), 1U);
}

TEST_F(GateTest, IsARouterWhoseHopCounts) {
  take(with_hop_limit(udp_to("192.0.2.9", 9, {'h', 'i'}), 1));
  EXPECT_EQ(said(), "198.18.0.2: 11 0");
  take(with_hop_limit(packet::tcp4(0x02), 1));
  EXPECT_EQ(said(), "198.18.0.2: 11 0");
  take(with_hop_limit(packet::tcp6(0x02), 0));
  EXPECT_EQ(said(), "2001:2::2: 3 0");
  take(with_hop_limit(ping_to("192.0.2.9"), 1));
  EXPECT_EQ(said(), "198.18.0.2: 11 0");
  EXPECT_TRUE(opener->opened.empty() && opener->datagrams.empty() && opener->echoes.empty());
  EXPECT_EQ(gate->status().expired, 4U);
  take(with_hop_limit(ping_to("198.18.0.2"), 1));  // it is there
  EXPECT_EQ(said(), "198.18.0.2: 0 0");
  take(with_hop_limit(udp_to("192.0.2.9", 9, {'h', 'i'}), 2));
  EXPECT_EQ(opener->datagrams.size(), 1U);
  take(with_hop_limit(ping_to("192.0.2.9"), 2));
  EXPECT_EQ(opener->echoes.at(0).hop_limit, 1);
}

TEST_F(GateTest, CutsDatagramsToThePathOfWhoGetsThem) {
  const auto sizes = [&] {
    std::vector<std::size_t> out;
    opener->flow->on_datagram({session::Destination::Kind::kIpv4, "", {192, 0, 2, 9}, 9}, Bytes(1400));
    for (Bytes frame = next(host); !frame.empty(); frame = next(host)) {
      out.push_back(frame.size() - kNoOffload.size());
    }
    return out;
  };
  take(udp_to("192.0.2.9", 9, {'h', 'i'}));
  EXPECT_EQ(sizes(), std::vector<std::size_t>{1428});
  take(too_big(1200));
  EXPECT_EQ(gate->status().errors.used, 1U);
  const auto cut = sizes();
  ASSERT_EQ(cut.size(), 2U);
  EXPECT_LE(cut[0], 1200U);
  EXPECT_TRUE(next(kernel).empty());
  Bytes wrong = too_big(600);
  wrong[22] ^= 1;
  take(wrong);
  EXPECT_EQ(malformed(packet::Malformed::kIcmpChecksum), 1U);
  EXPECT_EQ(sizes(), cut);
}

TEST_F(GateTest, LeavesMulticastAlone) {
  take(udp_to("224.0.0.251", 5353, {'x'}));
  take(udp_to("255.255.255.255", 67, {'x'}));
  take(packet::ipv6(packet::kIcmpV6, Bytes(8), "fe80::1", "ff02::2"));
  EXPECT_EQ(said(), "nothing");
  EXPECT_TRUE(opener->datagrams.empty());
  EXPECT_EQ(gate->status().flows, 0U);
}

TEST_F(GateTest, PutsFragmentsTogether) {
  const Bytes whole = packet::udp(packet::ip("10.0.0.1"), packet::ip("192.0.2.9"), Bytes(1'000, 'f'));
  constexpr std::size_t kMore = 0x2000;
  take(packet::ipv4(Bytes(whole.begin() + 512, whole.end()), {.flags = 512 / 8}));
  EXPECT_TRUE(opener->datagrams.empty());
  take(packet::ipv4(Bytes(whole.begin(), whole.begin() + 512), {.flags = kMore}));
  EXPECT_EQ(opener->datagrams, std::vector<std::string>{"192.0.2.9:53 " + std::string(1'000, 'f')});
}

TEST_F(GateTest, CountsWhatIsMalformedAndGoesOn) {
  send(host, Bytes(5));  // not even a virtio-net header
  take({});
  take(packet::ipv4(Bytes(4), {.total = 999}));
  Bytes broken = udp_to("192.0.2.9", 9, {'h', 'i'});
  broken.back() ^= 1;
  take(broken);
  Bytes gso = kNoOffload + packet::tcp4(0x10);
  gso[1] = 77;  // no kind of GSO
  send(host, gso);
  EXPECT_EQ(malformed(packet::Malformed::kOffload), 2U);
  EXPECT_EQ(malformed(packet::Malformed::kCutShort), 1U);
  EXPECT_EQ(malformed(packet::Malformed::kTotalLength), 1U);
  EXPECT_EQ(malformed(packet::Malformed::kUdpChecksum), 1U);
  const GateStatus status = gate->status();
  EXPECT_EQ(drops(status).front(), (std::pair<std::string, std::uint64_t>{"malformed", 5}));
  EXPECT_EQ(to_json(status)["malformed"].size(), 4U);
  EXPECT_TRUE(next(kernel).empty());
  EXPECT_EQ(said(), "nothing");
  take(udp_to("192.0.2.9", 9, {'h', 'i'}));
  EXPECT_EQ(opener->datagrams.size(), 1U);
}

TEST_F(GateTest, CountsWhatADeviceHasNoRoomFor) {
  const Bytes segment = tcp_to_dns(packet::counted(1'000));
  for (int i = 0; i < 2'000; ++i) take(segment);
  EXPECT_GT(gate->status().lost, 0U);
}

}  // namespace
}  // namespace zks::vpn
