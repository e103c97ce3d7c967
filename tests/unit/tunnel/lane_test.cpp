// SPDX-License-Identifier: MIT
//
// Lanes and key epochs, over carriers in memory: a transfer in both directions through a relay that changes
// the key whenever it may, and relays that skip or repeat an epoch.
#include "tunnel/lane.hpp"

#include <array>
#include <deque>

#include <gtest/gtest.h>

#include "../support/run.hpp"
#include "carrier/memory.hpp"
#include "carrier/relay_control.hpp"
#include "net/spawn.hpp"
#include "net/wakeup.hpp"

namespace zks::tunnel {
namespace {

using carrier::Carrier;
using carrier::MessageType;
using carrier::NewKey;

constexpr std::uint64_t kLastEpoch = 600;

LaneKeys make_keys(Direction outbound, const Key& remote_key) {
  const auto inbound =
      outbound == Direction::kClientToExit ? Direction::kExitToClient : Direction::kClientToExit;
  const Digest hash{7};
  return {crypto::RecordSealer(Key(), outbound, hash, remote_key),
          crypto::RecordOpener(Key(), inbound, hash, remote_key), 16 << 20};
}

// Sends the numbers 0, 1, 2 and so on, one more for each that comes, and takes only the next number.
struct CountingOwner final : LaneOwner {
  void on_record(session::LaneNumber, ByteView frames, std::size_t) override {
    ASSERT_EQ(frames.size(), sizeof(std::uint64_t));
    ASSERT_EQ(load_be<std::uint64_t>(frames.data()), received);
    ++received;
    ++may_send;
    lane->wake();
  }
  std::size_t compose(session::LaneNumber, MutableBytes out) override {
    if (sent == may_send) return 0;
    store_be(sent++, out.data());
    return sizeof(std::uint64_t);
  }
  void on_lane_end(session::LaneNumber, const Error& why) override { error = why; }

  std::shared_ptr<Lane> lane;
  std::uint64_t may_send = 0;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::optional<Error> error;
};

// The relay's half of one lane: a queue with one writer, in order.
struct RelaySide {
  explicit RelaySide(carrier::CarrierPtr from) : carrier(std::move(from)), queued(carrier->executor()) {}
  void queue(MessageType type, ByteView bytes) {
    out.emplace_back(type, Bytes(bytes.begin(), bytes.end()));
    queued.notify();
  }

  carrier::CarrierPtr carrier;
  net::Wakeup queued;
  std::deque<std::pair<MessageType, Bytes>> out;
  std::uint64_t seen = 0;  // the epoch that its lane answered last
};

// Changes the key with the first message after both answers, and looks at the epoch of every record.
struct RotatingRelay {
  RotatingRelay(carrier::CarrierPtr client, carrier::CarrierPtr exit)
      : sides{RelaySide(std::move(client)), RelaySide(std::move(exit))} {}

  void forward(std::size_t from, ByteView record) {
    ASSERT_EQ(record[0], sides[from].seen % 256) << "the record's epoch is the one answered before it";
    if (sides[0].seen == epoch && sides[1].seen == epoch && epoch < kLastEpoch) {
      ++epoch;
      const Key key = Key::random();
      for (RelaySide& side : sides) {
        side.queue(MessageType::kText, as_bytes(carrier::encode_control(NewKey{epoch, key.clone()})));
      }
    }
    sides[1 - from].queue(MessageType::kBinary, record);
  }
  void stop() {
    stopped = true;
    for (RelaySide& side : sides) {
      side.carrier->abort();
      side.queued.notify();
    }
  }
  void answered(std::size_t from, std::string_view text) {
    const auto control = carrier::decode_control(text);
    ASSERT_TRUE(control && std::holds_alternative<carrier::KeySeen>(*control)) << text;
    EXPECT_EQ(std::get<carrier::KeySeen>(*control).epoch, ++sides[from].seen);
  }

