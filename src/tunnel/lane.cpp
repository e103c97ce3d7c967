// SPDX-License-Identifier: MIT
#include "tunnel/lane.hpp"

#include <chrono>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sodium.h>

#include "base/log.hpp"
#include "net/on_end.hpp"
#include "session/lane_state.hpp"

namespace zks::tunnel {
namespace {

using namespace std::chrono_literals;
using carrier::MessageType;

constexpr std::size_t kRecordBytes = session::kMostFrames + crypto::kRecordOverhead;
constexpr std::size_t kNearlyFull = session::kUsualFrames - 1024;
constexpr std::size_t kMaxTexts = 128;  // a window of 16 MiB has 64 marks in it
constexpr auto kRelayPingEvery = 25s;
constexpr auto kCloseWithin = 5s;
constexpr auto kTrialLooks = 10s;  // at a lane with small segments, for what it carries (segment_limits.hpp)

}  // namespace

Lane::Lane(session::LaneNumber number, carrier::CarrierPtr carrier, LaneKeys keys, LaneOwner& owner)
    : number_(number),
      carrier_(std::move(carrier)),
      keys_(std::move(keys)),
      owner_(&owner),
      wakeup_(carrier_->executor()),
      relay_ping_(carrier_->executor()),
      close_deadline_(carrier_->executor()),
      path_clock_(carrier_->executor()) {}

void Lane::start() {
  running_ = 2;
  const auto done = [self = shared_from_this()](const std::exception_ptr& failure) {
    self->finished(failure);
  };
  net::OnEnd reading_done(carrier_->executor(), done);  // both before anything that may fail
  net::OnEnd writing_done(carrier_->executor(), done);
  boost::asio::co_spawn(carrier_->executor(), read_loop(shared_from_this()), std::move(reading_done));
  boost::asio::co_spawn(carrier_->executor(), write_loop(shared_from_this()), std::move(writing_done));
  schedule_relay_ping();
  if (carrier_->path().segment != 0) watch_path();
}

LaneStatus Lane::status() const {
  LaneStatus out;
  out.number = number_;
  out.path = carrier_->path();
  out.age = std::chrono::steady_clock::now() - began_;
  out.sending_epoch = keys_.sealer.epoch();
  out.receiving_epoch = keys_.opener.epoch();
  return out;
}

void Lane::close(std::uint16_t code) {
  if (closing_) return;
  closing_ = code;
  relay_ping_.cancel();
  close_deadline_.expires_after(kCloseWithin);  // a peer that does not read can't keep the lane
  close_deadline_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    if (const auto self = weak.lock(); self && !ec) self->abort();
  });
  wake();
}

void Lane::abort() {
  fail(make_error(ErrorKind::kClosed, "dropped by this side"));
}

void Lane::fail(Error error) {
  if (!error_) (void)carrier_->look_at_path(path_watch_.silence());
  if (!error_ || (error_->detail == 0 && error.detail != 0))
    error_ = std::move(error);  // a close code says more
  relay_ping_.cancel();
  close_deadline_.cancel();
  path_clock_.cancel();
  carrier_->abort();
  wake();
}

void Lane::finished(std::exception_ptr failure) {
  if (failure) {
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& e) {
      log::error("a lane failed: {}", e.what());
      fail(make_error(ErrorKind::kIo, e.what()));
    }
  }
  if (--running_ > 0) return;
  if (owner_ != nullptr) std::exchange(owner_, nullptr)->on_lane_end(number_, *error_);
}

asio::awaitable<void> Lane::read_loop(std::shared_ptr<Lane> self) {
  Error error = co_await self->read_until_error();
  self->fail(std::move(error));
}

asio::awaitable<void> Lane::write_loop(std::shared_ptr<Lane> self) {
  Error error = co_await self->write_until_error();
  self->fail(std::move(error));
}

asio::awaitable<Error> Lane::read_until_error() {
  carrier::Buffer buffer;
  for (;;) {
    const auto type = co_await carrier_->read(buffer);
    if (!type) co_return type.error();
    const auto data = buffer.data();
    const MutableBytes message(static_cast<std::uint8_t*>(data.data()), data.size());
    if (*type == MessageType::kText) {
      path_watch_.heard_relay();
      const auto handled = on_text(as_text(message));
      sodium_memzero(message.data(), message.size());  // it may have held a key
      if (!handled) co_return handled.error();
      continue;
    }
    if (path_watch_.heard()) watch_path();
    const std::size_t record_bytes = message.size();
    const auto frames = keys_.opener.open(message);
    if (!frames) co_return frames.error();
    if (owner_ == nullptr) co_return make_error(ErrorKind::kClosed, "the session is gone");
    owner_->on_record(number_, *frames, record_bytes);
  }
}

