// SPDX-License-Identifier: MIT
#include "vpn/echo_gate.hpp"

#include "../packet/packet_fixture.hpp"
#include "gate_opener.hpp"

namespace zks::vpn {
namespace {

using packet::operator+;
using Kind = session::Destination::Kind;

class EchoGateTest : public testing::Test {
 protected:
  void take(const Bytes& bytes) {
    const auto packet = packet::parse(bytes);
    ASSERT_TRUE(packet);
    const auto echo = packet::parse_echo(*packet);
    ASSERT_TRUE(echo);
    gate->take(*packet, *echo);
  }
  void answer(const session::Destination& from, session::IcmpError said, std::uint8_t hop_limit,
              const Bytes& data = {}) {
    tunnel::EchoAnswer out{from, said, hop_limit, data};
    opener->echoes.at(0).handler(out);
  }
  // The only packet that was written.
  Bytes written() const { return to_host.size() == 1 ? to_host[0] : Bytes(); }
  std::string said() const {
    const Bytes bytes = written();
    const auto packet = packet::parse(bytes);
    if (!packet) return "nothing";
    return packet->source.text() + ": " + std::to_string(packet->transport[0]) + " " +
           std::to_string(packet->transport[1]);
  }

  boost::asio::io_context loop;
  std::shared_ptr<GateOpener> opener = std::make_shared<GateOpener>(loop);
  std::vector<Bytes> to_host;
  std::shared_ptr<EchoGate> gate = std::make_shared<EchoGate>(
      opener, Answers{.send =
                          [this](const packet::Message& message) {
                            Bytes out(packet::kIpv6Header + packet::kMaxPacket);
                            out.resize(packet::build(message, out));
                            to_host.push_back(out);
                          },
                      .say =
                          [this](const packet::Packet& about, const packet::IcmpMessage& message,
                                 std::optional<IpAddress> from) {
                            Bytes out(packet::kMinMtuV6);
                            const auto own = packet::ip(about.is_ipv4() ? "198.18.0.2" : "2001:2::2");
                            out.resize(packet::build_icmp_error(about, message, from.value_or(own), out));
                            if (!out.empty()) to_host.push_back(out);
                          }});
  const session::Destination host4{Kind::kIpv4, "", {192, 0, 2, 9}, 0};
  const session::Destination host6{
      Kind::kIpv6, "", {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}, 0};
  const session::Destination router{Kind::kIpv4, "", {203, 0, 113, 1}, 0};
};

TEST_F(EchoGateTest, AsksWithTheDataAndTheHopLimitBehindTheTunnel) {
  take(packet::ping4(packet::counted(56)));
  take(packet::ping6(packet::counted(9)));
  ASSERT_EQ(opener->echoes.size(), 2U);
  EXPECT_EQ(session::to_text(opener->echoes[0].address), session::to_text(host4));
  EXPECT_EQ(opener->echoes[0].hop_limit, 56);
  EXPECT_EQ(opener->echoes[0].data, packet::counted(56));
  EXPECT_EQ(session::to_text(opener->echoes[1].address), session::to_text(host6));
  EXPECT_EQ(opener->echoes[1].hop_limit, 60);
  EXPECT_EQ(gate->counters().asked, 2U);
}

TEST_F(EchoGateTest, WritesTheReplyAsItReachedTheExit) {
  take(packet::ping4(packet::counted(56)));
  answer(host4, {0, 0}, 51, packet::counted(20));  // shorter than what was sent: so it came back
  const Bytes bytes = written();
  const auto reply = packet::parse(bytes);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->source.text(), "192.0.2.9");
  EXPECT_EQ(reply->target.text(), "10.0.0.1");
  EXPECT_EQ(reply->hop_limit, 51);
  EXPECT_EQ(packet::copy(reply->transport.subspan(4)),
            packet::be16(77) + packet::be16(3) + packet::counted(20));
  EXPECT_EQ(gate->counters().answered, 1U);
}

TEST_F(EchoGateTest, AHopLimitThatIsNotKnownIsThatOfAnyPacketOfOurs) {
  take(packet::ping6(packet::counted(8)));
  answer(host6, {129, 0}, 0, packet::counted(8));
  const Bytes bytes = written();
  const auto reply = packet::parse(bytes);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->hop_limit, packet::kHopLimit);
  EXPECT_EQ(reply->transport[0], 129);
}

