// SPDX-License-Identifier: MIT
//
// Resume (PROTOCOL.md, "Resume"): HELLO with a higher lane number has made every lower lane dead at both
// ends. Each end now tells its table, and neither sends stream frames before it has the other's. What a table
// says was received is where its reader goes on; what was said on a dead lane and may be lost is said again.
#include "session/session.hpp"

namespace zks::session {
namespace {

using Phase = StreamState::Phase;

Error violation(const char* what) {
  return make_error(ErrorKind::kProtocol, what);
}

TableEntry entry_of(const StreamState& stream) {
  switch (stream.phase) {
    case Phase::kOpening:
      return {stream.id, TableEntry::State::kOpening, 0, stream.receive.limit()};
    case Phase::kOpen:
      return {stream.id, TableEntry::State::kOpen, stream.receive.received(), stream.receive.limit()};
    case Phase::kReset:
      break;
  }
  return {stream.id, TableEntry::State::kReset, 0, 0};
}

}  // namespace

void Session::begin_resume() {
  lane_->owe_table = lane_->await_table = true;
  for (auto& [id, stream] : streams_) {
    lane_->table.push_back(id);
    stream->in_peer_table = false;
  }
}

void Session::fill_table(ByteWriter& out) {
  while (lane_->owe_table && out.room() >= kMaxTableHeader + kMaxTableEntry) {
    const std::size_t most = std::min((out.room() - kMaxTableHeader) / kMaxTableEntry, kMaxTableEntries);
    TableFrame frame;
    while (!lane_->table.empty() && frame.entries.size() < most) {
      const StreamState* stream = find(lane_->table.back());
      if (stream != nullptr) frame.entries.push_back(entry_of(*stream));
      lane_->table.pop_back();
    }
    frame.more = lane_->owe_table = !lane_->table.empty();
    encode_frame(out, frame);  // fits: it was measured
  }
}

// The exit may not know the session (any more): it was restarted, or gave it up. Then nothing of it is left,
// and the lane goes on with a new one.
Result<> Session::on_welcome(const HelloFrame& frame) {
  const bool asked = lane_->options.mode == HelloMode::kResume;
  const bool resumed = frame.mode == HelloMode::kResume;
  if (frame.mode == HelloMode::kJoin || (resumed && !asked)) {
    return violation("WELCOME to what was not asked for");
  }
  exit_instance_ = frame.instance;
  options_.orphan_seconds = frame.parameters.orphan_seconds;
  if (asked && !resumed) {
    reset_all();
    lane_->table.clear();
    lane_->owe_table = lane_->await_table = false;
  }
  push({.kind = Event::Kind::kWelcome, .resumed = resumed});
  return {};
}

Result<> Session::on(const TableFrame& frame, TimePoint) {
  if (lane_->ignore_tables) return {};
  if (!lane_->await_table) return violation("TABLE that was not asked for");
  for (const TableEntry& entry : frame.entries) {
    if (auto taken = on_entry(entry); !taken) return taken;
  }
  if (frame.more) return {};
  lane_->await_table = false;
  end_of_peer_table();
  return {};
}

Result<> Session::on_entry(const TableEntry& entry) {
  using State = TableEntry::State;
  StreamState* stream = find(entry.stream);
  if (stream == nullptr) return check_known_parity(entry.stream);
  if (std::exchange(stream->in_peer_table, true)) return violation("TABLE names a stream twice");
  if (stream->done_sent) {  // it did not arrive, or the entry would not be there or be over too
    stream->done_sent = false;
    stream->owe_done = true;
  }
  if (stream->phase == Phase::kReset) {
    if (entry.state != State::kReset) stream->owe_reset = true;
  } else if (stream->phase == Phase::kOpening) {
    const bool fits = stream->ours ? !stream->owe_open : entry.state != State::kOpen;
    if (!fits) return violation("TABLE is ahead of a stream");
  } else if (entry.state != State::kReset) {  // a RESET comes again
    if (auto taken = on_entry_of_open(entry, *stream); !taken) return taken;
  }
  queue_again(*stream);
  return {};
}

Result<> Session::on_entry_of_open(const TableEntry& entry, StreamState& stream) {
  if (auto rewound = stream.send.rewind(entry.received); !rewound) return rewound;
  if (auto credited = stream.send.credit(0, entry.limit); !credited) return credited;
  if (entry.state == TableEntry::State::kOpen) {
    stream.receive.repeat_credit();
    return {};
  }
  if (stream.ours) return violation("TABLE is behind a stream that was opened");
  stream.owe_opened = true;  // and it goes before everything else of this stream
  return {};
}

// Streams that the peer does not have: it never heard of them, or has forgotten them.
void Session::end_of_peer_table() {
  std::vector<StreamState*> missing;
  for (auto& [id, stream] : streams_) {
    if (!stream->in_peer_table) missing.push_back(stream.get());
  }
  for (StreamState* stream : missing) {
    if (stream->ours && stream->phase == Phase::kOpening) {
      stream->owe_open = true;
      owe(*stream);
      continue;
    }
    if (!stream->over()) {
      push({.kind = Event::Kind::kReset, .stream = stream->id, .code = ResetCode::kSessionLost});
    }
    forget(*stream);
  }
}

void Session::forget(StreamState& stream) {
  drop_buffers(stream);
  give_back_window(stream);
  streams_.erase(stream.id);
}

}  // namespace zks::session
