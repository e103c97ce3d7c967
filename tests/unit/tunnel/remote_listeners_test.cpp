// SPDX-License-Identifier: MIT
//
// What the client wants at the exit, over two tunnels joined in memory: asked for in each session, told of,
// taken back.
#include "tunnel/remote_listeners.hpp"

#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include "../support/join_tunnels.hpp"
#include "../support/run.hpp"

namespace zks::tunnel {
namespace {

using session::ListenKind;
using session::ResetCode;

session::Destination address_at(std::uint16_t port) {
  session::Destination out;
  out.kind = session::Destination::Kind::kIpv4;
  out.address = {192, 0, 2, 1};
  out.port = port;
  return out;
}

struct Wish final : RemoteListener {
  explicit Wish(std::uint16_t wanted, ListenKind of = ListenKind::kTcp) : port(wanted), what(of) {}
  ListenKind kind() const override { return what; }
  session::Destination bind() const override { return address_at(port); }
  void on_listening(session::Destination bound) override { bound_ports.push_back(bound.port); }
  void on_refused(ResetCode code) override { refusals.push_back(code); }
  void on_connection(StreamPtr stream, session::Destination) override {
    streams.push_back(std::move(stream));
  }
  void on_flow(SessionFlowPtr flow) override { flows.push_back(std::move(flow)); }

  std::uint16_t port;
  ListenKind what;
  std::vector<std::uint16_t> bound_ports;
  std::vector<ResetCode> refusals;
  std::vector<StreamPtr> streams;
  std::vector<SessionFlowPtr> flows;
};

// One client's wishes, and sessions that come and go under them.
class RemoteListenersTest : public testing::Test {
 protected:
  struct Session {
    std::shared_ptr<Tunnel> near;
    std::shared_ptr<Tunnel> far;
    std::vector<session::ListenEvent> asked;
    std::vector<session::ListenerId> taken_back;
  };

  ~RemoteListenersTest() override {
    for (const auto& session : sessions_) {
      session->near->end(make_error(ErrorKind::kClosed, "the test is over"));
      session->far->end(make_error(ErrorKind::kClosed, "the test is over"));
    }
    for (const auto& wish : wishes_) *wish = Wish(0);
    sessions_.clear();
    io_.restart();
    io_.poll();
  }

  // A session at an exit that takes `most` listeners, and has welcomed the client.
  Session& new_session(std::uint64_t most = 8) {
    sessions_.push_back(std::make_unique<Session>());
    Session* made = sessions_.back().get();
    Tunnel::Handlers far;
    far.on_listen = [made](const session::ListenEvent& event) { made->asked.push_back(event); };
    far.on_unlisten = [made](const session::UnlistenEvent& event) {
      made->taken_back.push_back(event.listener);
    };
    bool up = false;
    Tunnel::Handlers near;
    near.on_up = [&up](session::LaneNumber, session::HelloMode) { up = true; };
    near.on_listening = [this](const session::ListeningEvent& event) { listeners_->on(event); };
    near.on_unlisten = [this](const session::UnlistenEvent& event) { listeners_->on(event); };
    near.on_connection = [this](session::ListenerId id, StreamPtr stream, session::Destination from) {
      listeners_->on_connection(id, std::move(stream), std::move(from));
    };
    session::Options options;
    options.max_listeners = most;
    options.role = session::Role::kExit;
    made->far = std::make_shared<Tunnel>(io_.get_executor(), options, std::move(far));
    options.role = session::Role::kClient;
    made->near = std::make_shared<Tunnel>(io_.get_executor(), options, std::move(near));
    test::join_tunnels(io_.get_executor(), *made->near, *made->far);
    EXPECT_TRUE(test::run_until(io_, [&] { return up; }));
    return *made;
  }
  std::shared_ptr<Wish> want(std::uint16_t port, ListenKind kind = ListenKind::kTcp) {
    wishes_.push_back(std::make_shared<Wish>(port, kind));
    listeners_->add(wishes_.back());
    return wishes_.back();
  }
  bool until(const std::function<bool()>& condition) { return test::run_until(io_, condition); }
  bool until_asked(Session& session, std::size_t times) {
    return until([&] { return session.asked.size() == times; });
  }

