// SPDX-License-Identifier: MIT
#include "vpn/supervisor_wire.hpp"

#include <array>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace zks::vpn {
namespace {

class SupervisorWire : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    one = Fd(ends[0]);
    other = Fd(ends[1]);
  }
  Fd one;
  Fd other;
};

TEST_F(SupervisorWire, CarriesObjectsAndDescriptors) {
  ASSERT_TRUE(send_message(one.get(), {{"id", 7}}, one.get()));
  ASSERT_TRUE(send_message(one.get(), {{"id", 8}}));
  const auto first = receive_message(other.get());
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->body["id"], 7);
  struct stat sent {};
  struct stat came {};
  ASSERT_EQ(::fstat(one.get(), &sent), 0);
  ASSERT_EQ(::fstat((*first)->fd.get(), &came), 0);
  EXPECT_EQ(sent.st_ino, came.st_ino);
  const auto second = receive_message(other.get());
  ASSERT_TRUE(second && *second);
  EXPECT_FALSE((*second)->fd);
  const auto none = receive_message(other.get());
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
}

TEST_F(SupervisorWire, KnowsWhenTheOtherIsGone) {
  one = Fd();
  const auto none = receive_message(other.get());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::kClosed);
  const auto sent = send_message(other.get(), {{"id", 1}});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind, ErrorKind::kClosed);
}

TEST_F(SupervisorWire, RefusesWhatIsNoObject) {
  for (const std::string& text : {std::string("{"), std::string("[1]"), std::string("\xff\xfe"),
                                  "{\"a\":\"" + std::string(kMaxMessageBytes, 'x') + "\"}"}) {
    ASSERT_EQ(::send(one.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    const auto message = receive_message(other.get());
    ASSERT_FALSE(message) << text.substr(0, 20);
    EXPECT_EQ(message.error().kind, ErrorKind::kProtocol);
  }
  EXPECT_EQ(send_message(one.get(), {{"a", std::string(kMaxMessageBytes, 'x')}}).error().kind,
            ErrorKind::kLimit);
}

}  // namespace
}  // namespace zks::vpn
