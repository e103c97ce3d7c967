// SPDX-License-Identifier: MIT
#include "vpn/error_gate.hpp"

#include "../packet/packet_fixture.hpp"

namespace zks::vpn {
namespace {

using packet::be16;
using packet::be32;
using packet::Endpoint;
using packet::ip;
using packet::operator+;

const Endpoint kProgram{ip("10.0.0.1"), 40000};
const Endpoint kServer{ip("192.0.2.9"), 443};

// The router in front of 10.0.0.1, about a packet of `length` bytes from `source` to it.
struct About {
  std::uint8_t protocol = packet::kTcp;
  Endpoint source = kServer;
  std::size_t length = 1500;
  std::size_t flags = 0x4000;
  std::uint8_t type = 3;
  std::uint8_t code = 4;
  std::size_t mtu = 1300;
  const char* to = "192.0.2.9";
};
Bytes error(const About& about) {
  const std::string source = about.source.address.text();
  const Bytes above =
      about.protocol == packet::kIcmp ? Bytes(8) : be16(about.source.port) + be16(40000) + Bytes(4);
  const Bytes quoted = packet::ipv4(above, {.protocol = about.protocol,
                                            .flags = about.flags,
                                            .total = about.length,
                                            .source = source.c_str(),
                                            .target = "10.0.0.1"});
  const Bytes icmp = Bytes{about.type, about.code, 0, 0} + be16(0) + be16(about.mtu) + quoted;
  return packet::ipv4(packet::with_checksum(icmp, 2),
                      {.protocol = packet::kIcmp, .source = "10.0.0.254", .target = about.to});
}

class ErrorGateTest : public testing::Test {
 protected:
  // True when something came of it.
  bool take(const Bytes& bytes) {
    const Bytes frame = Bytes(packet::kVirtioHeader) + bytes;
    const auto packet = packet::parse(bytes);
    const auto said = packet::parse_icmp_error(*packet);
    const auto before = gate.counters();
    gate.take(frame, *packet, *said);
    EXPECT_EQ(gate.counters().used + gate.counters().dropped, before.used + before.dropped + 1);
    return gate.counters().used > before.used;
  }
  std::size_t mtu(const char* address = "10.0.0.1") const {
    return mtus.to(ip(address), std::chrono::steady_clock::now());
  }

  PathMtus mtus{1500};
  std::vector<Bytes> to_kernel;
  ErrorGate gate{mtus,
                 {.is_connection =
                      [](const Pair& pair) {
                        return pair == Pair{kProgram, kServer};
                      },
                  .is_flow = [](const Endpoint& source) { return source == kProgram; },
                  .is_own = [](const IpAddress& address) { return address == ip("198.18.0.2"); },
                  .to_kernel = [this](ByteView f) { to_kernel.emplace_back(f.begin(), f.end()); }}};
};

TEST_F(ErrorGateTest, TheKernelHearsWhatIsAboutAConnection) {
  const Bytes bytes = error({});
  EXPECT_TRUE(take(bytes));
  EXPECT_EQ(to_kernel, std::vector<Bytes>{Bytes(packet::kVirtioHeader) + bytes});
  EXPECT_TRUE(take(error({.type = 3, .code = 1, .mtu = 0})));
  EXPECT_EQ(mtu(), 1500U);
}

TEST_F(ErrorGateTest, NothingComesOfAnErrorAboutWhatIsNotKnown) {
  EXPECT_FALSE(take(error({.source = {ip("192.0.2.9"), 444}})));
  EXPECT_FALSE(take(error({.source = {ip("192.0.2.8"), 443}, .to = "192.0.2.8"})));
  EXPECT_FALSE(take(error({.to = "192.0.2.77"})));  // to somebody who did not send that
  EXPECT_FALSE(take(error({.protocol = 132})));
  EXPECT_TRUE(to_kernel.empty());
}

TEST_F(ErrorGateTest, DatagramsAreCutToThePath) {
  EXPECT_TRUE(take(error({.protocol = packet::kUdp})));
  EXPECT_EQ(mtu(), 1300U);
  EXPECT_EQ(mtu("10.0.0.2"), 1500U);
  EXPECT_TRUE(to_kernel.empty());
  EXPECT_TRUE(take(error({.protocol = packet::kUdp, .mtu = 0})));  // an old router: the least
  EXPECT_EQ(mtu(), packet::kMinMtuV4);
}

TEST_F(ErrorGateTest, SoAreAnswersToDnsAndPing) {
  EXPECT_TRUE(take(error({.protocol = packet::kIcmp, .mtu = 1400})));
  EXPECT_EQ(mtu(), 1400U);
  const Endpoint dns{ip("198.18.0.2"), 53};
  EXPECT_TRUE(take(error({.protocol = packet::kUdp, .source = dns, .mtu = 1200, .to = "198.18.0.2"})));
  EXPECT_EQ(mtu(), 1200U);
}

TEST_F(ErrorGateTest, WhatFitsOrMayBeCutWasNotTooBig) {
  EXPECT_FALSE(take(error({.protocol = packet::kUdp, .length = 1000})));
  EXPECT_FALSE(take(error({.protocol = packet::kUdp, .length = 1300})));
  EXPECT_FALSE(take(error({.protocol = packet::kUdp, .flags = 0})));
  EXPECT_FALSE(take(error({.protocol = packet::kUdp, .type = 3, .code = 3})));
  EXPECT_FALSE(take(error({.protocol = packet::kUdp, .type = 11, .code = 0})));
  EXPECT_EQ(mtu(), 1500U);
}

TEST_F(ErrorGateTest, WhatWasPutTogetherFromFragmentsIsNotTaken) {
  const Bytes bytes = error({});
  const auto packet = packet::parse(bytes);
  gate.take({}, *packet, *packet::parse_icmp_error(*packet));
  EXPECT_EQ(gate.counters().dropped, 1U);
}

TEST(PathMtus, AreWithinWhatALinkMustCarryAndWhatTheDeviceHas) {
  const auto now = std::chrono::steady_clock::now();
  PathMtus mtus(1500);
  mtus.note(ip("fd00::1"), 68, now);
  EXPECT_EQ(mtus.to(ip("fd00::1"), now), packet::kMinMtuV6);
  mtus.note(ip("fd00::1"), 9000, now);
  EXPECT_EQ(mtus.to(ip("fd00::1"), now), 1500U);
}

TEST(PathMtus, AreTriedAgainAndBounded) {
  const auto now = std::chrono::steady_clock::now();
  PathMtus mtus(1500);
  mtus.note(ip("10.0.0.1"), 1300, now);
  EXPECT_EQ(mtus.to(ip("10.0.0.1"), now + kPathMtuKept - std::chrono::seconds(1)), 1300U);
  EXPECT_EQ(mtus.to(ip("10.0.0.1"), now + kPathMtuKept), 1500U);
  for (std::size_t i = 0; i < kMaxPathMtus; ++i) {
    const std::string address = "10.1." + std::to_string(i / 200) + "." + std::to_string(i % 200);
    mtus.note(ip(address.c_str()), 1300, now + std::chrono::seconds(1 + i));
  }
  EXPECT_EQ(mtus.to(ip("10.0.0.1"), now), 1500U);  // noted first
  EXPECT_EQ(mtus.to(ip("10.1.0.0"), now), 1300U);
}

}  // namespace
}  // namespace zks::vpn
