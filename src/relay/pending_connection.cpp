// SPDX-License-Identifier: MIT
#include "relay/pending_connection.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "net/on_end.hpp"
#include "relay/exit_socket.hpp"
#include "relay/half.hpp"
#include "relay/registration.hpp"

namespace zks::relay {

namespace close_code = carrier::close_code;

PendingConnection::PendingConnection(RelayPtr relay, std::shared_ptr<Loop> loop, HandshakeSlot slot)
    : relay_(std::move(relay)),
      loop_(std::move(loop)),
      slot_(std::move(slot)),
      deadline_(loop_->executor()) {}

void PendingConnection::start(const std::shared_ptr<PendingConnection>& self, asio::awaitable<void> work) {
  // From here on it ends in over(), whatever there is no memory for.
  net::OnEnd over(self->loop_->executor(),
                  [self](const std::exception_ptr& failure) { self->over(failure); });
  self->loop_->add(self);
  const auto evict = [weak = self->weak_from_this(), executor = self->loop_->executor()] {
    asio::post(executor, [weak] {
      if (const auto evicted = weak.lock()) evicted->abort();
    });
  };
  if (!self->slot_->on_evict(evict)) self->abort();
  asio::co_spawn(self->loop_->executor(), std::move(work), std::move(over));
}

void PendingConnection::over(const std::exception_ptr& failure) {
  if (failure) log_failure(failure, "handshake");
  deadline_.cancel();
  abort();
  loop_->remove(shared_from_this());
}

void PendingConnection::abort() {
  if (carrier_) carrier_->abort();
}

// ---- after the upgrade

asio::awaitable<void> PendingConnection::take_place(carrier::CarrierPtr carrier, Request request) {
  carrier_ = std::move(carrier);
  authority_ = std::move(request.authority);
  source_ = request.source;
  if (const auto* exit = std::get_if<ExitRoute>(&request.route)) {
    co_await take_place(*exit);
  } else if (const auto* pair = std::get_if<PairRoute>(&request.route)) {
    co_await take_place(*pair);
  } else if (const auto* client = std::get_if<ClientRoute>(&request.route)) {
    auto exits = relay_->rooms.exits(client->room, client->instance);
    const auto half = std::make_shared<Half>(relay_, loop_, std::move(carrier_));
    Half::start_waiting(half, std::move(*request.slot), client->room, std::move(exits));
  }
}

asio::awaitable<void> PendingConnection::take_place(const PairRoute& route) {
  const auto client = relay_->rooms.claim(route.room, route.pair);
  if (!client) {
    [[maybe_unused]] const Result<> closed = co_await carrier_->close(close_code::kPairGone);
    co_return;
  }
  const auto half = std::make_shared<Half>(relay_, loop_, std::move(carrier_));
  Half::start_pair(client, half);
}

asio::awaitable<void> PendingConnection::take_place(const ExitRoute& route) {
  arm_deadline(relay_->options.upgrade_timeout);
  const bool owner = co_await prove_ownership(route);
  deadline_.cancel();
  if (!owner) {
    loop_->counters().registrations_refused.add();
    [[maybe_unused]] const Result<> closed = co_await carrier_->close(close_code::kForbidden);
    co_return;
  }
  const auto exit =
      std::make_shared<ExitSocket>(relay_, loop_, std::move(carrier_), route.room, route.instance);
  ExitSocket::start_registered(exit, *source_);
}

asio::awaitable<bool> PendingConnection::prove_ownership(ExitRoute route) {
  const auto nonce = random_array<32>();
  const std::string challenge = carrier::encode_control(carrier::Challenge{nonce});
  const Result<> asked = co_await carrier_->write(carrier::MessageType::kText, as_bytes(challenge));
  if (!asked) co_return false;
  carrier::Buffer buffer;
  const auto type = co_await carrier_->read(buffer);
  if (!type || *type != carrier::MessageType::kText) co_return false;
  const auto message =
      carrier::decode_control({static_cast<const char*>(buffer.data().data()), buffer.size()});
  if (!message) co_return false;
  const auto* answer = std::get_if<carrier::Register>(&*message);
  if (answer == nullptr) co_return false;
  co_return owns_room(*answer, nonce, authority_, route.room, route.instance);
}

void PendingConnection::arm_deadline(std::chrono::milliseconds timeout) {
  deadline_.expires_after(timeout);
  deadline_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    if (ec) return;
    const auto self = weak.lock();
    if (!self) return;
    self->loop_->counters().handshake_timeouts.add();
    self->abort();
  });
}

}  // namespace zks::relay
