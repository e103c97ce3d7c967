// SPDX-License-Identifier: MIT
//
// Streams of a real session to destinations that the test makes.
#include "exit/stream_server.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "../support/run.hpp"
#include "tunnel_pair.hpp"

namespace zks::exit {
namespace {

using session::Destination;
using session::ResetCode;

// Where a test's destinations are: dials wait there until they are answered.
struct Network {
  explicit Network(asio::io_context& io) : answered(io, asio::steady_timer::time_point::max()) {}

  int dials = 0;
  bool accepts = false;
  ResetCode answer = ResetCode::kConnectionRefused;
  asio::steady_timer answered;
  std::optional<asio::local::stream_protocol::socket> target;  // the far end of what was connected
};

// No kernel's TCP is behind the socket.
void connect_pair(Network& network, ConnectOutcome& out) {
  const auto executor = network.answered.get_executor();
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  out.socket.emplace(executor);
  out.socket->assign(asio::ip::tcp::v4(), ends[0]);
  out.bound = test::somewhere();
  network.target.emplace(executor, asio::local::stream_protocol(), ends[1]);
}

asio::awaitable<ConnectOutcome> dial(std::shared_ptr<Network> network) {
  ++network->dials;
  [[maybe_unused]] const auto [ec] =
      co_await network->answered.async_wait(asio::as_tuple(asio::use_awaitable));
  ConnectOutcome out;
  out.code = network->answer;
  out.reason = "as the test says";
  if (network->accepts) connect_pair(*network, out);
  co_return out;
}

class StreamServerTest : public testing::Test {
 protected:
  StreamServerTest() {
    session::Options options;
    tunnel::Tunnel::Handlers handlers;
    handlers.on_open = [this](tunnel::StreamPtr stream, Destination destination) {
      server_->serve(session_, std::move(stream), std::move(destination));
    };
    pair_ = std::make_unique<test::TunnelPair>(context_, options, std::move(handlers));
    session_->tunnel = pair_->exit;
    session_->allowance =
        std::make_shared<Allowance>(context_.get_executor(), std::make_shared<Policy>(Rules{}));
    EXPECT_TRUE(test::run_until(context_, [&] { return pair_->up(); }));
  }
  ~StreamServerTest() override {
    network_->answered.cancel();
    streams_.clear();
    pair_.reset();
  }

  void open() {
    asio::co_spawn(context_, pair_->client->open(test::somewhere()),
                   [this](std::exception_ptr, const tunnel::OpenOutcome& outcome) {
                     if (!outcome.stream) return refused_.push_back(outcome.code);
                     bound_ = outcome.bound;
                     streams_.push_back(outcome.stream);
                   });
  }
  // By a clock that stands still: each stream beyond these has to wait.
  void allow_two_a_second() {
    session_->allowance = std::make_shared<Allowance>(
        context_.get_executor(), std::make_shared<Policy>(Rules{}), +[] { return Allowance::TimePoint(); });
    link::Terms terms;
    terms.stream_rate = 2;
    session_->allowance->set_terms(Rules{}, terms);
    network_->answered.expires_at(asio::steady_timer::time_point::min());
  }
  bool run_until(const std::function<bool()>& done) { return test::run_until(context_, done); }
  std::uint64_t failed(ResetCode code) const {
    return server_->tally().failed_streams[static_cast<std::size_t>(code)];
  }

