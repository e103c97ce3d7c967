// SPDX-License-Identifier: MIT
//
// Tables (PROTOCOL.md, "Resume"): both ends look at nothing more of the lanes that some streams were bound
// to, all of them after HELLO resume, those that a client declared dead after LANE_DOWN. Each end now tells
// its table of these streams, and neither sends frames of them before it has the other's. What a table says
// was received is where its reader goes on; what was said on a dead lane and may be lost is said again.
#include "session/checks.hpp"
#include "session/session.hpp"

namespace zks::session {
namespace {

using Phase = StreamState::Phase;

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

void Session::move(StreamState& stream, LaneState& lane) {
  context_->lanes.bind(stream.lane, lane.options.number);
  stream.moving = true;
  stream.in_peer_table = false;
  lane.table.push_back(stream.id);
}

void Session::begin_exchange(LaneState& lane) {
  lane.owe_table = lane.await_table = true;
}

void Session::finish_exchange(LaneState& lane) {
  if (lane.exchanging()) return;
  lane.resuming = false;
  lane.declared.clear();
  for (auto& [id, stream] : streams_) {
    if (stream->lane != lane.options.number || !std::exchange(stream->moving, false)) continue;
    queue_again(*stream);
  }
  agree_on_deaths();
}

void Session::fill_table(ByteWriter& out, LaneState& lane) {
  while (lane.owe_table && out.room() >= kMaxTableHeader + kMaxTableEntry) {
    const std::size_t most = std::min((out.room() - kMaxTableHeader) / kMaxTableEntry, kMaxTableEntries);
    TableFrame frame;
    while (!lane.table.empty() && frame.entries.size() < most) {
      const StreamState* stream = find(lane.table.back());
      if (stream != nullptr) frame.entries.push_back(entry_of(*stream));
      lane.table.pop_back();
    }
    frame.more = lane.owe_table = !lane.table.empty();
    encode_frame(out, frame);  // fits: it was measured
  }
  finish_exchange(lane);
}

// The exit may not know the session (any more): it was restarted, or gave it up. Then nothing of it is left,
// and the lane goes on with a new one.
Result<> Session::on_welcome(const HelloFrame& frame, LaneState& lane) {
  const HelloMode asked = lane.options.mode;
  const bool forgotten = asked == HelloMode::kResume && frame.mode == HelloMode::kNew;
  if (frame.mode != asked && !forgotten) return violation("WELCOME to what was not asked for");
  exit_instance_ = frame.instance;
  context_->options.orphan_seconds = frame.parameters.orphan_seconds;
  context_->welcome = frame.parameters;
  if (forgotten) {
    reset_all();
    lane.table.clear();  // its end is still told, so that the exit knows what it ignores
    lane.await_table = lane.resuming = false;
  }
  push({.kind = Event::Kind::kWelcome, .lane = lane.options.number, .mode = frame.mode});
  if (asked == HelloMode::kJoin) serve_waiting(lane);
  return {};
}

// A lane joined: it takes what was opened while there was none.
void Session::serve_waiting(LaneState& lane) {
  for (auto& [id, stream] : streams_) {
    if (stream->lane != 0) continue;
    context_->lanes.bind(stream->lane, lane.options.number);
    queue_again(*stream);
  }
  flows_.place();
  agree_on_deaths();  // and may be the one to tell of them
}

Result<> Session::on(const TableFrame& frame, LaneState& lane, TimePoint) {
  if (lane.ignore_tables) {
    lane.ignore_tables = frame.more;
    return {};
  }
  if (!lane.await_table) return violation("TABLE that was not asked for");
  for (const TableEntry& entry : frame.entries) {
    if (auto taken = on_entry(entry, lane); !taken) return taken;
  }
  if (frame.more) return {};
  lane.await_table = false;
  end_of_peer_table(lane);
  finish_exchange(lane);
  return {};
}

Result<> Session::on_entry(const TableEntry& entry, const LaneState& lane) {
  using State = TableEntry::State;
  StreamState* stream = find(entry.stream);
  if (stream == nullptr) {
    // An exit that forgot the session may have opened it in the one before, if its WELCOME did not arrive.
    return options().role == Role::kExit ? Result<>() : check_known_parity(entry.stream);
  }
  if (!stream->moving || stream->lane != lane.options.number)
    return violation("TABLE names a stream of a live lane");
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
void Session::end_of_peer_table(const LaneState& lane) {
  std::vector<StreamState*> missing;
  for (auto& [id, stream] : streams_) {
    const bool told = !stream->moving || stream->lane != lane.options.number || stream->in_peer_table;
    if (!told) missing.push_back(stream.get());
  }
  for (StreamState* stream : missing) {
    if (stream->ours && stream->phase == Phase::kOpening) {
      stream->owe_open = true;
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
  erase(stream);
}

}  // namespace zks::session
