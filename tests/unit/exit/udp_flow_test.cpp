// SPDX-License-Identifier: MIT
//
// Flows of a real tunnel, over a carrier in memory, to sockets on loopback.
#include "exit/udp_flow.hpp"

#include <gtest/gtest.h>

#include "../support/dns_server.hpp"
#include "../support/join_tunnels.hpp"
#include "../support/run.hpp"
#include "net/endpoint.hpp"
#include "tunnel/endpoints.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using asio::ip::udp;
using session::Destination;
using session::IcmpError;
using test::run;

Destination to(const udp::endpoint& endpoint) {
  return tunnel::make_destination(endpoint);
}

class UdpFlowTest : public testing::Test {
 protected:
  UdpFlowTest() { start({}); }
  ~UdpFlowTest() override {
    flow_.reset();
    near_->end(make_error(ErrorKind::kClosed, "the test is over"));
    far_->end(make_error(ErrorKind::kClosed, "the test is over"));
    EXPECT_TRUE(run_until([&] { return host_->flows() == 0; }));
  }

  tunnel::Claim guest_;

  void start(UdpOptions options) {
    net::LookupOptions resolver;
    resolver.servers = dns_.address();
    host_ = std::make_shared<UdpHost>(
        context_.get_executor(),
        std::make_shared<GuestResolver>(net::Resolver::create(context_.get_executor(), resolver).value()),
        options);
    session::Options ends;
    bool up = false;
    tunnel::Tunnel::Handlers at_client;
    at_client.on_up = [&up](session::LaneNumber, session::HelloMode) { up = true; };
    near_ = std::make_shared<tunnel::Tunnel>(context_.get_executor(), ends, std::move(at_client));
    ends.role = session::Role::kExit;
    tunnel::Tunnel::Handlers handlers;
    handlers.on_flow = [this](tunnel::SessionFlowPtr flow) {
      host_->serve(std::move(flow), allowance_, guest_);
    };
    far_ = std::make_shared<tunnel::Tunnel>(context_.get_executor(), ends, std::move(handlers));
    test::join_tunnels(context_.get_executor(), *near_, *far_);
    EXPECT_TRUE(run_until([&] { return up; }));
    open();
  }

  void open() {
    flow_ = near_->open_flow().value();
    closed_ = false;
    tunnel::FlowHandlers handlers;
    handlers.on_datagram = [this](const Destination& from, ByteView bytes) {
      received_.emplace_back(from, std::string(as_text(bytes)));
    };
    handlers.on_error = [this](const Destination& about, IcmpError error) {
      errors_.emplace_back(about, error);
    };
    handlers.on_closed = [this] { closed_ = true; };
    flow_->handle(std::move(handlers));
  }

  void run_for(std::chrono::milliseconds time) {
    context_.restart();
    context_.run_for(time);
  }
  // Until it holds, or for five seconds.
  bool run_until(const std::function<bool()>& done) {
    context_.restart();
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      context_.run_one_for(20ms);
    }
    return true;
  }
  void send(const Destination& where, std::string_view text) { flow_->send(where, as_bytes(text)); }

  // What has come to a socket of the test's, with the sender.
  std::pair<std::string, udp::endpoint> take(udp::socket& socket) {
    socket.non_blocking(true);
    std::array<char, 2000> buffer;
    udp::endpoint from;
    boost::system::error_code ec;
    std::size_t size = 0;
    run_until([&] {
      size = socket.receive_from(asio::buffer(buffer), from, 0, ec);
      return !ec;
    });
    return {std::string(buffer.data(), size), from};
  }
  udp::endpoint unused(const char* address) {
    return udp::socket(context_, udp::endpoint(asio::ip::make_address(address), 0)).local_endpoint();
  }

  asio::io_context context_;
  test::DnsServer dns_{context_};
  std::shared_ptr<Policy> policy_ = std::make_shared<Policy>(
      Rules{{parse_rule("127.0.0.1").value(), parse_rule("::1").value()}, {parse_rule("bad.test").value()}});
  std::shared_ptr<Allowance> allowance_ = std::make_shared<Allowance>(context_.get_executor(), policy_);
  std::shared_ptr<UdpHost> host_;
  std::shared_ptr<tunnel::Tunnel> near_;
  std::shared_ptr<tunnel::Tunnel> far_;
  tunnel::SessionFlowPtr flow_;
  bool closed_ = false;
  std::vector<std::pair<Destination, std::string>> received_;
  std::vector<std::pair<Destination, IcmpError>> errors_;
  udp::socket first_{context_, udp::endpoint(asio::ip::make_address("127.0.0.1"), 0)};
  udp::socket second_{context_, udp::endpoint(asio::ip::make_address("127.0.0.1"), 0)};
};

