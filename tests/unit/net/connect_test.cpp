// SPDX-License-Identifier: MIT
//
// From a name to a connection, with a lookup that says what the test says: many addresses, dead ones, none,
// or nothing at all.
#include "net/connect.hpp"

#include <gtest/gtest.h>

#include "../support/run.hpp"

namespace zks::net {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using std::chrono::steady_clock;
using Endpoints = std::vector<tcp::endpoint>;

constexpr std::uint16_t kPort = 443;

class Names final : public Uplink {
 public:
  Task<tcp::socket> open(tcp protocol) override {
    auto executor = co_await asio::this_coro::executor;
    tcp::socket out(executor, protocol);
    co_return std::move(out);
  }
  Task<Endpoints> look_up(std::string /*host*/, std::uint16_t /*port*/, steady_clock::time_point) override {
    ++asked;
    asio::steady_timer pause(co_await asio::this_coro::executor, takes);
    co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    if (answer.empty()) co_return make_error(ErrorKind::kNetwork, "no such name");
    co_return answer;
  }

  Endpoints answer;
  steady_clock::duration takes{};
  int asked = 0;
};

// What it answers with beyond TCP: `speaks` it, or is silent there, as an overloaded server is.
class Speaker final : public Attempt {
 public:
  Speaker(tcp::endpoint endpoint, bool speaks, const asio::any_io_executor& executor)
      : endpoint_(std::move(endpoint)), speaks_(speaks), silence_(executor) {}
  Task<> run(std::function<void()> on_connected) override {
    on_connected();
    if (!speaks_) {
      silence_.expires_at(steady_clock::time_point::max());
      co_await silence_.async_wait(asio::as_tuple(asio::use_awaitable));
      co_return make_error(ErrorKind::kNetwork, "aborted");
    }
    co_return Result<>();
  }
  void abort() override { silence_.cancel(); }
  const tcp::endpoint& endpoint() const { return endpoint_; }

 private:
  tcp::endpoint endpoint_;
  bool speaks_;
  asio::steady_timer silence_;
};

asio::awaitable<void> run_connect(Goal goal, MakeAttempt make, steady_clock::duration time,
                                  std::optional<Result<std::shared_ptr<Attempt>>>* out) {
  const auto executor = co_await asio::this_coro::executor;
  auto made = co_await connect_any(executor, std::move(goal), std::move(make), steady_clock::now() + time);
  out->emplace(std::move(made));
}

class ConnectTest : public testing::Test {
 protected:
  Result<std::shared_ptr<Attempt>> connect_to(const MakeAttempt& make, steady_clock::duration time = 30s) {
    std::optional<Result<std::shared_ptr<Attempt>>> out;
    Goal goal("relay.example", kPort, Egress("", names), known);
    goal.twice = twice;
    test::run(io, run_connect(std::move(goal), make, time, &out));
    return std::move(*out);
  }
  // Addresses other than `good` take connections, and say nothing.
  Result<std::shared_ptr<Attempt>> speak(const tcp::endpoint& good, steady_clock::duration time = 30s) {
    return connect_to(
        [this, good](const tcp::endpoint& endpoint) {
          tried.push_back(endpoint);
          return std::make_shared<Speaker>(endpoint, endpoint == good, io.get_executor());
        },
        time);
  }
  static tcp::endpoint place(int number) {
    return {asio::ip::make_address("192.0.2." + std::to_string(number)), kPort};
  }

