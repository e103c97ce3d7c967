// SPDX-License-Identifier: MIT
//
// The session's lane: attachment, liveness (PROTOCOL.md, "Liveness"), the table of streams, and the end.
#include "session/session.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;

constexpr auto kOwedSilence = 10s;  // PING after this much silence while something is owed
constexpr auto kIdleSilence = 60s;  // and after this while there are streams
constexpr auto kPongDeadline = 5s;  // or longer while the kernel's queue drains
constexpr auto kCheckEvery = 1s;    // how often these are looked at

}  // namespace

Session::Session(Options options)
    : options_(std::move(options)),
      next_id_(options_.role == Role::kClient ? 0 : 1),
      pool_(options_.receive_memory_bytes, options_.max_streams) {}

void Session::attach_lane(LaneOptions options, TimePoint now) {
  lose_lane();
  lane_ = std::make_unique<LaneState>();
  lane_->options = options;
  lane_->checked_at = lane_->last_received = now;
  request_ping(now);     // the first round trip time
  goaway_sent_ = false;  // it may have been lost with the last lane
  if (options.mode == HelloMode::kResume) begin_resume();
  for (auto& [id, stream] : streams_) queue_again(*stream);
}

void Session::lose_lane() {
  if (!lane_) return;
  lane_.reset();
  for (auto& [id, stream] : streams_) {
    stream->in_control = stream->in_credits = false;
    stream->turn = StreamState::Turn::kNone;
  }
}

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

StreamState& Session::make_stream(StreamId id, bool ours, TimePoint now) {
  auto stream = std::make_unique<StreamState>();
  stream->id = id;
  stream->ours = ours;
  stream->receive.reserve(pool_.grant_first(), now);
  return *streams_.emplace(id, std::move(stream)).first->second;
}

void Session::owe(StreamState& stream) {
  if (stream.in_control || !lane_) return;
  stream.in_control = true;
  lane_->control.push_back(stream.id);
}

void Session::owe_credit(StreamState& stream) {
  if (stream.in_credits || !lane_) return;
  stream.in_credits = true;
  lane_->credits.push_back(stream.id);
}

void Session::schedule(StreamState& stream) {
  using Turn = StreamState::Turn;
  if (stream.turn != Turn::kNone || !lane_ || stream.phase != StreamState::Phase::kOpen) return;
  if (stream.send.sendable() == 0 && !stream.send.fin_due()) return;
  stream.turn = Turn::kFresh;
  stream.deficit = 0;
  lane_->fresh.push_back(stream.id);
}

void Session::settle(StreamState& stream) {
  if (!stream.over()) return;
  give_back_window(stream);
  if (!stream.done_sent && !stream.owe_done) {
    stream.owe_done = true;
    owe(stream);
  }
  if (stream.done_sent && stream.done_received) streams_.erase(stream.id);
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
  if (send_buffered_ >= options_.send_memory_bytes) {
    send_memory_full_ = true;
    return;
  }
  stream.wants_room = false;
  push({.kind = Event::Kind::kRoom, .stream = stream.id});
}

void Session::note_sent_freed() {
  if (!send_memory_full_ || send_buffered_ >= options_.send_memory_bytes) return;
  send_memory_full_ = false;
  for (auto& [id, stream] : streams_) offer_room(*stream);
}

bool Session::owed() const {
  for (const auto& [id, stream] : streams_) {
    if (stream->phase == StreamState::Phase::kOpening && stream->ours) return true;
    if (stream->phase == StreamState::Phase::kOpen && stream->send.owed()) return true;
  }
  return !lane_->hello_received || lane_->await_table;
}

void Session::request_ping(TimePoint now) {
  LaneState::Ping ping;
  ping.requested = now;
  ping.deadline = now + kPongDeadline;
  fill_random(ping.token);
  lane_->ping = ping;
}

bool Session::tick(TimePoint now, std::size_t undrained_bytes) {
  if (now >= lazy_deadline_) {
    for (const StreamId id : std::exchange(lazy_credits_, {})) {
      StreamState* stream = find(id);
      if (stream == nullptr || !stream->lazy_credit) continue;
      stream->lazy_credit = false;
      owe_credit(*stream);
    }
    lazy_deadline_ = TimePoint::max();
  }
  if (!lane_) return true;
  lane_->checked_at = now;
  if (lane_->ping) {
    auto& ping = *lane_->ping;
    if (lane_->last_received > ping.requested) {
      // Alive: bytes came since. Without an answer to measure, forget it once it is late.
      if (now >= ping.deadline) lane_->ping.reset();
    } else {
      // The PING may stand behind what the kernel holds. As long as that gets less, it has time.
      if (undrained_bytes < ping.undrained) ping.deadline = now + kPongDeadline;
      ping.undrained = undrained_bytes;
      if (now >= ping.deadline) return false;
    }
  } else if (!streams_.empty()) {
    const auto silence = now - lane_->last_received;
    if (silence >= kIdleSilence || (silence >= kOwedSilence && owed())) request_ping(now);
  }
  return true;
}

TimePoint Session::next_deadline() const {
  if (!lane_ || (streams_.empty() && !lane_->ping)) return lazy_deadline_;
  return std::min(lazy_deadline_, lane_->checked_at + kCheckEvery);
}

void Session::go_away(GoawayCode code, std::string text) {
  if (goaway_) return;
  text.resize(std::min(text.size(), kMaxGoawayText));
  goaway_ = GoawayFrame{GoawayScope::kSession, code, std::move(text)};
  leaving_ = true;
}

void Session::end() {
  leaving_ = true;
  lane_.reset();
  reset_all();
}

void Session::reset_all() {
  for (auto& [id, stream] : streams_) {
    if (stream->over()) continue;
    stream->phase = StreamState::Phase::kReset;
    stream->reset_code = ResetCode::kSessionLost;
    drop_buffers(*stream);
    push({.kind = Event::Kind::kReset, .stream = id, .code = ResetCode::kSessionLost});
  }
  streams_.clear();
  pool_ = CreditPool(options_.receive_memory_bytes, options_.max_streams);
  lazy_credits_.clear();
  lazy_deadline_ = TimePoint::max();
}

std::size_t Session::open_streams() const {
  std::size_t count = 0;
  for (const auto& [id, stream] : streams_) count += stream->over() ? 0 : 1;
  return count;
}

std::size_t Session::memory_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [id, stream] : streams_)
    bytes += stream->send.memory_bytes() + stream->receive.memory_bytes();
  return bytes;
}

}  // namespace zks::session
