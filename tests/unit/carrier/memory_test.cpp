// SPDX-License-Identifier: MIT
#include "carrier/memory.hpp"

#include <gtest/gtest.h>

#include "../support/run.hpp"

namespace zks::carrier {
namespace {

using test::run;

asio::awaitable<void> write_numbers(Carrier* carrier, int count, int* written) {
  for (int i = 0; i < count; ++i) {
    const Bytes message = {static_cast<std::uint8_t>(i)};
    const Result<> done = co_await carrier->write(MessageType::kBinary, message);
    if (!done) co_return;
    ++*written;
  }
}

asio::awaitable<void> read_numbers(Carrier* carrier, int count, int* matched) {
  Buffer buffer;
  for (int i = 0; i < count; ++i) {
    const auto type = co_await carrier->read(buffer);
    if (!type) co_return;
    const auto* byte = static_cast<const std::uint8_t*>(buffer.data().data());
    if (*type == MessageType::kBinary && buffer.size() == 1 && *byte == i) ++*matched;
  }
}

asio::awaitable<void> read_once(Carrier* carrier, Result<MessageType>* out) {
  Buffer buffer;
  *out = co_await carrier->read(buffer);
}

asio::awaitable<void> close_with(Carrier* carrier, std::uint16_t code, Result<>* out) {
  *out = co_await carrier->close(code);
}

asio::awaitable<void> write_once(Carrier* carrier, Result<>* out) {
  const Bytes message = {1};
  *out = co_await carrier->write(MessageType::kText, message);
}

struct Ignore {
  void operator()(std::exception_ptr) const {}
};

TEST(Memory, DeliversInOrder) {
  asio::io_context io;
  MemoryPair pair = make_memory_pair(io.get_executor());
  int written = 0;
  int matched = 0;
  run(io, write_numbers(pair.first.get(), 100, &written), read_numbers(pair.second.get(), 100, &matched));
  EXPECT_EQ(matched, 100);
  EXPECT_EQ(pair.link->delivered_messages(), 100U);
}

TEST(Memory, HoldsNoMoreThanItsBound) {
  asio::io_context io;
  MemoryPair pair = make_memory_pair(io.get_executor(), {.queue_messages = 3});
  int written = 0;
  asio::co_spawn(io, write_numbers(pair.first.get(), 10, &written), Ignore{});
  io.poll();
  EXPECT_EQ(written, 3);
  int matched = 0;
  run(io, read_numbers(pair.second.get(), 10, &matched));
  io.poll();
  EXPECT_EQ(written, 10);
  EXPECT_EQ(matched, 10);
}

TEST(Memory, StallsAndGoesOn) {
  asio::io_context io;
  MemoryPair pair = make_memory_pair(io.get_executor());
  pair.link->stall(true);
  int written = 0;
  int matched = 0;
  asio::co_spawn(io, write_numbers(pair.first.get(), 5, &written), Ignore{});
  asio::co_spawn(io, read_numbers(pair.second.get(), 5, &matched), Ignore{});
  io.poll();
  EXPECT_EQ(matched, 0);
  pair.link->stall(false);
  io.poll();
  EXPECT_EQ(matched, 5);
  EXPECT_EQ(written, 5);
}

TEST(Memory, CutEndsBothSides) {
  asio::io_context io;
  MemoryPair pair = make_memory_pair(io.get_executor());
  Result<MessageType> first = MessageType::kText;
  Result<MessageType> second = MessageType::kText;
  asio::co_spawn(io, read_once(pair.first.get(), &first), Ignore{});
  asio::co_spawn(io, read_once(pair.second.get(), &second), Ignore{});
  io.poll();
  pair.link->cut();
  io.restart();
  io.poll();
  ASSERT_FALSE(first);
  ASSERT_FALSE(second);
  EXPECT_EQ(first.error().kind, ErrorKind::kClosed);
  EXPECT_EQ(second.error().detail, 0);
  Result<> late;
  run(io, write_once(pair.first.get(), &late));
  EXPECT_FALSE(late);
}

TEST(Memory, CloseComesAfterWhatWasWritten) {
  asio::io_context io;
  MemoryPair pair = make_memory_pair(io.get_executor());
  Result<> wrote;
  Result<> closed = make_error(ErrorKind::kIo, "");
  run(io, write_once(pair.first.get(), &wrote));
  Result<MessageType> got = MessageType::kBinary;
  asio::co_spawn(io, close_with(pair.first.get(), 4403, &closed), Ignore{});
  run(io, read_once(pair.second.get(), &got));
  EXPECT_EQ(got.value(), MessageType::kText);
  run(io, read_once(pair.second.get(), &got));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().detail, 4403);
  io.poll();
  EXPECT_TRUE(closed);
}

}  // namespace
}  // namespace zks::carrier
