// SPDX-License-Identifier: MIT
//
// Frames of streams for the record that is being composed (session_fill.cpp): credit, control, then data in
// deficit round robin. A stream that starts to send after it was empty goes first for one quantum, so that
// keystrokes and requests overtake bulk (the idea of FQ-CoDel, RFC 8290, section 4). The quantum grows with
// the path's rate (lane_window.hpp).
#include "session/streams.hpp"

namespace zks::session {
namespace {

// What is left of a quantum and less is added to the next one: it is not worth a frame of its own.
constexpr std::int64_t kLeftOver = 1024;
constexpr std::size_t kSmallestData = 64;  // a DATA frame with less room than this waits for the next record

using Turn = StreamState::Turn;

}  // namespace

bool Streams::wait_on(LaneNumber lane) const {
  const auto at = queues_.find(lane);
  return at != queues_.end() && !(at->second.fresh.empty() && at->second.busy.empty());
}

bool Streams::bulk_waits_on(LaneNumber lane) const {
  const auto at = queues_.find(lane);
  return at != queues_.end() && !at->second.busy.empty();
}

bool Streams::fill_credits(ByteWriter& out, LaneNumber lane) {
  auto& credits = queues_[lane].credits;
  const std::size_t before = out.written();
  while (!credits.empty()) {
    StreamState* stream = find(credits.front());
    if (stream != nullptr && stream->receive.credit_due()) {
      const auto& receive = stream->receive;
      const std::uint64_t limit = std::max(receive.limit(), receive.consumed() + receive.window());
      if (!encode_frame(out, CreditFrame{stream->id, receive.consumed(), limit})) break;
      stream->receive.credit_sent();
    }
    if (stream != nullptr) stream->in_credits = false;
    credits.pop_front();
  }
  return out.written() > before;
}

void Streams::fill_control(ByteWriter& out, LaneNumber lane) {
  auto& control = queues_[lane].control;
  while (!control.empty()) {
    StreamState* stream = find(control.front());
    if (stream != nullptr) {
      if (!fill_control_of(out, *stream)) return;
      stream->in_control = false;
      control.pop_front();
      settle(*stream);
      continue;
    }
    control.pop_front();
  }
}

// False when a frame did not fit; what was written is no longer owed.
bool Streams::fill_control_of(ByteWriter& out, StreamState& stream) {
  const std::uint64_t limit = stream.receive.limit();
  if (stream.owe_open && stream.phase == StreamState::Phase::kOpening) {
    if (!encode_frame(out, OpenFrame{stream.id, stream.address, limit, stream.listener})) return false;
  }
  stream.owe_open = false;
  if (stream.owe_opened && stream.phase == StreamState::Phase::kOpen) {
    if (!encode_frame(out, OpenedFrame{stream.id, limit, stream.address})) return false;
  }
  stream.owe_opened = false;
  if (stream.owe_reset && !encode_frame(out, ResetFrame{stream.id, stream.reset_code})) return false;
  stream.owe_reset = false;
  if (stream.owe_done) {
    // The peer believes DONE only after the CREDIT for its FIN.
    if (stream.phase != StreamState::Phase::kReset && stream.receive.credit_due()) {
      const CreditFrame credit{stream.id, stream.receive.consumed(), stream.receive.limit()};
      if (!encode_frame(out, credit)) return false;
      stream.receive.credit_sent();
    }
    if (!encode_frame(out, DoneFrame{stream.id})) return false;
    stream.owe_done = false;
    stream.done_sent = true;
  }
  return true;
}

void Streams::fill_data(ByteWriter& out, LaneNumber lane, BulkTurn& turn) {
  LaneQueue& queues = queues_[lane];
  while (out.room() >= kSmallestData) {
    const bool fresh = !queues.fresh.empty();
    auto& queue = fresh ? queues.fresh : queues.busy;
    if (queue.empty()) return;
    if (!fresh && turn.ahead + out.written() >= turn.window_bytes) return;
    if (!fresh && !turn.open) {
      turn.paced = true;
      return;
    }
    StreamState* stream = find(queue.front());
    if (stream == nullptr || stream->phase != StreamState::Phase::kOpen) {
      if (stream != nullptr) stream->turn = Turn::kNone;
      queue.pop_front();
      continue;
    }
    if (stream->deficit <= kLeftOver) stream->deficit += static_cast<std::int64_t>(turn.quantum);
    if (!fill_data_of(out, *stream)) return;  // the record is full; this stream goes on in the next one
    queue.pop_front();
    // An empty stream leaves by way of the busy queue only, or one that is filled in small pieces would
    // always be fresh and starve the others.
    const bool empty = stream->send.sendable() == 0 && !stream->send.fin_due();
    const bool leaves = empty && stream->turn == Turn::kBusy;
    stream->turn = leaves ? Turn::kNone : Turn::kBusy;
    if (!leaves) queues.busy.push_back(stream->id);
  }
}

// Sends of one stream until its deficit or its bytes are used up. False when the record was full before that.
bool Streams::fill_data_of(ByteWriter& out, StreamState& stream) {
  while (stream.deficit > kLeftOver && stream.send.sendable() > 0) {
    if (!write_data(out, stream)) return false;
  }
  if (stream.send.fin_due()) {
    if (!encode_frame(out, FinFrame{stream.id, stream.send.end()})) return false;
    stream.send.fin_sent();
  }
  return true;
}

bool Streams::write_data(ByteWriter& out, StreamState& stream) {
  if (out.room() < kMaxDataHeader + 1) return false;
  const std::uint64_t size = std::min({stream.send.sendable(), static_cast<std::uint64_t>(stream.deficit),
                                       static_cast<std::uint64_t>(out.room() - kMaxDataHeader)});
  stream.send.take(encode_data(out, stream.id, stream.send.next(), static_cast<std::size_t>(size)));
  stream.deficit -= static_cast<std::int64_t>(size);
  if (stream.send.low()) offer_room(stream);
  return true;
}

}  // namespace zks::session
