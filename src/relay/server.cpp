// SPDX-License-Identifier: MIT
#include "relay/server.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "net/listen.hpp"
#include "relay/listener.hpp"
#include "relay/relay.hpp"

namespace zks::relay {

Result<std::unique_ptr<Server>> Server::start(Options options,
                                              const std::vector<asio::any_io_executor>& loops) {
  auto relay = std::make_shared<Relay>(std::move(options));
  const std::size_t budget = relay->options.max_held_bytes / std::max<std::size_t>(loops.size(), 1);
  for (const auto& executor : loops) relay->loops.push_back(std::make_shared<Loop>(executor, budget));
  std::unique_ptr<Server> server(new Server(relay));
  const Result<> loaded = server->reload();
  if (!loaded) return loaded.error();
  const net::Endpoints& all = relay->options.listen;
  for (const auto& address : all) {
    const bool ipv6_only = net::is_ipv6_only(address, all);
    auto listener = Listener::bind(relay, relay->loops.front(), address, ipv6_only);
    if (!listener && net::may_be_left_out(address, ipv6_only, listener.error())) {
      log::warn("{}; going on without IPv6", listener.error().text);
      continue;
    }
    if (!listener) return listener.error();
    server->listeners_.push_back(std::move(*listener));
  }
  for (const auto& listener : server->listeners_) listener->start();
  return server;
}

Server::~Server() = default;

std::vector<asio::ip::tcp::endpoint> Server::endpoints() const {
  std::vector<asio::ip::tcp::endpoint> out;
  for (const auto& listener : listeners_) out.push_back(listener->address());
  return out;
}

Status Server::status() const {
  Status out;
  out.rooms = relay_->rooms.rooms();
  out.exits = relay_->rooms.registered_exits();
  out.pairs = relay_->rooms.pairs();
  out.handshakes = relay_->handshakes.size();
  out.handshakes_evicted = relay_->handshakes.evicted();
  out.max_pairs = relay_->options.max_pairs;
  out.uptime = std::chrono::steady_clock::now() - relay_->started;
  for (const auto& loop : relay_->loops) out.add(loop->counters());
  return out;
}

Result<> Server::reload() {
  if (relay_->tls) {
    const Result<> tls = relay_->tls->reload();
    if (!tls) return tls;
  }
  return relay_->allowed.reload();
}

void Server::relieve_memory() {
  for (const auto& loop : relay_->loops) loop->relieve_memory();
}

void Server::stop() {
  for (const auto& listener : listeners_) listener->stop();
  for (const auto& loop : relay_->loops) loop->stop();
}

}  // namespace zks::relay
