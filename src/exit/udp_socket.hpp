// SPDX-License-Identifier: MIT
//
// The exit's last step for datagrams: one unconnected UDP socket of one family, so that every destination
// sees the same source port and anybody may answer (RFC 4787, endpoint-independent mapping and filtering).
// Before it: udp_flow.hpp.
//
// Executor: the exit's. Nothing here blocks.
#pragma once

#include <functional>
#include <optional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/udp.hpp>
#include <sys/socket.h>

#include "base/bytes.hpp"
#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "session/frames.hpp"

namespace zks::exit {

namespace asio = boost::asio;

inline constexpr int kBatchesATurn = 4;  // then other sockets and the lanes have theirs

// Where datagrams are read to: one for the whole exit, since nothing stays in it.
class UdpBuffers {
 public:
  static constexpr std::size_t kDatagrams = 16;  // a system call
  static constexpr std::size_t kBytes = 64 * 1024;

  UdpBuffers();
  UdpBuffers(const UdpBuffers&) = delete;
  UdpBuffers& operator=(const UdpBuffers&) = delete;

 private:
  friend class UdpSocket;
  Bytes bytes_;
  std::array<iovec, kDatagrams> pieces_{};
  std::array<sockaddr_storage, kDatagrams> sources_{};
  std::array<mmsghdr, kDatagrams> messages_{};
};

class UdpSocket {
 public:
  struct Complaint {  // what ICMP said of a datagram to that address
    IpAddress address;
    std::uint16_t port = 0;
    session::IcmpError error;
  };
  using Received = std::function<void(const IpAddress&, std::uint16_t, ByteView)>;

  // Bound to a port of the kernel's choice on all addresses, or as given. kIo with the errno. IPv6 is IPv6
  // alone.
  static Result<UdpSocket> open(const asio::any_io_executor& executor, IpAddress::Family family);
  static Result<UdpSocket> open(const asio::any_io_executor& executor, const asio::ip::udp::endpoint& bind);
  explicit UdpSocket(asio::ip::udp::socket socket) : socket_(std::move(socket)) {}

  // 0, or an errno; EAGAIN when the kernel's queue is full, and the datagram is lost.
  int send(const IpAddress& address, std::uint16_t port, ByteView bytes);
  // Reads what has come, at most kDatagrams; returns how many there were.
  std::size_t receive(UdpBuffers& buffers, const Received& received);
  std::optional<Complaint> next_complaint();

  asio::ip::udp::socket& socket() { return socket_; }

 private:
  asio::ip::udp::socket socket_;
};

}  // namespace zks::exit