TEST_F(UdpFlowTest, OnePortForAllDestinationsAndForStrangers) {
  send(to(first_.local_endpoint()), "one");
  send(to(second_.local_endpoint()), "two");
  const auto one = take(first_);
  const auto two = take(second_);
  EXPECT_EQ(one.first, "one");
  EXPECT_EQ(two.first, "two");
  EXPECT_EQ(one.second.port(), two.second.port());
  udp::socket stranger(context_, udp::endpoint(asio::ip::make_address("127.0.0.1"), 0));
  const udp::endpoint mapped(asio::ip::make_address("127.0.0.1"), one.second.port());
  stranger.send_to(asio::buffer("hi", 2), mapped);
  ASSERT_TRUE(run_until([&] { return !received_.empty(); }));
  EXPECT_EQ(received_[0], std::pair(to(stranger.local_endpoint()), std::string("hi")));
}

TEST_F(UdpFlowTest, APortThatIsClosedIsReported) {
  const auto ipv4 = unused("127.0.0.1");
  send(to(ipv4), "anybody?");
  ASSERT_TRUE(run_until([&] { return errors_.size() == 1; }));
  EXPECT_EQ(errors_[0], std::pair(to(ipv4), IcmpError{3, 3}));
  const auto ipv6 = unused("::1");
  send(to(ipv6), "anybody?");
  ASSERT_TRUE(run_until([&] { return errors_.size() == 2; }));
  EXPECT_EQ(errors_[1], std::pair(to(ipv6), IcmpError{1, 4}));
  // And what follows to others goes on.
  send(to(first_.local_endpoint()), "still here");
  EXPECT_EQ(take(first_).first, "still here");
}

TEST_F(UdpFlowTest, WhatThePolicyClosesIsNeitherSentToNorHeard) {
  udp::socket closed(context_, udp::endpoint(asio::ip::make_address("127.0.0.2"), 0));
  send(to(closed.local_endpoint()), "knock");
  ASSERT_TRUE(run_until([&] { return !errors_.empty(); }));
  EXPECT_EQ(errors_[0], std::pair(to(closed.local_endpoint()), IcmpError{3, 13}));
  EXPECT_EQ(closed.available(), 0U);
  send(to(first_.local_endpoint()), "hello");
  const auto mapped = take(first_).second;
  closed.send_to(asio::buffer("x", 1), mapped);
  run_for(50ms);
  EXPECT_TRUE(received_.empty());
}

TEST_F(UdpFlowTest, RulesThatChangeCountForTheNextDatagram) {
  send(to(first_.local_endpoint()), "before");
  EXPECT_EQ(take(first_).first, "before");
  policy_->set_rules({});
  send(to(first_.local_endpoint()), "after");
  ASSERT_TRUE(run_until([&] { return !errors_.empty(); }));
  EXPECT_EQ(first_.available(), 0U);
}

TEST_F(UdpFlowTest, AnAddressThatBecomesTheExitsOwnIsClosedForTheNextDatagram) {
  const auto exits = std::make_shared<Policy>(Rules{{parse_rule("127.0.0.1").value()}, {}});
  const auto invites = std::make_shared<Policy>(exits, Rules{});
  UdpPeers peers(invites);
  const auto now = UdpPeers::TimePoint{} + 1h;
  const IpAddress address = parse_ip_address("192.88.100.1").value();
  EXPECT_TRUE(peers.outbound("", address, 9, now).allowed);
  EXPECT_FALSE(peers.outbound("", address, 9, now).judged) << "remembered";
  exits->set_local_networks({{parse_prefix("192.88.100.0/24").value(), "eth0"}});
  EXPECT_FALSE(peers.outbound("", address, 9, now).allowed);
  EXPECT_FALSE(peers.inbound(address, 9, now).allowed);
  exits->set_local_networks({});
  EXPECT_TRUE(peers.inbound(address, 9, now).allowed) << "opened again";
  invites->set_rules({{}, {parse_rule("192.88.100.1").value()}});
  EXPECT_FALSE(peers.inbound(address, 9, now).allowed) << "by the invite's own rule";
}

TEST_F(UdpFlowTest, ANameOnTheListOfDeniedOnesIsNotLookedUp) {
  Destination bad;
  bad.name = "Bad.Test.";
  bad.port = 53;
  send(bad, "x");
  ASSERT_TRUE(run_until([&] { return !errors_.empty(); }));
  EXPECT_EQ(errors_[0].second, (IcmpError{3, 13}));
}

TEST_F(UdpFlowTest, AnotherOneThanAllIsClosed) {
  UdpOptions options;
  options.max_flows = 1;
  flow_.reset();
  near_->end(make_error(ErrorKind::kClosed, "another tunnel"));
  far_->end(make_error(ErrorKind::kClosed, "another tunnel"));
  run_for(20ms);
  start(options);
  ASSERT_TRUE(run_until([&] { return host_->flows() == 1; }));
  const auto first = std::exchange(flow_, nullptr);
  open();
  ASSERT_TRUE(run_until([&] { return closed_; }));
  EXPECT_FALSE(first->closed());
  EXPECT_EQ(host_->flows(), 1U);
}

