// SPDX-License-Identifier: MIT
#include "net/dns_exchange.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <memory>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <net/if.h>

#include "base/dns_message.hpp"
#include "base/name_server.hpp"
#include "base/port.hpp"
#include "net/as_tuple.hpp"
#include "net/endpoint.hpp"

namespace zks::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;
using TimePoint = std::chrono::steady_clock::time_point;

constexpr std::size_t kMaxResolvConf = 64 * 1024;

// A socket whose waits end at a deadline. Shared, as the timer's handler may be queued already when the
// coroutine is over.
template <class Protocol>
struct Timed {
  explicit Timed(const asio::any_io_executor& executor) : socket(executor), timer(executor) {}

  static std::shared_ptr<Timed> make(const asio::any_io_executor& executor, TimePoint deadline) {
    auto out = std::make_shared<Timed>(executor);
    out->timer.expires_at(deadline);
    out->timer.async_wait([weak = std::weak_ptr(out)](const error_code& ec) {
      const auto self = weak.lock();
      if (!self || ec) return;
      self->over = true;
      error_code ignored;
      self->socket.close(ignored);
    });
    return out;
  }
  Error failure(const error_code& ec) const {
    if (over) return make_error(ErrorKind::kTimeout, "no answer from a DNS server");
    return make_error(ErrorKind::kNetwork, "a DNS server: " + ec.message(), ec.value());
  }

  typename Protocol::socket socket;
  asio::steady_timer timer;
  bool over = false;
};

template <class Protocol>
Task<> open_for(std::shared_ptr<Timed<Protocol>> timed, typename Protocol::endpoint server, OpenSocket open) {
  const Protocol protocol = server.protocol();
  error_code ec;
  if (!open) {
    timed->socket.open(protocol, ec);
  } else {
    auto fd = co_await open(protocol.family(), protocol.type());
    if (!fd) co_return fd.error();
    if (!timed->over) timed->socket.assign(protocol, fd->get(), ec);
    if (!timed->over && !ec) fd->release();
  }
  if (ec || timed->over) co_return timed->failure(ec);
  co_return Result<>();
}

asio::awaitable<Result<Bytes>> ask_by_udp(asio::any_io_executor executor, udp::endpoint server,
                                          OpenSocket open, Bytes query, TimePoint deadline) {
  const auto question = read_dns_query(query);
  const auto timed = Timed<udp>::make(executor, deadline);
  const auto opened = co_await open_for(timed, server, std::move(open));
  if (!opened) co_return opened.error();
  error_code ec;
  timed->socket.connect(server, ec);
  if (!ec) timed->socket.non_blocking(true, ec);
  if (!ec) timed->socket.send(asio::buffer(query), 0, ec);
  while (!ec) {
    const auto [waited] = co_await timed->socket.async_wait(udp::socket::wait_read, kTuple);
    ec = waited;
    if (ec) break;
    Bytes answer(timed->socket.available(ec));
    if (!ec) answer.resize(timed->socket.receive(asio::buffer(answer), 0, ec));
    if (ec == asio::error::would_block) ec = {};
    // Not one of a stranger who guesses, nor one that an earlier attempt was given up on.
    if (!ec && is_dns_answer(answer, *question)) co_return answer;
  }
  co_return timed->failure(ec);
}

// RFC 7766: two bytes of length before each message.
asio::awaitable<Result<Bytes>> ask_by_tcp(asio::any_io_executor executor, udp::endpoint server,
                                          OpenSocket open, Bytes query, TimePoint deadline) {
  const auto question = read_dns_query(query);
  const auto timed = Timed<tcp>::make(executor, deadline);
  const tcp::endpoint where(server.address(), server.port());
  const auto opened = co_await open_for(timed, where, std::move(open));
  if (!opened) co_return opened.error();
  error_code ec;
  std::tie(ec) = co_await timed->socket.async_connect(where, kTuple);
  const auto size = static_cast<std::uint16_t>(query.size());
  query.insert(query.begin(), {static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size)});
  std::size_t count = 0;
  if (!ec) std::tie(ec, count) = co_await asio::async_write(timed->socket, asio::buffer(query), kTuple);
  Bytes answer(2);
  if (!ec) std::tie(ec, count) = co_await asio::async_read(timed->socket, asio::buffer(answer), kTuple);
  if (!ec) {
    answer.resize(load_be<std::uint16_t>(answer.data()));
    std::tie(ec, count) = co_await asio::async_read(timed->socket, asio::buffer(answer), kTuple);
  }
  if (ec) co_return timed->failure(ec);
  if (is_dns_answer(answer, *question)) co_return answer;
  co_return make_error(ErrorKind::kNetwork, "what a DNS server said is no answer");
}

