// SPDX-License-Identifier: MIT
//
// Listeners of a real session, over a carrier in memory, for programs on loopback: TCP. Those of datagrams
// are in tests/flow/udp_forward_flow_test.cpp.
#include "exit/listeners.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <gtest/gtest.h>

#include "../support/join_tunnels.hpp"
#include "net/endpoint.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using boost::system::error_code;
using session::ListenKind;
using session::ResetCode;
using tunnel::StreamPtr;

class ListenersTest : public testing::Test {
 protected:
  ListenersTest() {
    session::Options options;
    tunnel::Tunnel::Handlers at_client;
    at_client.on_up = [this](session::LaneNumber, session::HelloMode) { up_ = true; };
    at_client.on_listening = [this](const session::ListeningEvent& event) {
      answers_.push_back({.listens = true, .port = event.address.port});
    };
    at_client.on_unlisten = [this](const session::UnlistenEvent& event) {
      answers_.push_back({.code = event.code});
    };
    at_client.on_connection = [this](session::ListenerId, StreamPtr stream, session::Destination from) {
      came_.emplace_back(std::move(stream), std::move(from));
    };
    near_ = std::make_shared<tunnel::Tunnel>(context_.get_executor(), options, std::move(at_client));
    options.role = session::Role::kExit;
    options.max_listeners = kMaxListeners;
    tunnel::Tunnel::Handlers at_exit;
    const auto to_listeners = [this](const auto& event) { listeners_->on(event); };
    at_exit.on_listen = to_listeners;
    at_exit.on_unlisten = to_listeners;
    far_ = std::make_shared<tunnel::Tunnel>(context_.get_executor(), options, std::move(at_exit));
    listeners_ = std::make_shared<Listeners>(rules_, allowance_, far_, nullptr,
                                             [this](const Listeners::Endpoint& endpoint) {
                                               reclaimed_.push_back(endpoint);
                                               return false;
                                             });
    test::join_tunnels(context_.get_executor(), *near_, *far_);
    EXPECT_TRUE(run_until([this] { return up_; }));
    allow({"1024-65535"});
  }
  ~ListenersTest() override {
    came_.clear();
    listeners_->close();
    near_->end(make_error(ErrorKind::kClosed, "the test is over"));
    far_->end(make_error(ErrorKind::kClosed, "the test is over"));
    context_.restart();
    context_.run_for(20ms);
  }

  static std::vector<ListenRule> parse(const std::vector<std::string>& texts) {
    std::vector<ListenRule> out;
    for (const auto& text : texts) out.push_back(parse_listen_rule(text).value());
    return out;
  }
  void allow(const std::vector<std::string>& texts) { rules_->set(parse(texts)); }

  // What the exit answers to a LISTEN: LISTENING, or UNLISTEN.
  struct Answer {
    bool listens = false;
    std::uint16_t port = 0;
    ResetCode code{};
  };
  Answer listen(const char* address, std::uint16_t port, ListenKind kind = ListenKind::kTcp) {
    answers_.clear();
    id_ = near_->listen(kind, tunnel::make_destination(tcp::endpoint(asio::ip::make_address(address), port)))
              .value();
    EXPECT_TRUE(run_until([this] { return !answers_.empty(); }));
    return answers_.empty() ? Answer{} : answers_.back();
  }
  tcp::socket connect(std::uint16_t port) {
    tcp::socket socket(context_);
    error_code ec;
    socket.connect({asio::ip::make_address("127.0.0.1"), port}, ec);
    EXPECT_FALSE(ec);
    socket.non_blocking(true);
    return socket;
  }
  error_code next(tcp::socket& socket) {
    char byte = 0;
    error_code ec;
    run_until([&] {
      socket.receive(asio::buffer(&byte, 1), 0, ec);
      return ec != asio::error::would_block;
    });
    return ec;
  }
  bool run_until(const std::function<bool()>& done) {
    context_.restart();
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      context_.run_one_for(10ms);
    }
    return true;
  }

  asio::io_context context_;
  std::shared_ptr<ListenRules> rules_ = std::make_shared<ListenRules>();
  std::shared_ptr<Allowance> allowance_ =
      std::make_shared<Allowance>(context_.get_executor(), std::make_shared<Policy>(Rules{}));
  std::shared_ptr<tunnel::Tunnel> near_;
  std::shared_ptr<tunnel::Tunnel> far_;
  std::shared_ptr<Listeners> listeners_;
  session::ListenerId id_ = 0;
  std::vector<Answer> answers_;
  std::vector<std::pair<StreamPtr, session::Destination>> came_;
  std::vector<Listeners::Endpoint> reclaimed_;
  bool up_ = false;
};

TEST_F(ListenersTest, AConnectionBecomesAStreamFromWhoConnected) {
  const auto answer = listen("127.0.0.1", 0);
  ASSERT_TRUE(answer.listens);
  auto socket = connect(answer.port);
  ASSERT_TRUE(run_until([this] { return came_.size() == 1; }));
  EXPECT_EQ(came_[0].second, tunnel::make_destination(socket.local_endpoint()));
  came_[0].first->accept(tunnel::make_destination(tcp::endpoint(asio::ip::make_address("192.0.2.1"), 1)));
  std::array<MutableBytes, 4> pieces;
  ASSERT_GT(came_[0].first->prepare(1, pieces), 0U);
  pieces[0][0] = 'x';
  came_[0].first->commit(1);
  EXPECT_FALSE(next(socket));
}

TEST_F(ListenersTest, WhatTheClientRefusesIsReset) {
  auto socket = connect(listen("127.0.0.1", 0).port);
  ASSERT_TRUE(run_until([this] { return came_.size() == 1; }));
  came_[0].first->reset(ResetCode::kConnectionRefused);
  EXPECT_EQ(next(socket), asio::error::connection_reset);
}