  asio::io_context io{1};
  std::shared_ptr<Names> names = std::make_shared<Names>();
  std::shared_ptr<KnownAddresses> known = std::make_shared<KnownAddresses>();
  Endpoints tried;
  bool twice = false;
};

TEST_F(ConnectTest, AnAddressThatConnectsAndSaysNothingHoldsNobodyBack) {
  names->answer = {place(1), place(2)};
  const auto began = steady_clock::now();
  const auto made = speak(place(2));
  ASSERT_TRUE(made);
  EXPECT_EQ(static_cast<const Speaker&>(**made).endpoint(), place(2));
  EXPECT_GE(steady_clock::now() - began, RaceOptions().connected_delay)
      << "a slow relay is not asked twice at once";
}

// As reach() does where an address is silent in TLS: once more, with small segments.
TEST_F(ConnectTest, ASecondAttemptFollowsWhereOneIsWanted) {
  names->answer = {place(1)};
  const auto make = [this](const tcp::endpoint& endpoint) -> std::shared_ptr<Attempt> {
    tried.push_back(endpoint);
    return std::make_shared<Speaker>(endpoint, tried.size() == 2, io.get_executor());
  };
  EXPECT_FALSE(connect_to(make, 2s)) << "nobody asked for it";
  EXPECT_EQ(tried.size(), 1U);
  tried.clear();
  twice = true;
  const auto began = steady_clock::now();
  EXPECT_TRUE(connect_to(make));
  EXPECT_EQ(tried, (Endpoints{place(1), place(1)}));
  EXPECT_GE(steady_clock::now() - began, RaceOptions().connected_delay);
}

TEST_F(ConnectTest, AllAddressesAreTried) {
  for (int i = 1; i <= 20; ++i) names->answer.push_back(place(i));
  const auto refuse = [this](const tcp::endpoint& endpoint) -> std::shared_ptr<Attempt> {
    tried.push_back(endpoint);
    struct Refused final : Attempt {
      Task<> run(std::function<void()>) override {
        co_return make_error(ErrorKind::kNetwork, "refused", ECONNREFUSED);
      }
      void abort() override {}
    };
    if (endpoint != place(20)) return std::make_shared<Refused>();
    return std::make_shared<Speaker>(endpoint, true, io.get_executor());
  };
  EXPECT_TRUE(connect_to(refuse));
  EXPECT_EQ(tried.size(), 20U);
}

TEST_F(ConnectTest, WithoutALookupTheAddressThatWorkedIsTaken) {
  known->worked("relay.example", kPort, place(7));
  known->worked("other.example", kPort, place(8));
  EXPECT_TRUE(speak(place(7))) << "the lookup fails";
  names->takes = 1h;
  EXPECT_TRUE(speak(place(7))) << "the lookup does not end";
  EXPECT_EQ(tried, (Endpoints{place(7), place(7)}));
}

// A forged or an old answer does not keep a client out either.
TEST_F(ConnectTest, TheAddressThatWorkedIsTriedBehindThoseOfTheLookup) {
  known->worked("relay.example", kPort, place(7));
  names->answer = {place(1)};
  EXPECT_TRUE(speak(place(7)));
  EXPECT_EQ(tried, (Endpoints{place(1), place(7)}));
}

// The relay has moved, and its name takes long to look up.
TEST_F(ConnectTest, ALateLookupIsStillOfUse) {
  known->worked("relay.example", kPort, place(7));
  names->answer = {place(7), place(9)};
  names->takes = 1'300ms;
  const auto make = [this](const tcp::endpoint& endpoint) -> std::shared_ptr<Attempt> {
    struct Refused final : Attempt {
      Task<> run(std::function<void()>) override {
        co_return make_error(ErrorKind::kNetwork, "refused", ECONNREFUSED);
      }
      void abort() override {}
    };
    tried.push_back(endpoint);
    if (endpoint == place(7)) return std::make_shared<Refused>();
    return std::make_shared<Speaker>(endpoint, true, io.get_executor());
  };
  EXPECT_TRUE(connect_to(make));
  EXPECT_EQ(tried, (Endpoints{place(7), place(9)}));
}

TEST_F(ConnectTest, WhatAnAnswerSaysCountsForMoreThanSilence) {
  names->answer = {place(1), place(2)};
  const auto make = [this](const tcp::endpoint& endpoint) -> std::shared_ptr<Attempt> {
    struct Distrusted final : Attempt {
      Task<> run(std::function<void()>) override {
        co_return make_error(ErrorKind::kUntrusted, "another certificate");
      }
      void abort() override {}
    };
    if (endpoint == place(1)) return std::make_shared<Speaker>(endpoint, false, io.get_executor());
    return std::make_shared<Distrusted>();
  };
  EXPECT_EQ(connect_to(make, 2s).error().kind, ErrorKind::kUntrusted);
  names->answer.clear();
  EXPECT_EQ(connect_to(make, 2s).error().text, "no such name");
}

TEST(KnownAddresses, AreFewAndTheLatestIsFirst) {
  KnownAddresses known;
  const auto at = [](int number) {
    return tcp::endpoint(asio::ip::make_address("192.0.2." + std::to_string(number)), 1);
  };
  for (int i = 1; i <= 6; ++i) known.worked("a", 1, at(i));
  known.worked("a", 1, at(4));
  EXPECT_EQ(known.of("a", 1), (Endpoints{at(4), at(6), at(5), at(3)}));
  EXPECT_TRUE(known.of("a", 2).empty());
}

}  // namespace
}  // namespace zks::net
