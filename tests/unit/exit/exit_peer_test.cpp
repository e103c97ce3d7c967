// SPDX-License-Identifier: MIT
//
// A whole exit whose relays are the test: it registers, is knocked at, lets clients in or not, and stops.
#include "exit/exit_peer.hpp"

#include <map>

#include <boost/asio/steady_timer.hpp>
#include <gtest/gtest.h>

#include "../support/run.hpp"
#include "../support/temporary_directory.hpp"
#include "carrier/memory.hpp"
#include "client_end.hpp"
#include "late_refusal.hpp"
#include "link/issue_link.hpp"

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using carrier::MessageType;
using session::HelloMode;
using session::ResetCode;
using test::ClientEnd;
using test::run;

// The far ends of what the exit has dialled, by host and target.
struct RelayEnds final : carrier::Dialler {
  carrier::Task<carrier::CarrierPtr> dial(asio::any_io_executor executor, RelayUrl relay, std::string target,
                                          std::chrono::milliseconds) override {
    if (relay.host == refuses || refuses == "*") co_return make_error(ErrorKind::kRefused, "forbidden", 403);
    auto pair = carrier::make_memory_pair(std::move(executor), {.queue_messages = 16});
    const bool registers = target.find("/exit?") != std::string::npos;
    (registers ? controls : pairs)[relay.host].push_back(std::move(pair.second));
    links.push_back(pair.link);
    co_return std::move(pair.first);
  }
  void network_changed() override { ++changes; }

  using Ends = std::map<std::string, std::vector<carrier::CarrierPtr>>;
  Ends controls;
  Ends pairs;
  std::vector<std::shared_ptr<carrier::MemoryLink>> links;  // the newest dial's last
  std::string refuses;
  int changes = 0;
};

class ExitPeerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto state = link::StateDirectory::open(root_.path());
    ASSERT_TRUE(state);
    state_.emplace(*state);
    identity_ = std::move(*state_->load_or_create_exit_identity());
    alice_ = std::move(*state_->add_invite("alice", std::nullopt, 2));
    // So that letting it in takes no disk.
    ASSERT_TRUE(state_->pin_device(alice_.id, device_.public_key, std::time(nullptr)));
    sessions_.connect = test::late_refusal(over_, ResetCode::kTimedOut);
  }
  void TearDown() override {
    over_->cancel();
    if (peer_ && stopped_.empty()) peer_->stop();
    EXPECT_TRUE(until([this] { return !peer_ || !stopped_.empty(); }));
    peer_.reset();
    loop_.restart();
    loop_.poll();
  }

  void start(const std::vector<std::string>& hosts) {
    ExitPeerOptions options;
    for (const std::string& host : hosts) options.relays.push_back(*parse_relay_url("wss://" + host));
    options.dialler = relays_;
    options.sessions = sessions_;
    ExitPeer::Handlers handlers;
    handlers.on_registered = [this](const RelayUrl& relay) { registered_.push_back(relay.host); };
    handlers.on_stopped = [this](const std::optional<Error>& error) { stopped_.push_back(error); };
    peer_ = std::make_shared<ExitPeer>(
        loop_.get_executor(), std::move(options), std::move(*state_->load_or_create_exit_identity()),
        InviteStore(*state_, loop_.get_executor(), std::make_shared<Policy>(Rules{}),
                    std::make_shared<StateWriter>(loop_.get_executor())),
        nullptr, std::move(handlers));
    peer_->start();
  }
  bool until(const std::function<bool()>& done) { return test::run_until(loop_, done); }

  void say(carrier::Carrier& to, const carrier::Control& control) {
    const std::string text = carrier::encode_control(control);
    ASSERT_TRUE(run(loop_, to.write(MessageType::kText, as_bytes(text))));
  }
  void register_at(const std::string& host) {
    ASSERT_TRUE(until([&] { return !relays_->controls[host].empty(); }));
    carrier::Carrier& control = *relays_->controls[host].back();
    say(control, carrier::Challenge{{1, 2, 3}});
    carrier::Buffer answer;
    ASSERT_TRUE(run(loop_, control.read(answer)));
    say(control, carrier::Registered{});
    ASSERT_TRUE(until([&] { return std::ranges::find(registered_, host) != registered_.end(); }));
  }
  void start_with_one_relay() {
    start({"relay.test"});
    register_at("relay.test");
  }

  // The client's half of a pair, whose other half the exit has made.
  carrier::CarrierPtr knock(const std::string& host = "relay.test") {
    auto& ends = relays_->pairs[host];
    const std::size_t before = ends.size();
    say(*relays_->controls[host].back(), carrier::Knock{random_array<16>()});
    EXPECT_TRUE(until([&] { return ends.size() > before; }));
    say(*ends.back(), carrier::Paired{tunnel::kProtocolVersion, 0, Key(), kWindowBytes});
    auto half = std::move(ends.back());
    ends.pop_back();
    return half;
  }
  Result<tunnel::LaneKeys> shake_hands(carrier::Carrier& carrier, const link::AccessLink& link) {
    carrier::Paired paired{tunnel::kProtocolVersion, 0, Key(), kWindowBytes};
    return run(loop_, tunnel::initiate(carrier, std::move(paired), link, device_));
  }
  link::AccessLink link() const { return link::issue_link(identity_, {}, alice_); }
  // Sends the client's first record; whether it is welcome is seen later.
  void come_in(ClientEnd& client) {
    auto half = knock();
    auto keys = shake_hands(*half, link());
    ASSERT_TRUE(keys);
    client.tunnel->attach(std::move(half), std::move(*keys), 1, HelloMode::kNew);
  }
  void come_in_with_a_stream(ClientEnd& client) {
    come_in(client);
    ASSERT_TRUE(until([&] { return !client.welcomes.empty(); }));
    client.open(loop_);
    ASSERT_TRUE(until([this] { return connecting() == 1; }));
  }
  std::size_t connecting() const {
    const ExitStatus status = peer_->status();
    return status.sessions.empty() ? 0 : status.sessions.front().connecting;
  }
  std::uint64_t refused(ClientRefusal reason) const {
    return peer_->status().tally.refused_clients[static_cast<std::size_t>(reason)];
  }

  static constexpr std::uint64_t kWindowBytes = std::uint64_t{16} << 20;

  test::TemporaryDirectory root_;
  asio::io_context loop_{1};
  std::optional<link::StateDirectory> state_;
  link::ExitIdentity identity_;
  link::Invite alice_;
  crypto::KeyPair device_ = crypto::KeyPair::generate();
  std::shared_ptr<RelayEnds> relays_ = std::make_shared<RelayEnds>();
  std::shared_ptr<asio::steady_timer> over_ =
      std::make_shared<asio::steady_timer>(loop_, asio::steady_timer::time_point::max());
  SessionServerOptions sessions_;
  std::shared_ptr<ExitPeer> peer_;
  std::vector<std::string> registered_;
  std::vector<std::optional<Error>> stopped_;
};

