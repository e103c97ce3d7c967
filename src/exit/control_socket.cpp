// SPDX-License-Identifier: MIT
#include "exit/control_socket.hpp"

#include <boost/asio/co_spawn.hpp>

#include "base/log.hpp"
#include "carrier/spawn.hpp"
#include "tunnel/backoff.hpp"
#include "tunnel/client.hpp"
#include "tunnel/deadline.hpp"

namespace zks::exit {
namespace {

using namespace std::chrono_literals;
using carrier::MessageType;
using carrier::Task;

constexpr auto kRegisterWithin = 10s;
constexpr auto kPingEvery = 25s;
constexpr auto kSilence = 40s;  // a ping every 25 s is answered at once, so this much silence is a dead relay

Result<carrier::Control> decode(const carrier::Buffer& buffer, MessageType type) {
  if (type != MessageType::kText)
    return make_error(ErrorKind::kProtocol, "binary message on the control socket");
  const ByteView bytes(static_cast<const std::uint8_t*>(buffer.cdata().data()), buffer.size());
  return carrier::decode_control(as_text(bytes));
}

}  // namespace

ControlSocket::ControlSocket(asio::any_io_executor executor, ControlSocketOptions options, Handlers handlers)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      pause_(executor_),
      ping_timer_(executor_),
      silence_(executor_) {}

void ControlSocket::start() {
  asio::co_spawn(executor_, run(shared_from_this()), carrier::RethrowFailure{});
}

void ControlSocket::stop() {
  stopping_ = true;
  pause_.cancel();
  ping_timer_.cancel();
  silence_.cancel();
  if (carrier_) carrier_->abort();
}

asio::awaitable<void> ControlSocket::run(std::shared_ptr<ControlSocket> self) {
  while (!self->stopping_) {
    const auto served = co_await self->serve_once();
    if (self->stopping_) break;
    const Error& error = served.error();
    if (!self->was_registered_ && tunnel::is_final(error)) {
      self->handlers_.on_refused(error);
      break;
    }
    self->trouble_ = error.text;
    self->trouble_at_ = std::chrono::steady_clock::now();
    log::warn("relay {}: {}; trying again", self->options_.relay.text(), error.text);
    ++self->failures_;
    self->pause_.expires_after(tunnel::jittered_pause(self->failures_, self->options_.reconnect_max));
    co_await self->pause_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

// One control socket from dial to end; always ends in an error.
Task<> ControlSocket::serve_once() {
  const std::string target =
      "/v1/rooms/" + format_room(options_.room) + "/exit?instance=" + to_base64url(options_.instance);
  auto dialled = co_await carrier::dial(executor_, options_.relay, target, options_.dial);
  if (!dialled) co_return dialled.error();
  carrier_ = std::move(*dialled);
  if (stopping_) co_return make_error(ErrorKind::kClosed, "stopping");
  Result<> result = co_await register_room();
  if (result) {
    was_registered_ = true;
    failures_ = 0;
    set_registered(true);
    log::info("registered with relay {}", options_.relay.text());
    handlers_.on_registered();
    pinging_ = true;
    asio::co_spawn(executor_, ping(shared_from_this()), carrier::RethrowFailure{});
    result = co_await listen();
    silence_.cancel();
    set_registered(false);
    carrier_->abort();
    ping_timer_.cancel();
    // The pinger uses the carrier, so it ends first.
    while (pinging_) co_await asio::post(executor_, asio::use_awaitable);
  }
  carrier_.reset();
  co_return result;
}

Task<> ControlSocket::register_room() {
  tunnel::Deadline deadline(*carrier_, kRegisterWithin);
  carrier::Buffer buffer;
  auto type = co_await carrier_->read(buffer);
  if (!type) co_return type.error();
  auto control = decode(buffer, *type);
  if (!control) co_return control.error();
  const auto* challenge = std::get_if<carrier::Challenge>(&*control);
  if (challenge == nullptr) co_return make_error(ErrorKind::kProtocol, "the relay sent no challenge");

  // Bound to this relay's name, so that the signature is worth nothing to another relay.
  const Bytes message = carrier::registration_message(challenge->nonce, options_.relay.authority(),
                                                      options_.room, options_.instance);
  const Bytes signature = handlers_.sign(message);
  carrier::Register answer;
  answer.room_key = options_.room_public;
  std::copy_n(signature.begin(), answer.signature.size(), answer.signature.begin());
  const std::string text = carrier::encode_control(answer);
  const auto sent = co_await carrier_->write(MessageType::kText, as_bytes(text));
  if (!sent) co_return sent.error();

  type = co_await carrier_->read(buffer);
  if (!type) {
    if (type.error().detail == carrier::close_code::kForbidden) {
      co_return make_error(ErrorKind::kRefused, "the relay refused the registration", type.error().detail);
    }
    co_return type.error();
  }
  control = decode(buffer, *type);
  if (!control) co_return control.error();
  if (!std::holds_alternative<carrier::Registered>(*control)) {
    co_return make_error(ErrorKind::kProtocol, "the relay did not confirm the registration");
  }
  co_return Result<>();
}

Task<> ControlSocket::listen() {
  carrier::Buffer buffer;
  for (;;) {
    watch_silence();
    const auto type = co_await carrier_->read(buffer);
    if (!type) co_return type.error();
    const auto control = decode(buffer, *type);
    if (!control) co_return control.error();
    if (const auto* knock = std::get_if<carrier::Knock>(&*control)) {
      handlers_.on_knock(knock->pair);
    } else if (!std::holds_alternative<carrier::Pong>(*control)) {
      co_return make_error(ErrorKind::kProtocol, "unexpected message on the control socket");
    }
  }
}

asio::awaitable<void> ControlSocket::ping(std::shared_ptr<ControlSocket> self) {
  const std::string text = carrier::encode_control(carrier::Ping{});
  for (;;) {
    self->ping_timer_.expires_after(kPingEvery);
    const auto [ec] = co_await self->ping_timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (ec) break;
    const auto sent = co_await self->carrier_->write(MessageType::kText, as_bytes(text));
    if (!sent) break;
  }
  self->pinging_ = false;
}

void ControlSocket::set_registered(bool registered) {
  registered_ = registered;
  registered_changed_ = std::chrono::steady_clock::now();
  if (registered) ++registrations_;
}

RelayLinkStatus ControlSocket::status() const {
  RelayLinkStatus out;
  if (carrier_) out.path = carrier_->path();
  out.path.relay = options_.relay.text();
  out.registered = registered_;
  out.state_age = std::chrono::steady_clock::now() - registered_changed_;
  out.registrations = registrations_;
  if (trouble_at_) out.trouble = tunnel::Trouble{trouble_, std::chrono::steady_clock::now() - *trouble_at_};
  return out;
}

void ControlSocket::watch_silence() {
  silence_.expires_after(kSilence);
  silence_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self && self->carrier_) self->carrier_->abort();
  });
}

}  // namespace zks::exit
