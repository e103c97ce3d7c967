// SPDX-License-Identifier: MIT
//
// -L for TCP and unix sockets, in front of a tunnel that is none and of a real one.
#include "frontdoor/local_forward.hpp"

#include <cerrno>
#include <fstream>

#include <boost/asio/local/stream_protocol.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "captured_log.hpp"
#include "fake_opener.hpp"
#include "tunnel_opener.hpp"

namespace zks::frontdoor {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using boost::system::error_code;

class LocalForwardTest : public testing::Test {
 protected:
  LocalForwardTest() {
    std::string pattern = testing::TempDir() + "forward-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~LocalForwardTest() override {
    if (forward_) forward_->close();
    settle();
    std::filesystem::remove_all(directory_);
  }

  void listen(const std::string& spec, std::size_t most = LocalForward::kMaxConnections) {
    forward_ = LocalForward::listen(opener_, parse_local_forward(spec).value(), most).value();
    forward_->start();
  }
  tcp::socket connect() {
    tcp::socket socket(context_);
    const std::string address = forward_->address();
    const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    socket.connect({asio::ip::make_address("127.0.0.1"), port});
    return socket;
  }
  // In front of a real tunnel, whose far end connects to server_.
  std::shared_ptr<TunnelOpener> listen_before_a_tunnel(std::size_t most) {
    const auto tunnel = std::make_shared<TunnelOpener>(context_.get_executor());
    server_.non_blocking(true);
    tunnel->target = server_.local_endpoint();
    tunnel->bound.kind = session::Destination::Kind::kIpv4;
    forward_ = LocalForward::listen(tunnel, parse_local_forward("0:127.0.0.1:1").value(), most).value();
    forward_->start();
    return tunnel;
  }
  tcp::socket accept() {
    tcp::socket far(context_);
    EXPECT_TRUE(run_until([&] {
      error_code ec;
      if (!far.is_open()) server_.accept(far, ec);
      return far.is_open();
    }));
    return far;
  }
  // What the program sees next: bytes, or why there are none.
  template <class Socket>
  error_code next(Socket& socket) {
    socket.non_blocking(true);
    char byte = 0;
    error_code ec;
    run_until([&] {
      socket.receive(asio::buffer(&byte, 1), 0, ec);
      return ec != asio::error::would_block;
    });
    return ec;
  }
  bool run_until(const std::function<bool()>& done) {
    context_.restart();
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      context_.run_one_for(10ms);
    }
    return true;
  }
  void settle() {
    context_.restart();
    context_.poll();
  }

  asio::io_context context_;
  tcp::acceptor server_{context_, {asio::ip::make_address("127.0.0.1"), 0}};
  std::shared_ptr<FakeOpener> opener_ = std::make_shared<FakeOpener>(context_.get_executor());
  std::shared_ptr<LocalForward> forward_;
  std::filesystem::path directory_;
};

TEST_F(LocalForwardTest, EveryConnectionAsksForTheTarget) {
  listen("0:db.example:5432");
  auto first = connect();
  auto second = connect();
  ASSERT_TRUE(run_until([this] { return opener_->asked.size() == 2; }));
  for (const auto& asked : opener_->asked) EXPECT_EQ(session::to_text(asked), "db.example:5432");
}

TEST_F(LocalForwardTest, WhatTheExitRefusesIsReset) {
  opener_->code = session::ResetCode::kNotAllowed;
  listen("0:db.example:5432");
  auto socket = connect();
  EXPECT_EQ(next(socket), asio::error::connection_reset);
  EXPECT_TRUE(run_until([this] { return forward_->connections() == 0; }));
}

TEST_F(LocalForwardTest, MoreConnectionsThanTheBoundAreClosedAtOnce) {
  opener_->held = true;
  listen("0:db.example:5432", 1);
  auto first = connect();
  ASSERT_TRUE(run_until([this] { return opener_->pending == 1; }));
  auto second = connect();
  const error_code closed = next(second);
  EXPECT_TRUE(closed == asio::error::eof || closed == asio::error::connection_reset) << closed.message();
  EXPECT_EQ(opener_->asked.size(), 1U);
  opener_->release();
  EXPECT_TRUE(run_until([this] { return forward_->connections() == 0; }));
}

