// SPDX-License-Identifier: MIT
#include "carrier/socket_options.hpp"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

namespace zks::carrier {

void tune_socket(boost::asio::ip::tcp::socket& socket) {
  using NotSentLowat = boost::asio::detail::socket_option::integer<IPPROTO_TCP, TCP_NOTSENT_LOWAT>;
  boost::system::error_code ignored;
  socket.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  socket.set_option(NotSentLowat(kNotSentLowatBytes), ignored);
}

std::size_t unacknowledged_bytes(boost::asio::ip::tcp::socket& socket) noexcept {
  int bytes = 0;
  if (!socket.is_open() || ioctl(socket.native_handle(), SIOCOUTQ, &bytes) != 0 || bytes < 0) return 0;
  return static_cast<std::size_t>(bytes);
}

}  // namespace zks::carrier
