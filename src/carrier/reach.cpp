// SPDX-License-Identifier: MIT
#include "carrier/reach.hpp"

#include <array>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <sodium.h>

#include "base/log.hpp"
#include "carrier/connect.hpp"
#include "carrier/connect_answer.hpp"
#include "carrier/socket_options.hpp"

namespace zks::carrier {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

constexpr std::size_t kReadBytes = 1024;

Error proxy_error(const UpstreamProxy& proxy, const boost::system::error_code& ec) {
  const std::string name = "the HTTP proxy " + proxy.text();
  if (ec == boost::beast::error::timeout)
    return make_error(ErrorKind::kTimeout, name + " did not answer in time");
  if (ec == asio::error::eof)
    return make_error(ErrorKind::kNetwork, name + " closed the connection without an answer");
  return make_error(ErrorKind::kNetwork, name + ": " + ec.message(), ec.value());
}

// `proxy` and `tcp` are the caller's and outlive this.
Task<> open_tunnel(TcpStream* tcp, const UpstreamProxy* proxy, std::string target) {
  std::string request = connect_request(*proxy, target);
  auto [write_ec, written] =
      co_await asio::async_write(*tcp, asio::buffer(request), asio::as_tuple(asio::use_awaitable));
  sodium_memzero(request.data(), request.size());
  if (write_ec) co_return proxy_error(*proxy, write_ec);

  ConnectAnswer answer;
  std::array<char, kReadBytes> bytes;
  for (;;) {
    auto [ec, size] = co_await tcp->async_read_some(asio::buffer(bytes), asio::as_tuple(asio::use_awaitable));
    if (ec) co_return proxy_error(*proxy, ec);
    const auto whole = answer.take(std::string_view(bytes.data(), size));
    if (!whole) {
      co_return make_error(whole.error().kind, "the HTTP proxy " + proxy->text() + ": " + whole.error().text);
    }
    if (*whole) break;
  }
  if (!answer.accepted()) co_return answer.refusal(*proxy, target);
  co_return Result<>();
}

}  // namespace

const UpstreamProxy* proxy_for(const RelayUrl& url, const DialOptions& options) {
  return options.proxies ? options.proxies->choose(url) : nullptr;
}

Task<asio::ip::tcp::socket> reach(asio::any_io_executor executor, RelayUrl url, DialOptions options,
                                  TimePoint deadline) {
  const UpstreamProxy* proxy = proxy_for(url, options);
  const std::string host = proxy != nullptr ? proxy->host : url.host;
  const std::uint16_t port = proxy != nullptr ? proxy->port : url.port;
  auto socket = co_await connect(executor, host, port, Way(options.interface, options.outside), deadline);
  if (!socket && proxy != nullptr) {
    co_return make_error(socket.error().kind, "the HTTP proxy: " + socket.error().text,
                         socket.error().detail);
  }
  if (!socket) co_return socket.error();
  tune_socket(*socket);
  if (proxy == nullptr) co_return std::move(*socket);
  log::debug("asking the HTTP proxy {} for {}", proxy->text(), url.text());
  TcpStream tcp(std::move(*socket));
  tcp.expires_at(deadline);
  const auto opened = co_await open_tunnel(&tcp, proxy, format_host_port(url.host, url.port));
  if (!opened) co_return opened.error();
  co_return tcp.release_socket();
}

}  // namespace zks::carrier
