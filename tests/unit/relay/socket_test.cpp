// SPDX-License-Identifier: MIT
//
// A socket whose coroutines lack memory: Asio destroys them where they stand, and the socket ends and leaves
// nothing.
#include "relay/socket.hpp"

#include <new>

#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include "net/run_loop.hpp"

namespace zks::relay {
namespace {

using carrier::MessageType;

constexpr std::size_t kSocketBudgetBytes = 1 << 20;
constexpr std::size_t kMessageBytes = 100'000;

// An operation of more than one step, whose later one throws in a handler of its own, as Beast's do.
asio::awaitable<void> lack_memory(asio::any_io_executor executor) {
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [](auto handler, asio::any_io_executor on) {
        asio::post(on, [handler = std::move(handler)] { throw std::bad_alloc(); });
      },
      asio::use_awaitable, executor);
}

// What is read or written on it waits until abort(), or lacks memory.
class ScarceCarrier final : public carrier::Carrier {
 public:
  explicit ScarceCarrier(asio::any_io_executor executor)
      : executor_(executor), read_(executor), write_(executor) {}

  asio::any_io_executor executor() override { return executor_; }
  carrier::Task<MessageType> read(carrier::Buffer& buffer) override {
    buffer.prepare(kMessageBytes);
    if (read_lacks) co_await lack_memory(executor_);
    while (!aborted_) co_await read_.wait();
    co_return make_error(ErrorKind::kClosed, "aborted");
  }
  carrier::Task<> write(MessageType, ByteView) override {
    if (write_lacks) co_await lack_memory(executor_);
    while (!aborted_) co_await write_.wait();
    co_return make_error(ErrorKind::kClosed, "aborted");
  }
  carrier::Task<> close(std::uint16_t) override {
    abort();
    co_return Result<>();
  }
  void abort() noexcept override {
    aborted_ = true;
    read_.notify();
    write_.notify();
  }
  std::size_t unsent_bytes() const noexcept override { return 0; }

  bool read_lacks = false, write_lacks = false;

 private:
  asio::any_io_executor executor_;
  net::Wakeup read_, write_;
  bool aborted_ = false;
};

class TestSocket final : public Socket {
 public:
  TestSocket(std::shared_ptr<Loop> loop, carrier::CarrierPtr carrier)
      : Socket(std::move(loop), std::move(carrier), std::chrono::minutes(1), std::chrono::minutes(1)) {}

  using Socket::held_bytes;
  using Socket::send_binary;
  using Socket::write_queued;

 private:
  std::uint16_t on_control(const carrier::Control&) override { return 0; }
  asio::awaitable<std::uint16_t> on_binary(carrier::Buffer) override { co_return 0; }
  asio::awaitable<void> before_read() override { co_return; }
  void on_sent(std::size_t) override {}
  void on_key(std::uint64_t) override {}
  void on_ending(std::uint16_t, bool) override {}
};

class SocketTest : public testing::Test {
 protected:
  SocketTest() : loop_(std::make_shared<Loop>(io_.get_executor(), kSocketBudgetBytes)) {
    auto carrier = std::make_unique<ScarceCarrier>(io_.get_executor());
    carrier_ = carrier.get();
    socket_ = std::make_shared<TestSocket>(loop_, std::move(carrier));
  }

  // Whatever can happen without memory has happened.
  void settle() {
    while (true) {
      try {
        io_.poll();
        return;
      } catch (const std::bad_alloc&) {
      }
    }
  }
  // Nothing is left that the loop would wait for, but its own timer for freed memory.
  void expect_over() {
    loop_->stop();
    io_.restart();
    net::run_loop(io_);
    EXPECT_TRUE(socket_->ending());
    EXPECT_EQ(socket_.use_count(), 1);
    EXPECT_EQ(socket_->held_bytes(), 0U);
  }

  asio::io_context io_;
  std::shared_ptr<Loop> loop_;
  ScarceCarrier* carrier_ = nullptr;
  std::shared_ptr<TestSocket> socket_;
};

TEST_F(SocketTest, WhatWasReadToIsForgottenWithItsReader) {
  carrier_->read_lacks = true;
  socket_->start();
  asio::post(io_, [this] {
    EXPECT_EQ(socket_->held_bytes(), kMessageBytes);
    asio::post(io_, [this] {  // the exception came; next the coroutine is destroyed
      asio::post(io_, [this] { EXPECT_EQ(socket_->held_bytes(), 0U) << "its memory is somebody else's"; });
    });
  });
  expect_over();
}

// A pair's halves write for each other (half.hpp).
TEST_F(SocketTest, EndsWhenAnothersCoroutineLackedMemoryWhileItWroteHere) {
  carrier_->write_lacks = true;
  socket_->start();
  asio::post(io_, [this] {
    carrier::Buffer message;
    message.commit(message.prepare(kMessageBytes).size());
    socket_->send_binary(std::move(message));
    asio::co_spawn(io_, socket_->write_queued(), [](const std::exception_ptr&) {});
  });
  settle();
  EXPECT_TRUE(socket_->ending());
  expect_over();
}

}  // namespace
}  // namespace zks::relay
