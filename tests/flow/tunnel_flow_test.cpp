// SPDX-License-Identifier: MIT
//
// The whole path in memory: handshake, records, lanes, sessions and streams of both ends, and what a relay
// between them can't do.
#include <gtest/gtest.h>

#include "lane_pair.hpp"
#include "net/spawn.hpp"

namespace zks::test {
namespace {

using namespace std::chrono_literals;
using session::ResetCode;
using tunnel::StreamPtr;

constexpr std::size_t kTransferBytes = 3 * 1024 * 1024;

Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>((i * 2654435761U) >> 13);
  return out;
}

asio::awaitable<void> write_all(StreamPtr stream, Bytes bytes) {
  ByteView rest(bytes);
  while (!rest.empty() && !stream->reset_code()) {
    std::array<MutableBytes, 4> pieces;
    if (stream->prepare(rest.size(), pieces) == 0) {
      co_await stream->room().wait();
      continue;
    }
    const std::size_t size = std::min(rest.size(), pieces[0].size());
    std::copy_n(rest.begin(), size, pieces[0].begin());
    stream->commit(size);
    rest = rest.subspan(size);
  }
  stream->finish();
}

asio::awaitable<void> read_all(StreamPtr stream, Bytes* out) {
  while (!stream->reset_code()) {
    std::array<ByteView, 8> pieces;
    const std::size_t count = stream->peek(pieces);
    if (count == 0) {
      if (stream->at_end()) {
        stream->consume_end();
        co_return;
      }
      co_await stream->readable().wait();
      continue;
    }
    out->insert(out->end(), pieces[0].begin(), pieces[0].end());
    stream->consume(pieces[0].size());
  }
}

asio::awaitable<void> echo(StreamPtr stream) {
  Bytes bytes;
  co_await read_all(stream, &bytes);
  co_await write_all(stream, std::move(bytes));
}

void serve_echo(asio::io_context& loop, StreamPtr stream) {
  session::Destination bound;
  bound.kind = session::Destination::Kind::kIpv4;
  stream->accept(bound);
  asio::co_spawn(loop, echo(std::move(stream)), net::RethrowFailure{});
}

struct Transfer {
  tunnel::OpenOutcome outcome;
  Bytes received;
  bool done = false;
};

asio::awaitable<void> transfer(std::shared_ptr<tunnel::Tunnel> client, Bytes bytes, Transfer* result) {
  session::Destination destination;
  destination.name = "echo.test";
  destination.port = 7;
  result->outcome = co_await client->open(std::move(destination));
  if (result->outcome.stream) {
    co_await write_all(result->outcome.stream, std::move(bytes));
    co_await read_all(result->outcome.stream, &result->received);
  }
  result->done = true;
}

void run_until(asio::io_context& loop, const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition() && std::chrono::steady_clock::now() < deadline) loop.run_one_for(100ms);
  loop.restart();
}

TEST(TunnelFlow, StreamsCarryBytesBothWaysAndEndByHalfClose) {
  asio::io_context loop;
  LanePair pair(loop);
  pair.connect([&](StreamPtr stream, const session::Destination&) { serve_echo(loop, std::move(stream)); });
  run_until(loop, [&] { return pair.welcomed; });
  ASSERT_TRUE(pair.welcomed);

  std::array<Transfer, 8> transfers;
  const Bytes sent = pattern(kTransferBytes);
  for (auto& one : transfers) {
    asio::co_spawn(loop, transfer(pair.client, sent, &one), net::RethrowFailure{});
  }
  run_until(loop, [&] {
    return std::all_of(transfers.begin(), transfers.end(), [](const Transfer& one) { return one.done; });
  });
  for (auto& one : transfers) {
    EXPECT_TRUE(one.received == sent) << one.received.size() << " bytes came back";
    one.outcome.stream.reset();
  }
  run_until(loop, [&] { return pair.client->open_streams() == 0 && pair.exit->open_streams() == 0; });
  EXPECT_EQ(pair.client->open_streams(), 0U);
  EXPECT_EQ(pair.exit->open_streams(), 0U);
}

TEST(TunnelFlow, ARefusalReachesTheClientWithItsCode) {
  asio::io_context loop;
  LanePair pair(loop);
  pair.connect([&](const StreamPtr& stream, const session::Destination&) {
    stream->reset(ResetCode::kConnectionRefused);
  });
  run_until(loop, [&] { return pair.welcomed; });
  Transfer one;
  asio::co_spawn(loop, transfer(pair.client, {}, &one), net::RethrowFailure{});
  run_until(loop, [&] { return one.done; });
  EXPECT_EQ(one.outcome.stream, nullptr);
  EXPECT_EQ(one.outcome.code, ResetCode::kConnectionRefused);
}

