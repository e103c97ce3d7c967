// SPDX-License-Identifier: MIT
#include "relay/listener.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "net/listen.hpp"
#include "net/on_end.hpp"
#include "relay/connection.hpp"

namespace zks::relay {
namespace {

using asio::ip::tcp;

// While there are no descriptors or no memory, connections wait in the kernel's queue.
constexpr std::chrono::milliseconds kPause{50};

}  // namespace

Listener::Listener(RelayPtr relay, std::shared_ptr<Loop> loop, tcp::acceptor acceptor)
    : relay_(std::move(relay)),
      loop_(std::move(loop)),
      acceptor_(std::move(acceptor)),
      address_(acceptor_.local_endpoint()),
      pause_timer_(loop_->executor()) {}

Result<std::shared_ptr<Listener>> Listener::bind(RelayPtr relay, std::shared_ptr<Loop> loop,
                                                 const tcp::endpoint& address, bool ipv6_only) {
  auto acceptor = net::listen_on(loop->executor(), address, ipv6_only);
  if (!acceptor) return acceptor.error();
  return std::make_shared<Listener>(std::move(relay), std::move(loop), std::move(*acceptor));
}

void Listener::start() {
  const auto over = [self = shared_from_this()](const std::exception_ptr& failure) {
    if (!failure || self->stopping_) return;
    log_failure(failure, "accepting");
    self->start();
  };
  asio::co_spawn(loop_->executor(), accept_connections(shared_from_this()),
                 net::OnEnd(loop_->executor(), over));
}

void Listener::stop() {
  asio::dispatch(loop_->executor(), [self = shared_from_this()] {
    self->stopping_ = true;
    boost::system::error_code ignored;
    self->acceptor_.close(ignored);
    self->pause_timer_.cancel();
  });
}

asio::awaitable<void> Listener::accept_connections(std::shared_ptr<Listener> self) {
  while (!self->stopping_) {
    bool exhausted = false;
    try {
      co_await self->accept_one();
    } catch (const std::bad_alloc&) {
      exhausted = true;  // costs this connection, not the relay
    }
    if (exhausted) co_await self->pause();
  }
}

asio::awaitable<void> Listener::accept_one() {
  const std::shared_ptr<Loop> loop = relay_->loops[next_loop_++ % relay_->loops.size()];
  auto [ec, socket] = co_await acceptor_.async_accept(loop->executor(), asio::as_tuple(asio::use_awaitable));
  if (!ec) {
    admit(loop, std::move(socket));
    co_return;
  }
  const bool scarce = ec == boost::system::errc::too_many_files_open ||
                      ec == boost::system::errc::too_many_files_open_in_system ||
                      ec == boost::system::errc::no_buffer_space ||
                      ec == boost::system::errc::not_enough_memory;
  if (!scarce)
    co_return;  // this one connection failed (accept(2), "Error handling"), or the listener was closed
  log::warn("can't accept connections: {}", ec.message());
  co_await pause();
}

void Listener::admit(const std::shared_ptr<Loop>& loop, tcp::socket socket) {
  boost::system::error_code gone;
  const auto peer = socket.remote_endpoint(gone);
  if (gone) return;
  const bool proxy = is_trusted(peer.address(), relay_->options.trusted_proxies);
  // Counted here and not on its loop: the next accept has to know of it.
  HandshakeSlot slot(relay_, Source(peer.address()), proxy);
  asio::dispatch(loop->executor(), [relay = relay_, loop, socket = std::move(socket), peer = peer.address(),
                                    slot = std::move(slot)]() mutable {
    serve_connection(relay, loop, std::move(socket), peer, std::move(slot));
  });
}

asio::awaitable<void> Listener::pause() {
  pause_timer_.expires_after(kPause);
  [[maybe_unused]] auto [ec] = co_await pause_timer_.async_wait(asio::as_tuple(asio::use_awaitable));
}

}  // namespace zks::relay
