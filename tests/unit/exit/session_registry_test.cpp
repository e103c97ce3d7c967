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
  const auto session = std::make_shared<ClientSession>();
  auto handlers = handlers_of(session);
  tunnel::StreamPtr opened;
  handlers.on_open = [&](tunnel::StreamPtr stream, session::Destination) { opened = std::move(stream); };
  test::TunnelPair pair(context_, options_of(1), std::move(handlers));
  ASSERT_TRUE(test::run_until(context_, [&] { return pair.up(); }));
  session->claim = device(1);
  session->tunnel = pair.exit;
  registry_.add(session);
  asio::co_spawn(context_, pair.client->open(test::somewhere()),
                 [](std::exception_ptr, const tunnel::OpenOutcome&) {});
  ASSERT_TRUE(test::run_until(context_, [&] { return opened != nullptr; }));
  opened->accept({});
  std::array<MutableBytes, 4> pieces;
  ASSERT_GT(opened->prepare(4096, pieces), 0U);
  pair.cut();
  ASSERT_TRUE(test::run_until(context_, [&] { return pair.exit->orphaned(); }));
  opened->commit(pieces[0].size());
  ASSERT_GT(pair.exit->memory_bytes(), 0U);
  registry_.bound_orphans(pair.exit->memory_bytes());
  EXPECT_EQ(registry_.size(), 1U);
  registry_.bound_orphans(pair.exit->memory_bytes() - 1);
  EXPECT_TRUE(registry_.empty());
  EXPECT_EQ(why_, "sessions without a lane held too much memory");
}

}  // namespace
}  // namespace zks::exit
