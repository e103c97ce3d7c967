// SPDX-License-Identifier: MIT
//
// Sessions of real tunnels: those that have no lane are orphans. Who gives way to whom is in
// session_shares_test.cpp.
#include "exit/session_registry.hpp"

#include <gtest/gtest.h>

#include "../support/run.hpp"
#include "tunnel_pair.hpp"

namespace zks::exit {
namespace {

tunnel::Claim device(std::uint8_t invite, std::uint8_t key = 1) {
  return {{invite}, {key}};
}

class SessionRegistryTest : public testing::Test {
 protected:
  tunnel::Tunnel::Handlers handlers_of(const ClientSessionPtr& session) {
    tunnel::Tunnel::Handlers handlers;
    handlers.on_end = [this, weak = std::weak_ptr<ClientSession>(session)](const Error& why) {
      why_ = why.text;
      if (const auto it = weak.lock()) registry_.remove(it);
    };
    return handlers;
  }
  static session::Options options_of(std::uint8_t id) {
    session::Options options;
    options.role = session::Role::kExit;
    options.id = SessionId{id};
    return options;
  }
  ClientSessionPtr add(const tunnel::Claim& claim, std::uint8_t id, std::shared_ptr<tunnel::Tunnel> tunnel) {
    const auto session = std::make_shared<ClientSession>();
    session->claim = claim;
    session->tunnel = tunnel ? std::move(tunnel)
                             : std::make_shared<tunnel::Tunnel>(context_.get_executor(), options_of(id),
                                                                handlers_of(session));
    registry_.add(session);
    return session;
  }
  ClientSessionPtr add_orphan(const tunnel::Claim& claim, std::uint8_t id) { return add(claim, id, nullptr); }

  // A session whose client has opened a stream, and may listen.
  struct Served {
    ClientSessionPtr session = std::make_shared<ClientSession>();
    std::unique_ptr<test::TunnelPair> pair;
    tunnel::StreamPtr stream;  // the exit's
    tunnel::StreamPtr of_client;

    ~Served() {
      if (session->listeners) session->listeners->close();
    }
  };
  std::unique_ptr<Served> add_served(const tunnel::Claim& claim, std::uint8_t id,
                                     tunnel::Tunnel::Handlers at_client = {}) {
    auto out = std::make_unique<Served>();
    auto handlers = handlers_of(out->session);
    handlers.on_open = [raw = out.get()](tunnel::StreamPtr stream, const session::Destination&) {
      raw->stream = std::move(stream);
    };
    handlers.on_listen = [raw = out.get()](const session::ListenEvent& event) {
      raw->session->listeners->on(event);
    };
    auto options = options_of(id);
    options.max_listeners = kMaxListeners;
    out->pair =
        std::make_unique<test::TunnelPair>(context_, options, std::move(handlers), std::move(at_client));
    out->session->claim = claim;
    out->session->tunnel = out->pair->exit;
    out->session->listeners = std::make_shared<Listeners>(
        std::make_shared<ListenRules>(std::vector{parse_listen_rule("1024-65535").value()}),
        std::make_shared<Allowance>(context_.get_executor(), std::make_shared<Policy>(Rules{})),
        out->pair->exit, nullptr, [](const Listeners::Endpoint&) { return false; });
    registry_.add(out->session);
    EXPECT_TRUE(test::run_until(context_, [&] { return out->pair->up(); }));
    asio::co_spawn(context_, out->pair->client->open(test::somewhere()),
                   [raw = out.get()](std::exception_ptr, const tunnel::OpenOutcome& outcome) {
                     raw->of_client = outcome.stream;
                   });
    EXPECT_TRUE(test::run_until(context_, [&] { return out->stream != nullptr; }));
    out->stream->accept(test::somewhere());
    EXPECT_TRUE(test::run_until(context_, [&] { return out->of_client != nullptr; }));
    return out;
  }
  // As many bytes as the stream takes, `most` at most.
  static void write(tunnel::Stream& stream, std::size_t most) {
    std::array<MutableBytes, 4> pieces;
    while (most > 0) {
      const std::size_t count = stream.prepare(most, pieces);
      std::size_t bytes = 0;
      for (std::size_t i = 0; i < count; ++i) bytes += pieces[i].size();
      if (bytes == 0) return;
      stream.commit(bytes);
      most -= bytes;
    }
  }

