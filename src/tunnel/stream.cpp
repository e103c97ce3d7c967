// SPDX-License-Identifier: MIT
#include "tunnel/stream.hpp"

#include "tunnel/tunnel.hpp"

namespace zks::tunnel {

Stream::Stream(std::shared_ptr<Tunnel> tunnel, session::StreamId id)
    : tunnel_(std::move(tunnel)), id_(id), room_(tunnel_->executor()), readable_(tunnel_->executor()) {
  tunnel_->streams_.emplace(id_, this);
}

Stream::~Stream() {
  tunnel_->forget(id_);
  if (!finished_ || !end_consumed_) reset(session::ResetCode::kCancelled);
}

asio::any_io_executor Stream::executor() const {
  return tunnel_->executor();
}

void Stream::accept(session::Destination bound) {
  tunnel_->session().streams().accept(id_, std::move(bound));
  tunnel_->changed();
}

void Stream::reset(session::ResetCode code) {
  if (reset_code_) return;
  tunnel_->session().streams().reset(id_, code);
  note_reset(code);
  tunnel_->changed();
}

void Stream::note_reset(session::ResetCode code) {
  reset_code_ = code;
  readable_.notify();
  room_.notify();
  if (on_reset_) std::exchange(on_reset_, nullptr)();
}

std::optional<session::TimePoint> Stream::half_closed_since() const {
  return reset_code_ ? std::nullopt : tunnel_->session().streams().half_closed_since(id_);
}

std::size_t Stream::prepare(std::uint64_t max_bytes, std::array<MutableBytes, 4>& pieces) {
  return reset_code_ ? 0 : tunnel_->session().streams().prepare(id_, max_bytes, pieces);
}

void Stream::commit(std::size_t count) {
  tunnel_->session().streams().commit(id_, count);
  tunnel_->committed();
}

void Stream::finish() {
  finished_ = true;
  tunnel_->session().streams().finish(id_);
  tunnel_->changed();
}

std::size_t Stream::peek(std::array<ByteView, 8>& pieces) {
  return reset_code_ ? 0 : tunnel_->session().streams().peek(id_, pieces);
}

void Stream::consume(std::uint64_t count) {
  tunnel_->session().streams().consume(id_, count, Tunnel::now());
  tunnel_->changed();
}

bool Stream::at_end() const {
  return !reset_code_ && tunnel_->session().streams().at_end(id_);
}

void Stream::consume_end() {
  end_consumed_ = true;
  tunnel_->session().streams().consume_end(id_);
  tunnel_->changed();
}

}  // namespace zks::tunnel