asio::awaitable<Result<Bytes>> ask_one(asio::any_io_executor executor, udp::endpoint server, OpenSocket open,
                                       Bytes query, std::chrono::milliseconds patience, TimePoint deadline) {
  const auto by = [&] { return std::min(deadline, std::chrono::steady_clock::now() + patience); };
  auto answer = co_await ask_by_udp(executor, server, open, query, by());
  if (answer && is_dns_truncated(*answer)) {
    answer = co_await ask_by_tcp(executor, server, std::move(open), std::move(query), by());
  }
  co_return answer;
}

bool may_another_know_better(DnsCode code) {
  return code == DnsCode::kServFail || code == DnsCode::kNotImp || code == DnsCode::kRefused;
}

asio::ip::address to_address(const NameServer& server) {
  auto out = make_endpoint<udp>(server.address, 0).address();
  if (server.zone.empty()) return out;
  unsigned long number = ::if_nametoindex(server.zone.c_str());
  if (number == 0) std::from_chars(server.zone.data(), server.zone.data() + server.zone.size(), number);
  auto scoped = out.to_v6();
  scoped.scope_id(number);
  return scoped;
}

std::vector<udp::endpoint> servers_of_this_machine() {
  std::string text(kMaxResolvConf, '\0');
  std::ifstream file("/etc/resolv.conf");
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  std::vector<udp::endpoint> out;
  for (const NameServer& server : parse_name_servers(text)) out.emplace_back(to_address(server), kDnsPort);
  if (out.empty()) out.emplace_back(asio::ip::address_v4::loopback(), kDnsPort);  // resolv.conf(5)
  return out;
}

std::optional<udp::endpoint> parse_one(std::string_view text) {
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    port = text.substr(end + 1);
    text = text.substr(1, end - 1);
  } else if (std::ranges::count(text, ':') == 1) {
    port = text.substr(text.find(':'));
    text = text.substr(0, text.find(':'));
  }
  std::uint16_t number = kDnsPort;
  if (!port.empty()) {
    const auto [end, wrong] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
    if (port.front() != ':' || wrong != std::errc() || end != port.data() + port.size() || number == 0)
      return std::nullopt;
  }
  const auto server = parse_name_server(text);
  if (!server) return std::nullopt;
  return udp::endpoint(to_address(*server), number);
}

}  // namespace

Result<std::vector<udp::endpoint>> parse_dns_servers(std::string_view text) {
  std::vector<udp::endpoint> out;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const auto server = parse_one(text.substr(0, comma));
    if (!server) {
      return make_error(ErrorKind::kUsage,
                        "not a DNS server's address: " + std::string(text.substr(0, comma)));
    }
    out.push_back(*server);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

asio::awaitable<Result<Bytes>> ask_dns(asio::any_io_executor executor, LookupOptions options, Bytes query,
                                       TimePoint deadline) {
  auto parsed = parse_dns_servers(options.servers);
  if (!parsed) co_return parsed.error();
  const auto servers = options.servers.empty() ? servers_of_this_machine() : std::move(*parsed);
  // The client's id is perhaps easy to guess (RFC 5452, section 9.1).
  Bytes sent = query;
  std::optional<Bytes> said;
  Result<Bytes> last = make_error(ErrorKind::kTimeout, "no DNS server answers");
  std::chrono::milliseconds patience(options.attempt_timeout_ms);
  for (int attempt = 0; attempt < options.attempts && !said; ++attempt, patience *= 2) {
    for (const udp::endpoint& server : servers) {
      if (std::chrono::steady_clock::now() >= deadline) break;
      fill_random(MutableBytes(sent).first(2));
      last = co_await ask_one(executor, server, options.open, sent, patience, deadline);
      if (!last) continue;
      std::copy_n(query.begin(), 2, last->begin());
      if (!may_another_know_better(dns_code(*last))) co_return last;
      if (!said) said = std::move(*last);
    }
  }
  if (said) co_return std::move(*said);
  if (last) last = make_error(ErrorKind::kTimeout, "no DNS server answers");
  co_return last;
}

}  // namespace zks::net