  asio::io_context context_;
  SessionRegistry registry_;
  std::string why_;
};

TEST_F(SessionRegistryTest, FindsASessionForItsOwnDeviceAlone) {
  const auto session = add_orphan(device(1), 7);
  EXPECT_EQ(registry_.find(SessionId{7}, device(1)), session);
  EXPECT_EQ(registry_.find(SessionId{8}, device(1)), nullptr);
  EXPECT_EQ(registry_.find(SessionId{7}, device(2)), nullptr) << "another invite";
  EXPECT_EQ(registry_.find(SessionId{7}, device(1, 2)), nullptr) << "another device of the invite";
  EXPECT_TRUE(registry_.has_session_of(device(1)));
  EXPECT_FALSE(registry_.has_session_of(device(1, 2)));
}

TEST_F(SessionRegistryTest, TheOldestOrphanGivesWay) {
  const auto first = add_orphan(device(1), 1);
  const auto second = add_orphan(device(1), 2);
  registry_.orphaned(first);  // it had a lane for longer
  ASSERT_TRUE(registry_.make_room(device(2)));
  EXPECT_EQ(registry_.all(), std::vector{first});
  EXPECT_EQ(why_, "its place was needed by somebody who has fewer");
}

TEST_F(SessionRegistryTest, WhoHasMostMakesNoRoomForItself) {
  test::TunnelPair pair(context_, options_of(1), {});
  ASSERT_TRUE(test::run_until(context_, [&] { return pair.up(); }));
  const auto running = add(device(1), 1, pair.exit);
  EXPECT_FALSE(registry_.make_room(device(1)));
  EXPECT_EQ(registry_.all(), std::vector{running});
}

TEST_F(SessionRegistryTest, OrphansThatHoldNothingStay) {
  add_orphan(device(1), 1);
  add_orphan(device(2), 2);
  registry_.bound_orphans(0);
  EXPECT_EQ(registry_.size(), 2U);
}

TEST_F(SessionRegistryTest, OrphansHoldNoMoreThanTheyMay) {
  const auto served = add_served(device(1), 1);
  served->pair->cut();
  ASSERT_TRUE(test::run_until(context_, [&] { return served->pair->exit->orphaned(); }));
  write(*served->stream, 4096);
  const std::size_t held = served->pair->exit->memory_bytes();
  ASSERT_GT(held, 0U);
  registry_.bound_orphans(held);
  EXPECT_EQ(registry_.size(), 1U);
  registry_.bound_orphans(held - 1);
  EXPECT_TRUE(registry_.empty());
  EXPECT_EQ(why_, "sessions without a lane held too much memory");
}

TEST_F(SessionRegistryTest, WhereMemoryLacksTheSessionEndsThatHoldsMost) {
  std::string said;
  tunnel::Tunnel::Handlers at_client;
  at_client.on_goaway = [&said](session::GoawayCode, const std::string& text) { said = text; };
  const auto light = add_served(device(1), 1);
  const auto heavy = add_served(device(2), 2, std::move(at_client));
  light->pair->stall(true);
  heavy->pair->stall(true);
  write(*light->stream, 100'000);
  write(*heavy->stream, 1'000'000);  // as much of it as it may have ahead of its lane
  ASSERT_GT(heavy->pair->exit->memory_bytes(), light->pair->exit->memory_bytes());
  registry_.relieve_memory();
  EXPECT_EQ(heavy->stream->reset_code(), session::ResetCode::kLimit);
  EXPECT_FALSE(light->stream->reset_code());
  heavy->pair->stall(false);
  ASSERT_TRUE(test::run_until(context_, [&] { return registry_.size() == 1 && !said.empty(); }));
  EXPECT_EQ(registry_.all(), std::vector{light->session});
  EXPECT_EQ(said, "the exit has no memory left; try later");
}

TEST_F(SessionRegistryTest, ASessionThatHoldsLittleIsLeftAlone) {
  const auto light = add_served(device(1), 1);
  light->pair->stall(true);
  write(*light->stream, 100'000);
  ASSERT_GT(light->pair->exit->memory_bytes(), 0U);
  registry_.relieve_memory();
  EXPECT_EQ(registry_.size(), 1U);
  EXPECT_FALSE(light->stream->reset_code());
}

TEST_F(SessionRegistryTest, AListenerIsTakenFromAnOrphanOfTheSameDeviceAlone) {
  std::uint16_t port = 0;
  tunnel::Tunnel::Handlers at_client;
  at_client.on_listening = [&port](const session::ListeningEvent& event) { port = event.address.port; };
  const auto served = add_served(device(1), 1, std::move(at_client));
  const auto loopback = asio::ip::make_address("127.0.0.1");
  ASSERT_TRUE(served->pair->client->listen(session::ListenKind::kTcp,
                                           tunnel::make_destination(asio::ip::tcp::endpoint(loopback, 0))));
  ASSERT_TRUE(test::run_until(context_, [&] { return port != 0; }));
  const Listeners::Endpoint endpoint{session::ListenKind::kTcp, loopback, port};
  EXPECT_FALSE(registry_.take_listener(device(1), endpoint)) << "its client is there";
  served->pair->cut();
  ASSERT_TRUE(test::run_until(context_, [&] { return served->pair->exit->orphaned(); }));
  EXPECT_FALSE(registry_.take_listener(device(2), endpoint)) << "another invite";
  EXPECT_FALSE(registry_.take_listener(device(1, 2), endpoint)) << "another device of the invite";
  EXPECT_FALSE(registry_.take_listener(device(1), {session::ListenKind::kUdp, loopback, port}));
  EXPECT_EQ(served->session->listeners->size(), 1U);
  EXPECT_TRUE(registry_.take_listener(device(1), endpoint));
  EXPECT_EQ(served->session->listeners->size(), 0U);
  EXPECT_FALSE(registry_.take_listener(device(1), endpoint)) << "there is none any more";
}

}  // namespace
}  // namespace zks::exit
