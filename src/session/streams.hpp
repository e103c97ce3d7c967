// SPDX-License-Identifier: MIT
//
// The table of streams of a session (PROTOCOL.md, "Streams"): their credit, the memory of what they send, and
// on each lane the queues in which they wait for a record.
//
//   streams.cpp          the table, and which of them can be spared
//   streams_bytes.cpp    the application's side: opening, writing, reading and ending
//   streams_receive.cpp  frames from the peer
//   streams_fill.cpp     frames to the peer: credit, control, then data in fair turns
//   streams_tables.cpp   what of them moves to another lane, and how both ends agree on where each goes on
//
// Memory for a peer: receive_memory_bytes of stream data it may send us, send_memory_bytes of data that waits
// for it, 2 x max_streams table entries (3 x where the exit has max_listeners).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "session/context.hpp"
#include "session/credit_pool.hpp"
#include "session/stream_state.hpp"

namespace zks::session {

// Since the session began: streams that were opened, and their bytes, as applications wrote and read them.
struct StreamCounters {
  std::uint64_t opened = 0;
  std::uint64_t written_bytes = 0;
  std::uint64_t read_bytes = 0;
};

// What a lane lets through in one record of bulk: of streams that are not fresh.
struct BulkTurn {
  std::uint64_t ahead = 0;         // sent on the lane and not acknowledged, before this record
  std::uint64_t window_bytes = 0;  // that this may reach
  std::uint64_t quantum = 0;       // of one stream
  bool open = true;                // the pacer lets bulk through now
  bool paced = false;              // out: it would have gone, but for the pacer
};

class Streams {
 public:
  explicit Streams(SessionContext& context);

  // --- for the application; ids that are not known (any more) are ignored or answered with nothing
  // kLimit: table full; kClosed: session is leaving; kUsage: a name that OPEN can't carry.
  Result<StreamId> open(Destination destination, TimePoint now);
  void accept(StreamId id, Destination bound);
  void reset(StreamId id, ResetCode code);

  // Free space for up to `max_bytes`; 0 pieces: wait for kRoom.
  std::size_t prepare(StreamId id, std::uint64_t max_bytes, std::array<MutableBytes, 4>& pieces);
  void commit(StreamId id, std::size_t count);
  void finish(StreamId id);  // half-close: FIN after what was written
  // Bytes to read; 0 pieces and not at_end(): wait for kReadable.
  std::size_t peek(StreamId id, std::array<ByteView, 8>& pieces);
  void consume(StreamId id, std::uint64_t count, TimePoint now);
  bool at_end(StreamId id) const;
  void consume_end(StreamId id);

  std::size_t size() const { return streams_.size(); }  // tombstones included
  std::size_t open_count() const;                       // not counting those that are over
  // For open().
  std::uint64_t limit() const { return std::min(context_->options.max_streams, peer_max_); }
  // Who has to go when there is no place for another stream: one whose opener has half-closed it and that is
  // silent since; the one that is it longest. Both for streams that are not over.
  std::optional<StreamId> longest_half_closed() const;
  std::optional<TimePoint> half_closed_since(StreamId id) const;  // null: it is not half-closed
  std::uint64_t buffered_to_send() const { return send_buffered_; }
  std::optional<StreamId> heaviest() const;  // that holds any; not over
  std::size_t memory_bytes() const;          // of the buffers of all streams, whole blocks counted
  std::uint64_t spare_credit() const { return pool_.spare(); }
  const StreamCounters& counters() const { return counters_; }

  // --- for Session
  // Exit: somebody at `from` connected to `listener`, which is there.
  Result<StreamId> open_for(ListenerId listener, Destination from, TimePoint now);
  bool has(StreamId id) const { return streams_.contains(id); }
  void peer_allows(std::uint64_t max_streams) { peer_max_ = max_streams; }
  void reset_all();          // with kSessionLost, and forgets them
  void tick(TimePoint now);  // late credits
  TimePoint next_deadline() const { return lazy_deadline_; }
  bool owed_on(LaneNumber lane) const;  // something the peer must still answer
  bool wait_on(LaneNumber lane) const;  // with something to send
  bool bulk_waits_on(LaneNumber lane) const;

