// SPDX-License-Identifier: MIT
#include "frontdoor/socks5_server.hpp"

#include <cerrno>
#include <exception>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "base/relay_url.hpp"

namespace zks::frontdoor {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::steady_clock;

// Out of descriptors or memory: they come back when connections end, and a new try at once would only spin.
constexpr std::chrono::milliseconds kAcceptBackoff{100};

bool is_out_of_resources(const error_code& ec) {
  return ec.value() == EMFILE || ec.value() == ENFILE || ec.value() == ENOBUFS || ec.value() == ENOMEM;
}

}  // namespace

// In a list as long as it lives.
struct Socks5Server::Membership {
  Membership(Connections& l, std::shared_ptr<Socks5Connection> connection)
      : list(l), at(l.insert(l.end(), std::move(connection))) {}
  ~Membership() { list.erase(at); }
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  Connections& list;
  Connections::iterator at;
};

// The end of a coroutine of the server's.
struct Socks5Server::Served {
  std::shared_ptr<Socks5Server> server;

  void operator()(std::exception_ptr failure) const {
    server->ended_.notify();
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      log::error("a SOCKS5 connection failed: {}", error.what());
    }
  }
};

Result<std::shared_ptr<Socks5Server>> Socks5Server::listen(std::shared_ptr<tunnel::StreamOpener> opener,
                                                           Socks5Options options) {
  tcp::acceptor acceptor(opener->executor());
  error_code ec;
  acceptor.open(options.listen.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind(options.listen, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) {
    const std::string where = format_host_port(options.listen.address().to_string(), options.listen.port());
    return make_error(ErrorKind::kIo,
                      "can't listen on " + where + ": " + ec.message() + "; port 0 takes any free one",
                      ec.value());
  }
  return std::make_shared<Socks5Server>(std::move(opener), std::move(options), std::move(acceptor));
}

Socks5Server::Socks5Server(std::shared_ptr<tunnel::StreamOpener> opener, Socks5Options options,
                           tcp::acceptor acceptor)
    : opener_(std::move(opener)),
      options_(std::move(options)),
      acceptor_(std::move(acceptor)),
      local_(acceptor_.local_endpoint()),
      backoff_(acceptor_.get_executor()),
      ended_(acceptor_.get_executor()) {}

void Socks5Server::start() {
  accepting_ = true;
  asio::co_spawn(acceptor_.get_executor(), accept_loop(shared_from_this()), Served{shared_from_this()});
}

asio::awaitable<void> Socks5Server::accept_loop(std::shared_ptr<Socks5Server> self) {
  while (!self->stopping_) {
    auto [ec, socket] = co_await self->acceptor_.async_accept(asio::as_tuple(asio::use_awaitable));
    if (self->stopping_) break;
    if (!ec) {
      self->admit(std::move(socket));
    } else if (is_out_of_resources(ec)) {
      log::warn("can't accept SOCKS5 clients: {}", ec.message());
      self->backoff_.expires_after(kAcceptBackoff);
      co_await self->backoff_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    // Any other error is that of a client that left again (accept(2), "Error handling").
  }
  self->accepting_ = false;
}

void Socks5Server::admit(tcp::socket socket) {
  if (connections_.size() >= options_.max_connections) return;  // closed by going out of scope
  if (handshakes_.size() >= options_.max_handshakes && !handshakes_.empty()) {
    const auto oldest = handshakes_.front();
    handshakes_.splice(handshakes_.end(), handshakes_,
                       handshakes_.begin());  // it leaves the list when it ends
    oldest->abort();
  }
  auto connection = std::make_shared<Socks5Connection>(std::move(socket));
  // Counted from here on, not from when the coroutine first runs.
  auto among_all = std::make_unique<Membership>(connections_, connection);
  auto among_handshakes = std::make_unique<Membership>(handshakes_, connection);
  asio::co_spawn(
      acceptor_.get_executor(),
      serve(shared_from_this(), std::move(connection), std::move(among_all), std::move(among_handshakes)),
      Served{shared_from_this()});
}

asio::awaitable<void> Socks5Server::serve(std::shared_ptr<Socks5Server> self,
                                          std::shared_ptr<Socks5Connection> connection,
                                          std::unique_ptr<Membership> among_all,
                                          std::unique_ptr<Membership> among_handshakes) {
  const auto until_the_end = std::move(among_all);
  auto until_asked = std::move(among_handshakes);
  const bool asked = co_await Socks5Connection::handshake(connection, self->options_.credentials,
                                                          self->options_.handshake_timeout);
  until_asked.reset();
  if (asked && !self->stopping_) co_await Socks5Connection::serve(connection, self->opener_);
}

asio::awaitable<void> Socks5Server::stop() {
  const auto self = shared_from_this();
  stopping_ = true;
  error_code ignored;
  acceptor_.close(ignored);
  backoff_.cancel();
  for (const auto& connection : handshakes_) connection->abort();
  const auto deadline = steady_clock::now() + options_.drain_timeout;
  while (!connections_.empty() && steady_clock::now() < deadline) co_await ended_.wait_until(deadline);
  for (const auto& connection : connections_) connection->abort();
  while (!connections_.empty() || accepting_) co_await ended_.wait();
}

}  // namespace zks::frontdoor