  asio::io_context io_;
  std::vector<std::shared_ptr<Wish>> wishes_;
  std::shared_ptr<RemoteListeners> listeners_ = std::make_shared<RemoteListeners>(io_.get_executor());
  std::vector<std::unique_ptr<Session>> sessions_;
};

TEST_F(RemoteListenersTest, AreAskedForOnceTheSessionIsUp) {
  const auto before = want(8001);
  Session& session = new_session();
  EXPECT_TRUE(session.asked.empty());
  listeners_->session_up(session.near);
  ASSERT_TRUE(until_asked(session, 1));
  const auto during = want(8002);
  ASSERT_TRUE(until_asked(session, 2));
  EXPECT_EQ(session.asked[0].address.port, 8001);
  EXPECT_EQ(session.asked[1].address.port, 8002);
  session.far->listening(session.asked[1].listener, address_at(9002));
  EXPECT_TRUE(until([&] { return !during->bound_ports.empty(); }));
  EXPECT_EQ(during->bound_ports, std::vector<std::uint16_t>{9002});
  EXPECT_TRUE(before->bound_ports.empty());
}

// A lane that was lost changes nothing of what the exit listens to.
TEST_F(RemoteListenersTest, AreNotAskedForTwiceInOneSession) {
  (void)want(8001);
  Session& session = new_session();
  listeners_->session_up(session.near);
  listeners_->session_up(session.near);
  (void)want(8002);
  ASSERT_TRUE(until_asked(session, 2));
  EXPECT_EQ(session.asked[1].address.port, 8002);
}

TEST_F(RemoteListenersTest, AreAskedForAnewInTheNextSession) {
  const auto wish = want(8001);
  Session& first = new_session();
  listeners_->session_up(first.near);
  ASSERT_TRUE(until_asked(first, 1));
  listeners_->session_over();
  const auto later = want(8002);  // there is nobody to ask
  Session& second = new_session();
  listeners_->session_up(second.near);
  ASSERT_TRUE(until_asked(second, 2));
  EXPECT_EQ(first.asked.size(), 1U);
  second.far->listening(second.asked[0].listener, address_at(9001));
  EXPECT_TRUE(until([&] { return !wish->bound_ports.empty(); }));
}

TEST_F(RemoteListenersTest, ARefusalIsToldAndTheNextSessionAskedAgain) {
  const auto wish = want(8001);
  Session& session = new_session();
  listeners_->session_up(session.near);
  ASSERT_TRUE(until_asked(session, 1));
  session.far->unlisten(session.asked[0].listener, ResetCode::kAddressInUse);
  ASSERT_TRUE(until([&] { return !wish->refusals.empty(); }));
  EXPECT_EQ(wish->refusals, std::vector{ResetCode::kAddressInUse});
  listeners_->session_up(session.near);  // by another lane
  EXPECT_TRUE(until_asked(session, 2));
}

TEST_F(RemoteListenersTest, AnExitThatTakesNoMoreIsNotAsked) {
  const auto first = want(8001);
  const auto second = want(8002);
  Session& narrow = new_session(1);
  listeners_->session_up(narrow.near);
  EXPECT_TRUE(first->refusals.empty());
  EXPECT_EQ(second->refusals, std::vector{ResetCode::kLimit});
  listeners_->session_over();
  Session& none = new_session(0);
  listeners_->session_up(none.near);
  EXPECT_EQ(first->refusals, std::vector{ResetCode::kNotAllowed});
  EXPECT_EQ(second->refusals, (std::vector{ResetCode::kLimit, ResetCode::kNotAllowed}));
}

TEST_F(RemoteListenersTest, WhatIsWantedNoMoreIsTakenBack) {
  const auto wish = want(8001);
  Session& session = new_session();
  listeners_->session_up(session.near);
  ASSERT_TRUE(until_asked(session, 1));
  listeners_->clear();
  EXPECT_TRUE(until([&] { return !session.taken_back.empty(); }));
  EXPECT_EQ(session.taken_back, std::vector{session.asked[0].listener});
  listeners_->session_up(session.near);
  io_.restart();
  io_.poll();  // whatever was said has arrived
  EXPECT_EQ(session.asked.size(), 1U);
}

TEST_F(RemoteListenersTest, AConnectionGoesToItsListener) {
  (void)want(8001);
  const auto wish = want(8002);
  Session& session = new_session();
  listeners_->session_up(session.near);
  ASSERT_TRUE(until_asked(session, 2));
  session.far->listening(session.asked[1].listener, address_at(9002));
  ASSERT_TRUE(until([&] { return !wish->bound_ports.empty(); }));
  asio::co_spawn(io_, session.far->open(session.asked[1].listener, address_at(40000)),
                 [](std::exception_ptr, const OpenOutcome&) {});
  EXPECT_TRUE(until([&] { return !wish->streams.empty(); }));
}

// It was on its way when its listener was given up.
TEST_F(RemoteListenersTest, AConnectionForNobodyIsRefused) {
  (void)want(8001);
  Session& session = new_session();
  listeners_->session_up(session.near);
  ASSERT_TRUE(until_asked(session, 1));
  session.far->listening(session.asked[0].listener, address_at(9001));
  ASSERT_TRUE(until([&] { return !wishes_[0]->bound_ports.empty(); }));
  listeners_->session_over();
  std::optional<ResetCode> code;
  asio::co_spawn(io_, session.far->open(session.asked[0].listener, address_at(40000)),
                 [&code](std::exception_ptr, const OpenOutcome& outcome) { code = outcome.code; });
  EXPECT_TRUE(until([&] { return code.has_value(); }));
  EXPECT_EQ(code, ResetCode::kConnectionRefused);
}

TEST_F(RemoteListenersTest, OneOfDatagramsHasAFlow) {
  const auto wish = want(8001, ListenKind::kUdp);
  Session& session = new_session();
  listeners_->session_up(session.near);
  ASSERT_TRUE(until_asked(session, 1));
  session.far->listening(session.asked[0].listener, address_at(9001));
  EXPECT_TRUE(until([&] { return !wish->flows.empty(); }));
}

}  // namespace
}  // namespace zks::tunnel
