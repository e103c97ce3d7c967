// SPDX-License-Identifier: MIT
#include "carrier/connect.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/relay_url.hpp"
#include "carrier/race.hpp"
#include "carrier/signal.hpp"
#include "carrier/socket_options.hpp"
#include "carrier/spawn.hpp"

namespace zks::carrier {
namespace {

using asio::ip::tcp;
using TimePoint = std::chrono::steady_clock::time_point;

// getaddrinfo can't be cancelled: the lookup owns this state together with the dial and may outlive it.
struct Lookup {
  explicit Lookup(const asio::any_io_executor& executor) : resolver(executor), done(executor) {}
  tcp::resolver resolver;
  Signal done;
  bool finished = false;
  boost::system::error_code ec;
  std::vector<tcp::endpoint> found;
};

asio::awaitable<void> look_up(std::shared_ptr<Lookup> lookup, std::string host, std::string port) {
  auto [ec, results] = co_await lookup->resolver.async_resolve(host, port, tcp::resolver::numeric_service,
                                                               asio::as_tuple(asio::use_awaitable));
  lookup->ec = ec;
  for (const auto& entry : results) lookup->found.push_back(entry.endpoint());
  lookup->finished = true;
  lookup->done.notify();
}

// RFC 8305, section 4: families alternate, starting with the one that the resolver prefers.
std::vector<tcp::endpoint> interleave(const std::vector<tcp::endpoint>& found) {
  std::vector<tcp::endpoint> first;
  std::vector<tcp::endpoint> second;
  for (const auto& endpoint : found) {
    (endpoint.protocol() == found.front().protocol() ? first : second).push_back(endpoint);
  }
  std::vector<tcp::endpoint> out;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) out.push_back(first[i]);
    if (i < second.size()) out.push_back(second[i]);
  }
  return out;
}

// A socket that leaves the way it shall.
Task<> try_address(tcp::socket* socket, tcp::endpoint endpoint, Way way) {
  if (way.outside) {
    auto opened = co_await way.outside->open(endpoint.protocol());
    if (!opened) co_return opened.error();
    *socket = std::move(*opened);
  }
  if (!way.interface.empty()) {
    boost::system::error_code ec;
    if (!socket->is_open()) socket->open(endpoint.protocol(), ec);
    if (ec) co_return make_error(ErrorKind::kNetwork, ec.message(), ec.value());
    const auto bound = bind_to_interface(*socket, way.interface);
    if (!bound) co_return bound.error();
  }
  const auto connected = co_await connect_socket(socket, endpoint);
  co_return connected;
}

Task<std::vector<tcp::endpoint>> addresses_of(asio::any_io_executor executor, std::string host,
                                              std::uint16_t port, std::shared_ptr<Outside> outside,
                                              TimePoint deadline) {
  boost::system::error_code not_literal;
  const auto literal = asio::ip::make_address(host, not_literal);
  if (!not_literal) co_return std::vector<tcp::endpoint>{tcp::endpoint(literal, port)};

  if (outside) {
    auto found = co_await outside->look_up(std::move(host), port, deadline);
    if (!found) co_return found.error();
    co_return interleave(*found);
  }
  auto lookup = std::make_shared<Lookup>(executor);
  asio::co_spawn(executor, look_up(lookup, host, std::to_string(port)), RethrowFailure{});
  while (!lookup->finished && std::chrono::steady_clock::now() < deadline) {
    co_await lookup->done.wait_until(deadline);
  }
  if (!lookup->finished) {
    lookup->resolver.cancel();
    co_return make_error(ErrorKind::kTimeout, "looking up " + host + " took too long");
  }
  if (lookup->ec || lookup->found.empty()) {
    co_return make_error(ErrorKind::kNetwork, "can't look up " + host + ": " + lookup->ec.message());
  }
  co_return interleave(lookup->found);
}

}  // namespace

Task<tcp::socket> connect(asio::any_io_executor executor, std::string host, std::uint16_t port, Way way,
                          TimePoint deadline) {
  auto addresses = co_await addresses_of(executor, host, port, way.outside, deadline);
  if (!addresses) co_return addresses.error();
  const std::string name = format_host_port(host, port);

  Course course;
  course.next = each_of(std::move(*addresses));
  course.connect = [way](tcp::socket* socket, tcp::endpoint endpoint) {
    return try_address(socket, endpoint, way);
  };
  auto outcome = co_await race(executor, std::move(course), deadline, {});
  if (outcome.winner) co_return std::move(*outcome.winner);
  if (outcome.timed_out)
    co_return make_error(ErrorKind::kTimeout, "connecting to " + name + " took too long");
  const Error& first = outcome.failures.front();
  co_return make_error(ErrorKind::kNetwork, "can't connect to " + name + ": " + first.text, first.detail);
}

}  // namespace zks::carrier
