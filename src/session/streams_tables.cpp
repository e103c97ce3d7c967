// SPDX-License-Identifier: MIT
//
// Streams and lanes. A stream is bound to one lane; when that died, both ends exchange tables of its streams
// on another one (PROTOCOL.md, "Resume"; session_resume.cpp says when). What a table says was received is
// where its reader goes on; what was said on a dead lane and may be lost is said again.
#include "session/checks.hpp"
#include "session/streams.hpp"

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

// They stood in queues that are gone now.
void Streams::leave_lane(LaneNumber dead) {
  queues_.erase(dead);
  for (auto& [id, stream] : streams_) {
    if (stream->lane != dead) continue;
    stream->in_control = stream->in_credits = false;
    stream->turn = StreamState::Turn::kNone;
  }
}

void Streams::begin_again_on(LaneNumber lane) {
  for (auto& [id, stream] : streams_) {
    context_->lanes.bind(stream->lane, lane);
    // What was said behind an earlier HELLO, which was never answered, was lost with that lane.
    stream->owe_open = stream->ours && stream->phase == Phase::kOpening;
    queue_again(*stream);
  }
}

void Streams::adopt(LaneNumber lane) {
  for (auto& [id, stream] : streams_) {
    if (stream->lane != 0) continue;
    context_->lanes.bind(stream->lane, lane);
    queue_again(*stream);
  }
}

void Streams::move(StreamState& stream, LaneNumber to) {
  context_->lanes.bind(stream.lane, to);
  stream.moving = true;
  stream.in_peer_table = false;
  queues_[to].table.push_back(stream.id);
}

void Streams::move(const std::set<LaneNumber>& from, LaneNumber to) {
  for (auto& [id, stream] : streams_) {
    if (from.contains(stream->lane)) move(*stream, to);
  }
}

void Streams::move_all(LaneNumber to) {
  for (auto& [id, stream] : streams_) move(*stream, to);
}

void Streams::go_on(LaneNumber lane) {
  for (auto& [id, stream] : streams_) {
    if (stream->lane != lane || !std::exchange(stream->moving, false)) continue;
    queue_again(*stream);
  }
}

void Streams::drop_table(LaneNumber lane) {
  queues_[lane].table.clear();
}

bool Streams::owed_on(LaneNumber lane) const {
  for (const auto& [id, stream] : streams_) {
    if (stream->lane != lane) continue;
    if (stream->phase == Phase::kOpening && stream->ours) return true;
    if (stream->phase == Phase::kOpen && stream->send.owed()) return true;
  }
  return false;
}

bool Streams::fill_table(ByteWriter& out, LaneNumber lane) {
  auto& table = queues_[lane].table;
  while (out.room() >= kMaxTableHeader + kMaxTableEntry) {
    const std::size_t most = std::min((out.room() - kMaxTableHeader) / kMaxTableEntry, kMaxTableEntries);
    TableFrame frame;
    while (!table.empty() && frame.entries.size() < most) {
      const StreamState* stream = find(table.back());
      if (stream != nullptr) frame.entries.push_back(entry_of(*stream));
      table.pop_back();
    }
    frame.more = !table.empty();
    encode_frame(out, frame);  // fits: it was measured
    if (!frame.more) return true;
  }
  return false;
}

Result<> Streams::on(const TableFrame& frame, LaneNumber lane) {
  for (const TableEntry& entry : frame.entries) {
    if (auto taken = on_entry(entry, lane); !taken) return taken;
  }
  if (!frame.more) end_of_peer_table(lane);
  return {};
}

Result<> Streams::on_entry(const TableEntry& entry, LaneNumber lane) {
  using State = TableEntry::State;
  StreamState* stream = find(entry.stream);
  if (stream == nullptr) {
    // An exit that forgot the session may have opened it in the one before, if its WELCOME did not arrive.
    return !context_->client() ? Result<>() : check_known_parity(entry.stream);
  }
  if (!stream->moving || stream->lane != lane) return violation("TABLE names a stream of a live lane");
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

Result<> Streams::on_entry_of_open(const TableEntry& entry, StreamState& stream) {
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
void Streams::end_of_peer_table(LaneNumber lane) {
  std::vector<StreamState*> missing;
  for (auto& [id, stream] : streams_) {
    const bool told = !stream->moving || stream->lane != lane || stream->in_peer_table;
    if (!told) missing.push_back(stream.get());
  }
  for (StreamState* stream : missing) {
    if (stream->ours && stream->phase == Phase::kOpening) {
      stream->owe_open = true;
      continue;
    }
    if (!stream->over()) {
      context_->push(ResetEvent{.stream = stream->id, .code = ResetCode::kSessionLost});
    }
    forget(*stream);
  }
}

}  // namespace zks::session