TEST_F(UdpFlowTest, FlowsEndWhenTheirUserIsSilentAndDnsSooner) {
  UdpOptions options;
  options.idle_timeout = 600ms;
  options.dns_idle_timeout = 100ms;
  flow_.reset();
  near_->end(make_error(ErrorKind::kClosed, "another tunnel"));
  far_->end(make_error(ErrorKind::kClosed, "another tunnel"));
  run_for(20ms);
  start(options);
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(run_until([&] { return closed_; })) << "nobody was talked to";
  open();
  send(to(first_.local_endpoint()), "x");
  ASSERT_TRUE(run_until([&] { return closed_; }));
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 690ms);
  EXPECT_EQ(near_->open_streams(), 0U);
}

TEST_F(UdpFlowTest, AnInvitesQuotaCountsDatagrams) {
  link::Terms terms;
  terms.quota_bytes = 10;
  allowance_->set_terms({}, terms);
  send(to(first_.local_endpoint()), "twelve bytes");
  EXPECT_EQ(take(first_).first, "twelve bytes");
  send(to(first_.local_endpoint()), "more");
  run_for(50ms);
  EXPECT_EQ(first_.available(), 0U);
}

TEST_F(UdpFlowTest, EmptyDatagramsAndLookupsCountToo) {
  link::Terms terms;
  terms.quota_bytes = 10 * Allowance::kDatagramBytes;
  allowance_->set_terms({}, terms);
  for (int i = 0; i < 50; ++i) send(to(first_.local_endpoint()), "");
  ASSERT_TRUE(run_until([&] { return allowance_->used_up(); }));
  run_for(50ms);
  std::size_t arrived = 0;
  for (; first_.available() > 0 || arrived == 0; ++arrived) take(first_);
  EXPECT_LE(arrived, 10U);
  EXPECT_EQ(allowance_->used_bytes(), terms.quota_bytes);
  Destination name;
  name.name = "four.test";
  name.port = 53;
  send(name, "x");
  run_for(50ms);
  EXPECT_EQ(dns_.queries(), 0U) << "nothing is left that could pay for it";
}

TEST_F(UdpFlowTest, OneDeviceLeavesFlowsToOthers) {
  UdpOptions options;
  options.max_flows = 12;
  flow_.reset();
  near_->end(make_error(ErrorKind::kClosed, "another tunnel"));
  far_->end(make_error(ErrorKind::kClosed, "another tunnel"));
  run_for(20ms);
  start(options);
  std::vector<tunnel::SessionFlowPtr> heavy{std::exchange(flow_, nullptr)};
  for (int i = 0; i < 12; ++i) heavy.push_back(near_->open_flow().value());
  run_for(50ms);
  EXPECT_EQ(host_->flows(), 4U) << "a third, as long as nobody else has one";
  guest_ = {{}, {2}};  // another device of the same invite
  open();
  ASSERT_TRUE(run_until([&] { return host_->flows() == 5; }));
  EXPECT_FALSE(closed_);
}

TEST(UdpPeers, TheTableIsBoundedAndStrangersHaveNoPlaceInIt) {
  const auto policy = std::make_shared<const Policy>(Rules{});
  UdpPeers peers(policy);
  auto now = UdpPeers::TimePoint{} + 1h;
  const std::array<std::uint8_t, 4> public_address{192, 88, 100, 1};
  const IpAddress address = make_ipv4(public_address.data());
  for (std::uint16_t port = 1000; port < 2000; ++port) {
    EXPECT_TRUE(peers.outbound("", address, port, now += 1ms).allowed);
    EXPECT_LE(peers.size(), UdpPeers::kMaxPeers);
  }
  const std::size_t before = peers.size();
  EXPECT_TRUE(peers.inbound(address, 9, now).allowed);
  EXPECT_EQ(peers.size(), before);
}

TEST(UdpPeers, WhatANameOpensMayAnswer) {
  const auto policy = std::make_shared<const Policy>(Rules{{parse_rule("home.test").value()}, {}});
  UdpPeers peers(policy);
  const auto now = UdpPeers::TimePoint{} + 1h;
  const IpAddress address = parse_ip_address("10.0.0.1").value();
  EXPECT_FALSE(peers.inbound(address, 53, now).allowed);
  EXPECT_TRUE(peers.outbound("home.test", address, 53, now).allowed);
  EXPECT_TRUE(peers.inbound(address, 53, now).allowed);
  EXPECT_FALSE(peers.inbound(address, 54, now).allowed);
  EXPECT_FALSE(peers.outbound("", address, 53, now).allowed) << "by address it is still closed";
}

}  // namespace
}  // namespace zks::exit
