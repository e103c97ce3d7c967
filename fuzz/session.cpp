// SPDX-License-Identifier: MIT
//
// Arbitrary records into an exit's session whose application accepts, refuses, listens, reads and writes: no
// crash, and the memory stays within what was configured. The input is a list of steps:
//
//   action (1) || length (1) || that many bytes of frames
//
// A length of 0 cuts all lanes, and the session is resumed on the next one, where the next records are tables
// and what follows them; with kAckSent the next lane joins those that there are instead, and it is the one
// that records come on from then. The action's bits say what the application and the clock do after the
// record; see Action.
#include "session/session.hpp"

#include <cstdlib>
#include <set>

namespace {

using namespace zks;
using namespace zks::session;

enum Action : std::uint8_t {
  kRead = 0x01,     // the application reads all there is
  kWrite = 0x02,    // and writes as much as it may
  kFinish = 0x04,   // one stream is finished
  kReset = 0x08,    // one stream is reset
  kSend = 0x10,     // the lane takes records
  kAdvance = 0x20,  // time passes
  kAckSent = 0x40,  // the peer acknowledges all that was sent: so that the bound is not the end
  kLeave = 0x80,    // GOAWAY
};

constexpr std::uint64_t kMaxStreams = 8;
constexpr std::uint64_t kMaxFlows = 4;
constexpr std::uint64_t kMaxListeners = 3;
constexpr std::uint64_t kReceiveMemory = 1024 * 1024;
constexpr std::uint64_t kSendMemory = 256 * 1024;
// Blocks are whole: each direction of a stream may hold two that are only touched.
constexpr std::uint64_t kMemoryBound =
    kReceiveMemory + kSendMemory + 4 * kBlockBytes + kMaxStreams * 4 * kBlockBytes;

class Exit {
 public:
  Exit() : session_(options()) { attach(HelloMode::kNew); }

  // False when no number is left for it: the peer may declare the last one dead, and has none either then.
  bool next_lane(std::uint8_t action) {
    if (session_.newest_lane() >= kVarintMax) return false;
    const bool joins = (action & kAckSent) != 0 && session_.lanes() < kMaxLanes;
    attach(joins ? HelloMode::kJoin : HelloMode::kResume);
    return true;
  }

  // False when the session is over.
  bool step(std::uint8_t action, ByteView frames) {
    const bool broken = !session_.receive(lane_, frames, frames.size() + 17, now_);
    handle_events();
    if ((action & kWrite) != 0) write_all();
    if ((action & kRead) != 0) read_all();
    if (!streams_.empty() && (action & kFinish) != 0) session_.streams().finish(*streams_.begin());
    if (!streams_.empty() && (action & kReset) != 0) {
      session_.streams().reset(*streams_.rbegin(), ResetCode::kConnectionReset);
      streams_.erase(std::prev(streams_.end()));
    }
    if ((action & kLeave) != 0) session_.go_away(GoawayCode::kShutdown, "bye");
    bool alive = true;
    if ((action & kAdvance) != 0) {
      now_ += std::chrono::milliseconds(700);
      for (const LaneNumber lane : std::set(lanes_)) {
        if (!session_.tick(lane, now_, 0)) lose(lane);
      }
      alive = !lanes_.empty();
    }
    if ((action & kSend) != 0) send_all();
    if ((action & kAckSent) != 0) acknowledge();
    check();
    return alive && !broken;
  }

  void end() {
    session_.go_away(GoawayCode::kProtocolError, "the end");
    send_all();
    session_.end();
    handle_events();
    if (session_.streams().size() != 0 || session_.streams().buffered_to_send() != 0 ||
        session_.streams().memory_bytes() != 0)
      std::abort();
    if (session_.flows().size() != 0 || session_.requests().queued_bytes() != 0) std::abort();
  }

 private:
  void attach(HelloMode mode) {
    LaneOptions lane;
    lane_ = std::max(lane_, session_.newest_lane()) + 1;
    lane.number = lane_;
    lane.mode = mode;
    session_.attach_lane(lane, now_);
    if (mode != HelloMode::kJoin) lanes_.clear();
    lanes_.insert(lane_);
    Bytes hello(64);
    ByteWriter out(hello);
    HelloFrame frame;
    frame.lane = lane_;
    frame.mode = mode;
    frame.parameters.max_streams = 8;
    if (!encode_frame(out, frame)) std::abort();
    if (!session_.receive(lane_, ByteView(hello).first(out.written()), out.written(), now_)) std::abort();
  }

  void lose(LaneNumber lane) {
    session_.lose_lane(lane);
    lanes_.erase(lane);
    sent_bytes_.erase(lane);
  }

  static Options options() {
    Options options;
    options.role = Role::kExit;
    options.max_streams = kMaxStreams;
    options.max_listeners = kMaxListeners;
    options.max_flows = kMaxFlows;
    options.receive_memory_bytes = kReceiveMemory;
    options.send_memory_bytes = kSendMemory;
    return options;
  }