  asio::io_context context_;
  std::shared_ptr<Network> network_ = std::make_shared<Network>(context_);
  std::shared_ptr<ClientSession> session_ = std::make_shared<ClientSession>();
  Connect connect_ = [network = network_](const asio::any_io_executor&, const Destination&,
                                          const std::shared_ptr<const Policy>&,
                                          const std::shared_ptr<GuestResolver>&,
                                          const ConnectOptions&) { return dial(network); };
  std::shared_ptr<StreamServer> server_ = std::make_shared<StreamServer>(
      context_.get_executor(), connect_, nullptr, StreamServer::Options{.max_streams = 2});
  std::unique_ptr<test::TunnelPair> pair_;
  std::vector<ResetCode> refused_;
  std::vector<tunnel::StreamPtr> streams_;  // the client's
  Destination bound_;
};

TEST_F(StreamServerTest, AFailureIsTheStreams) {
  open();
  ASSERT_TRUE(run_until([&] { return network_->dials == 1; }));
  EXPECT_EQ(session_->connecting, 1U);
  network_->answered.cancel();
  ASSERT_TRUE(run_until([&] { return !refused_.empty(); }));
  EXPECT_EQ(refused_, std::vector{ResetCode::kConnectionRefused});
  EXPECT_EQ(failed(ResetCode::kConnectionRefused), 1U);
  EXPECT_EQ(session_->connecting, 0U);
  EXPECT_EQ(session_->allowance->streams(), 0U);
}

TEST_F(StreamServerTest, ASessionConnectsNoMoreThanItMay) {
  for (int i = 0; i < 3; ++i) open();
  ASSERT_TRUE(run_until([&] { return !refused_.empty(); }));
  EXPECT_EQ(refused_, std::vector{ResetCode::kLimit});
  EXPECT_EQ(network_->dials, 2);
  EXPECT_EQ(session_->connecting, 2U);
  network_->answered.cancel();
  ASSERT_TRUE(run_until([&] { return session_->connecting == 0; }));
  open();
  ASSERT_TRUE(run_until([&] { return network_->dials == 3; })) << "there is room again";
}

TEST_F(StreamServerTest, AStreamThatIsResetMeanwhileCountsUntilItsDialEnds) {
  open();
  ASSERT_TRUE(run_until([&] { return network_->dials == 1; }));
  pair_->client->reset_streams(ResetCode::kCancelled);
  ASSERT_TRUE(run_until([&] { return pair_->exit->open_streams() == 0; }));
  EXPECT_EQ(session_->connecting, 1U);
  network_->answered.cancel();
  ASSERT_TRUE(run_until([&] { return session_->connecting == 0; }));
  EXPECT_EQ(session_->allowance->streams(), 0U);
}

TEST_F(StreamServerTest, WhatAnInviteMayNotIsNotDialled) {
  link::Terms terms;
  terms.max_streams = 1;
  session_->allowance->set_terms(Rules{}, terms);
  open();
  open();
  ASSERT_TRUE(run_until([&] { return !refused_.empty(); }));
  EXPECT_EQ(network_->dials, 1);
  EXPECT_EQ(server_->tally().connected_streams, 0U);
}

TEST_F(StreamServerTest, AConnectionCarriesTheStream) {
  network_->accepts = true;
  network_->answered.expires_at(asio::steady_timer::time_point::min());
  open();
  ASSERT_TRUE(run_until([&] { return streams_.size() == 1; }));
  EXPECT_EQ(bound_, test::somewhere()) << "where the exit connected from";
  EXPECT_EQ(server_->tally().connected_streams, 1U);
  EXPECT_EQ(session_->connecting, 0U);
  EXPECT_EQ(session_->allowance->streams(), 1U);

  asio::write(*network_->target, asio::buffer("word", 4));
  std::string got;
  ASSERT_TRUE(run_until([&] {
    std::array<ByteView, 8> pieces;
    const std::size_t count = streams_[0]->peek(pieces);
    for (std::size_t i = 0; i < count; ++i) got += as_text(pieces[i]);
    if (!got.empty()) streams_[0]->consume(got.size());
    return !got.empty();
  }));
  EXPECT_EQ(got, "word");
  network_->target->close();
  streams_[0]->reset(ResetCode::kCancelled);
  ASSERT_TRUE(run_until([&] { return session_->allowance->streams() == 0; })) << "its place is free again";
}

TEST_F(StreamServerTest, BeyondItsRateAStreamWaitsForItsTurn) {
  allow_two_a_second();
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 2; ++i) open();
  ASSERT_TRUE(run_until([&] { return refused_.size() == 2; }));
  open();
  ASSERT_TRUE(run_until([&] { return session_->connecting == 1; }));
  EXPECT_EQ(network_->dials, 2) << "a pause comes before the dial";
  ASSERT_TRUE(run_until([&] { return refused_.size() == 3; }));
  EXPECT_EQ(network_->dials, 3);
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(500));
}

TEST_F(StreamServerTest, AStreamThatIsResetWhileItWaitsIsNotDialled) {
  allow_two_a_second();
  for (int i = 0; i < 2; ++i) open();
  ASSERT_TRUE(run_until([&] { return refused_.size() == 2; }));
  open();
  ASSERT_TRUE(run_until([&] { return session_->connecting == 1; }));
  pair_->client->reset_streams(ResetCode::kCancelled);
  ASSERT_TRUE(run_until([&] { return session_->connecting == 0; }));
  EXPECT_EQ(network_->dials, 2);
  EXPECT_EQ(session_->allowance->streams(), 0U);
}

}  // namespace
}  // namespace zks::exit
