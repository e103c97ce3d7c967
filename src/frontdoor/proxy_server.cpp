// SPDX-License-Identifier: MIT
#include "frontdoor/proxy_server.hpp"

#include <exception>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "base/log_failure.hpp"
#include "frontdoor/http_door.hpp"
#include "frontdoor/socks_door.hpp"
#include "frontdoor/udp_association.hpp"

namespace zks::frontdoor {
namespace {

using std::chrono::steady_clock;

}  // namespace

// The end of a coroutine of the server's.
struct ProxyServer::Served {
  std::shared_ptr<ProxyServer> server;

  void operator()(std::exception_ptr failure) const {
    server->ended_.notify();
    log_failure(failure, "a connection of the proxy failed");
  }
};

Result<std::shared_ptr<ProxyServer>> ProxyServer::listen(std::shared_ptr<tunnel::StreamOpener> opener,
                                                         ProxyServerOptions options) {
  auto acceptors = net::listen_on(opener->executor(), options.listen, options.beside);
  if (!acceptors) return acceptors.error();
  return std::make_shared<ProxyServer>(std::move(opener), std::move(options), std::move(*acceptors));
}

ProxyServer::ProxyServer(std::shared_ptr<tunnel::StreamOpener> opener, ProxyServerOptions options,
                         std::vector<net::Acceptor> acceptors)
    : opener_(std::move(opener)),
      options_(std::move(options)),
      connections_(options_.max_connections),
      associations_(options_.max_associations),
      handshakes_(options_.max_handshakes),
      ended_(opener_->executor()) {
  loop_ = std::make_shared<net::AcceptLoop>(std::move(acceptors), "the proxy",
                                            [this](tunnel::Socket socket) { admit(std::move(socket)); });
}

ProxyServer::~ProxyServer() {
  loop_->stop();
}

void ProxyServer::start() {
  loop_->start();
}

void ProxyServer::admit(tunnel::Socket socket) {
  if (connections_.is_limit_due()) {
    log::warn(
        "all {} connections of the proxy are in use: those that are half-closed and silent longest make "
        "room, "
        "and without such more are closed",
        connections_.size());
  }
  if (!connections_.has_room()) return;  // closed by going out of scope
  auto connection = std::make_shared<tunnel::Connection>(std::move(socket));
  // Counted from here on, not from when the coroutine first runs.
  auto among_handshakes = handshakes_.enter_for_oldest(connection);
  auto among_all = connections_.enter(connection);
  asio::co_spawn(
      opener_->executor(),
      serve(shared_from_this(), std::move(connection), std::move(among_all), std::move(among_handshakes)),
      Served{shared_from_this()});
}

asio::awaitable<void> ProxyServer::serve(
    std::shared_ptr<ProxyServer> self, std::shared_ptr<tunnel::Connection> client,
    std::unique_ptr<tunnel::ConnectionSet::Membership> among_all,
    std::unique_ptr<tunnel::ConnectionSet::Membership> among_handshakes) {
  const auto until_the_end = std::move(among_all);
  client->limit_time(self->options_.handshake_timeout);
  const bool begun = co_await tunnel::Connection::read(client);
  if (!begun) co_return;
  const std::uint8_t first = client->input().front();
  if (may_begin_http(first)) {
    const ProxyServerOptions& options = self->options_;
    HttpDoor door{self->opener_,       options.credentials,       self->handshakes_,
                  self->stopping_,     options.handshake_timeout, options.idle_timeout,
                  options.line_timeout};
    co_await serve_http(std::move(client), std::move(door), std::move(among_handshakes));
  } else if (first == kSocks5Version || first == kSocks4Version) {
    co_await serve_socks_client(self, std::move(client), std::move(among_handshakes));
  } else {
    log::debug("a client of the proxy, {}, speaks neither SOCKS nor HTTP", client->remote_text());
  }
  // Anything else is some other protocol, to which there is nothing to say.
}

asio::awaitable<void> ProxyServer::serve_socks_client(
    std::shared_ptr<ProxyServer> self, std::shared_ptr<tunnel::Connection> client,
    std::unique_ptr<tunnel::ConnectionSet::Membership> among_handshakes) {
  auto until_asked = std::move(among_handshakes);
  std::optional<SocksRequest> request;
  if (client->input().front() == kSocks5Version) {
    request = co_await read_socks5(client, self->options_.credentials);
  } else {
    request = co_await read_socks4(client, self->options_.credentials);
  }
  if (!request) co_return;
  until_asked.reset();
  client->lift_limit();
  if (self->stopping_) co_return;
  if (request->associates) {
    std::unique_ptr<tunnel::ConnectionSet::Membership> among_associations;
    if (!self->associations_.full()) among_associations = self->associations_.enter(client);
    co_await serve_udp_associate(std::move(client), self->opener_, request->destination,
                                 std::move(among_associations));
  } else {
    co_await serve_socks(std::move(client), self->opener_, std::move(*request));
  }
}

asio::awaitable<void> ProxyServer::stop() {
  const auto self = shared_from_this();
  stopping_ = true;
  loop_->stop();
  handshakes_.abort_all();
  associations_.abort_all();  // nothing of theirs could be finished
  const auto deadline = steady_clock::now() + options_.drain_timeout;
  while (!connections_.empty() && steady_clock::now() < deadline) co_await ended_.wait_until(deadline);
  connections_.abort_all();
  while (!connections_.empty()) co_await ended_.wait();
}

}  // namespace zks::frontdoor
