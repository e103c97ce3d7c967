// SPDX-License-Identifier: MIT
//
// One control socket against a relay that the test speaks for: what is signed, what is reported, and what of
// a relay ends it.
#include "exit/control_line.hpp"

#include <deque>

#include <gtest/gtest.h>
#include <sodium.h>

#include "../support/run.hpp"
#include "carrier/memory.hpp"
#include "net/spawn.hpp"

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using carrier::MessageType;
using test::run;

struct OneCarrier final : carrier::Dialler {
  carrier::Task<carrier::CarrierPtr> dial(asio::any_io_executor, RelayUrl, std::string to,
                                          std::chrono::milliseconds) override {
    target = std::move(to);
    if (!made) co_return make_error(ErrorKind::kNetwork, "no relay there");
    co_return std::move(made);
  }
  void network_changed() override {}

  carrier::CarrierPtr made;
  std::string target;
};

class ControlLineTest : public testing::Test {
 protected:
  void SetUp() override {
    crypto_sign_keypair(room_public_.data(), room_secret_.data());
    auto pair = carrier::make_memory_pair(loop_.get_executor(), {.queue_messages = 16});
    dialler_->made = std::move(pair.first);
    relay_ = std::move(pair.second);
    options_.relay = *parse_relay_url("wss://relay.test");
    options_.room = derive_room_id(room_public_);
    options_.instance.fill(7);
    options_.room_public = room_public_;
    options_.dialler = dialler_;
  }

  void start() {
    ControlLine::Handlers handlers;
    handlers.sign = [this](ByteView message) {
      signed_.assign(message.begin(), message.end());
      Bytes signature(crypto_sign_BYTES);
      crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), room_secret_.data());
      return signature;
    };
    handlers.on_registered = [this](const ControlLine*) { ++registered_; };
    handlers.on_knock = [this](const PairId& pair) { knocks_.push_back(pair); };
    handlers.on_end = [this](const ControlLine*, const Error& why) { ends_.push_back(why); };
    line_ = std::make_shared<ControlLine>(loop_.get_executor(), options_, std::move(handlers));
    line_->start();
  }

  template <class Condition>
  bool until(Condition condition) {
    return test::run_until(loop_, condition);
  }
  bool ends() {
    return until([this] { return !ends_.empty(); });
  }

  void say(const carrier::Control& control) { say(MessageType::kText, carrier::encode_control(control)); }
  void say(MessageType type, const std::string& text) {
    ASSERT_TRUE(run(loop_, relay_->write(type, as_bytes(text))));
  }
  carrier::Control hear() {
    carrier::Buffer buffer;
    const auto type = run(loop_, relay_->read(buffer));
    EXPECT_TRUE(type && *type == MessageType::kText);
    const auto bytes = static_cast<const std::uint8_t*>(buffer.cdata().data());
    auto control = carrier::decode_control(as_text(ByteView(bytes, buffer.size())));
    return control ? std::move(*control) : carrier::Control(carrier::Pong{});
  }
  void register_room() {
    start();
    say(carrier::Challenge{{1, 2, 3}});
    (void)hear();
    say(carrier::Registered{});
    ASSERT_TRUE(until([this] { return registered_ == 1; }));
  }

  asio::io_context loop_{1};
  std::shared_ptr<OneCarrier> dialler_ = std::make_shared<OneCarrier>();
  carrier::CarrierPtr relay_;
  ControlLineOptions options_;
  PublicKey room_public_{};
  std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> room_secret_{};
  std::shared_ptr<ControlLine> line_;
  Bytes signed_;
  int registered_ = 0;
  std::vector<PairId> knocks_;
  std::vector<Error> ends_;
};

