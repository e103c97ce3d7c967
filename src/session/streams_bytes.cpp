// SPDX-License-Identifier: MIT
//
// The application's side of streams: opening, writing, reading and ending them.
#include "session/checks.hpp"
#include "session/streams.hpp"

namespace zks::session {
namespace {

constexpr auto kLazyCredit =
    std::chrono::milliseconds(100);  // consumed bytes are told at the latest after this

using Phase = StreamState::Phase;

}  // namespace

Result<StreamId> Streams::open(Destination destination, TimePoint now) {
  if (!can_be_sent(destination)) return make_error(ErrorKind::kUsage, "not a name");
  return open_at(std::move(destination), 0, now);
}

Result<StreamId> Streams::open_for(ListenerId listener, Destination from, TimePoint now) {
  return open_at(std::move(from), listener, now);
}

Result<StreamId> Streams::open_at(Destination address, ListenerId listener, TimePoint now) {
  if (context_->leaving) return make_error(ErrorKind::kClosed, "the session is ending");
  if (streams_.size() >= limit()) {
    return make_error(ErrorKind::kLimit, "too many streams in this session");
  }
  const StreamId id = next_id_;
  next_id_ += 2;
  const LaneState* lane = context_->lanes.least_loaded();
  StreamState& stream = make(id, lane == nullptr ? 0 : lane->options.number, now);
  stream.ours = true;
  stream.address = std::move(address);
  stream.listener = listener;
  stream.owe_open = true;
  owe(stream);
  return id;
}

void Streams::accept(StreamId id, Destination bound) {
  StreamState* stream = find(id);
  if (stream == nullptr || stream->phase != Phase::kOpening) return;
  stream->phase = Phase::kOpen;
  stream->address = std::move(bound);
  stream->owe_opened = true;
  owe(*stream);
}

void Streams::reset(StreamId id, ResetCode code) {
  StreamState* stream = find(id);
  if (stream == nullptr || stream->over()) return;
  stream->phase = Phase::kReset;
  stream->reset_code = code;
  drop_buffers(*stream);
  if (stream->owe_open) {  // the peer never heard of it
    forget(*stream);
    return;
  }
  stream->owe_reset = true;
  owe(*stream);
  settle(*stream);
}

std::size_t Streams::prepare(StreamId id, std::uint64_t max_bytes, std::array<MutableBytes, 4>& pieces) {
  StreamState* stream = find(id);
  if (stream == nullptr || stream->phase != Phase::kOpen) return 0;
  if (stream->send.room() == 0) {
    stream->wants_room = true;
    return 0;
  }
  if (send_buffered_ >= context_->options.send_memory_bytes) {
    stream->wants_room = true;
    send_memory_full_ = true;
    return 0;
  }
  return stream->send.prepare(max_bytes, pieces);
}

void Streams::commit(StreamId id, std::size_t count) {
  StreamState* stream = find(id);
  if (stream == nullptr || stream->phase != Phase::kOpen) return;
  stream->send.commit(count);
  send_buffered_ += count;
  counters_.written_bytes += count;
  schedule(*stream);
}

void Streams::finish(StreamId id) {
  StreamState* stream = find(id);
  if (stream == nullptr || stream->phase != Phase::kOpen || stream->send.finished()) return;
  stream->send.finish();
  schedule(*stream);
}

std::size_t Streams::peek(StreamId id, std::array<ByteView, 8>& pieces) {
  StreamState* stream = find(id);
  if (stream == nullptr || stream->phase != Phase::kOpen) return 0;
  const std::size_t count = stream->receive.peek(pieces);
  if (count == 0 && !stream->receive.at_end()) stream->wants_bytes = true;
  return count;
}

void Streams::consume(StreamId id, std::uint64_t count, TimePoint now) {
  StreamState* stream = find(id);
  if (stream == nullptr || stream->phase != Phase::kOpen) return;
  auto& receive = stream->receive;
  receive.consume(count);
  stream->moved_at = now;
  counters_.read_bytes += count;
  const LaneState* lane = stream->moving ? nullptr : context_->lanes.find(stream->lane);
  if (lane != nullptr && receive.wants_larger_window(now, lane->liveness.round_trip())) {
    const std::uint64_t larger = std::min(receive.window() * 2, kMaxWindow);
    if (larger > receive.window() && pool_.grow(receive.window(), larger)) receive.set_window(larger);
  }
  if (receive.credit_urgent()) {
    owe_credit(*stream);
  } else if (!stream->lazy_credit) {
    stream->lazy_credit = true;
    lazy_credits_.push_back(id);
    if (lazy_deadline_ == TimePoint::max()) lazy_deadline_ = now + kLazyCredit;
  }
}

bool Streams::at_end(StreamId id) const {
  const StreamState* stream = find(id);
  return stream != nullptr && stream->phase == Phase::kOpen && stream->receive.at_end();
}

void Streams::consume_end(StreamId id) {
  StreamState* stream = find(id);
  if (stream == nullptr || stream->phase != Phase::kOpen || stream->receive.ended()) return;
  stream->receive.consume_end();
  owe_credit(*stream);
  settle(*stream);
}

}  // namespace zks::session
