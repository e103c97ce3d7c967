// SPDX-License-Identifier: MIT
//
// Requests of a real tunnel, over a carrier in memory, to a DNS server and to hosts on loopback.
#include "exit/session_requests.hpp"

#include <gtest/gtest.h>

#include "../support/dns_server.hpp"
#include "../support/join_tunnels.hpp"
#include "../support/run.hpp"
#include "base/dns_message.hpp"
#include "net/endpoint.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using session::Destination;
using session::IcmpError;
using test::run;
using tunnel::EchoAnswer;
using Behaviour = test::DnsServer::Behaviour;

Destination host(const char* address) {
  return tunnel::make_destination(asio::ip::udp::endpoint(asio::ip::make_address(address), 0));
}

// A query for A records, id 0x4242.
Bytes query(const std::string& name, std::uint16_t type = 1) {
  Bytes out = from_hex("424201000001000000000000").value();
  std::size_t from = 0;
  while (from <= name.size()) {
    const std::size_t dot = std::min(name.find('.', from), name.size());
    out.push_back(static_cast<std::uint8_t>(dot - from));
    out.insert(out.end(), name.begin() + static_cast<std::ptrdiff_t>(from),
               name.begin() + static_cast<std::ptrdiff_t>(dot));
    from = dot + 1;
  }
  out.insert(out.end(), {0, static_cast<std::uint8_t>(type >> 8), static_cast<std::uint8_t>(type), 0, 1});
  return out;
}

class SessionRequestsTest : public testing::Test {
 protected:
  SessionRequestsTest() {
    echo_->start();
    session::Options ends;
    near_ = std::make_shared<tunnel::Tunnel>(context_.get_executor(), ends, tunnel::Tunnel::Handlers{});
    ends.role = session::Role::kExit;
    ends.capabilities = find_capabilities(*echo_);
    tunnel::Tunnel::Handlers handlers;
    const auto on_request = [this](auto& event) { requests_->on(event); };
    handlers.on_resolve = on_request;
    handlers.on_echo = on_request;
    far_ = std::make_shared<tunnel::Tunnel>(context_.get_executor(), ends, std::move(handlers));
    net::LookupOptions resolver;
    resolver = {.servers = dns_.address(), .attempt_timeout_ms = 250, .attempts = 2, .open = {}};
    requests_ = std::make_shared<SessionRequests>(
        std::make_shared<GuestResolver>(net::Resolver::create(context_.get_executor(), resolver).value()),
        echo_, allowance_, far_);
    test::join_tunnels(context_.get_executor(), *near_, *far_);
    EXPECT_TRUE(run_until([&] { return near_->exit_capabilities().has_value(); }));
  }
  ~SessionRequestsTest() override {
    near_->end(make_error(ErrorKind::kClosed, "the test is over"));
    far_->end(make_error(ErrorKind::kClosed, "the test is over"));
    context_.restart();
    context_.run_for(20ms);
  }

  // Until it holds, or for ten seconds.
  bool run_until(const std::function<bool()>& done) {
    context_.restart();
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      context_.run_one_for(20ms);
    }
    return true;
  }
  Result<Bytes> resolve(Bytes message) { return run(context_, near_->resolve(std::move(message))); }
  int code_of(const Result<Bytes>& answer) { return answer ? (*answer)[3] & 0x0f : -1; }

  struct Kept {
    Destination from;
    IcmpError said;
    std::uint8_t hop_limit = 0;
    Bytes data;
    bool reply = false;
  };
  std::optional<Kept> ping(const Destination& where, const Bytes& data = Bytes(56, 'p')) {
    std::optional<Kept> kept;
    const auto sent = near_->echo({where, 64, data}, [&](const EchoAnswer& answer) {
      kept = {answer.from, answer.said, answer.hop_limit, Bytes(answer.data.begin(), answer.data.end()),
              answer.is_reply()};
    });
    EXPECT_TRUE(sent);
    run_until([&] { return kept.has_value(); });
    return kept;
  }

  asio::io_context context_{1};
  test::DnsServer dns_{context_};
  std::shared_ptr<Policy> policy_ = std::make_shared<Policy>(
      Rules{{parse_rule("127.0.0.1").value(), parse_rule("::1").value()}, {parse_rule("bad.test").value()}});
  std::shared_ptr<Allowance> allowance_ = std::make_shared<Allowance>(context_.get_executor(), policy_);
  std::shared_ptr<EchoHost> echo_ = std::make_shared<EchoHost>(context_.get_executor());
  std::shared_ptr<tunnel::Tunnel> near_;
  std::shared_ptr<tunnel::Tunnel> far_;
  std::shared_ptr<SessionRequests> requests_;
};

