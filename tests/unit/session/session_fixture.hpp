// SPDX-License-Identifier: MIT
//
// Sessions under test with a clock that only the test moves: SessionPair joins a client's and an exit's by
// hand-carried records, Peer plays the other side of one session frame by frame.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "frame_fixture.hpp"
#include "session/session.hpp"

namespace zks::session::test {

using namespace std::chrono_literals;

inline constexpr std::size_t kOverhead = 17;
inline constexpr std::size_t kRecordRoom = 64 * 1024 - 16 - kOverhead;  // as tunnel/lane.cpp asks for
inline constexpr TimePoint kStart = TimePoint{} + std::chrono::hours(1);

inline Options options_of(Role role) {
  Options options;
  options.role = role;
  options.id.fill(7);
  if (role == Role::kExit) options.instance.fill(9);
  return options;
}

// The byte of a test stream at `offset`.
inline std::uint8_t byte_at(std::uint64_t offset) {
  return static_cast<std::uint8_t>(offset % 251);
}

// The frames of one record; views in them point into `bytes`.
struct Record {
  Bytes bytes;
  std::vector<Frame> frames;

  std::size_t size() const { return bytes.size() + kOverhead; }
  bool empty() const { return bytes.empty(); }
  template <class F>
  std::vector<F> all() const {
    std::vector<F> out;
    for (const Frame& frame : frames) {
      if (const F* f = std::get_if<F>(&frame)) out.push_back(*f);
    }
    return out;
  }
  template <class F>
  bool has() const {
    return !all<F>().empty();
  }
};

inline Record next_record(Session& from, TimePoint now, std::size_t room = kRecordRoom) {
  Record record;
  record.bytes.resize(room);
  record.bytes.resize(from.fill(from.newest_lane(), record.bytes, now));
  ByteReader in(record.bytes);
  while (!in.empty()) {
    auto frame = decode_frame(in);
    if (!frame) {
      ADD_FAILURE() << "a session wrote a malformed frame";
      break;
    }
    record.frames.push_back(std::move(*frame));
  }
  return record;
}

// Writes at most `count` bytes of the test pattern that starts at `offset`; returns how many were taken.
inline std::size_t write(Session& session, StreamId id, std::size_t count, std::uint64_t offset) {
  std::size_t written = 0;
  while (written < count) {
    std::array<MutableBytes, 4> pieces;
    const std::size_t pieces_count = session.streams().prepare(id, count - written, pieces);
    if (pieces_count == 0) break;
    std::size_t now_written = 0;
    for (std::size_t i = 0; i < pieces_count; ++i) {
      for (std::uint8_t& byte : pieces[i]) byte = byte_at(offset + written + now_written++);
    }
    session.streams().commit(id, now_written);
    written += now_written;
  }
  return written;
}

// Reads at most `count` bytes, which must be the pattern from `offset` on; returns how many.
inline std::size_t read(Session& session, StreamId id, std::size_t count, std::uint64_t offset,
                        TimePoint now) {
  std::size_t done = 0;
  while (done < count) {
    std::array<ByteView, 8> pieces;
    if (session.streams().peek(id, pieces) == 0) break;
    const std::size_t size = std::min(pieces[0].size(), count - done);
    for (std::size_t i = 0; i < size; ++i) {
      if (pieces[0][i] != byte_at(offset + done + i)) {
        ADD_FAILURE() << "wrong byte at " << offset + done + i;
        return done;
      }
    }
    session.streams().consume(id, size, now);
    done += size;
  }
  return done;
}

class SessionPair {
 public:
  // pass() takes half of `round_trip`.
  explicit SessionPair(Options client_options = options_of(Role::kClient),
                       Options exit_options = options_of(Role::kExit), LaneOptions lane = {},
                       std::chrono::milliseconds round_trip = {})
      : client(std::move(client_options)), exit(std::move(exit_options)), round_trip_(round_trip) {
    client.attach_lane(lane, now);
    exit.attach_lane(lane, now);
    pump();
    take_events();
  }

  // One record from one side to the other; the record, empty when there was none.
  Record pass(Session& from) {
    Record record = next_record(from, now);
    if (record.empty()) return record;
    now += round_trip_ / 2;
    deliver(from, record);
    return record;
  }
  void deliver(Session& from, const Record& record) {
    Session& to = &from == &client ? exit : client;
    const auto taken = to.receive(to.newest_lane(), record.bytes, record.size(), now);
    if (!taken) ADD_FAILURE() << taken.error().text;
    keep_events();
  }
  // Records both ways until neither side has any.
  void pump() {
    constexpr int kMany = 100'000;
    for (int i = 0; i < kMany; ++i) {
      const bool from_client = !pass(client).empty();
      const bool from_exit = !pass(exit).empty();
      if (!from_client && !from_exit) return;
    }
    ADD_FAILURE() << "the sessions never fall silent";
  }
  // Lets `time` pass in steps of 50 ms with both timers running and records moving.
  void run_for(std::chrono::milliseconds time) {
    for (const TimePoint end = now + time; now < end;) {
      now += 50ms;
      EXPECT_TRUE(client.tick(client.newest_lane(), now, 0));
      EXPECT_TRUE(exit.tick(exit.newest_lane(), now, 0));
      pump();
    }
  }

