// SPDX-License-Identifier: MIT
//
// Key epochs of a pair, over carriers in memory: what each half is sent in which order, what it may answer.
#include "relay/half.hpp"

#include <gtest/gtest.h>

#include "../support/run.hpp"
#include "carrier/memory.hpp"

namespace zks::relay {
namespace {

namespace close_code = carrier::close_code;
using carrier::Carrier;
using carrier::MessageType;
using carrier::NewKey;

constexpr std::uint64_t kRotateBytes = 1'000;
constexpr std::size_t kBudgetBytes = 1 << 20;
constexpr RoomId kRoom{1};
constexpr InstanceId kInstance{1};

// What a peer reads: a control message, a binary message (its size and first byte), or the close code.
struct Received {
  std::optional<carrier::Control> control;
  std::size_t size = 0;
  std::uint8_t first = 0;
  int code = -1;

  const NewKey* key() const { return control ? std::get_if<NewKey>(&*control) : nullptr; }
};

// Takes the pair that it is knocked for, as an exit peer does over its pair socket.
class TakingExit final : public RegisteredExit {
 public:
  TakingExit(RelayPtr relay, std::shared_ptr<Half> half) : relay_(std::move(relay)), half_(std::move(half)) {}
  void knock(const PairId& pair) override { Half::start_pair(relay_->rooms.claim(kRoom, pair), half_); }
  void replaced(const std::shared_ptr<RegisteredExit>&) override {}
  void give_way() override {}

 private:
  RelayPtr relay_;
  std::shared_ptr<Half> half_;
};

asio::awaitable<void> read_into(Carrier* from, Received* out) {
  carrier::Buffer buffer;
  const auto type = co_await from->read(buffer);
  if (!type) {
    out->code = type.error().detail;
    co_return;
  }
  const ByteView bytes(static_cast<const std::uint8_t*>(buffer.cdata().data()), buffer.size());
  if (*type == MessageType::kBinary) {
    out->size = bytes.size();
    out->first = bytes[0];
    co_return;
  }
  auto control = carrier::decode_control(as_text(bytes));
  if (!control) throw std::runtime_error(control.error().text);
  out->control = std::move(*control);
}

asio::awaitable<void> write_all(Carrier* to, std::vector<std::pair<MessageType, Bytes>> messages) {
  for (const auto& [type, bytes] : messages) {
    const Result<> sent = co_await to->write(type, bytes);
    if (!sent) throw std::runtime_error(sent.error().text);
  }
}

class HalfTest : public testing::Test {
 protected:
  void SetUp() override {
    Options options;
    options.rotate_bytes = kRotateBytes;
    relay_ = std::make_shared<Relay>(options);
    loop_ = std::make_shared<Loop>(io_.get_executor(), kBudgetBytes);
    auto client = carrier::make_memory_pair(io_.get_executor());
    auto exit = carrier::make_memory_pair(io_.get_executor());
    client_ = std::move(client.first);
    exit_ = std::move(exit.first);
    taking_ =
        std::make_shared<TakingExit>(relay_, std::make_shared<Half>(relay_, loop_, std::move(exit.second)));
    const Source source(asio::ip::address_v4::loopback());
    ASSERT_TRUE(relay_->rooms.add_exit(kRoom, kInstance, source, taking_));
    auto slot = relay_->rooms.reserve_pair(kRoom, source);
    ASSERT_TRUE(slot);
    Half::start_waiting(std::make_shared<Half>(relay_, loop_, std::move(client.second)), std::move(*slot),
                        kRoom, {kInstance});
    const Received first = next(*client_);
    const Received second = next(*exit_);
    ASSERT_TRUE(first.control && second.control);
    paired_key_ = std::get<carrier::Paired>(*first.control).remote_key.clone();
    ASSERT_TRUE(std::get<carrier::Paired>(*second.control).remote_key.equals(paired_key_.view()));
  }
  void TearDown() override {
    client_->abort();
    exit_->abort();
    taking_.reset();
    io_.restart();
    io_.run_for(test::kHangLimit);
  }

  // Marks come after every 256 KiB and stay unanswered: no test sends as much as the window.
  Received next(Carrier& from) {
    while (true) {
      Received out;
      test::run(io_, read_into(&from, &out));
      if (!out.control || !std::holds_alternative<carrier::Mark>(*out.control)) return out;
    }
  }
  void send(Carrier& to, std::size_t size, std::uint8_t first = 0) {
    Bytes message(size);
    message[0] = first;
    test::run(io_, write_all(&to, {{MessageType::kBinary, message}}));
    settle();
  }
  void send_seen(Carrier& to, std::uint64_t epoch) {
    send_text(to, carrier::encode_control(carrier::KeySeen{epoch}));
  }
  void send_text(Carrier& to, const std::string& text) {
    const ByteView bytes = as_bytes(text);
    test::run(io_, write_all(&to, {{MessageType::kText, Bytes(bytes.begin(), bytes.end())}}));
    settle();
  }
  // Whatever can happen without a peer has happened.
  void settle() {
    io_.restart();
    io_.poll();
  }
  // Both halves read the key of `epoch`, which has to be the next message, and the binary message behind it.
  Key expect_key(std::uint64_t epoch, Carrier& receiver) {
    const Received at_client = next(*client_);
    const Received at_exit = next(*exit_);
    if (at_client.key() == nullptr || at_exit.key() == nullptr) {
      ADD_FAILURE() << "no key at epoch " << epoch;
      return Key();
    }
    EXPECT_EQ(at_client.key()->epoch, epoch);
    EXPECT_EQ(at_exit.key()->epoch, epoch);
    EXPECT_TRUE(at_client.key()->remote_key.equals(at_exit.key()->remote_key.view()));
    EXPECT_GT(next(receiver).size, 0U);
    return at_client.key()->remote_key.clone();
  }
  // Fills the way to a client that does not read: two messages in its pipe, one being written. The fourth
  // waits in the exit's pipe, where the relay does not read it.
  void fill_way_to_client() {
    for (std::uint8_t i = 1; i <= 4; ++i) send(*exit_, 1, i);
  }

