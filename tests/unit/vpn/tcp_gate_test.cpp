// SPDX-License-Identifier: MIT
#include "vpn/tcp_gate.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "../frontdoor/fake_opener.hpp"

namespace zks::vpn {
namespace {

using session::ResetCode;

constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kRst = 0x04;
constexpr std::uint8_t kAck = 0x10;

// A segment of 198.18.0.1:4000 to 192.0.2.7:80, behind a virtio-net header of zeros. No checksums of TCP's
// own: they are the kernel's to look at.
Bytes make_frame(std::uint8_t flags, std::size_t data = 0) {
  Bytes out(packet::kVirtioHeader + packet::kIpv4Header + packet::kTcpHeader + data);
  std::uint8_t* ip = out.data() + packet::kVirtioHeader;
  const std::size_t length = out.size() - packet::kVirtioHeader;
  ip[0] = 0x45;
  ip[2] = static_cast<std::uint8_t>(length >> 8);
  ip[3] = static_cast<std::uint8_t>(length);
  ip[8] = 64;
  ip[9] = packet::kTcp;
  const std::array<std::uint8_t, 8> addresses{198, 18, 0, 1, 192, 0, 2, 7};
  std::copy(addresses.begin(), addresses.end(), ip + 12);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < packet::kIpv4Header; i += 2) sum += ip[i] * 256U + ip[i + 1];
  sum = (sum & 0xffff) + (sum >> 16);
  ip[10] = static_cast<std::uint8_t>(~sum >> 8);
  ip[11] = static_cast<std::uint8_t>(~sum);
  std::uint8_t* tcp = ip + packet::kIpv4Header;
  tcp[0] = 4000 >> 8;
  tcp[1] = 4000 & 0xff;
  tcp[3] = 80;
  tcp[7] = 9;  // sequence
  tcp[12] = 0x50;
  tcp[13] = flags;
  return out;
}

class TcpGateTest : public testing::Test {
 protected:
  void make(std::size_t most = 8) {
    TcpGate::Options options;
    options.max_connections = most;
    TcpGate::Ways ways;
    ways.to_kernel = [this](ByteView frame) { to_kernel.emplace_back(frame.begin(), frame.end()); };
    ways.to_host = [this](ByteView packet) { to_host.emplace_back(packet.begin(), packet.end()); };
    ways.answer = [this](const packet::Packet& packet, const packet::IcmpMessage& message) {
      Bytes out(packet::kMinMtuV6);
      out.resize(packet::build_icmp_error(packet, message, packet.target, out));
      to_host.push_back(std::move(out));
    };
    ways.is_served = [this](const packet::Endpoint& target) { return target.port == served; };
    gate = std::make_shared<TcpGate>(opener, options, std::move(ways));
  }

  void take(const Bytes& frame) {
    const auto packet = packet::parse(ByteView(frame).subspan(packet::kVirtioHeader));
    ASSERT_TRUE(packet);
    const auto segment = packet::parse_tcp(*packet);
    ASSERT_TRUE(segment);
    gate->take(frame, *packet, *segment);
    run();
  }

  void run() {
    loop.restart();
    loop.poll();
  }

  // What the only packet to the host says: "rst", "icmp TYPE CODE".
  std::string said() const {
    if (to_host.size() != 1) return std::to_string(to_host.size()) + " packets";
    const auto packet = packet::parse(to_host[0]);
    if (!packet) return "malformed";
    if (packet->protocol == packet::kIcmp) {
      return "icmp " + std::to_string(packet->transport[0]) + " " + std::to_string(packet->transport[1]);
    }
    const auto segment = packet::parse_tcp(*packet);
    return segment && segment->rst && segment->acknowledgment == 10 ? "rst" : "something else";
  }

