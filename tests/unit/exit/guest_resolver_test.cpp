// SPDX-License-Identifier: MIT
//
// Names looked up for guests who have more or fewer lookups under way than their share.
#include "exit/guest_resolver.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <gmock/gmock.h>

#include "../support/dns_server.hpp"
#include "../support/run.hpp"

namespace zks::exit {
namespace {

using session::ResetCode;
using std::chrono::steady_clock;
using test::run;
using testing::ElementsAre;
using Behaviour = test::DnsServer::Behaviour;

class GuestResolverTest : public testing::Test {
 protected:
  std::shared_ptr<GuestResolver> resolver(std::size_t max_lookups, int attempt_timeout_ms = 60'000) {
    const net::LookupOptions options = {
        .servers = server.address(), .attempt_timeout_ms = attempt_timeout_ms, .attempts = 2, .open = {}};
    return std::make_shared<GuestResolver>(net::Resolver::create(context.get_executor(), options).value(),
                                           max_lookups);
  }

  const steady_clock::time_point deadline = steady_clock::now() + std::chrono::seconds(30);
  boost::asio::io_context context{1};
  test::DnsServer server{context};
};

std::vector<std::string> texts(const Resolution& resolution) {
  std::vector<std::string> out;
  for (const IpAddress& address : resolution.addresses) out.push_back(address.text());
  return out;
}

TEST_F(GuestResolverTest, SaysWhyThereAreNoAddresses) {
  server.names["broken.test"] = {.on_a = Behaviour::kServFail, .on_aaaa = Behaviour::kServFail};
  server.names["silent.test"] = {.on_a = Behaviour::kSilent, .on_aaaa = Behaviour::kSilent};
  const auto one = resolver(8, 250);
  EXPECT_EQ(run(context, one->resolve("nobody.test", deadline)).code, ResetCode::kNameNotFound);
  EXPECT_EQ(run(context, one->resolve("not a name", deadline)).code, ResetCode::kNameNotFound);
  EXPECT_EQ(run(context, one->resolve("broken.test", deadline)).code, ResetCode::kHostUnreachable);
  EXPECT_EQ(run(context, one->resolve("silent.test", deadline)).code, ResetCode::kTimedOut);
  EXPECT_EQ(one->outstanding(), 0U);
}

TEST_F(GuestResolverTest, LookupsAreBounded) {
  server.names["silent.test"] = {.on_a = Behaviour::kSilent, .on_aaaa = Behaviour::kSilent};
  server.names["four.test"] = {.ipv4 = {"127.0.0.1"}};
  const auto two = resolver(5);
  boost::asio::cancellation_signal cancel[2];
  int ended = 0;
  for (auto& signal : cancel) {
    boost::asio::co_spawn(context, two->resolve("silent.test", deadline),
                          boost::asio::bind_cancellation_slot(
                              signal.slot(), [&](std::exception_ptr, const Resolution&) { ++ended; }));
  }
  while (server.queries() < 4) context.run_one();
  EXPECT_EQ(two->outstanding(), 2u);
  EXPECT_EQ(run(context, two->resolve("four.test", deadline)).code, ResetCode::kLimit);

  for (auto& signal : cancel) signal.emit(boost::asio::cancellation_type::terminal);
  while (ended < 2) context.run_one();
  EXPECT_EQ(two->outstanding(), 0u) << "a cancelled lookup gives its place back";
  EXPECT_THAT(texts(run(context, two->resolve("four.test", deadline))), ElementsAre("127.0.0.1"));
}

TEST_F(GuestResolverTest, WhoWaitsForManyNamesLeavesLookupsToOthers) {
  server.names["silent.test"] = {.on_a = Behaviour::kSilent, .on_aaaa = Behaviour::kSilent};
  server.names["four.test"] = {.ipv4 = {"127.0.0.1"}};
  const auto shared = resolver(24);
  const GuestResolver::Asker heavy{{1}, {1}};
  const GuestResolver::Asker same_link{{1}, {2}};
  boost::asio::cancellation_signal cancel[20];
  int ended = 0;
  int limited = 0;
  for (auto& signal : cancel) {
    boost::asio::co_spawn(context, shared->resolve("silent.test", deadline, heavy),
                          boost::asio::bind_cancellation_slot(
                              signal.slot(), [&](std::exception_ptr, const Resolution& resolution) {
                                ++ended;
                                limited += resolution.code == ResetCode::kLimit ? 1 : 0;
                              }));
  }
  while (server.queries() < 16) context.run_one();
  EXPECT_EQ(shared->outstanding(), 8U) << "a third";
  EXPECT_EQ(limited, 12);
  EXPECT_THAT(texts(run(context, shared->resolve("four.test", deadline, same_link))),
              ElementsAre("127.0.0.1"));
  for (auto& signal : cancel) signal.emit(boost::asio::cancellation_type::terminal);
  while (ended < 20) context.run_one();
  EXPECT_EQ(shared->outstanding(), 0U);
}

}  // namespace
}  // namespace zks::exit
