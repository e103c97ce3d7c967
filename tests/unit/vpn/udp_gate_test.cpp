// SPDX-License-Identifier: MIT
#include "vpn/udp_gate.hpp"

#include <set>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "packet/transport.hpp"

namespace zks::vpn {
namespace {

using namespace std::chrono_literals;

class FlowOpener final : public tunnel::StreamOpener {
 public:
  struct FakeFlow final : tunnel::Flow {
    FakeFlow(FlowOpener& o, tunnel::FlowHandlers h) : opener(o), handlers(std::move(h)) {
      opener.alive.insert(this);
    }
    ~FakeFlow() override { opener.alive.erase(this); }
    bool send(const session::Destination& to, ByteView bytes) override {
      opener.sent.push_back(session::to_text(to) + " " + std::string(bytes.begin(), bytes.end()));
      last = to;
      return true;
    }
    FlowOpener& opener;
    tunnel::FlowHandlers handlers;
    session::Destination last;
  };

  explicit FlowOpener(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}
  boost::asio::any_io_executor executor() override { return executor_; }
  boost::asio::awaitable<tunnel::OpenOutcome> open(session::Destination) override {
    co_return tunnel::OpenOutcome();
  }
  Result<tunnel::FlowPtr> open_flow(tunnel::FlowHandlers handlers) override {
    if (alive.size() >= most) return make_error(ErrorKind::kLimit, "too many flows");
    return std::make_unique<FakeFlow>(*this, std::move(handlers));
  }

  std::size_t most = 100;
  std::set<FakeFlow*> alive;
  std::vector<std::string> sent;

 private:
  boost::asio::any_io_executor executor_;
};

packet::Endpoint at(const char* address, std::uint16_t port) {
  return {*parse_ip_address(address), port};
}

class UdpGateTest : public testing::Test {
 protected:
  void make(UdpGate::Options options = {}) {
    Answers answers;
    answers.send = [this](const packet::Message& message) {
      Bytes out(packet::kMaxPacket);
      out.resize(packet::build(message, out));
      to_host.push_back(out);
    };
    answers.say = [this](const packet::Packet& about, const packet::IcmpMessage& message,
                         std::optional<IpAddress> from) {
      Bytes out(packet::kMinMtuV6);
      out.resize(packet::build_icmp_error(about, message, from.value_or(own), out));
      to_host.push_back(out);
    };
    gate = std::make_unique<UdpGate>(opener, options, std::move(answers));
  }
  bool take(std::uint16_t port, const packet::Endpoint& target = at("192.0.2.7", 9)) {
    const Bytes data{'h', 'i'};
    return gate->take(at("198.18.0.1", port), target, data);
  }
  void run_for(std::chrono::milliseconds time) {
    loop.restart();
    loop.run_for(time);
  }