  boost::asio::io_context loop;
  std::shared_ptr<frontdoor::FakeOpener> opener =
      std::make_shared<frontdoor::FakeOpener>(loop.get_executor());
  std::vector<Bytes> to_kernel;
  std::vector<Bytes> to_host;
  std::uint16_t served = 53;
  std::shared_ptr<TcpGate> gate;
};

TEST_F(TcpGateTest, HoldsASynUntilTheExitAnswered) {
  make();
  opener->held = true;
  opener->code = ResetCode::kConnectionRefused;
  take(make_frame(kSyn));
  take(make_frame(kSyn));  // its kernel asks again
  ASSERT_EQ(opener->asked.size(), 1U);
  EXPECT_EQ(session::to_text(opener->asked[0]), "192.0.2.7:80");
  EXPECT_TRUE(to_kernel.empty());
  EXPECT_TRUE(to_host.empty());
  opener->release();
  run();
  EXPECT_EQ(said(), "rst");
  EXPECT_EQ(gate->connections(), 0U);
  EXPECT_EQ(gate->counters().refused, 1U);
}

TEST_F(TcpGateTest, AnswersAsTheNetworkWould) {
  struct Case {
    ResetCode code;
    const char* said;
  };
  for (const Case& one :
       {Case{ResetCode::kConnectionRefused, "rst"}, Case{ResetCode::kNotAllowed, "icmp 3 13"},
        Case{ResetCode::kNetworkUnreachable, "icmp 3 0"}, Case{ResetCode::kHostUnreachable, "icmp 3 1"},
        Case{ResetCode::kTimedOut, "0 packets"}, Case{ResetCode::kLimit, "0 packets"},
        Case{ResetCode::kConnectionReset, "rst"}, Case{ResetCode::kGeneralFailure, "icmp 3 1"},
        Case{ResetCode::kQuotaUsedUp, "icmp 3 13"}, Case{ResetCode::kCancelled, "icmp 3 1"},
        Case{ResetCode::kSessionLost, "icmp 3 1"}, Case{static_cast<ResetCode>(99), "icmp 3 1"}}) {
    make();
    to_host.clear();
    opener->code = one.code;
    take(make_frame(kSyn));
    EXPECT_EQ(said(), one.said) << session::describe(one.code);
  }
}

// Whatever a scanner sends: no RST in the name of a host that nobody has asked.
TEST_F(TcpGateTest, DropsWhatBelongsToNoConnection) {
  make();
  const std::uint8_t fin = 0x01;
  const std::uint8_t xmas = 0x29;
  std::uint64_t count = 0;
  for (const std::uint8_t flags : {kAck, kRst, fin, xmas, std::uint8_t{0}, std::uint8_t(kSyn | kAck),
                                   std::uint8_t(kRst | kAck), std::uint8_t(fin | kAck)}) {
    for (int i = 0; i < 3; ++i) take(make_frame(flags));
    count += 3;
  }
  take(make_frame(xmas, 5));  // data without ACK is of no connection either
  take(make_frame(xmas, 5));
  EXPECT_TRUE(to_kernel.empty());
  EXPECT_TRUE(to_host.empty());
  EXPECT_TRUE(opener->asked.empty());
  EXPECT_EQ(gate->counters().strays, count + 2);
}

TEST_F(TcpGateTest, EndsAConnectionFromBeforeTheTunnelWhenItRepeatsItself) {
  make();
  Bytes next = make_frame(kAck, 5);
  next[packet::kVirtioHeader + packet::kIpv4Header + 7] += 5;  // its sequence number
  take(make_frame(kAck, 5));
  take(next);
  EXPECT_TRUE(to_host.empty());
  take(make_frame(kAck, 5));
  EXPECT_TRUE(to_host.empty());
  take(make_frame(kAck, 5));
  ASSERT_EQ(to_host.size(), 1U);
  const auto packet = packet::parse(to_host[0]);
  ASSERT_TRUE(packet);
  EXPECT_TRUE(packet::parse_tcp(*packet)->rst);
  EXPECT_EQ(packet->target.text(), "198.18.0.1");
  EXPECT_TRUE(to_kernel.empty());
}

TEST_F(TcpGateTest, ForgetsASynWhoseProgramGaveUp) {
  make();
  opener->held = true;
  take(make_frame(kSyn));
  EXPECT_EQ(gate->connections(), 1U);
  take(make_frame(kRst | kAck));
  EXPECT_EQ(gate->connections(), 0U);
  EXPECT_TRUE(to_kernel.empty());
  opener->release();
  run();
  EXPECT_TRUE(to_host.empty());
}

TEST_F(TcpGateTest, IsBounded) {
  make(1);
  opener->held = true;
  take(make_frame(kSyn));
  Bytes other = make_frame(kSyn);
  other[packet::kVirtioHeader + packet::kIpv4Header + 1] ^= 1;  // another source port
  take(other);
  EXPECT_EQ(opener->asked.size(), 1U);
  EXPECT_EQ(gate->counters().dropped, 1U);
  opener->release();
  run();
}

TEST_F(TcpGateTest, LetsTheKernelTakeWhatIsServedHere) {
  served = 80;
  make();
  take(make_frame(kSyn));
  take(make_frame(kAck));
  EXPECT_EQ(to_kernel.size(), 2U);
  EXPECT_TRUE(opener->asked.empty());
}

}  // namespace
}  // namespace zks::vpn
