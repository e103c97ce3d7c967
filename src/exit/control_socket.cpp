// SPDX-License-Identifier: MIT
#include "exit/control_socket.hpp"

#include "base/log.hpp"
#include "tunnel/client.hpp"

namespace zks::exit {

ControlSocket::ControlSocket(asio::any_io_executor executor, ControlSocketOptions options, Handlers handlers)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      pause_(executor_),
      refresh_(executor_),
      retire_(executor_) {}

void ControlSocket::start() {
  dial_line();
}

void ControlSocket::stop() {
  stopping_ = true;
  pause_.cancel();
  refresh_.cancel();
  retire_.cancel();
  for (const auto& line : {fresh_, serving_, retiring_}) {
    if (line) line->stop();
  }
}

void ControlSocket::dial_line() {
  ControlLineOptions options;
  options.relay = options_.relay;
  options.room = options_.room;
  options.instance = options_.instance;
  options.room_public = options_.room_public;
  options.dialler = options_.dialler;
  ControlLine::Handlers handlers;
  const auto weak = weak_from_this();
  handlers.sign = handlers_.sign;
  handlers.on_knock = handlers_.on_knock;
  handlers.on_registered = [weak](const ControlLine* line) {
    if (const auto self = weak.lock(); self && !self->stopping_) self->on_registered(line);
  };
  handlers.on_end = [weak](const ControlLine* line, const Error& error) {
    if (const auto self = weak.lock(); self && !self->stopping_) self->on_end(line, error);
  };
  fresh_ = std::make_shared<ControlLine>(executor_, std::move(options), std::move(handlers));
  fresh_->start();
}

void ControlSocket::on_registered(const ControlLine* line) {
  if (line != fresh_.get()) return;
  backoff_.began(std::chrono::steady_clock::now());
  if (serving_) retire(std::move(serving_));
  if (registered_) {  // also where the relay closed the old line first
    log::debug("registered anew with relay {}", options_.relay.text());
  } else {
    log::info("registered with relay {}", options_.relay.text());
  }
  serving_ = std::move(fresh_);
  ++registrations_;
  set_registered(true);
  was_registered_ = true;
  refresh_later();
  handlers_.on_registered();
}

void ControlSocket::on_end(const ControlLine* line, const Error& error) {
  if (line == retiring_.get()) {
    retiring_.reset();
    return;
  }
  if (line == fresh_.get()) {
    fresh_.reset();
    if (serving_) {
      log::info("relay {}: no new registration ({}); the one from before serves on", options_.relay.text(),
                error.text);
      refresh_later();
      return;
    }
    backoff_.failed(std::chrono::steady_clock::now());
    set_registered(false);
    if (!was_registered_ && tunnel::is_final(error)) {
      handlers_.on_refused(error);
      return;
    }
  } else if (line == serving_.get()) {
    serving_.reset();
    refresh_.cancel();
    // The relay may close the old line before it says that the new one is registered.
    if (fresh_) return;
    backoff_.ended(std::chrono::steady_clock::now());
    set_registered(false);
  } else {
    return;
  }
  trouble_ = error.text;
  trouble_at_ = std::chrono::steady_clock::now();
  log::warn("relay {}: {}; trying again", options_.relay.text(), error.text);
  dial_later();
}

void ControlSocket::dial_later() {
  pause_.expires_after(backoff_.pause(std::chrono::steady_clock::now(), options_.reconnect_max));
  // Cancelled means: now.
  pause_.async_wait([weak = weak_from_this()](const boost::system::error_code&) {
    const auto self = weak.lock();
    if (self && !self->stopping_ && !self->fresh_ && !self->serving_) self->dial_line();
  });
}

void ControlSocket::refresh_later() {
  if (options_.refresh_every.count() == 0) return;
  refresh_.expires_after(options_.refresh_every);
  refresh_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self && !self->stopping_ && self->serving_ && !self->fresh_) self->dial_line();
  });
}

void ControlSocket::set_registered(bool registered) {
  if (registered_ == registered) return;
  registered_ = registered;
  registered_changed_ = std::chrono::steady_clock::now();
}

RelayLinkStatus ControlSocket::status() const {
  RelayLinkStatus out;
  const LinePtr& line = serving_ ? serving_ : fresh_;
  if (line) out.path = line->path();
  out.path.relay = options_.relay.text();
  out.registered = registered_;
  out.state_age = std::chrono::steady_clock::now() - registered_changed_;
  out.registrations = registrations_;
  if (trouble_at_) out.trouble = tunnel::Trouble{trouble_, std::chrono::steady_clock::now() - *trouble_at_};
  return out;
}

// Where the new line is at another relay, nobody closes the old one but us.
void ControlSocket::retire(LinePtr line) {
  if (retiring_) retiring_->stop();
  retiring_ = std::move(line);
  retire_.expires_after(kRetireWithin);
  retire_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self && self->retiring_) self->retiring_->stop();
  });
}

}  // namespace zks::exit