TEST_F(EchoGateTest, WritesWhatARouterSaidAboutTheRequest) {
  const Bytes request = packet::ping4(packet::counted(56));
  take(request);
  answer(router, {11, 0}, 0);
  const Bytes bytes = written();
  const auto error = packet::parse(bytes);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->source.text(), "203.0.113.1");
  EXPECT_EQ(error->transport[0], 11);
  EXPECT_EQ(packet::copy(error->transport.subspan(8)), request);
}

// Without its MTU this machine would take the least that there is.
TEST_F(EchoGateTest, KeepsFragmentationNeededToItself) {
  take(packet::ping4(packet::counted(56)));
  answer(router, {3, 4}, 0);
  opener->echoes.clear();
  take(packet::ping6(packet::counted(56)));
  answer(host6, {2, 0}, 0);
  EXPECT_TRUE(to_host.empty());
}

// Of another family, of a name, or of a type that is no error: an exit may say anything.
TEST_F(EchoGateTest, WritesNothingForAnAnswerThatMakesNoSense) {
  take(packet::ping4(packet::counted(56)));
  answer(host6, {129, 0}, 60, packet::counted(56));
  answer(host6, {1, 0}, 60);
  answer({Kind::kName, "host.example", {}, 0}, {0, 0}, 60);
  answer(router, {8, 0}, 60);
  answer(router, {5, 1}, 60);
  answer(host4, {0, 0}, 60, Bytes(70'000));
  EXPECT_TRUE(to_host.empty());
}

TEST_F(EchoGateTest, CountsWhatAnExitDoesNotTake) {
  opener->pings = false;
  take(packet::ping4(packet::counted(1)));
  EXPECT_EQ(gate->counters().dropped, 1U);
  EXPECT_EQ(said(), "198.18.0.2: 3 13");
}

// In the tunnel's name, since the exit sent nothing.
TEST_F(EchoGateTest, SaysThatTheExitSendsNoMore) {
  take(packet::ping4(packet::counted(1)));
  answer(host4, tunnel::kEchoNotSent, 0);
  EXPECT_EQ(said(), "198.18.0.2: 3 13");
  to_host.clear();
  opener->echoes.clear();
  take(packet::ping6(packet::counted(1)));
  answer(host6, tunnel::kEchoNotSent, 0);
  EXPECT_EQ(said(), "2001:2::2: 1 1");
  EXPECT_EQ(gate->counters().limited, 2U);
  EXPECT_EQ(gate->counters().answered, 0U);
}

TEST_F(EchoGateTest, AHostDoesNotSayOfItselfThatItIsUnreachable) {
  take(packet::ping4(packet::counted(1)));
  answer(host4, {3, 13}, 0);
  EXPECT_EQ(said(), "198.18.0.2: 3 13");
  to_host.clear();
  answer(host4, {11, 0}, 0);  // a router that the exit does not name
  EXPECT_EQ(said(), "198.18.0.2: 11 0");
  to_host.clear();
  answer(router, {3, 13}, 0);
  EXPECT_EQ(said(), "203.0.113.1: 3 13");
}

TEST_F(EchoGateTest, AnAnswerMayComeAfterItsEnd) {
  take(packet::ping4(packet::counted(1)));
  gate.reset();
  answer(host4, {0, 0}, 60, packet::counted(1));
  EXPECT_TRUE(to_host.empty());
}

}  // namespace
}  // namespace zks::vpn
