// SPDX-License-Identifier: MIT
//
// Streams as front doors and the exit see them, over two tunnels joined in memory: what ends a stream, and
// what the other side hears of it.
#include "tunnel/stream.hpp"

#include <new>

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include "base/memory_reserve.hpp"
#include "handshake_fixture.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::tunnel {
namespace {

using session::ResetCode;
using session::Role;

session::Destination target() {
  session::Destination out;
  out.name = "example.org";
  out.port = 443;
  return out;
}

session::Destination local_address() {
  session::Destination out;
  out.kind = session::Destination::Kind::kIpv4;
  out.address = {192, 0, 2, 1};
  out.port = 5000;
  return out;
}

asio::awaitable<void> open_stream(Tunnel* tunnel, std::optional<OpenOutcome>* out) {
  OpenOutcome outcome = co_await tunnel->open(target());
  out->emplace(std::move(outcome));
}

class Tunnels : public ::testing::Test {
 protected:
  Tunnels() {
    client_ = make_tunnel(Role::kClient);
    exit_ = make_tunnel(Role::kExit);
    new_lane(1, session::HelloMode::kNew);
  }
  // Joins the two by a lane of its own keys; `answer` is what the exit makes of the client's wish.
  void new_lane(session::LaneNumber number, session::HelloMode answer) {
    test::Handshake handshake;
    test::Outcome keys = handshake.run();
    carrier::MemoryPair pair = carrier::make_memory_pair(io_.get_executor());
    link_ = pair.link;
    const auto wish = number == 1 ? session::HelloMode::kNew : session::HelloMode::kResume;
    client_->attach(std::move(pair.first), std::move(keys.client->value()), number, wish);
    exit_->attach(std::move(pair.second), std::move(keys.exit->value().keys), number, answer);
  }
  ~Tunnels() override {
    client_->end(make_error(ErrorKind::kClosed, "the test is over"));
    exit_->end(make_error(ErrorKind::kClosed, "the test is over"));
    opened_.reset();
    accepted_.reset();
    io_.restart();
    io_.poll();
  }

  std::shared_ptr<Tunnel> make_tunnel(Role role) {
    session::Options options;
    options.role = role;
    options.orphan_seconds = orphan_seconds_;
    options.max_streams = max_streams_;
    Tunnel::Handlers handlers;
    handlers.on_up = [this](session::LaneNumber, session::HelloMode mode) {
      resumed_ = mode == session::HelloMode::kResume;
    };
    handlers.on_lane_lost = [this](session::LaneNumber, const Error&) { ++lanes_lost_; };
    if (role == Role::kExit) {
      handlers.on_open = [this](StreamPtr stream, session::Destination) {
        if (lacks_memory_) throw std::bad_alloc();
        if (refusal_) {
          stream->reset(*refusal_);
        } else {
          stream->accept(local_address());
          accepted_ = std::move(stream);
        }
      };
    }
    handlers.on_goaway = [this](session::GoawayCode code, const std::string&) { goaway_ = code; };
    handlers.on_end = [this](const Error&) { ++ends_; };
    return std::make_shared<Tunnel>(io_.get_executor(), std::move(options), std::move(handlers));
  }
  // Until nothing more is ready to run.
  void settle() {
    io_.restart();
    while (io_.poll() > 0) io_.restart();
  }
  OpenOutcome open() {
    std::optional<OpenOutcome> outcome;
    zks::test::run(io_, open_stream(client_.get(), &outcome));
    settle();
    return std::move(*outcome);
  }
  void connect() { opened_ = open().stream; }

  static void write(Stream& stream, std::string_view text) {
    std::array<MutableBytes, 4> pieces;
    ASSERT_GT(stream.prepare(text.size(), pieces), 0U);
    std::copy(text.begin(), text.end(), pieces[0].begin());
    stream.commit(text.size());
  }
  static std::string read(Stream& stream) {
    std::string out;
    std::array<ByteView, 8> pieces;
    while (stream.peek(pieces) > 0) {
      out += as_text(pieces[0]);
      stream.consume(pieces[0].size());
    }
    return out;
  }

