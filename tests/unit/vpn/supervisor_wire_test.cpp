// SPDX-License-Identifier: MIT
#include "vpn/supervisor_wire.hpp"

#include <array>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace zks::vpn {
namespace {

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

void send_descriptors(int socket, const std::vector<int>& descriptors, std::string text = "{}") {
  std::vector<char> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
  iovec piece{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
  std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size() * sizeof(int));
  ASSERT_EQ(::sendmsg(socket, &message, 0), static_cast<ssize_t>(text.size()));
}

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
  const auto first = receive_message(other.get(), Descriptors::kOne);
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

// Whoever could leave descriptors in the parent one by one would stop it at its limit.
TEST_F(SupervisorWire, KeepsNoDescriptorThatNobodyWaitsFor) {
  const std::size_t before = open_descriptors();
  for (const std::size_t count : {1U, 2U, 3U, 253U}) {
    for (const auto descriptors : {Descriptors::kRefused, Descriptors::kOne}) {
      send_descriptors(one.get(), std::vector<int>(count, one.get()));
      const auto message = receive_message(other.get(), descriptors);
      const bool may = descriptors == Descriptors::kOne && count == 1;
      EXPECT_EQ(message.has_value(), may) << count;
      if (!may) {
        EXPECT_EQ(message.error().kind, ErrorKind::kProtocol);
      }
    }
    EXPECT_EQ(open_descriptors(), before) << count;
  }
}

// Neither do those that come with what is no message.
TEST_F(SupervisorWire, KeepsNoDescriptorOfWhatIsNoObject) {
  const std::size_t before = open_descriptors();
  for (const auto descriptors : {Descriptors::kRefused, Descriptors::kOne}) {
    send_descriptors(one.get(), {one.get()}, "[");
    EXPECT_FALSE(receive_message(other.get(), descriptors));
  }
  EXPECT_EQ(open_descriptors(), before);
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