  asio::io_context io_;
  RelayPtr relay_;
  std::shared_ptr<Loop> loop_;
  std::shared_ptr<TakingExit> taking_;
  carrier::CarrierPtr client_;
  carrier::CarrierPtr exit_;
  Key paired_key_;
};

TEST_F(HalfTest, BothGetTheKeyBeforeTheMessageThatMakesItDue) {
  send(*exit_, kRotateBytes - 1);
  EXPECT_EQ(next(*client_).size, kRotateBytes - 1);
  send(*client_, 1);
  EXPECT_FALSE(expect_key(1, *exit_).equals(paired_key_.view()));
}

TEST_F(HalfTest, TheNextKeyWaitsForBothAnswers) {
  send(*exit_, kRotateBytes);
  const Key first = expect_key(1, *client_);
  send_seen(*exit_, 1);
  send(*exit_, 5 * kRotateBytes);
  EXPECT_EQ(next(*client_).size, 5 * kRotateBytes);
  send_seen(*client_, 1);
  send(*client_, 1);
  EXPECT_FALSE(expect_key(2, *exit_).equals(first.view()));
}

TEST_F(HalfTest, GoesOnPast255) {
  for (std::uint64_t epoch = 1; epoch <= 600; ++epoch) {
    Carrier& from = epoch % 2 == 0 ? *client_ : *exit_;
    Carrier& to = epoch % 2 == 0 ? *exit_ : *client_;
    send(from, kRotateBytes);
    expect_key(epoch, to);
    ASSERT_FALSE(HasFailure()) << epoch;
    send_seen(from, epoch);
    send_seen(to, epoch);
  }
}

// A message for the client may be sealed in the epoch before the last, whose key it wipes when it reads the
// one announced now.
TEST_F(HalfTest, AKeyOvertakesNoMessageThatIsBeingWritten) {
  fill_way_to_client();
  send(*client_, kRotateBytes);
  ASSERT_NE(next(*exit_).key(), nullptr);
  for (std::uint8_t i = 1; i <= 3; ++i) EXPECT_EQ(next(*client_).first, i);
  EXPECT_NE(next(*client_).key(), nullptr);
  EXPECT_EQ(next(*client_).first, 4);
}

// While a text is being written, one message waits, and no more are read.
TEST_F(HalfTest, AKeyOvertakesNoMessageThatWaits) {
  send(*exit_, 1, 1);
  send(*exit_, 1, 2);
  send_text(*client_, carrier::encode_control(carrier::Ping{}));
  send(*exit_, 1, 3);
  send(*exit_, 1, 4);
  send(*client_, kRotateBytes);
  ASSERT_NE(next(*exit_).key(), nullptr);
  EXPECT_EQ(next(*client_).first, 1);
  EXPECT_EQ(next(*client_).first, 2);
  const Received pong = next(*client_);
  EXPECT_TRUE(pong.control && std::holds_alternative<carrier::Pong>(*pong.control));
  EXPECT_EQ(next(*client_).first, 3);
  EXPECT_NE(next(*client_).key(), nullptr);
  EXPECT_EQ(next(*client_).first, 4);
}

TEST_F(HalfTest, AnAnswerWithoutAKeyIs1008) {
  send_seen(*client_, 0);
  EXPECT_EQ(next(*client_).code, close_code::kPolicy);
  EXPECT_EQ(next(*exit_).code, close_code::kOther);
}

TEST_F(HalfTest, AnAnswerForTheNextEpochIs1008) {
  send(*exit_, kRotateBytes);
  expect_key(1, *client_);
  send_seen(*exit_, 2);
  EXPECT_EQ(next(*exit_).code, close_code::kPolicy);
}

TEST_F(HalfTest, ASecondAnswerIs1008) {
  send(*exit_, kRotateBytes);
  expect_key(1, *client_);
  send_seen(*client_, 1);
  send_seen(*client_, 1);
  EXPECT_EQ(next(*client_).code, close_code::kPolicy);
}

// Otherwise a peer that answers what it does not read would have keys pile up in its queue.
TEST_F(HalfTest, AnAnswerToAKeyThatIsStillQueuedIs1008) {
  fill_way_to_client();
  send(*client_, kRotateBytes);
  send_seen(*client_, 1);
  for (std::uint8_t i = 1; i <= 3; ++i) EXPECT_EQ(next(*client_).first, i);
  EXPECT_EQ(next(*client_).code, close_code::kPolicy);
}

}  // namespace
}  // namespace zks::relay