TEST_F(LocalForwardTest, AnAddressThatIsTakenIsAnError) {
  listen("0:db.example:5432");
  const std::string address = forward_->address();
  const auto second = LocalForward::listen(
      opener_, parse_local_forward(address.substr(address.rfind(':') + 1) + ":a:1").value());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kIo);
  EXPECT_EQ(second.error().detail, EADDRINUSE);
}

TEST_F(LocalForwardTest, AUnixSocketIsItsUsersAloneAndGoesWithTheForward) {
  const auto path = directory_ / "x.sock";
  listen(path.string() + ":db.example:5432");
  EXPECT_EQ(forward_->address(), path.string());
  struct stat what {};
  ASSERT_EQ(::stat(path.c_str(), &what), 0);
  EXPECT_EQ(what.st_mode & 0777U, 0600U);
  asio::local::stream_protocol::socket socket(context_);
  socket.connect(asio::local::stream_protocol::endpoint(path.string()));
  EXPECT_TRUE(run_until([this] { return opener_->asked.size() == 1; }));
  forward_->close();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(LocalForwardTest, OnlyASocketThatWasLeftBehindIsReplaced) {
  const auto left = directory_ / "left.sock";
  {
    asio::local::stream_protocol::acceptor gone(context_,
                                                asio::local::stream_protocol::endpoint(left.string()));
  }
  ASSERT_TRUE(std::filesystem::exists(left));
  listen(left.string() + ":a:1");
  EXPECT_FALSE(LocalForward::listen(opener_, parse_local_forward(left.string() + ":a:1").value()))
      << "somebody listens there now";
  const auto file = directory_ / "file";
  std::ofstream(file) << "mine";
  EXPECT_FALSE(LocalForward::listen(opener_, parse_local_forward(file.string() + ":a:1").value()));
  EXPECT_EQ(std::filesystem::file_size(file), 4U);
}

TEST_F(LocalForwardTest, BytesPassBothWaysAndStopEndsWhatIsOpen) {
  const auto tunnel = listen_before_a_tunnel(LocalForward::kMaxConnections);
  auto near = connect();
  tcp::socket far = accept();
  near.send(asio::buffer("a", 1));
  EXPECT_FALSE(next(far));
  far.send(asio::buffer("b", 1));
  EXPECT_FALSE(next(near));

  bool stopped = false;
  asio::co_spawn(context_, forward_->stop(std::chrono::steady_clock::now() + 50ms),
                 [&stopped](std::exception_ptr) { stopped = true; });
  EXPECT_TRUE(run_until([&stopped] { return stopped; }));
  EXPECT_EQ(forward_->connections(), 0U);
  EXPECT_TRUE(next(near)) << "it is over";
  forward_.reset();
  tunnel->end();
  settle();
}

TEST_F(LocalForwardTest, AtTheBoundTheLongestHalfClosedMakesRoom) {
  const CapturedLog log;
  const auto tunnel = listen_before_a_tunnel(2);
  auto whole = connect();
  tcp::socket whole_far = accept();
  auto abandoned = connect();
  tcp::socket mute = accept();
  abandoned.shutdown(tcp::socket::shutdown_send);
  EXPECT_EQ(next(mute), asio::error::eof);
  auto later = connect();
  tcp::socket later_far = accept();
  EXPECT_TRUE(next(abandoned)) << "it made room";
  ASSERT_TRUE(run_until([&] { return forward_->connections() == 2; }));
  auto refused = connect();
  EXPECT_TRUE(next(refused)) << "whole ones are not thrown out";
  whole_far.send(asio::buffer("a", 1));
  EXPECT_FALSE(next(whole));
  later_far.send(asio::buffer("b", 1));
  EXPECT_FALSE(next(later));
  EXPECT_EQ(log.count("are in use"), 1U);
  for (tcp::socket* socket : {&whole, &later}) socket->close();
  for (tcp::socket* socket : {&whole_far, &later_far}) socket->close();
  EXPECT_TRUE(run_until([&] { return forward_->connections() == 0; }));
  forward_.reset();
  tunnel->end();
  settle();
}

}  // namespace
}  // namespace zks::frontdoor