  void keep_events() {
    for (auto& event : client.take_events()) client_events.push_back(std::move(event));
    for (auto& event : exit.take_events()) exit_events.push_back(std::move(event));
  }
  void take_events() {
    keep_events();
    client_events.clear();
    exit_events.clear();
  }

  // A stream that both sides have open.
  StreamId connect() {
    const auto id = client.streams().open(to_name("example.org", 443), now);
    if (!id) {
      ADD_FAILURE() << id.error().text;
      return 0;
    }
    pump();
    exit.streams().accept(*id, to_ipv4({192, 0, 2, 1}, 5000));
    pump();
    take_events();
    return *id;
  }
  // Both directions end in an orderly way.
  void finish(StreamId id) {
    client.streams().finish(id);
    exit.streams().finish(id);
    pump();
    client.streams().consume_end(id);
    exit.streams().consume_end(id);
    pump();
  }

  TimePoint now = kStart;
  Session client;
  Session exit;
  std::vector<Event> client_events;
  std::vector<Event> exit_events;

 private:
  std::chrono::milliseconds round_trip_;
};

template <class E>
std::size_t count_of(const std::vector<Event>& events) {
  return static_cast<std::size_t>(std::count_if(
      events.begin(), events.end(), [](const Event& event) { return std::holds_alternative<E>(event); }));
}

template <class E>
const E* find_event(const std::vector<Event>& events) {
  for (const Event& event : events) {
    if (const auto* found = std::get_if<E>(&event)) return found;
  }
  return nullptr;
}

// The other side of one session, which may say anything.
class Peer {
 public:
  explicit Peer(Role role, Options options, LaneOptions lane = {})
      : role_(role), session(std::move(options)) {
    session.attach_lane(lane, now);
  }
  // Plays `role` to a session of the other role; HELLO and WELCOME are exchanged.
  explicit Peer(Role role) : Peer(role, options_of(role == Role::kClient ? Role::kExit : Role::kClient)) {
    greet();
  }

  static HelloFrame hello() {
    HelloFrame frame;
    frame.session.fill(7);
    frame.lane = 1;
    frame.parameters.max_streams = 2048;
    return frame;
  }
  static WelcomeFrame welcome() { return {hello()}; }
  void greet() {
    if (role_ == Role::kClient) {
      EXPECT_TRUE(send({hello()}));
    } else {
      EXPECT_TRUE(send({welcome()}));
    }
    answer_pings();
    session.take_events();
  }
  // Takes all records and answers the PINGs in them.
  void answer_pings() {
    for (const Record& record : take_all()) {
      for (const auto& ping : record.all<PingFrame>()) {
        EXPECT_TRUE(send({PongFrame{ping.token}}));
      }
    }
  }

  Result<> send(const std::vector<Frame>& frames) {
    Bytes record(256 * 1024);
    ByteWriter out(record);
    for (const Frame& frame : frames) EXPECT_TRUE(encode_frame(out, frame));
    const ByteView bytes = ByteView(record).first(out.written());
    return session.receive(session.newest_lane(), bytes, bytes.size() + kOverhead, now);
  }
  bool breaks_protocol(const std::vector<Frame>& frames) {
    const auto taken = send(frames);
    return !taken && taken.error().kind == ErrorKind::kProtocol;
  }
  Record take() { return next_record(session, now); }
  // All records that the session has.
  std::vector<Record> take_all() {
    std::vector<Record> out;
    for (Record record = take(); !record.empty(); record = take()) out.push_back(std::move(record));
    return out;
  }

  // A stream that the session sees as open, with `limit` bytes of credit for it.
  StreamId open(std::uint64_t limit) {
    const Destination there = to_ipv4({192, 0, 2, 1}, 80);
    StreamId id = 0;
    if (role_ == Role::kClient) {
      id = next_id_;
      next_id_ += 2;
      EXPECT_TRUE(send({OpenFrame{id, there, limit}}));
      session.streams().accept(id, there);
    } else {
      id = session.streams().open(there, now).value();
      take_all();
      EXPECT_TRUE(send({OpenedFrame{id, limit, there}}));
    }
    take_all();
    session.take_events();
    return id;
  }

  TimePoint now = kStart;

 private:
  Role role_;
  StreamId next_id_ = 0;

 public:
  Session session;
};

}  // namespace zks::session::test