TEST_F(SessionRequestsTest, AnAnswerIsTheServersUnderTheClientsId) {
  dns_.names["four.test"] = {.ipv4 = {"192.0.2.1", "192.0.2.2"}};
  const auto answer = resolve(query("four.test"));
  ASSERT_TRUE(answer);
  EXPECT_EQ((*answer)[0], 0x42);
  EXPECT_EQ((*answer)[1], 0x42);
  EXPECT_EQ((*answer)[7], 2) << "answers";
  EXPECT_EQ(Bytes(answer->end() - 4, answer->end()), (Bytes{192, 0, 2, 2}));
  EXPECT_EQ(code_of(resolve(query("missing.test"))), 3) << "NXDOMAIN is an answer";
  EXPECT_EQ(dns_.queries(), 2U);
}

TEST_F(SessionRequestsTest, WhatWasCutIsAskedForOverTcp) {
  dns_.names["long.test"] = {.ipv4 = {"192.0.2.1"}, .on_a = Behaviour::kTruncated};
  const auto answer = resolve(query("long.test"));
  ASSERT_TRUE(answer);
  EXPECT_EQ((*answer)[2] & 0x02, 0) << "TC";
  EXPECT_EQ((*answer)[7], 1);
  EXPECT_EQ(dns_.tcp_queries(), 1U);
}

TEST_F(SessionRequestsTest, NoAnswerIsServFail) {
  dns_.names["silent.test"] = {.on_a = Behaviour::kSilent};
  dns_.names["broken.test"] = {.on_a = Behaviour::kServFail};
  EXPECT_EQ(code_of(resolve(query("silent.test"))), 2);
  EXPECT_EQ(code_of(resolve(query("broken.test"))), 2);
}

TEST_F(SessionRequestsTest, ARefusalIsTheServersWithItsReason) {
  dns_.names["refused.test"] = {.on_a = Behaviour::kRefused};
  const auto answer = resolve(query("refused.test"));
  EXPECT_EQ(code_of(answer), 5);
  ASSERT_TRUE(answer);
  EXPECT_EQ(Bytes(answer->end() - 6, answer->end()), (Bytes{0, 15, 0, 2, 0, 18})) << "RFC 8914";
  EXPECT_EQ(dns_.queries(), 1U) << "it was an answer";
  dns_.names["bare.test"] = {.on_a = Behaviour::kRefusedBare};
  EXPECT_EQ(code_of(resolve(query("bare.test"))), 5);
}

TEST_F(SessionRequestsTest, WhatIsWholeOverUdpIsNotAskedForAgain) {
  dns_.names["long.test"] = {.ipv4 = {"192.0.2.1"}, .on_a = Behaviour::kLong};
  const auto answer = resolve(query("long.test"));
  ASSERT_TRUE(answer);
  EXPECT_GT(answer->size(), 700U);
  EXPECT_EQ(dns_.tcp_queries(), 0U);
}

TEST_F(SessionRequestsTest, TheExitsOwnWordSaysWhy) {
  dns_.names["silent.test"] = {.on_a = Behaviour::kSilent};
  Bytes message = query("silent.test");
  message[11] = 1;
  message.insert(message.end(), {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0});
  const auto answer = resolve(message);
  EXPECT_EQ(code_of(answer), 2);
  ASSERT_TRUE(answer);
  EXPECT_EQ(Bytes(answer->end() - 6, answer->end()), (Bytes{0, 15, 0, 2, 0, 22}))
      << "no server said anything";
}

TEST_F(SessionRequestsTest, WhatIsNoQueryIsRefused) {
  Bytes two = query("a.test");
  two[5] = 2;
  EXPECT_EQ(code_of(resolve(two)), 1) << "RFC 9619";
  EXPECT_EQ(dns_.queries(), 0U);
}

TEST_F(SessionRequestsTest, SomeQueriesReachNoServer) {
  dns_.names["bad.test"] = {.ipv4 = {"192.0.2.1"}};
  EXPECT_EQ(code_of(resolve(query("bad.test"))), 5) << "a deny rule";
  EXPECT_EQ(code_of(resolve(query("BAD.test"))), 5);
  EXPECT_EQ(code_of(resolve(query("zone.test", 252))), 5) << "AXFR";
  Bytes update = query("zone.test");
  update[2] = 5 << 3;
  EXPECT_EQ(code_of(resolve(update)), 4) << "UPDATE";
  Bytes chaos = query("version.bind", 16);
  chaos.back() = 3;
  EXPECT_EQ(code_of(resolve(chaos)), 4);
  EXPECT_EQ(dns_.queries(), 0U);
}