  boost::asio::io_context loop;
  std::shared_ptr<FlowOpener> opener = std::make_shared<FlowOpener>(loop.get_executor());
  const IpAddress own = *parse_ip_address("198.18.0.2");
  std::vector<Bytes> to_host;
  std::unique_ptr<UdpGate> gate;
};

TEST_F(UdpGateTest, HasOneFlowForASourceWhereverItWrites) {
  make();
  EXPECT_TRUE(take(1000));
  EXPECT_TRUE(take(1000, at("192.0.2.8", 10)));
  EXPECT_TRUE(take(1001));
  EXPECT_EQ(opener->alive.size(), 2U);
  EXPECT_EQ(opener->sent, (std::vector<std::string>{"192.0.2.7:9 hi", "192.0.2.8:10 hi", "192.0.2.7:9 hi"}));
}

TEST_F(UdpGateTest, WritesWhatComesBackAsPackets) {
  make();
  ASSERT_TRUE(take(1000));
  const Bytes answer{'y', 'o', 'u'};
  session::Destination from{session::Destination::Kind::kIpv4, "", {203, 0, 113, 5}, 77};
  (*opener->alive.begin())->handlers.on_datagram(from, answer);  // from somewhere else: nobody filters
  ASSERT_EQ(to_host.size(), 1U);
  const auto packet = packet::parse(to_host[0]);
  ASSERT_TRUE(packet);
  const auto udp = packet::parse_udp(*packet);
  ASSERT_TRUE(udp);
  EXPECT_EQ(packet->source.text(), "203.0.113.5");
  EXPECT_EQ(packet->target.text(), "198.18.0.1");
  EXPECT_EQ(udp->source_port, 77);
  EXPECT_EQ(udp->target_port, 1000);
  EXPECT_EQ(Bytes(udp->data.begin(), udp->data.end()), answer);
}

TEST_F(UdpGateTest, PassesErrorsOnAboutADatagramOfThatSource) {
  make();
  ASSERT_TRUE(take(1000));
  session::Destination about{session::Destination::Kind::kIpv4, "", {192, 0, 2, 7}, 9};
  (*opener->alive.begin())->handlers.on_error(about, {3, 3});
  ASSERT_EQ(to_host.size(), 1U);
  const auto error = packet::parse(to_host[0]);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->protocol, packet::kIcmp);
  EXPECT_EQ(error->transport[0], 3);
  EXPECT_EQ(error->transport[1], 3);
  const auto quoted = packet::parse(error->transport.subspan(8));
  ASSERT_TRUE(quoted);
  EXPECT_EQ(quoted->source.text(), "198.18.0.1");
  EXPECT_EQ(quoted->target.text(), "192.0.2.7");
  EXPECT_EQ(error->source.text(), "192.0.2.7");
}

TEST_F(UdpGateTest, SaysInItsOwnNameWhatTheDestinationDidNotSay) {
  make();
  ASSERT_TRUE(take(1000));
  const session::Destination about{session::Destination::Kind::kIpv4, "", {192, 0, 2, 7}, 9};
  for (const session::IcmpError error : {session::IcmpError{3, 13}, {3, 0}, {3, 1}, {11, 0}}) {
    to_host.clear();
    (*opener->alive.begin())->handlers.on_error(about, error);
    ASSERT_EQ(to_host.size(), 1U);
    EXPECT_EQ(packet::parse(to_host[0])->source.text(), "198.18.0.2");
  }
}

// Without its MTU this machine would take the least that there is.
TEST_F(UdpGateTest, KeepsFragmentationNeededToItself) {
  make();
  ASSERT_TRUE(take(1000));
  session::Destination about{session::Destination::Kind::kIpv4, "", {192, 0, 2, 7}, 9};
  (*opener->alive.begin())->handlers.on_error(about, {3, 4});
  about.kind = session::Destination::Kind::kIpv6;
  (*opener->alive.begin())->handlers.on_error(about, {2, 0});
  EXPECT_TRUE(to_host.empty());
}

TEST_F(UdpGateTest, EndsTheOneThatWasSilentForLongest) {
  UdpGate::Options options;
  options.max_flows = 2;
  make(options);
  take(1);
  take(2);
  take(1);
  take(3);  // in the place of 2
  EXPECT_EQ(gate->flows(), 2U);
  opener->sent.clear();
  opener->most = 2;
  take(1);
  EXPECT_EQ(opener->alive.size(), 2U);
}

TEST_F(UdpGateTest, MakesRoomWhereTheExitTakesFewer) {
  make();
  opener->most = 2;
  for (std::uint16_t port = 1; port <= 5; ++port) EXPECT_TRUE(take(port));
  EXPECT_EQ(gate->flows(), 2U);
  EXPECT_EQ(opener->sent.size(), 5U);
}

TEST_F(UdpGateTest, SaysWhenTheExitTakesNone) {
  make();
  opener->most = 0;
  EXPECT_FALSE(take(1));
  EXPECT_EQ(gate->flows(), 0U);
}

TEST_F(UdpGateTest, EndsIdleFlowsThoseOfNameServersFirst) {
  UdpGate::Options options;
  options.idle_dns = 1ms;
  options.idle = 1h;
  make(options);
  take(1, at("192.0.2.53", 53));
  take(2);
  take(2, at("192.0.2.53", 53));  // not only DNS
  run_for(1500ms);
  EXPECT_EQ(gate->flows(), 1U);
  options.idle = 1ms;
  make(options);
  take(3);
  run_for(1500ms);
  EXPECT_EQ(gate->flows(), 0U);
}

}  // namespace
}  // namespace zks::vpn
