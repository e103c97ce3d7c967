// SPDX-License-Identifier: MIT
#include "relay/exit_socket.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include "base/log.hpp"

namespace zks::relay {

namespace close_code = carrier::close_code;

ExitSocket::ExitSocket(RelayPtr relay, std::shared_ptr<Loop> loop, carrier::CarrierPtr carrier,
                       const RoomId& room, const InstanceId& instance)
    : Socket(std::move(loop), std::move(carrier), relay->options.idle_timeout, relay->options.write_timeout),
      relay_(std::move(relay)),
      room_(room),
      instance_(instance) {}

void ExitSocket::start_registered(const std::shared_ptr<ExitSocket>& exit, const Source& source) {
  exit->start();
  const auto older = exit->relay_->rooms.add_exit(exit->room_, exit->instance_, source, exit);
  if (!older) {
    exit->end(static_cast<std::uint16_t>(older.error().detail));
    return;
  }
  exit->counters().registrations.add();
  if (*older) (*older)->replaced(exit);
  exit->send_text(carrier::encode_control(carrier::Registered{}));
  log::debug("exit registered in room {}", format_room(exit->room_));
}

// A full queue drops the knock: the client goes on to the next instance then.
void ExitSocket::knock(const PairId& pair) {
  const auto self = std::static_pointer_cast<ExitSocket>(shared_from_this());
  asio::dispatch(executor(), [self, pair] {
    if (const auto successor = self->successor_.lock()) return successor->knock(pair);
    self->send_text(carrier::encode_control(carrier::Knock{pair}));
  });
}

// The knocks that it has still go out: the exit hears both sockets until this one closes.
void ExitSocket::replaced(const std::shared_ptr<RegisteredExit>& by) {
  const auto self = std::static_pointer_cast<ExitSocket>(shared_from_this());
  asio::dispatch(executor(), [self, successor = std::weak_ptr(by)] {
    self->successor_ = successor;
    self->end_after_queue(close_code::kReplaced);
  });
}

void ExitSocket::give_way() {
  asio::post(executor(), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->end(kGaveWay);
  });
}

std::uint16_t ExitSocket::on_control(const carrier::Control&) {
  return close_code::kPolicy;
}
asio::awaitable<std::uint16_t> ExitSocket::on_binary(carrier::Buffer) {
  co_return close_code::kPolicy;
}
asio::awaitable<void> ExitSocket::before_read() {
  co_return;
}
void ExitSocket::on_sent(std::size_t) {}
void ExitSocket::on_key(std::uint64_t) {}

void ExitSocket::on_ending(std::uint16_t, bool) {
  relay_->rooms.remove_exit(room_, instance_, this);
  log::debug("exit left room {}", format_room(room_));
}

}  // namespace zks::relay