TEST_F(SessionRequestsTest, OutstandingQueriesAreBounded) {
  dns_.names["silent.test"] = {.on_a = Behaviour::kSilent};
  std::size_t failed_at_once = 0;
  std::size_t over = 0;
  constexpr std::size_t kMore = 20;
  for (std::size_t i = 0; i < SessionRequests::kMaxQueries + kMore; ++i) {
    asio::co_spawn(context_, near_->resolve(query("silent.test")),
                   [&](std::exception_ptr, Result<Bytes> answer) {
                     ++over;
                     if (dns_.queries() == 0 || code_of(answer) == 2) ++failed_at_once;
                   });
  }
  ASSERT_TRUE(run_until([&] { return over >= kMore; }));
  EXPECT_GE(failed_at_once, kMore);
  ASSERT_TRUE(run_until([&] { return over == SessionRequests::kMaxQueries + kMore; }));
}

TEST_F(SessionRequestsTest, WhoWaitsHearsOfTheEnd) {
  dns_.names["silent.test"] = {.on_a = Behaviour::kSilent};
  std::optional<ErrorKind> kind;
  asio::co_spawn(context_, near_->resolve(query("silent.test")),
                 [&](std::exception_ptr, Result<Bytes> answer) { kind = answer.error().kind; });
  ASSERT_TRUE(run_until([&] { return dns_.queries() > 0; }));
  near_->end(make_error(ErrorKind::kClosed, "over"));
  ASSERT_TRUE(run_until([&] { return kind.has_value(); }));
  EXPECT_EQ(*kind, ErrorKind::kClosed);
}

TEST_F(SessionRequestsTest, PingsAreAnsweredByWhoIsThere) {
  for (const char* address : {"127.0.0.1", "::1"}) {
    const auto family =
        host(address).kind == Destination::Kind::kIpv4 ? IpAddress::Family::kIpv4 : IpAddress::Family::kIpv6;
    if (!echo_->can_ping(family)) GTEST_SKIP() << "no ping socket is allowed here";
    for (const std::size_t size : {0U, 1U, 56U, 5000U}) {
      Bytes data(size);
      fill_random(data);
      const auto answer = ping(host(address), data);
      if (!answer) GTEST_SKIP() << address << " does not answer here";
      EXPECT_TRUE(answer->reply);
      EXPECT_EQ(answer->from, host(address));
      EXPECT_EQ(answer->data, data);
      EXPECT_EQ(answer->hop_limit, 64);
    }
  }
}

TEST_F(SessionRequestsTest, ThePolicyJudgesPings) {
  if (!near_->exit_capabilities()->echo_ipv4) GTEST_SKIP() << "no ping socket is allowed here";
  const auto answer = ping(host("127.0.0.2"));
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->reply);
  EXPECT_EQ(answer->said, (IcmpError{3, 13}));
  EXPECT_EQ(answer->from, host("127.0.0.2"));
  if (!near_->exit_capabilities()->echo_ipv6) return;
  EXPECT_EQ(ping(host("fd00::1"))->said, (IcmpError{1, 1}));
  EXPECT_EQ(ping(host("::ffff:127.0.0.2"))->said, (IcmpError{3, 13}));
}

TEST_F(SessionRequestsTest, PingsHaveARate) {
  if (!near_->exit_capabilities()->echo_ipv4) GTEST_SKIP() << "no ping socket is allowed here";
  std::size_t judged = 0;
  std::size_t not_sent = 0;
  constexpr std::size_t kMany = 1000;  // the client keeps no more that wait for an answer
  const auto began = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < kMany; ++i) {
    ASSERT_TRUE(near_->echo({host("127.0.0.2"), 64, {}}, [&](const EchoAnswer& answer) {
      ++(answer.said == tunnel::kEchoNotSent ? not_sent : judged);
    }));
  }
  // Each is told what became of it.
  ASSERT_TRUE(run_until([&] { return judged + not_sent == kMany; }));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  EXPECT_GE(static_cast<double>(judged), SessionRequests::kPingsAtOnce);
  EXPECT_LE(static_cast<double>(judged),
            SessionRequests::kPingsAtOnce + SessionRequests::kPingsASecond * took.count() + 1);
}

}  // namespace
}  // namespace zks::exit