TEST_F(ExitPeerTest, RegistersAtEachRelay) {
  start({"a.test", "b.test"});
  EXPECT_STREQ(peer_->status().state(), "connecting");
  register_at("b.test");
  EXPECT_STREQ(peer_->status().state(), "up");
  EXPECT_EQ(peer_->status().registered_relays(), 1U);
  register_at("a.test");
  EXPECT_EQ(peer_->status().registered_relays(), 2U);
  EXPECT_EQ(registered_, (std::vector<std::string>{"b.test", "a.test"}));
}

TEST_F(ExitPeerTest, ARelayThatRefusesLeavesTheOthers) {
  relays_->refuses = "a.test";
  start({"a.test", "b.test"});
  register_at("b.test");
  EXPECT_EQ(peer_->status().registered_relays(), 1U);
  EXPECT_TRUE(stopped_.empty());
  auto half = knock("b.test");
  EXPECT_TRUE(shake_hands(*half, link()));
}

TEST_F(ExitPeerTest, StopsWhereNoRelayTakesIt) {
  relays_->refuses = "*";
  start({"a.test", "b.test"});
  ASSERT_TRUE(until([this] { return !stopped_.empty(); }));
  ASSERT_EQ(stopped_.size(), 1U);
  ASSERT_TRUE(stopped_[0]);
  EXPECT_EQ(stopped_[0]->kind, ErrorKind::kRefused);
  EXPECT_STREQ(peer_->status().state(), "stopping");
}

TEST_F(ExitPeerTest, AClientThatKnocksGetsASession) {
  start_with_one_relay();
  ClientEnd client(loop_.get_executor(), SessionId{1});
  come_in_with_a_stream(client);
  EXPECT_EQ(client.welcomes, std::vector{HelloMode::kNew});
  const ExitStatus status = peer_->status();
  ASSERT_EQ(status.sessions.size(), 1U);
  EXPECT_EQ(status.sessions[0].invite, "alice");
  EXPECT_EQ(status.sessions[0].invite_streams, 1U);
  EXPECT_EQ(status.tally.knocks, 1U);
  EXPECT_EQ(status.served.begun, 1U);
  EXPECT_EQ(client.tunnel->exit_instance(), status.instance);
}