  // Lanes. What is bound to one that died waits until it is moved, or begun again, on another.
  void leave_lane(LaneNumber dead);
  void begin_again_on(LaneNumber lane);  // nothing of an earlier lane was answered
  void adopt(LaneNumber lane);           // those without a lane
  void move(const std::set<LaneNumber>& from, LaneNumber to);
  void move_all(LaneNumber to);
  void go_on(LaneNumber lane);       // the exchange is over: those that moved to it
  void drop_table(LaneNumber lane);  // the end of it is still told

  // False when not all of it was told yet.
  bool fill_table(ByteWriter& out, LaneNumber lane);
  bool fill_credits(ByteWriter& out, LaneNumber lane);  // whether there was one
  void fill_control(ByteWriter& out, LaneNumber lane);
  void fill_data(ByteWriter& out, LaneNumber lane, BulkTurn& turn);

  // `wanted`: the application is to hear of it; `most`: that the table may ever hold.
  Result<> on(const OpenFrame& frame, LaneNumber lane, bool wanted, std::uint64_t most, TimePoint now);
  Result<> on(const OpenedFrame& frame);
  Result<> on(const DataFrame& frame);
  Result<> on(const FinFrame& frame);
  Result<> on(const CreditFrame& frame, TimePoint now);
  Result<> on(const ResetFrame& frame);
  Result<> on(const DoneFrame& frame);
  // The peer's table of what moves to `lane`; its last frame says which streams the peer does not have.
  Result<> on(const TableFrame& frame, LaneNumber lane);

 private:
  // Of one lane: streams that owe frames (each at most once a queue), and streams with bytes to send: young
  // and small ones first (`fresh`), the others in turn (`busy`).
  struct LaneQueue {
    std::vector<StreamId> table;  // still to be told to the peer; the next one last
    std::deque<StreamId> credits;
    std::deque<StreamId> control;
    std::deque<StreamId> fresh;
    std::deque<StreamId> busy;
  };

  StreamState* find(StreamId id);
  const StreamState* find(StreamId id) const;
  StreamState& make(StreamId id, LaneNumber lane, TimePoint now);
  Result<StreamId> open_at(Destination address, ListenerId listener, TimePoint now);
  void erase(StreamState& stream);
  void forget(StreamState& stream);
  LaneQueue* queue_of(const StreamState& stream);  // where its frames go now; null: it waits
  void owe(StreamState& stream);                   // puts it on the control queue
  void owe_credit(StreamState& stream);            // puts it on the credit queue
  void schedule(StreamState& stream);              // it has bytes or a FIN to send
  void queue_again(StreamState& stream);           // on a new lane, whatever it has to say
  void settle(StreamState& stream);  // DONE when both directions are over; forgets it after both DONEs
  void drop_buffers(StreamState& stream);
  void give_back_window(StreamState& stream);
  void offer_room(StreamState& stream);
  void note_sent_freed();
  Result<> check_known_parity(StreamId id) const;
  bool make_place();

  bool fill_control_of(ByteWriter& out, StreamState& stream);
  bool fill_data_of(ByteWriter& out, StreamState& stream);
  bool write_data(ByteWriter& out, StreamState& stream);

  void move(StreamState& stream, LaneNumber to);
  Result<> on_entry(const TableEntry& entry, LaneNumber lane);
  Result<> on_entry_of_open(const TableEntry& entry, StreamState& stream);
  void end_of_peer_table(LaneNumber lane);

  SessionContext* context_;
  std::map<StreamId, std::unique_ptr<StreamState>> streams_;  // a tree, not a hash table: ids are the peer's
  StreamId next_id_;
  std::uint64_t peer_max_ = 2048;
  std::map<LaneNumber, LaneQueue> queues_;
  CreditPool pool_;
  std::uint64_t send_buffered_ = 0;
  bool send_memory_full_ = false;  // some stream waits for send memory
  std::vector<StreamId> lazy_credits_;
  TimePoint lazy_deadline_ = TimePoint::max();
  StreamCounters counters_;
};

}  // namespace zks::session