asio::awaitable<Error> Lane::write_until_error() {
  Bytes buffer(kRecordBytes);
  while (!error_) {
    if (!texts_.empty()) {
      const std::string text = std::move(texts_.front());
      texts_.pop_front();
      const auto sent = co_await carrier_->write(MessageType::kText, as_bytes(text));
      if (!sent) co_return sent.error();
      continue;
    }
    const MutableBytes room =
        MutableBytes(buffer).subspan(crypto::kRecordHeader, buffer.size() - crypto::kRecordOverhead);
    const std::size_t size = owner_ == nullptr ? 0 : owner_->compose(number_, room);
    if (size > 0) {
      const MutableBytes record = MutableBytes(buffer).first(size + crypto::kRecordOverhead);
      const auto sealed = keys_.sealer.seal(record);
      if (!sealed) co_return sealed.error();
      if (path_watch_.wrote(record.size())) watch_path();
      const auto sent = co_await carrier_->write(MessageType::kBinary, record);
      if (!sent) co_return sent.error();
      // There was no more to send. Sockets that are ready are read first, or records would be small.
      if (size < kNearlyFull) co_await asio::post(carrier_->executor(), asio::use_awaitable);
      continue;
    }
    if (closing_) {
      const auto closed = co_await carrier_->close(*closing_);
      (void)closed;  // gone either way
      co_return make_error(ErrorKind::kClosed, "closed by this side", *closing_);
    }
    co_await wakeup_.wait();
  }
  co_return *error_;
}

// Relay control on a running lane. The relay's word is never taken as true, only bounded.
Result<> Lane::on_text(std::string_view text) {
  auto control = carrier::decode_control(text);
  if (!control) return control.error();
  if (std::holds_alternative<carrier::Pong>(*control)) return {};
  if (const auto* key = std::get_if<carrier::NewKey>(&*control)) return on_key(*key);
  const auto* mark = std::get_if<carrier::Mark>(&*control);
  if (mark == nullptr) return make_error(ErrorKind::kProtocol, "unexpected message from the relay");
  return answer(carrier::encode_control(*mark));
}

// The answer promises that no record of the old epoch follows it. Nothing has to be waited for: the writer
// hands over what it sealed before it looks at texts_ again, and seals everything after it in the new epoch.
Result<> Lane::on_key(const carrier::NewKey& key) {
  const auto opens = keys_.opener.set_epoch(key.epoch, key.remote_key);
  if (!opens) return opens.error();
  const auto seals = keys_.sealer.set_epoch(key.epoch, key.remote_key);
  if (!seals) return seals.error();
  return answer(carrier::encode_control(carrier::KeySeen{key.epoch}));
}

Result<> Lane::answer(std::string text) {
  if (texts_.size() >= kMaxTexts) return make_error(ErrorKind::kLimit, "too many texts from the relay");
  texts_.push_back(std::move(text));
  wake();
  return {};
}

void Lane::watch_path() {
  path_clock_.expires_after(PathWatch::kStep);
  path_clock_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    if (const auto self = weak.lock(); self && !ec && !self->error_) self->look_at_path();
  });
}

void Lane::look_at_path() {
  const PathWatch::Next next = path_watch_.step();
  const bool trial = carrier_->path().segment != 0 && std::chrono::steady_clock::now() - began_ < kTrialLooks;
  if (next == PathWatch::Next::kAsk && carrier_->look_at_path(path_watch_.silence())) ask_relay();
  if (next == PathWatch::Next::kLook || trial) (void)carrier_->look_at_path(path_watch_.silence());
  if (next != PathWatch::Next::kRest || trial) watch_path();
}

void Lane::ask_relay() {
  if (texts_.size() < kMaxTexts) texts_.push_back(carrier::encode_control(carrier::Ping{}));
  wake();
}

void Lane::schedule_relay_ping() {
  relay_ping_.expires_after(kRelayPingEvery);
  relay_ping_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || self->error_ || self->closing_) return;
    self->ask_relay();
    self->schedule_relay_ping();
  });
}

}  // namespace zks::tunnel
