// SPDX-License-Identifier: MIT
#include "net/listen.hpp"

#include <cerrno>

#include <boost/asio/ip/v6_only.hpp>

#include "base/relay_url.hpp"

namespace zks::net {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr int kTriesForOnePort = 16;  // a port that is free in one family may be taken in the other

std::string text_of(const tcp::endpoint& address) {
  return format_host_port(address.address().to_string(), address.port());
}

Result<std::vector<tcp::acceptor>> try_all(const asio::any_io_executor& executor, const Endpoints& addresses,
                                           const Endpoints& all) {
  std::vector<tcp::acceptor> out;
  std::uint16_t chosen = 0;
  for (tcp::endpoint address : addresses) {
    const bool same_port = address.port() == 0 && chosen != 0;
    const bool beside_ipv4 = same_port ? address.address().is_v6() : is_ipv6_only(address, all);
    if (same_port) address.port(chosen);
    auto acceptor = listen_on(executor, address, beside_ipv4);
    if (!acceptor && may_be_left_out(address, beside_ipv4, acceptor.error())) continue;
    if (!acceptor) return acceptor.error();
    error_code ignored;
    if (address.port() == 0) chosen = acceptor->local_endpoint(ignored).port();
    out.push_back(std::move(*acceptor));
  }
  return out;
}

}  // namespace

Result<Endpoints> parse_listen(std::string_view text, std::uint16_t default_port) {
  const bool any = text == "*" || text.starts_with("*:");
  const auto place = parse_host_port(any ? "localhost" + std::string(text.substr(1)) : text, default_port);
  if (!place) return place.error();
  if (any) {
    return Endpoints{{asio::ip::address_v4::any(), place->port}, {asio::ip::address_v6::any(), place->port}};
  }
  if (place->host == "localhost") {
    return Endpoints{{asio::ip::address_v4::loopback(), place->port},
                     {asio::ip::address_v6::loopback(), place->port}};
  }
  error_code ec;
  const auto address = asio::ip::make_address(place->host, ec);
  const std::string port = std::to_string(default_port);
  if (ec) {
    return make_error(ErrorKind::kUsage, "not an IP address and port, as in 127.0.0.1:" + port +
                                             " or [::1]:" + port + ", nor localhost, nor *");
  }
  return Endpoints{{address, place->port}};
}

Result<tcp::acceptor> listen_on(const asio::any_io_executor& executor, const tcp::endpoint& address,
                                bool ipv6_only) {
  tcp::acceptor acceptor(executor);
  error_code ec;
  acceptor.open(address.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec && address.address().is_v6()) acceptor.set_option(asio::ip::v6_only(ipv6_only), ec);
  if (!ec) acceptor.bind(address, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (!ec) return acceptor;
  return make_error(ErrorKind::kIo, "can't listen on " + text_of(address) + ": " + ec.message(), ec.value());
}

Result<std::vector<tcp::acceptor>> listen_on_all(const asio::any_io_executor& executor,
                                                 const Endpoints& addresses, const Endpoints& beside) {
  Endpoints all = addresses;
  all.insert(all.end(), beside.begin(), beside.end());
  for (int tries = 1;; ++tries) {
    auto made = try_all(executor, addresses, all);
    const bool other_port = !made && made.error().detail == EADDRINUSE && addresses.front().port() == 0;
    if (!other_port || tries == kTriesForOnePort) return made;
  }
}

std::string listen_text(const Endpoints& addresses) {
  std::string out;
  for (const tcp::endpoint& address : addresses) out += (out.empty() ? "" : ", ") + text_of(address);
  return out;
}

}  // namespace zks::net