TEST_F(ControlLineTest, RegistersByASignatureOverTheChallengeAndItsOwnNames) {
  start();
  const carrier::Challenge challenge{{9, 8, 7}};
  say(challenge);
  const auto answer = hear();
  const auto* sent = std::get_if<carrier::Register>(&answer);
  ASSERT_NE(sent, nullptr);
  EXPECT_EQ(dialler_->target,
            "/v1/rooms/" + format_room(options_.room) + "/exit?instance=" + to_base64url(options_.instance));
  EXPECT_EQ(sent->room_key, room_public_);
  const Bytes message =
      carrier::registration_message(challenge.nonce, "relay.test", options_.room, options_.instance);
  EXPECT_EQ(signed_, message);
  EXPECT_EQ(crypto_sign_verify_detached(sent->signature.data(), message.data(), message.size(),
                                        room_public_.data()),
            0);
  EXPECT_EQ(registered_, 0) << "not before the relay says so";
  say(carrier::Registered{});
  EXPECT_TRUE(until([this] { return registered_ == 1; }));
}

TEST_F(ControlLineTest, ReportsEachKnock) {
  register_room();
  for (std::uint8_t i = 0; i < 3; ++i) say(carrier::Knock{PairId{i}});
  say(carrier::Pong{});
  ASSERT_TRUE(until([this] { return knocks_.size() == 3; }));
  EXPECT_EQ(knocks_, (std::vector{PairId{0}, PairId{1}, PairId{2}}));
  EXPECT_TRUE(ends_.empty());
}

TEST_F(ControlLineTest, EndsOnceWhenItIsStopped) {
  register_room();
  line_->stop();
  ASSERT_TRUE(ends());
  loop_.restart();
  loop_.run_for(5s);
  EXPECT_TRUE(loop_.stopped()) << "neither its pings nor its watch for silence go on";
  EXPECT_EQ(ends_.size(), 1u);
}

TEST_F(ControlLineTest, ADialThatFailsIsItsEnd) {
  dialler_->made.reset();
  start();
  ASSERT_TRUE(ends());
  EXPECT_EQ(ends_[0].kind, ErrorKind::kNetwork);
}

TEST_F(ControlLineTest, ARefusedRegistrationIsFinal) {
  start();
  say(carrier::Challenge{});
  (void)hear();
  const auto closed = run(loop_, relay_->close(carrier::close_code::kForbidden));
  EXPECT_TRUE(closed);
  ASSERT_TRUE(ends());
  EXPECT_EQ(ends_[0].kind, ErrorKind::kRefused);
  EXPECT_EQ(ends_[0].detail, carrier::close_code::kForbidden);
}

TEST_F(ControlLineTest, ACloseCodeOfALineThatServedIsTold) {
  register_room();
  const auto closed = run(loop_, relay_->close(carrier::close_code::kRestart));
  EXPECT_TRUE(closed);
  ASSERT_TRUE(ends());
  EXPECT_EQ(ends_[0].detail, carrier::close_code::kRestart);
}

struct Wrong {
  const char* name;
  bool registered;  // said to a line that serves, or instead of the challenge
  MessageType type;
  std::string text;
};

class WrongWords : public ControlLineTest, public testing::WithParamInterface<Wrong> {};

TEST_P(WrongWords, EndTheLine) {
  if (GetParam().registered) {
    register_room();
  } else {
    start();
  }
  say(GetParam().type, GetParam().text);
  ASSERT_TRUE(ends());
  EXPECT_EQ(ends_[0].kind, ErrorKind::kProtocol);
  EXPECT_TRUE(signed_.empty() || GetParam().registered) << "nothing is signed that is no challenge";
}

INSTANTIATE_TEST_SUITE_P(
    OfARelay, WrongWords,
    testing::Values(
        Wrong{"BinaryFirst", false, MessageType::kBinary, "{}"},
        Wrong{"NoJson", false, MessageType::kText, "challenge"},
        Wrong{"RegisteredUnasked", false, MessageType::kText, carrier::encode_control(carrier::Registered{})},
        Wrong{"KnockFirst", false, MessageType::kText, carrier::encode_control(carrier::Knock{})},
        Wrong{"BinaryLater", true, MessageType::kBinary, "x"},
        Wrong{"ChallengeLater", true, MessageType::kText, carrier::encode_control(carrier::Challenge{})},
        Wrong{"MarkLater", true, MessageType::kText, carrier::encode_control(carrier::Mark{"a"})}),
    [](const auto& wrong) { return std::string(wrong.param.name); });

}  // namespace
}  // namespace zks::exit
