// SPDX-License-Identifier: MIT
#include "vpn/tcp_gate.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "../frontdoor/captured_log.hpp"
#include "../frontdoor/fake_opener.hpp"
#include "../frontdoor/tunnel_opener.hpp"

namespace zks::vpn {
namespace {

using session::ResetCode;

constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kRst = 0x04;
constexpr std::uint8_t kAck = 0x10;

using Addresses = std::array<std::uint8_t, 8>;
using boost::asio::ip::tcp;

// A segment of 198.18.0.1:4000 to 192.0.2.7:80, unless others are named, behind a virtio-net header of zeros.
// No checksums of TCP's own: they are the kernel's to look at.
Bytes make_frame(std::uint8_t flags, std::size_t data = 0,
                 Addresses addresses = {198, 18, 0, 1, 192, 0, 2, 7}, std::uint16_t source = 4000,
                 std::uint16_t target = 80) {
  Bytes out(packet::kVirtioHeader + packet::kIpv4Header + packet::kTcpHeader + data);
  std::uint8_t* ip = out.data() + packet::kVirtioHeader;
  const std::size_t length = out.size() - packet::kVirtioHeader;
  ip[0] = 0x45;
  ip[2] = static_cast<std::uint8_t>(length >> 8);
  ip[3] = static_cast<std::uint8_t>(length);
  ip[8] = 64;
  ip[9] = packet::kTcp;
  std::copy(addresses.begin(), addresses.end(), ip + 12);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < packet::kIpv4Header; i += 2) sum += ip[i] * 256U + ip[i + 1];
  sum = (sum & 0xffff) + (sum >> 16);
  ip[10] = static_cast<std::uint8_t>(~sum >> 8);
  ip[11] = static_cast<std::uint8_t>(~sum);
  std::uint8_t* tcp = ip + packet::kIpv4Header;
  tcp[0] = static_cast<std::uint8_t>(source >> 8);
  tcp[1] = static_cast<std::uint8_t>(source);
  tcp[2] = static_cast<std::uint8_t>(target >> 8);
  tcp[3] = static_cast<std::uint8_t>(target);
  tcp[7] = 9;  // sequence
  tcp[12] = 0x50;
  tcp[13] = flags;
  return out;
}

class TcpGateTest : public testing::Test {
 protected:
  void make(std::size_t most = 8) { make(most, opener); }
  void make(std::size_t most, std::shared_ptr<tunnel::StreamOpener> by) {
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
    gate = std::make_shared<TcpGate>(std::move(by), options, std::move(ways));
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

// Programs' connections, as the kernel hands them over on loopback, in front of a real tunnel to a server.
class TcpGateStreamsTest : public TcpGateTest {
 protected:
  void begin(std::size_t most) {
    tunnel_ = std::make_shared<frontdoor::TunnelOpener>(loop.get_executor());
    tunnel_->target = server_.local_endpoint();
    tunnel_->bound.kind = session::Destination::Kind::kIpv4;
    server_.non_blocking(true);
    make(most, tunnel_);
  }
  void TearDown() override {
    bool stopped = false;
    boost::asio::co_spawn(loop, gate->stop(std::chrono::steady_clock::now()),
                          [&stopped](std::exception_ptr) { stopped = true; });
    EXPECT_TRUE(run_until([&stopped] { return stopped; }));
    tunnel_->end();
    run();
  }

  bool run_until(const std::function<bool()>& done) {
    loop.restart();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      loop.run_one_for(std::chrono::milliseconds(10));
    }
    return true;
  }
  // Its SYN first, which the gate may drop.
  tcp::socket connect() {
    tcp::socket program(loop);
    program.connect(listener_.local_endpoint());
    tcp::socket accepted = listener_.accept();
    const std::size_t before = to_kernel.size();
    const std::uint64_t dropped = gate->counters().dropped;
    take(make_frame(kSyn, 0, {127, 0, 0, 1, 127, 0, 0, 1}, program.local_endpoint().port(),
                    listener_.local_endpoint().port()));
    EXPECT_TRUE(run_until([&] { return to_kernel.size() > before || gate->counters().dropped > dropped; }));
    gate->admit(std::move(accepted));
    return program;
  }
  tcp::socket accept() {
    tcp::socket far(loop);
    EXPECT_TRUE(run_until([&] {
      boost::system::error_code ec;
      if (!far.is_open()) server_.accept(far, ec);
      return far.is_open();
    }));
    return far;
  }
  // The next byte, or why there is none.
  boost::system::error_code next(tcp::socket& socket) {
    socket.non_blocking(true);
    char byte = 0;
    boost::system::error_code ec;
    EXPECT_TRUE(run_until([&] {
      socket.receive(boost::asio::buffer(&byte, 1), 0, ec);
      return ec != boost::asio::error::would_block;
    }));
    return ec;
  }

  tcp::acceptor listener_{loop, {boost::asio::ip::address_v4::loopback(), 0}};
  tcp::acceptor server_{loop, {boost::asio::ip::address_v4::loopback(), 0}};
  std::shared_ptr<frontdoor::TunnelOpener> tunnel_;
};

TEST_F(TcpGateStreamsTest, AtTheBoundTheLongestHalfClosedMakesRoom) {
  const frontdoor::CapturedLog log;
  begin(3);
  tcp::socket whole = connect();
  tcp::socket whole_far = accept();
  std::vector<tcp::socket> abandoned;
  std::vector<tcp::socket> mute;
  for (int i = 0; i < 2; ++i) {
    abandoned.push_back(connect());
    mute.push_back(accept());
    abandoned.back().shutdown(tcp::socket::shutdown_send);
    EXPECT_EQ(next(mute.back()), boost::asio::error::eof);
  }
  std::vector<tcp::socket> later;
  for (tcp::socket& longest : abandoned) {
    later.push_back(connect());
    mute.push_back(accept());
    EXPECT_TRUE(next(longest)) << "it made room";
    ASSERT_TRUE(run_until([this] { return gate->connections() == 3; }));
  }
  tcp::socket dropped = connect();
  EXPECT_EQ(gate->counters().dropped, 1U) << "whole ones are not thrown out";
  whole_far.send(boost::asio::buffer("a", 1));
  EXPECT_FALSE(next(whole));
  EXPECT_EQ(log.count("are in use"), 1U);
}

}  // namespace
}  // namespace zks::vpn