TEST_F(ExitPeerTest, WhoIsNotInvitedGetsNone) {
  start_with_one_relay();
  link::AccessLink unknown = link();
  unknown.invite = {7};
  auto half = knock();
  const auto keys = shake_hands(*half, unknown);
  ASSERT_FALSE(keys);
  EXPECT_EQ(keys.error().kind, ErrorKind::kRefused);
  half.reset();
  ASSERT_TRUE(until([this] { return refused(ClientRefusal::kNotInvited) == 1; }));
  EXPECT_TRUE(peer_->status().sessions.empty());
}

TEST_F(ExitPeerTest, AnInviteThatIsRevokedEndsItsSessions) {
  start_with_one_relay();
  ClientEnd client(loop_.get_executor(), SessionId{1});
  come_in_with_a_stream(client);
  ASSERT_TRUE(state_->revoke_invite("alice"));
  ASSERT_TRUE(until([&] { return !client.goaways.empty(); }));
  EXPECT_EQ(client.goaways, std::vector{session::GoawayCode::kRevoked});
  ASSERT_TRUE(until([this] { return peer_->status().sessions.empty(); }));
  auto half = knock();
  EXPECT_FALSE(shake_hands(*half, link()));
}

TEST_F(ExitPeerTest, LimitsMayChangeWhileItRuns) {
  sessions_.limits.max_sessions = 1;
  start_with_one_relay();
  ClientEnd first(loop_.get_executor(), SessionId{1});
  come_in(first);
  ASSERT_TRUE(until([&] { return !first.welcomes.empty(); }));
  ClientEnd second(loop_.get_executor(), SessionId{2});
  come_in(second);
  ASSERT_TRUE(until([this] { return refused(ClientRefusal::kLimit) == 1; }));

  ExitLimits limits;
  limits.max_sessions = 2;
  peer_->set_limits(limits);
  EXPECT_EQ(peer_->status().max_sessions, 2U);
  ClientEnd third(loop_.get_executor(), SessionId{3});
  come_in(third);
  ASSERT_TRUE(until([&] { return !third.welcomes.empty(); }));
  EXPECT_EQ(peer_->status().sessions.size(), 2U);
}

TEST_F(ExitPeerTest, StopsWhenTheLastStreamIsOver) {
  start_with_one_relay();
  ClientEnd client(loop_.get_executor(), SessionId{1});
  come_in_with_a_stream(client);
  peer_->stop();
  peer_->stop();
  ASSERT_TRUE(until([&] { return !client.goaways.empty(); }));
  EXPECT_EQ(client.goaways, std::vector{session::GoawayCode::kShutdown});
  EXPECT_TRUE(stopped_.empty()) << "a stream goes on";
  carrier::Buffer nothing;
  EXPECT_FALSE(run(loop_, relays_->controls["relay.test"].back()->read(nothing))) << "it is registered";
  client.tunnel->reset_streams(ResetCode::kCancelled);
  ASSERT_TRUE(until([this] { return !stopped_.empty(); }));
  EXPECT_EQ(stopped_, std::vector<std::optional<Error>>{std::nullopt});
  EXPECT_TRUE(peer_->status().sessions.empty());
}

TEST_F(ExitPeerTest, StopsOnceThoughAnOrphanIsThere) {
  start_with_one_relay();
  ClientEnd client(loop_.get_executor(), SessionId{1});
  come_in_with_a_stream(client);
  relays_->links.back()->cut();
  ASSERT_TRUE(until([this] { return peer_->status().orphans() == 1; }));
  peer_->stop();
  EXPECT_TRUE(peer_->status().sessions.empty());
  ASSERT_TRUE(until([this] { return !stopped_.empty(); }));
  loop_.restart();
  loop_.poll();
  EXPECT_EQ(stopped_.size(), 1U);
}

TEST_F(ExitPeerTest, AClientThatComesWhileItStopsGetsNone) {
  start_with_one_relay();
  ClientEnd first(loop_.get_executor(), SessionId{1});
  come_in_with_a_stream(first);
  auto half = knock();  // the exit waits for its message 1
  peer_->stop();
  EXPECT_FALSE(shake_hands(*half, link()));
  EXPECT_EQ(peer_->status().sessions.size(), 1U);
}

TEST_F(ExitPeerTest, TellsWhoDialsThatTheNetworkChanged) {
  start_with_one_relay();
  peer_->network_changed();
  EXPECT_EQ(relays_->changes, 1);
}

}  // namespace
}  // namespace zks::exit
