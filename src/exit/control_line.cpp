// SPDX-License-Identifier: MIT
#include "exit/control_line.hpp"

#include <boost/asio/co_spawn.hpp>

#include "base/raised.hpp"
#include "net/on_end.hpp"
#include "net/spawn.hpp"
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

ControlLine::ControlLine(asio::any_io_executor executor, ControlLineOptions options, Handlers handlers)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      ping_timer_(executor_),
      silence_(executor_) {}

void ControlLine::start() {
  const auto over = [self = shared_from_this()](const std::exception_ptr& failure) {
    if (failure) self->handlers_.on_end(self.get(), make_error(ErrorKind::kIo, "out of memory"));
  };
  asio::co_spawn(executor_, run(shared_from_this()), net::OnEnd(executor_, over));
}

void ControlLine::stop() {
  stopping_ = true;
  ping_timer_.cancel();
  silence_.cancel();
  if (carrier_) carrier_->abort();
}

asio::awaitable<void> ControlLine::run(std::shared_ptr<ControlLine> self) {
  const auto served = co_await self->serve();
  self->handlers_.on_end(self.get(), served.error());
}

// Always ends in an error.
Task<> ControlLine::serve() {
  const std::string target =
      "/v1/rooms/" + format_room(options_.room) + "/exit?instance=" + to_base64url(options_.instance);
  auto dialled = co_await options_.dialler->dial(executor_, options_.relay, target, carrier::kDialWithin);
  if (!dialled) co_return dialled.error();
  carrier_ = std::move(*dialled);
  if (stopping_) co_return make_error(ErrorKind::kClosed, "stopping");
  Result<> result = co_await register_room();
  if (result) {
    handlers_.on_registered(this);
    pinging_ = true;
    asio::co_spawn(executor_, ping(shared_from_this()), net::RethrowFailure{});
    result = co_await listen();
    silence_.cancel();
    carrier_->abort();
    ping_timer_.cancel();
    // The pinger uses the carrier, so it ends first.
    while (pinging_) co_await asio::post(executor_, asio::use_awaitable);
  }
  carrier_.reset();
  co_return result;
}

Task<> ControlLine::register_room() {
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

Task<> ControlLine::listen() {
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

asio::awaitable<void> ControlLine::ping(std::shared_ptr<ControlLine> self) {
  const Raised pinging(self->pinging_);  // serve() waits for its end
  const std::string text = carrier::encode_control(carrier::Ping{});
  for (;;) {
    self->ping_timer_.expires_after(kPingEvery);
    const auto [ec] = co_await self->ping_timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (ec) break;
    const auto sent = co_await self->carrier_->write(MessageType::kText, as_bytes(text));
    if (!sent) break;
  }
}

void ControlLine::watch_silence() {
  silence_.expires_after(kSilence);
  silence_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self && self->carrier_) self->carrier_->abort();
  });
}

}  // namespace zks::exit
