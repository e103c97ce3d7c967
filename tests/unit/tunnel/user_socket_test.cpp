// SPDX-License-Identifier: MIT
#include "tunnel/user_socket.hpp"

#include <array>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace zks::tunnel {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using session::ResetCode;

class UserSocket : public testing::Test {
 protected:
  UserSocket() {
    tcp::acceptor acceptor(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    near_.connect(acceptor.local_endpoint());
    acceptor.accept(far_);
    tune_user_socket(near_.native_handle());
  }

  int option(int level, int name) {
    int value = -1;
    socklen_t size = sizeof(value);
    EXPECT_EQ(::getsockopt(near_.native_handle(), level, name, &value, &size), 0);
    return value;
  }

  asio::io_context io_;
  tcp::socket near_{io_};
  tcp::socket far_{io_};
};

TEST_F(UserSocket, AsksAfterAMinuteAndGivesUpAfterTwo) {
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 60);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), 15);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPCNT), 4);
}

TEST_F(UserSocket, TellsOfThePeersEndBehindBytesThatNobodyReads) {
  far_.send(asio::buffer("ab", 2));
  near_.wait(tcp::socket::wait_read);
  EXPECT_FALSE(is_ended_by_peer(near_.native_handle()));
  far_.shutdown(tcp::socket::shutdown_send);
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!is_ended_by_peer(near_.native_handle())) ASSERT_LT(std::chrono::steady_clock::now(), give_up);
  std::array<char, 2> got{};
  EXPECT_EQ(asio::read(near_, asio::buffer(got)), 2U);
}

TEST_F(UserSocket, KeepsUrgentBytesInTheirPlace) {
  far_.send(asio::buffer("ab", 2));
  far_.send(asio::buffer("X", 1), asio::socket_base::message_out_of_band);
  far_.send(asio::buffer("cd", 2));
  std::array<char, 5> got{};
  asio::read(near_, asio::buffer(got));
  EXPECT_EQ(std::string(got.begin(), got.end()), "abXcd");
  EXPECT_FALSE(take_socket_error(near_.native_handle()));
}

TEST_F(UserSocket, TakesAResetOnce) {
  far_.set_option(asio::socket_base::linger(true, 0));
  far_.close();
  near_.wait(tcp::socket::wait_read);
  EXPECT_EQ(take_socket_error(near_.native_handle()).value(), ECONNRESET);
  EXPECT_FALSE(take_socket_error(near_.native_handle()));
}

TEST_F(UserSocket, AUnixSocketTellsThatItsPeerIsGoneAndNotThatItHalfClosed) {
  asio::local::stream_protocol::socket near(io_);
  asio::local::stream_protocol::socket far(io_);
  asio::local::connect_pair(near, far);
  tune_user_socket(near.native_handle());
  far.shutdown(asio::socket_base::shutdown_send);
  EXPECT_FALSE(is_hung_up(near.native_handle()));
  far.close();
  EXPECT_TRUE(is_hung_up(near.native_handle()));
  EXPECT_FALSE(is_hung_up(near_.native_handle()));
}

TEST(ResetCodeOfDeath, TellsSilenceFromAReset) {
  const auto code = [](int number) {
    return reset_code_of_death({number, boost::system::system_category()});
  };
  EXPECT_EQ(code(ETIMEDOUT), ResetCode::kTimedOut);
  EXPECT_EQ(code(EHOSTUNREACH), ResetCode::kTimedOut);
  EXPECT_EQ(code(ECONNRESET), ResetCode::kConnectionReset);
  EXPECT_EQ(code(EPIPE), ResetCode::kConnectionReset);
}

}  // namespace
}  // namespace zks::tunnel