TEST_F(ListenersTest, RefusalsHaveTheirCodes) {
  const auto taken = tcp::acceptor(context_, {asio::ip::make_address("127.0.0.1"), 0});
  const auto in_use = listen("127.0.0.1", taken.local_endpoint().port());
  EXPECT_FALSE(in_use.listens);
  EXPECT_EQ(in_use.code, ResetCode::kAddressInUse);
  ASSERT_EQ(reclaimed_.size(), 1U);
  EXPECT_EQ(reclaimed_[0].port, taken.local_endpoint().port());
  EXPECT_EQ(listen("0.0.0.0", 8080).code, ResetCode::kNotAllowed);
  EXPECT_EQ(listen("127.0.0.1", 80).code, ResetCode::kNotAllowed);
  allow({"192.0.2.1:8080"});
  EXPECT_EQ(listen("192.0.2.1", 8080).code, ResetCode::kNetworkUnreachable)
      << "not an address of this machine";
  EXPECT_EQ(listen("127.0.0.1", 5353, ListenKind::kUdp).code, ResetCode::kCommandNotSupported)
      << "these carry no UDP";
  EXPECT_EQ(listeners_->size(), 0U);
}

TEST_F(ListenersTest, AnyPortIsOneOfThoseThatTheRulesOpen) {
  tcp::acceptor taken(context_, {asio::ip::make_address("127.0.0.1"), 0});
  const std::uint16_t port = taken.local_endpoint().port();
  allow({std::to_string(port)});
  EXPECT_EQ(listen("127.0.0.1", 0).code, ResetCode::kAddressInUse) << "there is no other one";
  taken.close();
  const auto answer = listen("127.0.0.1", 0);
  ASSERT_TRUE(answer.listens);
  EXPECT_EQ(answer.port, port);
}

TEST_F(ListenersTest, AnInvitesOwnRulesOpenPortsToo) {
  allow({});
  EXPECT_EQ(listen("127.0.0.1", 0).code, ResetCode::kNotAllowed);
  allowance_->set_terms({}, {}, ListenRules(parse({"1024-65535"})));
  EXPECT_TRUE(listen("127.0.0.1", 0).listens);
}

TEST_F(ListenersTest, RulesThatCloseEndWhatTheyOpened) {
  const auto port = listen("127.0.0.1", 0).port;
  auto socket = connect(port);
  ASSERT_TRUE(run_until([this] { return came_.size() == 1; }));
  answers_.clear();
  listeners_->recheck();
  EXPECT_EQ(listeners_->size(), 1U);
  allow({port == 1024 ? "1025" : "1024"});
  listeners_->recheck();
  ASSERT_TRUE(run_until([this] { return !answers_.empty(); }));
  EXPECT_FALSE(answers_[0].listens);
  EXPECT_EQ(answers_[0].code, ResetCode::kNotAllowed);
  EXPECT_EQ(listeners_->size(), 0U);
  EXPECT_FALSE(came_[0].first->reset_code()) << "who had connected stays";
}

TEST_F(ListenersTest, ClosingAPlaceTellsTheClient) {
  const auto port = listen("127.0.0.1", 0).port;
  const Listeners::Endpoint endpoint{ListenKind::kTcp, asio::ip::make_address("127.0.0.1"), port};
  EXPECT_FALSE(listeners_->close_at({ListenKind::kUdp, endpoint.address, endpoint.port}));
  answers_.clear();
  EXPECT_TRUE(listeners_->close_at(endpoint));
  EXPECT_FALSE(listeners_->close_at(endpoint));
  ASSERT_TRUE(run_until([this] { return !answers_.empty(); }));
  EXPECT_EQ(answers_[0].code, ResetCode::kCancelled);
}

TEST_F(ListenersTest, WhatTheClientGivesUpIsClosed) {
  const auto port = listen("127.0.0.1", 0).port;
  near_->unlisten(id_, ResetCode::kCancelled);
  ASSERT_TRUE(run_until([this] { return listeners_->size() == 0; }));
  tcp::socket late(context_);
  error_code ec;
  late.connect({asio::ip::make_address("127.0.0.1"), port}, ec);
  EXPECT_EQ(ec, asio::error::connection_refused);
}

TEST_F(ListenersTest, UnansweredConnectionsOfAListenerAreBounded) {
  const auto port = listen("127.0.0.1", 0).port;
  std::vector<tcp::socket> sockets;
  for (std::size_t i = 0; i < kMaxPending + 3; ++i) sockets.push_back(connect(port));
  ASSERT_TRUE(run_until([this] { return came_.size() >= kMaxPending; }));
  context_.restart();
  context_.run_for(50ms);
  EXPECT_LE(came_.size(), kMaxPending + 1) << "one may have been accepted when it was paused";
  const std::size_t first = came_.size();
  for (auto& [stream, from] : std::exchange(came_, {})) stream->reset(ResetCode::kConnectionRefused);
  EXPECT_TRUE(run_until([&] { return came_.size() == sockets.size() - first; }))
      << "the rest waited in the kernel";
}

TEST_F(ListenersTest, AnInvitesLimitsHold) {
  link::Terms terms;
  terms.max_streams = 1;
  allowance_->set_terms({}, terms);
  const auto port = listen("127.0.0.1", 0).port;
  auto first = connect(port);
  ASSERT_TRUE(run_until([this] { return came_.size() == 1; }));
  auto second = connect(port);
  EXPECT_EQ(next(second), asio::error::connection_reset);
  EXPECT_EQ(came_.size(), 1U);
}

}  // namespace
}  // namespace zks::exit
