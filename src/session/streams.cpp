// SPDX-License-Identifier: MIT
#include "session/streams.hpp"

namespace zks::session {

Streams::Streams(SessionContext& context)
    : context_(&context),
      next_id_(context.client() ? 0 : 1),
      pool_(context.options.receive_memory_bytes, context.options.max_streams) {}

StreamState* Streams::find(StreamId id) {
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : at->second.get();
}

const StreamState* Streams::find(StreamId id) const {
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : at->second.get();
}

StreamState& Streams::make(StreamId id, LaneNumber lane, TimePoint now) {
  auto stream = std::make_unique<StreamState>();
  ++counters_.opened;
  stream->id = id;
  context_->lanes.bind(stream->lane, lane);
  stream->receive.reserve(pool_.grant_first(), now);
  stream->moved_at = now;
  return *streams_.emplace(id, std::move(stream)).first->second;
}

void Streams::owe(StreamState& stream) {
  LaneQueue* queue = queue_of(stream);
  if (stream.in_control || queue == nullptr) return;
  stream.in_control = true;
  queue->control.push_back(stream.id);
}

void Streams::owe_credit(StreamState& stream) {
  LaneQueue* queue = queue_of(stream);
  if (stream.in_credits || queue == nullptr) return;
  stream.in_credits = true;
  queue->credits.push_back(stream.id);
}

void Streams::schedule(StreamState& stream) {
  using Turn = StreamState::Turn;
  if (stream.turn != Turn::kNone || stream.phase != StreamState::Phase::kOpen) return;
  if (stream.send.sendable() == 0 && !stream.send.fin_due()) return;
  LaneQueue* queue = queue_of(stream);
  if (queue == nullptr) return;
  stream.turn = Turn::kFresh;
  stream.deficit = 0;
  queue->fresh.push_back(stream.id);
}

void Streams::settle(StreamState& stream) {
  if (!stream.over()) return;
  give_back_window(stream);
  if (!stream.done_sent && !stream.owe_done) {
    stream.owe_done = true;
    owe(stream);
  }
  if (stream.done_sent && stream.done_received) erase(stream);
}

void Streams::erase(StreamState& stream) {
  context_->lanes.bind(stream.lane, 0);
  streams_.erase(stream.id);
}

void Streams::give_back_window(StreamState& stream) {
  if (stream.receive.window() != 0) pool_.release(stream.receive.give_back_window());
}

void Streams::drop_buffers(StreamState& stream) {
  send_buffered_ -= stream.send.buffered();
  stream.send.drop();
  stream.receive.drop();
  note_sent_freed();
}

// Tells an application that waits for room that there is some, now or, when it is the send memory that lacks,
// as soon as that came free.
void Streams::offer_room(StreamState& stream) {
  if (!stream.wants_room || stream.send.room() == 0) return;
  if (send_buffered_ >= context_->options.send_memory_bytes) {
    send_memory_full_ = true;
    return;
  }
  stream.wants_room = false;
  context_->push(RoomEvent{.stream = stream.id});
}

void Streams::note_sent_freed() {
  if (!send_memory_full_ || send_buffered_ >= context_->options.send_memory_bytes) return;
  send_memory_full_ = false;
  for (auto& [id, stream] : streams_) offer_room(*stream);
}

void Streams::queue_again(StreamState& stream) {
  if (stream.owe_open || stream.owe_opened || stream.owe_reset || stream.owe_done) owe(stream);
  if (stream.receive.credit_due()) owe_credit(stream);
  schedule(stream);
}

void Streams::reset_all() {
  for (auto& [id, stream] : streams_) {
    if (stream->over()) continue;
    stream->phase = StreamState::Phase::kReset;
    stream->reset_code = ResetCode::kSessionLost;
    drop_buffers(*stream);
    context_->push(ResetEvent{.stream = id, .code = ResetCode::kSessionLost});
  }
  for (auto& [id, stream] : streams_) context_->lanes.bind(stream->lane, 0);
  streams_.clear();
  pool_ = CreditPool(context_->options.receive_memory_bytes, context_->options.max_streams);
  lazy_credits_.clear();
  lazy_deadline_ = TimePoint::max();
}

std::size_t Streams::open_count() const {
  std::size_t count = 0;
  for (const auto& [id, stream] : streams_) count += stream->over() ? 0 : 1;
  return count;
}

// Looked for at a limit only.
std::optional<StreamId> Streams::longest_half_closed() const {
  const StreamState* found = nullptr;
  for (const auto& [id, stream] : streams_) {
    if (!stream->half_closed()) continue;
    if (found == nullptr || stream->moved_at < found->moved_at) found = stream.get();
  }
  return found == nullptr ? std::nullopt : std::optional(found->id);
}

std::optional<TimePoint> Streams::half_closed_since(StreamId id) const {
  const StreamState* stream = find(id);
  if (stream == nullptr || !stream->half_closed()) return std::nullopt;
  return stream->moved_at;
}

std::optional<StreamId> Streams::heaviest() const {
  const StreamState* found = nullptr;
  std::size_t most = 0;
  for (const auto& [id, stream] : streams_) {
    const std::size_t bytes = stream->send.memory_bytes() + stream->receive.memory_bytes();
    if (stream->over() || bytes <= most) continue;
    most = bytes;
    found = stream.get();
  }
  return found == nullptr ? std::nullopt : std::optional(found->id);
}

std::size_t Streams::memory_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [id, stream] : streams_)
    bytes += stream->send.memory_bytes() + stream->receive.memory_bytes();
  return bytes;
}

void Streams::tick(TimePoint now) {
  if (now < lazy_deadline_) return;
  for (const StreamId id : std::exchange(lazy_credits_, {})) {
    StreamState* stream = find(id);
    if (stream == nullptr || !stream->lazy_credit) continue;
    stream->lazy_credit = false;
    owe_credit(*stream);
  }
  lazy_deadline_ = TimePoint::max();
}

// Only while its lane is alive; and no frame of a stream that moves goes out before the tables are told.
Streams::LaneQueue* Streams::queue_of(const StreamState& stream) {
  if (stream.moving || context_->lanes.find(stream.lane) == nullptr) return nullptr;
  return &queues_[stream.lane];
}

void Streams::forget(StreamState& stream) {
  drop_buffers(stream);
  give_back_window(stream);
  erase(stream);
}

}  // namespace zks::session
