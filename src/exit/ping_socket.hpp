// SPDX-License-Identifier: MIT
//
// Echo requests of one address family out, and what the network says about them in: by a ping socket, which
// the kernel gives to the groups of net.ipv4.ping_group_range, or else by a raw one, which takes CAP_NET_RAW.
// Before it: echo_host.hpp.
//
// Executor: the exit's. Nothing here blocks.
#pragma once

#include <functional>
#include <optional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/bytes.hpp"
#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "session/frames.hpp"

namespace zks::exit {

class PingSocket {
 public:
  struct Answer {
    std::uint16_t sequence = 0;
    IpAddress target;  // that the request went to; of a reply, the same as `from`
    IpAddress from;
    session::IcmpError said;
    std::uint8_t hop_limit = 0;  // 0: not known
    ByteView data;               // of a reply
  };

  // kIo with the errno when neither kind of socket is allowed.
  static Result<PingSocket> open(const boost::asio::any_io_executor& executor, IpAddress::Family family);

  // 0, or an errno; EAGAIN when the kernel's queue is full, and the request is lost.
  int send(const IpAddress& target, std::uint8_t hop_limit, std::uint16_t sequence, ByteView data);
  // Replies and errors that have come, at most kAnswersATurn of each.
  void receive(MutableBytes buffer, const std::function<void(const Answer&)>& answered);

  boost::asio::posix::stream_descriptor& descriptor() { return descriptor_; }
  bool raw() const { return raw_; }

  static constexpr int kAnswersATurn = 32;

 private:
  PingSocket(boost::asio::posix::stream_descriptor descriptor, bool ipv4, bool raw);

  std::optional<Answer> read_reply(MutableBytes buffer, bool& empty);
  std::optional<Answer> read_error(MutableBytes buffer, bool& empty);
  bool is_ours(ByteView icmp) const;

  boost::asio::posix::stream_descriptor descriptor_;
  bool ipv4_;
  bool raw_;
  std::uint16_t id_;  // of raw sockets; the kernel gives a ping socket its own
};

}  // namespace zks::exit
