// SPDX-License-Identifier: MIT
//
// The table of streams, the queues in which they wait for their lane, and the session's end.
#include "session/session.hpp"

namespace zks::session {
Session::Session(Options of_session)
    : context_(std::make_unique<SessionContext>(std::move(of_session))),
      requests_(*context_),
      flows_(*context_),
      listeners_(*context_),
      next_id_(context_->client() ? 0 : 1),
      pool_(options().receive_memory_bytes, options().max_streams) {}

void Session::queue_again(StreamState& stream) {
  if (stream.owe_open || stream.owe_opened || stream.owe_reset || stream.owe_done) owe(stream);
  if (stream.receive.credit_due()) owe_credit(stream);
  schedule(stream);
}

StreamState* Session::find(StreamId id) {
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : at->second.get();
}

const StreamState* Session::find(StreamId id) const {
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : at->second.get();
}

StreamState& Session::make_stream(StreamId id, LaneNumber lane, TimePoint now) {
  auto stream = std::make_unique<StreamState>();
  ++counters_.opened;
  stream->id = id;
  context_->lanes.bind(stream->lane, lane);
  stream->receive.reserve(pool_.grant_first(), now);
  stream->moved_at = now;
  return *streams_.emplace(id, std::move(stream)).first->second;
}

void Session::owe(StreamState& stream) {
  LaneState* lane = lane_of(stream);
  if (stream.in_control || lane == nullptr) return;
  stream.in_control = true;
  lane->control.push_back(stream.id);
}

void Session::owe_credit(StreamState& stream) {
  LaneState* lane = lane_of(stream);
  if (stream.in_credits || lane == nullptr) return;
  stream.in_credits = true;
  lane->credits.push_back(stream.id);
}

void Session::schedule(StreamState& stream) {
  using Turn = StreamState::Turn;
  if (stream.turn != Turn::kNone || stream.phase != StreamState::Phase::kOpen) return;
  if (stream.send.sendable() == 0 && !stream.send.fin_due()) return;
  LaneState* lane = lane_of(stream);
  if (lane == nullptr) return;
  stream.turn = Turn::kFresh;
  stream.deficit = 0;
  lane->fresh.push_back(stream.id);
}

void Session::settle(StreamState& stream) {
  if (!stream.over()) return;
  give_back_window(stream);
  if (!stream.done_sent && !stream.owe_done) {
    stream.owe_done = true;
    owe(stream);
  }
  if (stream.done_sent && stream.done_received) erase(stream);
}

void Session::erase(StreamState& stream) {
  context_->lanes.bind(stream.lane, 0);
  streams_.erase(stream.id);
}

void Session::give_back_window(StreamState& stream) {
  if (stream.receive.window() != 0) pool_.release(stream.receive.give_back_window());
}

void Session::drop_buffers(StreamState& stream) {
  send_buffered_ -= stream.send.buffered();
  stream.send.drop();
  stream.receive.drop();
  note_sent_freed();
}

// Tells an application that waits for room that there is some, now or, when it is the send memory that lacks,
// as soon as that came free.
void Session::offer_room(StreamState& stream) {
  if (!stream.wants_room || stream.send.room() == 0) return;
  if (send_buffered_ >= options().send_memory_bytes) {
    send_memory_full_ = true;
    return;
  }
  stream.wants_room = false;
  push({.kind = Event::Kind::kRoom, .stream = stream.id});
}

void Session::note_sent_freed() {
  if (!send_memory_full_ || send_buffered_ >= options().send_memory_bytes) return;
  send_memory_full_ = false;
  for (auto& [id, stream] : streams_) offer_room(*stream);
}

void Session::go_away(GoawayCode code, std::string text) {
  if (goaway_) return;
  text.resize(std::min(text.size(), kMaxGoawayText));
  goaway_ = GoawayFrame{GoawayScope::kSession, code, std::move(text)};
  context_->leaving = true;
}

void Session::end() {
  context_->leaving = true;
  context_->lanes.clear();
  dead_.clear();
  reset_all();
  flows_.end_all();
  requests_.clear();
}

void Session::reset_all() {
  for (auto& [id, stream] : streams_) {
    if (stream->over()) continue;
    stream->phase = StreamState::Phase::kReset;
    stream->reset_code = ResetCode::kSessionLost;
    drop_buffers(*stream);
    push({.kind = Event::Kind::kReset, .stream = id, .code = ResetCode::kSessionLost});
  }
  for (auto& [id, stream] : streams_) context_->lanes.bind(stream->lane, 0);
  streams_.clear();
  pool_ = CreditPool(options().receive_memory_bytes, options().max_streams);
  lazy_credits_.clear();
  lazy_deadline_ = TimePoint::max();
  flows_.end_those_of_listeners();
  listeners_.clear();
}

// A listener of datagrams has a flow, which is there as long as it is.
void Session::listening(ListenerId id, Destination bound) {
  listeners_.listening(id, std::move(bound));
  if (listeners_.takes_datagrams(id)) flows_.begin_of(id);
}

void Session::unlisten(ListenerId id, ResetCode code) {
  flows_.end_of(id);
  listeners_.unlisten(id, code);
}

// Each end opens streams while its table has fewer than max-streams. Where only one of them does, what the
// other one has more than that are tombstones whose DONE is on its way on another lane; where both do, each
// may open as many before it hears of the other's.
std::uint64_t Session::most_streams() const {
  return (listeners_.max() > 0 ? 3 : 2) * options().max_streams;
}

std::optional<ExitCapabilities> Session::exit_capabilities() const {
  if (!context_->welcome) return std::nullopt;
  return context_->welcome->capabilities;
}

std::size_t Session::open_streams() const {
  std::size_t count = 0;
  for (const auto& [id, stream] : streams_) count += stream->over() ? 0 : 1;
  return count;
}

// Looked for at a limit only.
std::optional<StreamId> Session::longest_half_closed() const {
  const StreamState* found = nullptr;
  for (const auto& [id, stream] : streams_) {
    if (!stream->half_closed()) continue;
    if (found == nullptr || stream->moved_at < found->moved_at) found = stream.get();
  }
  return found == nullptr ? std::nullopt : std::optional(found->id);
}

std::optional<TimePoint> Session::half_closed_since(StreamId id) const {
  const StreamState* stream = find(id);
  if (stream == nullptr || !stream->half_closed()) return std::nullopt;
  return stream->moved_at;
}

std::optional<StreamId> Session::heaviest_stream() const {
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

std::size_t Session::memory_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [id, stream] : streams_)
    bytes += stream->send.memory_bytes() + stream->receive.memory_bytes();
  return bytes;
}

}  // namespace zks::session
