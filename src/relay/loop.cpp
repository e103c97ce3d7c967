// SPDX-License-Identifier: MIT
#include "relay/loop.hpp"

#include <utility>
#include <vector>

#include <boost/asio/post.hpp>
#include <malloc.h>

#include "base/log.hpp"

namespace zks::relay {

void Loop::add(const std::shared_ptr<LiveSocket>& socket) {
  live_.insert(socket);
  if (stopping_) socket->shut_down();
}

void Loop::remove(const std::shared_ptr<LiveSocket>& socket) {
  live_.erase(socket);
  trim_later();
  if (stopping_ && live_.empty()) stop_timer_.cancel();
}

void Loop::trim_later() {
  if (stopping_ || std::exchange(trims_, true)) return;
  trim_timer_.expires_after(kTrimAfter);
  trim_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self) return;
    self->trims_ = false;
    ::malloc_trim(0);
  });
}

void Loop::relieve_memory() {
  asio::post(executor_, [self = shared_from_this()] { self->backlog_->relieve(); });
}

void Loop::stop() {
  asio::post(executor_, [self = shared_from_this()] { self->begin_stop(); });
}

void Loop::begin_stop() {
  if (stopping_) return;
  stopping_ = true;
  trim_timer_.cancel();
  const std::vector<std::shared_ptr<LiveSocket>> sockets(live_.begin(), live_.end());
  for (const auto& socket : sockets) socket->shut_down();
  if (live_.empty()) return;
  stop_timer_.expires_after(kStopGrace);
  stop_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
    if (!ec) self->abort_all();
  });
}

void Loop::abort_all() {
  const std::vector<std::shared_ptr<LiveSocket>> sockets(live_.begin(), live_.end());
  for (const auto& socket : sockets) socket->abort();
}

}  // namespace zks::relay