TEST(TunnelFlow, TheEndOfASessionWithoutALaneResetsEveryStreamOnBothSides) {
  asio::io_context loop;
  LanePair pair(loop);
  std::vector<StreamPtr> served;
  pair.connect([&](const StreamPtr& stream, const session::Destination&) {
    session::Destination bound;
    bound.kind = session::Destination::Kind::kIpv4;
    stream->accept(bound);
    served.push_back(stream);  // and never reads
  });
  run_until(loop, [&] { return pair.welcomed; });
  std::array<Transfer, 3> transfers;
  for (auto& one : transfers) {
    asio::co_spawn(loop, transfer(pair.client, pattern(kTransferBytes), &one), net::RethrowFailure{});
  }
  const auto all = [&](auto condition) { return std::all_of(transfers.begin(), transfers.end(), condition); };
  run_until(loop, [&] { return all([](const Transfer& one) { return one.outcome.stream != nullptr; }); });
  pair.client_link->cut();
  pair.exit_link->cut();
  run_until(loop, [&] { return pair.client->orphaned() && pair.exit->orphaned(); });
  for (const auto& one : transfers) EXPECT_FALSE(one.outcome.stream->reset_code());
  const Error over = make_error(ErrorKind::kTimeout, "no other lane came");
  pair.client->end(over);
  pair.exit->end(over);
  run_until(loop, [&] {
    return pair.client->ended() && pair.exit->ended() && all([](const Transfer& one) { return one.done; });
  });
  for (auto& one : transfers) {
    EXPECT_TRUE(one.done);
    ASSERT_TRUE(one.outcome.stream);
    EXPECT_EQ(one.outcome.stream->reset_code(), ResetCode::kSessionLost);
    one.outcome.stream.reset();
  }
  for (const auto& stream : served) EXPECT_EQ(stream->reset_code(), ResetCode::kSessionLost);
}

// What the relay does to one message: `at` is the byte that is changed, or the length it is cut to.
struct Change {
  Direction direction;
  std::size_t message;
  bool cut;
  std::size_t at;
};

// Runs a handshake and the first records with one change. The sizes of the messages are noted as they pass.
void expect_refusal(const Change& change, std::size_t& size) {
  SCOPED_TRACE(testing::Message() << (change.cut ? "cut at " : "byte ") << change.at << " of message "
                                  << change.message << " of direction "
                                  << static_cast<int>(change.direction));
  asio::io_context loop;
  bool touched = false;
  LanePair pair(loop, [&](Direction direction, std::size_t index, Bytes& message) {
    if (direction != change.direction || index != change.message) return;
    size = message.size();
    if (change.at >= message.size()) return;
    touched = true;
    if (change.cut) {
      message.resize(change.at);
    } else {
      message[change.at] ^= static_cast<std::uint8_t>(1 << (change.at % 8));
    }
  });
  pair.connect();
  run_until(loop, [&] { return pair.client_error.has_value() || pair.welcomed; });
  ASSERT_TRUE(touched);
  EXPECT_FALSE(pair.welcomed);
  // The exit makes a session only of an authentic record: when the change was in its own answer, there was
  // none after a spoilt message 2, and one before a spoilt first record.
  const bool exit_saw_an_honest_client = change.direction == Direction::kExitToClient && change.message == 1;
  EXPECT_EQ(pair.exit_had_session, exit_saw_an_honest_client);
}

TEST(TunnelFlow, EveryAlteredByteAndEveryLengthOfHandshakeAndFirstRecordsIsRefused) {
  for (const Direction direction : {Direction::kClientToExit, Direction::kExitToClient}) {
    for (const std::size_t message : {0U, 1U}) {
      for (const bool cut : {false, true}) {
        std::size_t size = 1;
        for (std::size_t at = 0; at < size && !HasFailure(); ++at) {
          expect_refusal({direction, message, cut, at}, size);
        }
        EXPECT_GT(size, 40U);
      }
    }
  }
}

TEST(TunnelFlow, AWrongPskAndAWrongExitKeyLookTheSame) {
  for (const bool wrong_psk : {true, false}) {
    SCOPED_TRACE(wrong_psk ? "psk" : "exit key");
    asio::io_context loop;
    LanePair pair(loop);
    if (wrong_psk) {
      pair.exit_psk = Key::random();
    } else {
      pair.link.exit_public_key = crypto::KeyPair::generate().public_key;
    }
    pair.connect();
    run_until(loop, [&] { return pair.client_error.has_value() || pair.welcomed; });
    ASSERT_TRUE(pair.client_error);
    EXPECT_EQ(pair.client_error->kind, ErrorKind::kRefused);
    EXPECT_EQ(pair.client_error->detail, carrier::close_code::kForbidden);
    EXPECT_FALSE(pair.exit_had_session);
  }
}

}  // namespace
}  // namespace zks::test
