// SPDX-License-Identifier: MIT
#include "tunnel/deadline.hpp"

#include <gtest/gtest.h>

#include "../support/run.hpp"
#include "carrier/memory.hpp"

namespace zks::tunnel {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using zks::test::run;

asio::awaitable<void> read_until_closed(carrier::Carrier* carrier, ErrorKind* kind) {
  carrier::Buffer buffer;
  const auto type = co_await carrier->read(buffer);
  if (!type) *kind = type.error().kind;
}

asio::awaitable<void> read_with_deadline(carrier::Carrier* carrier, ErrorKind* kind, bool* expired) {
  Deadline deadline(*carrier, 1ms);
  co_await read_until_closed(carrier, kind);
  *expired = deadline.expired();
}

TEST(DeadlineTest, AbortsTheCarrierOfASilentPeer) {
  asio::io_context io;
  const carrier::MemoryPair pair = carrier::make_memory_pair(io.get_executor());
  ErrorKind kind{};
  bool expired = false;
  run(io, read_with_deadline(pair.first.get(), &kind, &expired));
  EXPECT_EQ(kind, ErrorKind::kClosed);
  EXPECT_TRUE(expired);
}

asio::awaitable<void> write_one(carrier::Carrier* carrier, bool* written) {
  const Bytes message = {1};
  const auto done = co_await carrier->write(carrier::MessageType::kBinary, message);
  *written = done.has_value();
}

TEST(DeadlineTest, DoesNothingOnceItIsGone) {
  asio::io_context io;
  const carrier::MemoryPair pair = carrier::make_memory_pair(io.get_executor());
  {
    Deadline deadline(*pair.first, 0ms);
    EXPECT_FALSE(deadline.expired());
  }
  io.run();  // the timer's handler, whatever it says
  bool written = false;
  run(io, write_one(pair.first.get(), &written));
  EXPECT_TRUE(written);
}

}  // namespace
}  // namespace zks::tunnel
