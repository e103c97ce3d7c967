// SPDX-License-Identifier: MIT
//
// Composes the frames of the next record, as late as possible: called when the lane can take one. Order: what
// keeps the lane alive, credit, control frames, then stream data in deficit round robin. A stream that starts
// to send after it was empty goes first for one quantum, so that keystrokes and requests overtake bulk (the
// idea of FQ-CoDel, RFC 8290, section 4).
#include "session/session.hpp"

namespace zks::session {
namespace {

constexpr std::int64_t kQuantumBytes = 16 * 1024;
constexpr std::size_t kSmallestData = 64;  // a DATA frame with less room than this waits for the next record
constexpr std::size_t kMinRecordRoom = 512;
constexpr auto kRttSampleEvery = std::chrono::seconds(1);

using Turn = StreamState::Turn;

}  // namespace

std::size_t Session::fill(MutableBytes buffer, TimePoint now) {
  if (!lane_ || buffer.size() < kMinRecordRoom) return 0;
  const std::uint64_t limit = lane_->limit();
  const std::uint64_t used = lane_->unacknowledged() + lane_->options.record_overhead;
  const auto room_below = [&](std::uint64_t bound) {
    return static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), bound > used ? bound - used : 0));
  };

  ByteWriter urgent(buffer.first(room_below(limit + kUrgentBytes)));
  fill_urgent(urgent, now);
  if (!lane_->streams_held()) fill_credits(urgent, now);
  std::size_t written = urgent.written();

  const std::size_t room = room_below(limit);
  if (room > written) {
    ByteWriter out(buffer.first(room));
    out.advance(written);
    if (lane_->hello_sent && lane_->owe_table) fill_table(out);
    if (!lane_->streams_held()) {
      fill_control(out);
      fill_data(out);
    }
    written = out.written();
  }
  if (written > 0) lane_->sent_bytes += written + lane_->options.record_overhead;
  return written;
}

void Session::fill_urgent(ByteWriter& out, TimePoint now) {
  if (!lane_->hello_sent) {
    HelloFrame hello;
    hello.welcome = options_.role == Role::kExit;
    hello.session = options_.id;
    hello.lane = lane_->options.number;
    hello.mode = lane_->options.mode;
    hello.instance = hello.welcome ? options_.instance : exit_instance_;
    hello.parameters.max_streams = options_.max_streams;
    hello.parameters.orphan_seconds = options_.orphan_seconds;
    if (!encode_frame(out, hello)) return;
    lane_->hello_sent = true;
  }
  while (!lane_->pongs.empty() && encode_frame(out, PingFrame{true, lane_->pongs.front()})) {
    lane_->pongs.pop_front();
    lane_->owe_ack = lane_->received_bytes > lane_->acknowledged_to_peer;
  }
  if (lane_->ping && !lane_->ping->sent && encode_frame(out, PingFrame{false, lane_->ping->token})) {
    lane_->ping->sent = true;
    lane_->ping->sent_at = now;
  }
  if (lane_->owe_ack && encode_frame(out, LaneAckFrame{lane_->received_bytes})) {
    lane_->owe_ack = false;
    lane_->acknowledged_to_peer = lane_->received_bytes;
  }
  if (goaway_ && !goaway_sent_ && encode_frame(out, *goaway_)) goaway_sent_ = true;
}

void Session::fill_credits(ByteWriter& out, TimePoint now) {
  const std::size_t before = out.written();
  while (!lane_->credits.empty()) {
    StreamState* stream = find(lane_->credits.front());
    if (stream != nullptr && stream->receive.credit_due()) {
      const auto& receive = stream->receive;
      const std::uint64_t limit = std::max(receive.limit(), receive.consumed() + receive.window());
      if (!encode_frame(out, CreditFrame{stream->id, receive.consumed(), limit})) return;
      stream->receive.credit_sent();
    }
    if (stream != nullptr) stream->in_credits = false;
    lane_->credits.pop_front();
  }
  const bool sample_due = !lane_->ping && now - lane_->last_rtt_sample >= kRttSampleEvery;
  if (out.written() > before && sample_due) request_ping(now);  // goes out with the next record
}

void Session::fill_control(ByteWriter& out) {
  while (!lane_->control.empty()) {
    StreamState* stream = find(lane_->control.front());
    if (stream != nullptr) {
      if (!fill_control_of(out, *stream)) return;
      stream->in_control = false;
      lane_->control.pop_front();
      settle(*stream);
      continue;
    }
    lane_->control.pop_front();
  }
}

// False when a frame did not fit; what was written is no longer owed.
bool Session::fill_control_of(ByteWriter& out, StreamState& stream) {
  const std::uint64_t limit = stream.receive.limit();
  if (stream.owe_open && stream.phase == StreamState::Phase::kOpening) {
    if (!encode_frame(out, OpenFrame{stream.id, stream.address, limit})) return false;
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

void Session::fill_data(ByteWriter& out) {
  while (out.room() >= kSmallestData) {
    const bool fresh = !lane_->fresh.empty();
    auto& queue = fresh ? lane_->fresh : lane_->busy;
    if (queue.empty()) return;
    StreamState* stream = find(queue.front());
    if (stream == nullptr || stream->phase != StreamState::Phase::kOpen) {
      if (stream != nullptr) stream->turn = Turn::kNone;
      queue.pop_front();
      continue;
    }
    if (stream->deficit <= 0) stream->deficit += kQuantumBytes;
    if (!fill_data_of(out, *stream)) return;  // the record is full; this stream goes on in the next one
    queue.pop_front();
    // An empty stream leaves by way of the busy queue only, or one that is filled in small pieces would
    // always be fresh and starve the others.
    const bool empty = stream->send.sendable() == 0 && !stream->send.fin_due();
    const bool leaves = empty && stream->turn == Turn::kBusy;
    stream->turn = leaves ? Turn::kNone : Turn::kBusy;
    if (!leaves) lane_->busy.push_back(stream->id);
  }
}

// Sends of one stream until its deficit or its bytes are used up. False when the record was full before that.
bool Session::fill_data_of(ByteWriter& out, StreamState& stream) {
  while (stream.deficit > 0 && stream.send.sendable() > 0) {
    if (!write_data(out, stream)) return false;
  }
  if (stream.send.fin_due()) {
    if (!encode_frame(out, FinFrame{stream.id, stream.send.end()})) return false;
    stream.send.fin_sent();
  }
  return true;
}

bool Session::write_data(ByteWriter& out, StreamState& stream) {
  if (out.room() < kMaxDataHeader + 1) return false;
  const std::uint64_t size = std::min({stream.send.sendable(), static_cast<std::uint64_t>(stream.deficit),
                                       static_cast<std::uint64_t>(out.room() - kMaxDataHeader)});
  out.u8(static_cast<std::uint8_t>(FrameType::kData));
  out.varint(stream.id);
  out.varint(stream.send.next());
  out.varint(size);
  stream.send.take(out.free_space().first(static_cast<std::size_t>(size)));
  out.advance(static_cast<std::size_t>(size));
  stream.deficit -= static_cast<std::int64_t>(size);
  if (stream.send.low()) offer_room(stream);
  return true;
}

}  // namespace zks::session