  asio::io_context io_;
  std::shared_ptr<carrier::MemoryLink> link_;
  std::shared_ptr<Tunnel> client_;
  std::shared_ptr<Tunnel> exit_;
  StreamPtr opened_;
  StreamPtr accepted_;
  std::optional<ResetCode> refusal_;
  std::optional<session::GoawayCode> goaway_;
  int ends_ = 0;
  int lanes_lost_ = 0;
  bool resumed_ = false;
  bool lacks_memory_ = false;
  std::uint64_t orphan_seconds_ = 120;
  std::uint64_t max_streams_ = 2048;
};

TEST_F(Tunnels, OpenGivesTheExitsAddressAndBytesGoBothWays) {
  OpenOutcome outcome = open();
  ASSERT_TRUE(outcome.stream && accepted_);
  EXPECT_EQ(outcome.bound, local_address());
  write(*outcome.stream, "question");
  write(*accepted_, "answer");
  settle();
  EXPECT_EQ(read(*accepted_), "question");
  EXPECT_EQ(read(*outcome.stream), "answer");
}

TEST_F(Tunnels, ARefusalReachesOpen) {
  refusal_ = ResetCode::kConnectionRefused;
  const OpenOutcome outcome = open();
  EXPECT_FALSE(outcome.stream);
  EXPECT_EQ(outcome.code, ResetCode::kConnectionRefused);
}

TEST_F(Tunnels, AStreamThatIsLetGoEarlyIsCancelled) {
  connect();
  opened_->finish();  // one direction is not enough
  opened_.reset();
  settle();
  ASSERT_TRUE(accepted_->reset_code());
  EXPECT_EQ(*accepted_->reset_code(), ResetCode::kCancelled);
  EXPECT_EQ(client_->open_streams(), 0U);
  EXPECT_EQ(exit_->open_streams(), 0U);
}

TEST_F(Tunnels, AStreamThatEndedBothWaysIsNotReset) {
  connect();
  write(*opened_, "last words");
  opened_->finish();
  accepted_->finish();
  settle();
  EXPECT_TRUE(opened_->at_end());
  opened_->consume_end();
  opened_.reset();  // before the exit has read anything
  settle();
  EXPECT_FALSE(accepted_->reset_code());
  EXPECT_EQ(read(*accepted_), "last words");
  EXPECT_TRUE(accepted_->at_end());
  accepted_->consume_end();
  settle();
  EXPECT_FALSE(accepted_->reset_code());
  EXPECT_EQ(client_->open_streams(), 0U);
  EXPECT_EQ(exit_->open_streams(), 0U);
}

TEST_F(Tunnels, AResetStreamTakesAndGivesNothing) {
  connect();
  write(*opened_, "never read");
  settle();
  accepted_->reset(ResetCode::kConnectionReset);
  settle();
  EXPECT_EQ(*opened_->reset_code(), ResetCode::kConnectionReset);
  std::array<MutableBytes, 4> space;
  std::array<ByteView, 8> bytes;
  EXPECT_EQ(opened_->prepare(100, space), 0U);
  EXPECT_EQ(accepted_->peek(bytes), 0U);
  EXPECT_FALSE(accepted_->at_end());
  accepted_->reset(ResetCode::kTimedOut);
  EXPECT_EQ(*accepted_->reset_code(), ResetCode::kConnectionReset) << "the first code stays";
}

TEST_F(Tunnels, StreamsOutliveTheirLane) {
  connect();
  write(*opened_, "before");
  settle();
  link_->cut();
  settle();
  EXPECT_TRUE(client_->orphaned() && exit_->orphaned());
  EXPECT_EQ(lanes_lost_, 2);
  write(*opened_, " between");
  write(*accepted_, "answer");
  new_lane(2, session::HelloMode::kResume);
  settle();
  write(*opened_, " and after");
  settle();
  EXPECT_EQ(read(*accepted_), "before between and after");
  EXPECT_EQ(read(*opened_), "answer");
  EXPECT_TRUE(resumed_);
  EXPECT_EQ(ends_, 0);
}

// What is new to one of the exit's users takes memory that is not there; his session outlives it.
TEST_F(Tunnels, WhoLackedMemoryForOneEventIsToldOfTheNext) {
  lacks_memory_ = true;
  std::optional<OpenOutcome> lost;
  asio::co_spawn(io_, open_stream(client_.get(), &lost), [](const std::exception_ptr&) {});
  settle();
  EXPECT_FALSE(accepted_);
  lacks_memory_ = false;
  new_lane(2, session::HelloMode::kResume);
  settle();
  connect();
  ASSERT_TRUE(opened_ && accepted_);
  write(*opened_, "question");
  settle();
  EXPECT_EQ(read(*accepted_), "question");
}

TEST_F(Tunnels, ANewLaneTakesTheStreamsOfOneThatIsStillThere) {
  connect();
  const auto old = link_;
  new_lane(2, session::HelloMode::kResume);
  settle();
  write(*opened_, "question");
  settle();
  old->cut();
  settle();
  EXPECT_EQ(read(*accepted_), "question");
  EXPECT_EQ(lanes_lost_, 0);
}

TEST_F(Tunnels, AnExitThatForgotTheSessionResetsItsStreams) {
  connect();
  link_->cut();
  settle();
  exit_->end(make_error(ErrorKind::kTimeout, "forgotten"));
  EXPECT_EQ(accepted_->reset_code(), ResetCode::kSessionLost);
  accepted_.reset();
  exit_ = make_tunnel(Role::kExit);
  new_lane(2, session::HelloMode::kNew);
  settle();
  EXPECT_FALSE(resumed_);
  EXPECT_EQ(opened_->reset_code(), ResetCode::kSessionLost);
  EXPECT_TRUE(open().stream);
}

TEST_F(Tunnels, AnOrphanEndsWhenItsTimeIsOver) {
  orphan_seconds_ = 0;
  exit_ = make_tunnel(Role::kExit);
  client_ = make_tunnel(Role::kClient);
  new_lane(1, session::HelloMode::kNew);
  settle();
  connect();
  link_->cut();
  settle();
  EXPECT_EQ(ends_, 2);
  ASSERT_TRUE(opened_->reset_code() && accepted_->reset_code());
  EXPECT_EQ(*opened_->reset_code(), ResetCode::kSessionLost);
  EXPECT_EQ(*accepted_->reset_code(), ResetCode::kSessionLost);
  EXPECT_EQ(open().code, ResetCode::kSessionLost);
}

TEST_F(Tunnels, DismissTellsThePeerAndEndsBoth) {
  connect();
  exit_->dismiss(session::GoawayCode::kRevoked, "");
  settle();
  EXPECT_EQ(goaway_, session::GoawayCode::kRevoked);
  EXPECT_EQ(ends_, 2);
  EXPECT_EQ(*opened_->reset_code(), ResetCode::kSessionLost);
}

TEST_F(Tunnels, AtTheLimitAHalfClosedStreamMakesRoom) {
  max_streams_ = 2;
  exit_ = make_tunnel(Role::kExit);
  client_ = make_tunnel(Role::kClient);
  new_lane(1, session::HelloMode::kNew);
  settle();
  const StreamPtr given_up = open().stream;
  const StreamPtr far = accepted_;
  const StreamPtr whole = open().stream;
  const StreamPtr whole_far = accepted_;
  ASSERT_TRUE(given_up && whole);
  given_up->finish();
  settle();
  EXPECT_TRUE(open().stream) << "in the place of the first";
  EXPECT_EQ(given_up->reset_code(), ResetCode::kLimit);
  EXPECT_EQ(far->reset_code(), ResetCode::kLimit);
  EXPECT_FALSE(whole->reset_code());
}

TEST_F(Tunnels, AtTheLimitWholeStreamsStay) {
  max_streams_ = 1;
  exit_ = make_tunnel(Role::kExit);
  client_ = make_tunnel(Role::kClient);
  new_lane(1, session::HelloMode::kNew);
  settle();
  connect();
  EXPECT_EQ(open().code, ResetCode::kLimit);
  EXPECT_FALSE(opened_->reset_code());
}

TEST_F(Tunnels, LeavingWaitsForTheLastStream) {
  connect();
  client_->leave(session::GoawayCode::kShutdown, "");
  settle();
  EXPECT_EQ(ends_, 0);
  EXPECT_EQ(open().code, ResetCode::kSessionLost) << "no new streams";
  opened_.reset();
  settle();
  EXPECT_EQ(ends_, 2);
}

asio::awaitable<void> play_splice(Socket socket, StreamPtr stream) {
  Bytes nothing_early;
  co_await splice(std::move(socket), std::move(stream), std::move(nothing_early), nullptr);
}

// Each of many streams would read once more before what gives way has its turn.
TEST_F(Tunnels, NothingIsReadFromSocketsBetweenALackOfMemoryAndItsRelief) {
  connect();
  asio::local::stream_protocol::socket far(io_);
  asio::local::stream_protocol::socket near(io_);
  asio::local::connect_pair(far, near);
  asio::co_spawn(io_, play_splice(Socket(std::move(near)), opened_), [](std::exception_ptr) {});
  settle();
  MemoryReserve reserve;
  MemoryReserve::give();
  asio::write(far, asio::buffer("bytes", 5));
  io_.restart();
  for (int turn = 0; turn < 100; ++turn) io_.poll_one();
  EXPECT_EQ(read(*accepted_), "");
  reserve.heard();
  settle();
  EXPECT_EQ(read(*accepted_), "bytes");
  opened_->reset(ResetCode::kCancelled);
  settle();
}

}  // namespace
}  // namespace zks::tunnel