  std::array<RelaySide, 2> sides;
  std::uint64_t epoch = 0;
  bool stopped = false;
};

asio::awaitable<void> read_side(RotatingRelay* relay, std::size_t at) {
  carrier::Buffer buffer;
  for (;;) {
    const auto type = co_await relay->sides[at].carrier->read(buffer);
    if (!type) co_return;
    const ByteView message(static_cast<const std::uint8_t*>(buffer.cdata().data()), buffer.size());
    if (*type == MessageType::kBinary) {
      relay->forward(at, message);
    } else {
      relay->answered(at, as_text(message));
    }
  }
}

asio::awaitable<void> write_side(RotatingRelay* relay, std::size_t at) {
  RelaySide& side = relay->sides[at];
  for (;;) {
    while (side.out.empty() && !relay->stopped) co_await side.queued.wait();
    if (relay->stopped) co_return;
    const auto [type, bytes] = std::move(side.out.front());
    side.out.pop_front();
    const auto sent = co_await side.carrier->write(type, bytes);
    if (!sent) co_return;
  }
}

TEST(LaneEpochs, ATransferGoesOnPastEpoch255) {
  asio::io_context io;
  auto client = carrier::make_memory_pair(io.get_executor());
  auto exit = carrier::make_memory_pair(io.get_executor());
  const Key remote_key = Key::random();
  CountingOwner at_client;
  CountingOwner at_exit;
  at_client.may_send = at_exit.may_send = 16;
  at_client.lane = std::make_shared<Lane>(1, std::move(client.first),
                                          make_keys(Direction::kClientToExit, remote_key), at_client);
  at_exit.lane = std::make_shared<Lane>(1, std::move(exit.first),
                                        make_keys(Direction::kExitToClient, remote_key), at_exit);
  at_client.lane->start();
  at_exit.lane->start();
  RotatingRelay relay(std::move(client.second), std::move(exit.second));
  for (std::size_t at = 0; at < 2; ++at) {
    asio::co_spawn(io, read_side(&relay, at), net::RethrowFailure());
    asio::co_spawn(io, write_side(&relay, at), net::RethrowFailure());
  }
  const auto deadline = std::chrono::steady_clock::now() + zks::test::kHangLimit;
  while (relay.sides[0].seen + relay.sides[1].seen < 2 * kLastEpoch && !at_client.error && !at_exit.error &&
         io.run_one_until(deadline) > 0) {
  }
  EXPECT_FALSE(at_client.error) << at_client.error->text;
  EXPECT_FALSE(at_exit.error) << at_exit.error->text;
  EXPECT_EQ(relay.epoch, kLastEpoch);
  EXPECT_EQ(relay.sides[0].seen, kLastEpoch);
  EXPECT_EQ(relay.sides[1].seen, kLastEpoch);
  EXPECT_GE(at_client.received, kLastEpoch) << "records of every epoch came";
  EXPECT_GE(at_exit.received, kLastEpoch);
  relay.stop();
  io.run_for(zks::test::kHangLimit);
  EXPECT_TRUE(at_client.error && at_exit.error);
}

asio::awaitable<void> play_relay(Carrier* to, std::vector<std::uint64_t> epochs) {
  for (const std::uint64_t epoch : epochs) {
    const std::string text = carrier::encode_control(NewKey{epoch, Key::random()});
    const auto sent = co_await to->write(MessageType::kText, as_bytes(text));
    if (!sent) co_return;
  }
  carrier::Buffer buffer;
  while (co_await to->read(buffer)) {
  }
}

// How a lane ends whose relay announces these epochs and then only reads.
std::optional<Error> end_after_keys(std::vector<std::uint64_t> epochs) {
  asio::io_context io;
  auto pair = carrier::make_memory_pair(io.get_executor());
  CountingOwner owner;
  owner.lane = std::make_shared<Lane>(1, std::move(pair.first),
                                      make_keys(Direction::kClientToExit, Key::random()), owner);
  owner.lane->start();
  asio::co_spawn(io, play_relay(pair.second.get(), std::move(epochs)), net::RethrowFailure());
  io.poll();
  const std::optional<Error> ended = owner.error;
  owner.lane->abort();
  io.restart();
  io.run_for(zks::test::kHangLimit);
  return ended;
}

TEST(LaneEpochs, OneAfterTheOtherIsFine) {
  EXPECT_FALSE(end_after_keys({1, 2, 3, 4}));
}

TEST(LaneEpochs, ASkippedOrRepeatedEpochDropsTheLane) {
  const std::vector<std::vector<std::uint64_t>> wrong = {
      {0}, {2}, {257}, {1, 1}, {1, 3}, {1, 0}, {256}, {1, 2, 1}, {carrier::kMaxControlInteger}};
  for (const auto& epochs : wrong) {
    const auto ended = end_after_keys(epochs);
    ASSERT_TRUE(ended) << epochs.front();
    EXPECT_EQ(ended->kind, ErrorKind::kProtocol);
  }
}

}  // namespace
}  // namespace zks::tunnel
