// SPDX-License-Identifier: MIT
#include "net/socket_options.hpp"

#include <cerrno>
#include <cstdint>
#include <system_error>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace zks::net {
namespace {

// As linux/tcp.h has it, which can't stand beside glibc's header; that knows the first part alone.
struct TcpInfo {
  tcp_info first;
  std::uint64_t pacing_rate;
  std::uint64_t max_pacing_rate;
  std::uint64_t bytes_acked;
  std::uint64_t bytes_received;
};
static_assert(sizeof(tcp_info) == 104);

}  // namespace

void tune_socket(boost::asio::ip::tcp::socket& socket) {
  using NotSentLowat = boost::asio::detail::socket_option::integer<IPPROTO_TCP, TCP_NOTSENT_LOWAT>;
  boost::system::error_code ignored;
  socket.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  socket.set_option(NotSentLowat(kNotSentLowatBytes), ignored);
}

Result<> bind_to_interface(boost::asio::ip::tcp::socket& socket, const std::string& interface) {
  const int done = ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_BINDTODEVICE, interface.data(),
                                static_cast<socklen_t>(interface.size()));
  if (done == 0) return {};
  const int code = errno;
  std::string text =
      "the interface " + interface + " can't be used: " + std::generic_category().message(code);
  if (code == ENODEV) text = "there is no network interface " + interface + "; `ip link` lists them";
  if (code == EPERM)
    text = "binding to an interface needs Linux 5.7, or the capability CAP_NET_RAW on older kernels";
  return make_error(ErrorKind::kNetwork, std::move(text), code);
}

void limit_segments(boost::asio::ip::tcp::socket& socket, int bytes) {
  using MaxSegment = boost::asio::detail::socket_option::integer<IPPROTO_TCP, TCP_MAXSEG>;
  boost::system::error_code ignored;
  socket.set_option(MaxSegment(bytes), ignored);
}

std::optional<TcpState> tcp_state(boost::asio::ip::tcp::socket& socket) noexcept {
  TcpInfo info{};
  socklen_t size = sizeof info;
  if (!socket.is_open() || ::getsockopt(socket.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
      size < sizeof info)
    return std::nullopt;
  TcpState out;
  out.unacknowledged_bytes = unacknowledged_bytes(socket);
  out.retransmits = info.first.tcpi_retransmits;
  out.send_segment = info.first.tcpi_snd_mss;
  out.receive_segment = info.first.tcpi_rcv_mss;
  out.acknowledged_bytes = info.bytes_acked;
  out.received_bytes = info.bytes_received;
  return out;
}

TcpStream move_to(const boost::asio::any_io_executor& executor, TcpStream stream) {
  boost::asio::ip::tcp::socket from = stream.release_socket();
  boost::asio::ip::tcp::socket to(executor);
  boost::system::error_code ec;
  const auto protocol = from.local_endpoint(ec).protocol();
  const int descriptor = ec ? -1 : from.release(ec);
  if (ec) return TcpStream(std::move(to));
  to.assign(protocol, descriptor, ec);
  if (ec) ::close(descriptor);
  return TcpStream(std::move(to));
}

std::size_t unacknowledged_bytes(boost::asio::ip::tcp::socket& socket) noexcept {
  int bytes = 0;
  if (!socket.is_open() || ioctl(socket.native_handle(), SIOCOUTQ, &bytes) != 0 || bytes < 0) return 0;
  return static_cast<std::size_t>(bytes);
}

bool is_receiving(boost::asio::ip::tcp::socket& socket) noexcept {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (!socket.is_open() || ::getsockopt(socket.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
    return false;
  return size == sizeof info && info.tcpi_last_data_recv < 500;
}

}  // namespace zks::net
