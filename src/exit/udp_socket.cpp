// SPDX-License-Identifier: MIT
#include "exit/udp_socket.hpp"

#include <cerrno>
#include <cstring>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip.h>

#include "net/endpoint.hpp"

namespace zks::exit {
namespace {

using asio::ip::udp;

// What arrives while this process does something else; the kernel's default is too little for a fast sender.
constexpr int kSocketBufferBytes = 1024 * 1024;

std::uint16_t port_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
}

// The kernel's word of an ICMP error, if it comes from the network.
std::optional<session::IcmpError> icmp_error_of(msghdr& message) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    const bool ipv4 = at->cmsg_level == SOL_IP && at->cmsg_type == IP_RECVERR;
    const bool ipv6 = at->cmsg_level == SOL_IPV6 && at->cmsg_type == IPV6_RECVERR;
    if (!ipv4 && !ipv6) continue;
    sock_extended_err error{};
    std::memcpy(&error, CMSG_DATA(at), sizeof error);
    if (error.ee_origin != SO_EE_ORIGIN_ICMP && error.ee_origin != SO_EE_ORIGIN_ICMP6) return std::nullopt;
    return session::IcmpError{error.ee_type, error.ee_code};
  }
  return std::nullopt;
}

}  // namespace

UdpBuffers::UdpBuffers() : bytes_(kDatagrams * kBytes) {
  for (std::size_t i = 0; i < kDatagrams; ++i) {
    pieces_[i] = {bytes_.data() + i * kBytes, kBytes};
    messages_[i].msg_hdr.msg_iov = &pieces_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_name = &sources_[i];
  }
}

Result<UdpSocket> UdpSocket::open(const asio::any_io_executor& executor, IpAddress::Family family) {
  return open(executor, {family == IpAddress::Family::kIpv4 ? udp::v4() : udp::v6(), 0});
}

Result<UdpSocket> UdpSocket::open(const asio::any_io_executor& executor, const udp::endpoint& bind) {
  const bool ipv4 = bind.protocol() == udp::v4();
  udp::socket socket(executor);
  boost::system::error_code ec;
  socket.open(bind.protocol(), ec);
  if (!ec && !ipv4) socket.set_option(asio::ip::v6_only(true), ec);
  if (!ec) socket.non_blocking(true, ec);
  if (!ec) socket.bind(bind, ec);
  if (ec) return make_error(ErrorKind::kIo, "no UDP socket: " + ec.message(), ec.value());
  const int on = 1;
  const int fd = socket.native_handle();
  // Without these a flow works as well, only slower or less telling.
  (void)::setsockopt(fd, ipv4 ? SOL_IP : SOL_IPV6, ipv4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof on);
  (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kSocketBufferBytes, sizeof kSocketBufferBytes);
  (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSocketBufferBytes, sizeof kSocketBufferBytes);
  return UdpSocket(std::move(socket));
}

// An ICMP error of an earlier datagram, to whomever, is reported by the next call on the socket, which then
// does nothing: that is not about this datagram. It stays in the error queue.
int UdpSocket::send(const IpAddress& address, std::uint16_t port, ByteView bytes) {
  const auto endpoint = net::make_endpoint<udp>(address, port);
  const auto size = static_cast<socklen_t>(endpoint.size());
  for (int tries = 0;; ++tries) {
    const auto sent =
        ::sendto(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL, endpoint.data(), size);
    if (sent >= 0) return 0;
    const bool of_another = errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == EINTR;
    if (!of_another || tries == 2) return errno;
  }
}

std::size_t UdpSocket::receive(UdpBuffers& buffers, const Received& received) {
  for (auto& message : buffers.messages_) message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
  int count = -1;
  for (int tries = 0; count < 0 && tries < 3; ++tries) {  // an ICMP error is reported here, too
    count = ::recvmmsg(socket_.native_handle(), buffers.messages_.data(), UdpBuffers::kDatagrams,
                       MSG_DONTWAIT, nullptr);
    if (count < 0 && errno == EAGAIN) break;
  }
  for (int i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const auto source = ip_address_of(reinterpret_cast<const sockaddr*>(&buffers.sources_[at]));
    if (!source) continue;
    const ByteView bytes(buffers.bytes_.data() + at * UdpBuffers::kBytes, buffers.messages_[at].msg_len);
    received(*source, port_of(buffers.sources_[at]), bytes);
  }
  return count < 0 ? 0 : static_cast<std::size_t>(count);
}

std::optional<UdpSocket::Complaint> UdpSocket::next_complaint() {
  for (;;) {
    sockaddr_storage name{};
    std::array<std::uint8_t, 64> original{};
    alignas(cmsghdr) std::array<std::uint8_t, 512> control{};
    iovec piece{original.data(), original.size()};
    msghdr message{};
    message.msg_name = &name;
    message.msg_namelen = sizeof name;
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (::recvmsg(socket_.native_handle(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return std::nullopt;
    const auto error = icmp_error_of(message);
    const auto address = ip_address_of(reinterpret_cast<const sockaddr*>(&name));
    if (error && address) return Complaint{*address, port_of(name), *error};
  }
}

}  // namespace zks::exit
