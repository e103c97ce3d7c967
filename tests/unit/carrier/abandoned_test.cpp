// SPDX-License-Identifier: MIT
//
// A WebSocket whose operations are destroyed where they stand, as lack of memory does it: what else is under
// way ends, and nothing that begins later waits.
#include <functional>
#include <memory>

#include <boost/asio/connect.hpp>
#include <gtest/gtest.h>

#include "../support/run.hpp"
#include "carrier/websocket_carrier.hpp"
#include "net/as_tuple.hpp"
#include "net/on_end.hpp"

namespace zks::carrier {
namespace {

using asio::ip::tcp;
using net::kTuple;
using test::run;

// Handlers of reads or writes that are kept instead of begun; clear() destroys them.
struct Kept {
  bool reads = false;
  bool writes = false;
  std::vector<std::shared_ptr<void>> handlers;
};

// A TCP stream that keeps what it is told to.
class KeepingStream {
 public:
  using next_layer_type = net::TcpStream;
  using executor_type = net::TcpStream::executor_type;

  KeepingStream(net::TcpStream next, Kept* kept) : next_(std::move(next)), kept_(kept) {}
  executor_type get_executor() noexcept { return next_.get_executor(); }
  net::TcpStream& next_layer() noexcept { return next_; }
  const net::TcpStream& next_layer() const noexcept { return next_; }

  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (kept_->reads) return keep(std::forward<Handler>(handler));
    next_.async_read_some(buffers, std::forward<Handler>(handler));
  }
  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    if (kept_->writes) return keep(std::forward<Handler>(handler));
    next_.async_write_some(buffers, std::forward<Handler>(handler));
  }

 private:
  template <class Handler>
  void keep(Handler handler) {
    kept_->handlers.push_back(std::make_shared<Handler>(std::move(handler)));
  }

  net::TcpStream next_;
  Kept* kept_;
};

template <class Handler>
void async_teardown(boost::beast::role_type role, KeepingStream& stream, Handler&& handler) {
  async_teardown(role, stream.next_layer(), std::forward<Handler>(handler));
}

using KeepingCarrier = WebSocketCarrier<KeepingStream>;

asio::awaitable<void> accept(WebSocket<KeepingStream>* ws) {
  co_await ws->async_accept(asio::use_awaitable);
}
asio::awaitable<void> shake_hands(WebSocket<net::TcpStream>* ws) {
  co_await ws->async_handshake("localhost", "/", asio::use_awaitable);
}
asio::awaitable<void> ping(WebSocket<net::TcpStream>* ws) {
  co_await ws->async_ping({}, asio::use_awaitable);
}

asio::awaitable<void> read_one(KeepingCarrier* carrier, int* ended, Result<MessageType>* out) {
  Buffer buffer;
  *out = co_await carrier->read(buffer);
  ++*ended;
}
asio::awaitable<void> write_one(KeepingCarrier* carrier, int* ended, Result<>* out) {
  const Bytes message(10);
  *out = co_await carrier->write(MessageType::kBinary, message);
  ++*ended;
}
asio::awaitable<void> close_one(KeepingCarrier* carrier, int* ended, Result<>* out) {
  *out = co_await carrier->close(close_code::kRestart);
  ++*ended;
}

class AbandonedTest : public testing::Test {
 protected:
  AbandonedTest() {
    tcp::acceptor acceptor(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    tcp::socket near(io_), far(io_);
    far.connect(acceptor.local_endpoint());
    acceptor.accept(near);
    WebSocket<KeepingStream> ws(KeepingStream(net::TcpStream(std::move(near)), &kept_));
    far_ = std::make_unique<WebSocket<net::TcpStream>>(net::TcpStream(std::move(far)));
    run(io_, accept(&ws), shake_hands(far_.get()));
    carrier_ = std::make_unique<KeepingCarrier>(std::move(ws));
  }

  // Until it waits for something.
  void begin(asio::awaitable<void> call) {
    asio::co_spawn(io_, std::move(call),
                   net::OnEnd(io_.get_executor(), [this](const std::exception_ptr& failure) {
                     if (failure) ++destroyed_;
                   }));
    io_.restart();
    io_.poll();
  }
  void run_until_ended(int calls) {
    test::run_until(io_, [&] { return ended_ + destroyed_ >= calls; });
    EXPECT_EQ(ended_ + destroyed_, calls);
  }
  void destroy_kept() { kept_ = {}; }

  asio::io_context io_;
  Kept kept_;
  std::unique_ptr<WebSocket<net::TcpStream>> far_;
  std::unique_ptr<KeepingCarrier> carrier_;
  int ended_ = 0, destroyed_ = 0;
  Result<MessageType> read_ = MessageType::kText;
  Result<> wrote_, closed_;
};

TEST_F(AbandonedTest, WithoutAWriteTheReadEndsAndNothingBegins) {
  begin(read_one(carrier_.get(), &ended_, &read_));
  kept_.writes = true;
  begin(write_one(carrier_.get(), &ended_, &wrote_));
  ASSERT_EQ(kept_.handlers.size(), 1U);
  destroy_kept();
  run_until_ended(2);
  EXPECT_EQ(destroyed_, 1);
  EXPECT_EQ(read_.error().kind, ErrorKind::kClosed);
  begin(close_one(carrier_.get(), &ended_, &closed_));
  begin(write_one(carrier_.get(), &ended_, &wrote_));
  begin(read_one(carrier_.get(), &ended_, &read_));
  EXPECT_EQ(ended_, 4);
  EXPECT_EQ(closed_.error().kind, ErrorKind::kClosed);
  EXPECT_EQ(wrote_.error().kind, ErrorKind::kClosed);
}

TEST_F(AbandonedTest, WithoutAReadNoCloseWaitsForIt) {
  kept_.reads = true;
  begin(read_one(carrier_.get(), &ended_, &read_));
  ASSERT_EQ(kept_.handlers.size(), 1U);
  begin(close_one(carrier_.get(), &ended_, &closed_));
  EXPECT_EQ(ended_, 0) << "it waits for the read's lock";
  destroy_kept();
  run_until_ended(2);
  EXPECT_EQ(closed_.error().kind, ErrorKind::kClosed);
}

// The read holds the lock of writes while it answers a ping.
TEST_F(AbandonedTest, WithoutThePongNoWriteWaitsForIt) {
  begin(read_one(carrier_.get(), &ended_, &read_));
  kept_.writes = true;
  run(io_, ping(far_.get()));
  while (kept_.handlers.empty()) io_.run_one_for(std::chrono::seconds(1));
  begin(write_one(carrier_.get(), &ended_, &wrote_));
  EXPECT_EQ(ended_, 0) << "it waits for the pong";
  destroy_kept();
  run_until_ended(2);
  EXPECT_EQ(wrote_.error().kind, ErrorKind::kClosed);
}

// The closing handshake has taken the lock of reads from the read.
TEST_F(AbandonedTest, WithoutTheCloseTheReadEnds) {
  begin(read_one(carrier_.get(), &ended_, &read_));
  kept_.reads = true;
  begin(close_one(carrier_.get(), &ended_, &closed_));
  run(io_, ping(far_.get()));
  while (kept_.handlers.empty()) io_.run_one_for(std::chrono::seconds(1));
  destroy_kept();
  run_until_ended(2);
  EXPECT_EQ(destroyed_, 1);
}

}  // namespace
}  // namespace zks::carrier