  void check() {
    if (session_.streams().memory_bytes() > kMemoryBound) std::abort();
    if (session_.streams().buffered_to_send() > kSendMemory + 4 * kBlockBytes) std::abort();
    if (session_.streams().size() > 3 * kMaxStreams || session_.listeners().size() > kMaxListeners ||
        session_.streams().open_count() > kMaxStreams)
      std::abort();
    if (session_.flows().size() > kMaxFlows + kMaxListeners) std::abort();
    if (session_.lanes() > 2 * kMaxLanes) std::abort();
    if (session_.requests().queued_bytes() > kMaxQueuedRequestBytes) std::abort();
    if (session_.streams().spare_credit() > kReceiveMemory - kMaxStreams * kMinWindow) std::abort();
  }

  void handle_events() {
    for (Event& event : session_.take_events()) std::visit([this](auto& e) { on(e); }, event);
  }
  template <class Other>
  void on(const Other&) {}
  void on(OpenEvent& event) {
    if (event.address.port % 2 == 0) {
      session_.streams().accept(event.stream, local_);
      streams_.insert(event.stream);
    } else if (event.address.port % 4 == 1) {
      session_.streams().reset(event.stream, ResetCode::kConnectionRefused);
    }
  }
  void on(OpenedEvent& event) { streams_.insert(event.stream); }
  void on(ResetEvent& event) { streams_.erase(event.stream); }
  // An echo server, and one that can't be reached.
  void on(DatagramEvent& event) {
    if (event.address.port % 2 == 0) event.address.kind = Destination::Kind::kIpv4;
    session_.flows().send(event.flow, event.address, event.bytes, now_);
    if (event.address.port % 4 == 1) session_.flows().send_error(event.flow, event.address, {3, 3}, now_);
    if (event.address.port % 16 == 3) session_.flows().close(event.flow);
  }
  // Some answers are longer than their queries.
  void on(ResolveEvent& event) {
    event.bytes.resize(event.bytes.size() * (event.request % 8), 'a');
    session_.requests().resolved(event.request, event.bytes, now_);
  }
  void on(EchoEvent& event) {
    session_.requests().echo_reply({event.request, event.address, {0, 0}, event.hop_limit, event.bytes},
                                   now_);
  }
  void on(LaneDownEvent& event) {
    lanes_.erase(event.lane);
    sent_bytes_.erase(event.lane);
  }

  // Two of three ports are free, and somebody connects, or writes, at once.
  void on(ListenEvent& event) {
    if (event.address.port % 3 == 2) return session_.unlisten(event.listener, ResetCode::kAddressInUse);
    session_.listening(event.listener, event.address);
    const std::array<std::uint8_t, 3> bytes{'u', 'd', 'p'};
    const bool sent = session_.flows().send(flow_of(event.listener), local_, bytes, now_);
    const bool opened = session_.open(event.listener, local_, now_).has_value();
    if (event.kind == ListenKind::kUdp ? opened : sent) std::abort();
  }

  void write_all() {
    for (const StreamId id : streams_) {
      std::array<MutableBytes, 4> pieces;
      for (std::size_t count = session_.streams().prepare(id, 40'000, pieces); count > 0;
           count = session_.streams().prepare(id, 40'000, pieces)) {
        std::size_t size = 0;
        for (std::size_t i = 0; i < count; ++i) {
          for (std::uint8_t& byte : pieces[i]) byte = 'x';
          size += pieces[i].size();
        }
        session_.streams().commit(id, size);
      }
    }
  }

  void read_all() {
    for (const StreamId id : streams_) {
      std::array<ByteView, 8> pieces;
      for (std::size_t count = session_.streams().peek(id, pieces); count > 0;
           count = session_.streams().peek(id, pieces)) {
        std::size_t size = 0;
        for (std::size_t i = 0; i < count; ++i) size += pieces[i].size();
        session_.streams().consume(id, size, now_);
      }
      if (session_.streams().at_end(id)) session_.streams().consume_end(id);
    }
  }

  // What goes out must decode.
  void send_all() {
    Bytes record(20'000);
    for (const LaneNumber lane : lanes_) {
      for (std::size_t size = session_.fill(lane, record, now_); size > 0;
           size = session_.fill(lane, record, now_)) {
        ByteReader in(ByteView(record).first(size));
        while (!in.empty()) {
          if (!decode_frame(in)) std::abort();
        }
        sent_bytes_[lane] += size + 17;
      }
    }
  }

  void acknowledge() {
    for (const auto& [lane, bytes] : sent_bytes_) {
      Bytes record(16);
      ByteWriter out(record);
      if (!encode_frame(out, LaneAckFrame{bytes})) std::abort();
      if (!session_.receive(lane, ByteView(record).first(out.written()), out.written(), now_)) std::abort();
    }
  }

  TimePoint now_ = TimePoint{} + std::chrono::hours(1);
  Session session_;
  Destination local_{Destination::Kind::kIpv4, "", {192, 0, 2, 1}, 5000};
  std::set<StreamId> streams_;  // accepted
  std::map<LaneNumber, std::uint64_t> sent_bytes_;
  std::set<LaneNumber> lanes_;  // alive
  LaneNumber lane_ = 0;         // that records come on
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Exit exit;
  ByteReader in({data, size});
  while (!in.empty()) {
    const auto action = in.u8();
    const auto length = in.u8();
    if (!action || !length) break;
    if (*length == 0 && !exit.next_lane(*action)) break;
    const auto frames = in.take(std::min<std::size_t>(*length, in.remaining()));
    if (!exit.step(*action, *frames)) break;
  }
  exit.end();
  return 0;
}
