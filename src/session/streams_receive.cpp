// SPDX-License-Identifier: MIT
//
// Frames of streams from the peer. They are authentic, which makes them attributable, not true: every field
// is checked against what this side knows. A kProtocol result ends the session.
#include "session/checks.hpp"
#include "session/streams.hpp"

namespace zks::session {
namespace {

using Phase = StreamState::Phase;

}  // namespace

Result<> Streams::on(const OpenFrame& frame, LaneNumber lane, bool wanted, std::uint64_t most,
                     TimePoint now) {
  const bool from_client = !context_->client();
  if ((frame.stream % 2 == 0) != from_client) return violation("OPEN with an id of the other side");
  if (StreamState* known = find(frame.stream)) {
    if (known->phase == Phase::kOpen) known->owe_opened = true;
    if (known->phase == Phase::kReset) known->owe_reset = true;
    owe(*known);
    return {};
  }
  if (streams_.size() >= most) return violation("more streams than max-streams allows");
  // A stream that the client has forgotten may still be here: its DONE came on another lane, later.
  const bool full =
      streams_.size() >= context_->options.max_streams && open_count() >= context_->options.max_streams;
  const bool refuse = context_->leaving || (full && !make_place());
  StreamState& stream = make(frame.stream, lane, now);
  if (auto credited = stream.send.credit(0, frame.limit); !credited) return credited;
  if (refuse) {
    reset(stream.id, context_->leaving ? ResetCode::kSessionLost : ResetCode::kLimit);
    return {};
  }
  if (!wanted) {
    reset(stream.id, ResetCode::kConnectionRefused);
    return {};
  }
  context_->push(OpenEvent{.stream = frame.stream, .address = frame.destination, .listener = frame.listener});
  return {};
}

// Ends the stream that can be spared most. False when there is none.
bool Streams::make_place() {
  const auto spared = longest_half_closed();
  if (!spared) return false;
  reset(*spared, ResetCode::kLimit);
  context_->push(ResetEvent{.stream = *spared, .code = ResetCode::kLimit});
  return true;
}

// A frame for a stream that we would have opened, but never did, is a lie; for one that was forgotten it is
// late.
Result<> Streams::check_known_parity(StreamId id) const {
  const bool ours = (id % 2 == 0) == context_->client();
  if (ours && id >= next_id_) return violation("frame for a stream that was never opened");
  return {};
}

Result<> Streams::on(const OpenedFrame& frame) {
  StreamState* stream = find(frame.stream);
  if (stream == nullptr) return check_known_parity(frame.stream);
  if (!stream->ours) return violation("OPENED for a stream of the other side");
  if (stream->phase != Phase::kOpening) return {};
  if (frame.bound.kind == Destination::Kind::kName) return violation("OPENED bound to a name");
  if (auto credited = stream->send.credit(0, frame.limit); !credited) return credited;
  stream->phase = Phase::kOpen;
  context_->push(OpenedEvent{.stream = frame.stream, .address = frame.bound});
  return {};
}

Result<> Streams::on(const DataFrame& frame) {
  StreamState* stream = find(frame.stream);
  if (stream == nullptr) return check_known_parity(frame.stream);
  if (stream->phase == Phase::kReset) return {};
  if (stream->phase == Phase::kOpening) return violation("DATA before OPENED");
  const std::uint64_t before = stream->receive.readable();
  if (auto taken = stream->receive.data(frame.offset, frame.bytes); !taken) return taken;
  if (stream->wants_bytes && stream->receive.readable() > before) {
    stream->wants_bytes = false;
    context_->push(ReadableEvent{.stream = frame.stream});
  }
  return {};
}

Result<> Streams::on(const FinFrame& frame) {
  StreamState* stream = find(frame.stream);
  if (stream == nullptr) return check_known_parity(frame.stream);
  if (stream->phase == Phase::kReset) return {};
  if (stream->phase == Phase::kOpening) return violation("FIN before OPENED");
  if (auto taken = stream->receive.fin(frame.final_offset); !taken) return taken;
  if (stream->wants_bytes) {
    stream->wants_bytes = false;
    context_->push(ReadableEvent{.stream = frame.stream});
  }
  return {};
}

Result<> Streams::on(const CreditFrame& frame, TimePoint now) {
  StreamState* stream = find(frame.stream);
  if (stream == nullptr) return check_known_parity(frame.stream);
  if (stream->phase == Phase::kReset) return {};
  if (stream->phase == Phase::kOpening) return violation("CREDIT before OPENED");
  const std::uint64_t before = stream->send.buffered();
  if (auto taken = stream->send.credit(frame.consumed, frame.limit); !taken) return taken;
  send_buffered_ -= before - stream->send.buffered();
  if (stream->send.buffered() < before) stream->moved_at = now;
  note_sent_freed();
  offer_room(*stream);
  schedule(*stream);
  settle(*stream);
  return {};
}

Result<> Streams::on(const ResetFrame& frame) {
  StreamState* stream = find(frame.stream);
  if (stream == nullptr) return check_known_parity(frame.stream);
  if (stream->over()) return {};
  stream->phase = Phase::kReset;
  stream->reset_code = frame.code;
  drop_buffers(*stream);
  context_->push(ResetEvent{.stream = frame.stream, .code = frame.code});
  settle(*stream);
  return {};
}

Result<> Streams::on(const DoneFrame& frame) {
  StreamState* stream = find(frame.stream);
  if (stream == nullptr) return check_known_parity(frame.stream);
  if (!stream->over()) return violation("DONE for a stream that is not over");
  stream->done_received = true;
  settle(*stream);
  return {};
}

}  // namespace zks::session
