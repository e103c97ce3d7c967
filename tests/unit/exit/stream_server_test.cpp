// SPDX-License-Identifier: MIT
//
// Streams of a real session to destinations that the test makes.
#include "exit/stream_server.hpp"

#include <boost/asio/steady_timer.hpp>
#include <gtest/gtest.h>

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
  ResetCode answer = ResetCode::kConnectionRefused;
  asio::steady_timer answered;
};

asio::awaitable<ConnectOutcome> dial(std::shared_ptr<Network> network) {
  ++network->dials;
  [[maybe_unused]] const auto [ec] =
      co_await network->answered.async_wait(asio::as_tuple(asio::use_awaitable));
  ConnectOutcome out;
  out.code = network->answer;
  out.reason = "as the test says";
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
    pair_.reset();
  }

  void open() {
    asio::co_spawn(context_, pair_->client->open(test::somewhere()),
                   [this](std::exception_ptr, const tunnel::OpenOutcome& outcome) {
                     if (!outcome.stream) refused_.push_back(outcome.code);
                   });
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

}  // namespace
}  // namespace zks::exit
