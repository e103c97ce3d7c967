// SPDX-License-Identifier: MIT
//
// Two sessions joined by queues, driven by a seeded schedule of everything an application and a lane can do,
// under an injected clock: lanes are cut at one end or both, at any record, also in the middle of a resume;
// more of them join, and streams move from dead ones to others; what was on its way is lost or comes late;
// the exit forgets the session, as one that was restarted does;
// the client asks for listeners, and the exit opens streams or sends datagrams on them; both give them up and
// try again. Every byte is checked against a reference; at the end both tables must be empty and all memory
// given back. Flows of datagrams go on beside the streams: whatever arrives was sent on that flow, and comes
// once; at the end each flow that is left carries datagrams both ways. Requests are answered once or not at
// all, and in the end they are. A failing seed prints itself: ZKS_FLOW_SEED=N runs it alone; ZKS_FLOW_SEEDS=N
// sets how many.
#include <cstdlib>
#include <deque>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "../unit/support/seeds.hpp"
#include "session/session.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kOverhead = 17;
constexpr std::uint64_t kReceiveMemory = 8 * 1024 * 1024;
constexpr std::uint64_t kMaxStreams = 24;
constexpr std::uint64_t kMaxFlows = 6;
constexpr std::size_t kSteps = 1'500;
constexpr std::uint64_t kMaxListeners = 3;
constexpr int kShards = 8;  // so that they run side by side

// The byte at `offset` of one direction of a stream.
std::uint8_t reference_byte(StreamId stream, bool from_client, std::uint64_t offset) {
  std::uint64_t x = offset + stream * 0x9e3779b97f4a7c15ULL + (from_client ? 0x5555 : 0xaaaa);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  return static_cast<std::uint8_t>(x >> 40);
}

// What one side's application knows of one stream.
struct Endpoint {
  std::uint64_t written = 0;
  std::uint64_t read = 0;
  bool finished = false;
  bool ended = false;  // read to the peer's FIN
  bool opened = false;
  std::optional<ResetCode> reset;
};

struct Side {
  Session session;
  bool client;
  std::set<LaneNumber> lanes;  // alive for this side
  LaneNumber newest = 0;       // that it attached
  // Records on their way to this side, by lane.
  std::map<LaneNumber, std::deque<Bytes>> inbox;
  std::map<StreamId, Endpoint> streams;
  std::set<FlowId> flows;
  // Datagrams of this side that have not arrived: their number stands in their first bytes.
  std::map<std::uint64_t, std::pair<FlowId, Bytes>> datagrams;
  std::set<ListenerId> listeners;  // client: asked for or there; exit: there

  bool over(const Endpoint& e) const { return e.reset || (e.finished && e.ended); }
};

Options options_for(Role role) {
  Options options;
  options.role = role;
  options.max_streams = kMaxStreams;
  options.max_flows = kMaxFlows;
  if (role == Role::kExit) options.max_listeners = kMaxListeners;
  if (role == Role::kExit) options.capabilities = {true, true, true, true, true};
  options.receive_memory_bytes = kReceiveMemory;
  options.send_memory_bytes = kReceiveMemory;
  return options;
}

class World {
 public:
  explicit World(std::uint64_t seed)
      : random_(seed),
        window_(1024 * 1024 << (seed % 5)),
        cuts_(seed % 4 != 0),
        max_lanes_(seed % 3 == 0 ? 1 : 2 + seed % 3),
        client_{Session(options_for(Role::kClient)), true, {}, 0, {}, {}, {}, {}, {}},
        exit_{Session(options_for(Role::kExit)), false, {}, 0, {}, {}, {}, {}, {}} {
    attach(client_, 1, HelloMode::kNew);
  }

  void run() {
    for (std::size_t i = 0; i < kSteps && !::testing::Test::HasFatalFailure(); ++i) step();
    drain();
  }

 private:
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  Side& any_side() { return pick(2) == 0 ? client_ : exit_; }
  Side& other(Side& side) { return side.client ? exit_ : client_; }

  void step() {
    Side& side = any_side();
    if (cuts_ && pick(60) == 0) fault(side);
    if (client_.lanes.empty() && pick(4) == 0) attach(client_, client_.newest + 1, resume_mode());
    if (serving() && client_.lanes.size() < max_lanes_ && pick(30) == 0) {
      attach(client_, client_.newest + 1, HelloMode::kJoin);
    }
    if (pick(10) == 0) lose_refused();
    if (pick(20) == 0) (void)ask();
    switch (pick(14)) {
      case 12:
        if (pick(6) == 0) change_flows(side);
        break;
      case 13:
        if (!side.flows.empty()) send_datagram(side, any_flow(side), pick(20) == 0 ? 65'000 : 2'000);
        break;
      case 0:
        if (client_.streams.size() < 200) pick(3) == 0 ? open_at_exit() : open();
        if (pick(12) == 0) change_listeners(side);
        break;
      case 1:
      case 2:
      case 3:
        if (auto* stream = any_stream(side)) write(side, stream->first);
        break;
      case 4:
        if (auto* stream = any_stream(side); stream && pick(8) == 0) finish(side, stream->first);
        break;
      case 5:
        if (auto* stream = any_stream(side); stream && pick(40) == 0) reset(side, stream->first);
        break;
      case 6:
      case 7:
        if (auto* stream = any_stream(side)) read(side, stream->first, 1 + pick(200'000));
        break;
      case 8:
      case 9:
        fill(side, 512 + pick(65'000));
        break;
      case 10:
        deliver(side);
        break;
      default:
        now_ += std::chrono::milliseconds(pick(200));
        tick(side);
        break;
    }
    take_events(client_);
    take_events(exit_);
  }

  // ---- lanes

  HelloMode resume_mode() const { return welcomed_ ? HelloMode::kResume : HelloMode::kNew; }

  // Lanes join one that the exit has welcomed, one after the other.
  bool serving() const {
    return !client_.lanes.empty() &&
           std::all_of(client_.lanes.begin(), client_.lanes.end(),
                       [this](LaneNumber number) { return welcomed_lanes_.contains(number); });
  }

  void attach(Side& side, LaneNumber number, HelloMode mode) {
    LaneOptions lane;
    lane.number = number;
    lane.mode = mode;
    lane.relay_window_bytes = window_;
    lane.record_overhead = kOverhead;
    side.session.attach_lane(lane, now_);
    side.newest = number;
    if (mode != HelloMode::kJoin) side.lanes.clear();
    side.lanes.insert(number);
  }

  void lose(Side& side, LaneNumber number) {
    side.session.lose_lane(number);
    drop(side, number);
  }
  void drop(Side& side, LaneNumber number) {
    side.lanes.erase(number);
    if (side.client) side.inbox.erase(number);  // a client never hears of a lane again that it gave up
  }
  void tick(Side& side) {
    const std::set<LaneNumber> lanes = side.lanes;
    for (const LaneNumber number : lanes) {
      if (!side.session.tick(number, now_, 0)) lose(side, number);
    }
  }
  LaneNumber any_lane(const Side& side) {
    return *std::next(side.lanes.begin(), static_cast<std::ptrdiff_t>(pick(side.lanes.size())));
  }
  // The exit closed the connections of these.
  void lose_refused() {
    for (const LaneNumber number : std::exchange(refused_, {})) lose(client_, number);
  }

  // One side loses a lane; the other one may still get some of what was on its way, or all of it, late.
  void fault(Side& side) {
    if (pick(8) == 0) return forget_session();
    if (side.lanes.empty()) return;
    const LaneNumber number = any_lane(side);
    auto& in_flight = other(side).inbox[number];
    if (pick(2) == 0) in_flight.resize(pick(in_flight.size() + 1));
    lose(side, number);
    if (pick(3) == 0) lose(other(side), number);
  }

  // An exit that was restarted: it has nothing of the session, and the applications behind it are gone.
  void forget_session() {
    exit_.session = Session(options_for(Role::kExit));
    exit_.lanes.clear();
    exit_.flows.clear();
    exit_.listeners.clear();
    for (auto& [id, endpoint] : exit_.streams) {
      if (!exit_.over(endpoint)) endpoint.reset = ResetCode::kSessionLost;
    }
    forgotten_ = true;
  }

  // What SessionServer does with the first record of a new lane.
  void exit_attaches(LaneNumber number, const Bytes& record) {
    ByteReader in(record);
    const auto first = decode_frame(in);
    ASSERT_TRUE(first);
    const auto* hello = std::get_if<HelloFrame>(&*first);
    ASSERT_NE(hello, nullptr);
    if (hello->mode == HelloMode::kJoin) {
      if (forgotten_ || exit_.session.lanes() >= kMaxLanes) {
        refused_.push_back(number);
      } else {
        attach(exit_, number, HelloMode::kJoin);
      }
      return;
    }
    const bool known = !forgotten_ && hello->mode == HelloMode::kResume;
    if (!known && !std::exchange(forgotten_, false)) forget_session();
    forgotten_ = false;
    attach(exit_, number, known ? HelloMode::kResume : HelloMode::kNew);
  }

  std::pair<const StreamId, Endpoint>* any_stream(Side& side) {
    if (side.streams.empty()) return nullptr;
    auto at = side.streams.lower_bound(pick(side.streams.rbegin()->first + 1));
    return at == side.streams.end() ? nullptr : &*at;
  }

  void open() {
    Destination destination;
    destination.name = "example.test";
    destination.port = 80;
    const auto id = client_.session.streams().open(destination, now_);
    if (!id) {
      ASSERT_EQ(id.error().kind, ErrorKind::kLimit);
      return;
    }
    client_.streams.emplace(*id, Endpoint{});
  }

  // Somebody connected to a listener.
  void open_at_exit() {
    if (exit_.listeners.empty()) return;
    const ListenerId listener = any_listener(exit_);
    if (udp_listeners_.contains(listener)) return;
    const auto id = exit_.session.open(listener, some_address(), now_);
    if (!id) {
      ASSERT_EQ(id.error().kind, ErrorKind::kLimit);
      return;
    }
    exit_.streams[*id] = {};  // one that was restarted begins with 1 again
  }

  ListenerId any_listener(const Side& side) {
    return *std::next(side.listeners.begin(), static_cast<std::ptrdiff_t>(pick(side.listeners.size())));
  }

  void listen() {
    const bool udp = pick(2) == 0;
    const auto id = client_.session.listen(udp ? ListenKind::kUdp : ListenKind::kTcp, some_address());
    if (!id) return;
    client_.listeners.insert(*id);
    if (udp) udp_listeners_.insert(*id);
  }

  void change_listeners(Side& side) {
    if (side.client && pick(2) == 0) return listen();
    if (side.listeners.empty()) return;
    const ListenerId id = any_listener(side);
    side.session.unlisten(id, ResetCode::kCancelled);
    side.listeners.erase(id);
  }

  static Destination some_address() {
    Destination out;
    out.kind = Destination::Kind::kIpv4;
    return out;
  }

  void write(Side& side, StreamId id) {
    Endpoint& endpoint = side.streams.at(id);
    if (!endpoint.opened || endpoint.finished || endpoint.reset) return;
    std::array<MutableBytes, 4> pieces;
    const std::size_t count = side.session.streams().prepare(id, 1 + pick(100'000), pieces);
    std::size_t total = 0;
    for (std::size_t i = 0; i < count; ++i) total += pieces[i].size();
    if (total == 0) return;
    const std::size_t used = pick(4) == 0 ? pick(total + 1) : total;
    std::size_t done = 0;
    for (std::size_t i = 0; i < count && done < used; ++i) {
      for (std::size_t j = 0; j < pieces[i].size() && done < used; ++j, ++done) {
        pieces[i][j] = reference_byte(id, side.client, endpoint.written + done);
      }
    }
    side.session.streams().commit(id, used);
    endpoint.written += used;
  }

  void finish(Side& side, StreamId id) {
    Endpoint& endpoint = side.streams.at(id);
    if (!endpoint.opened || endpoint.reset) return;
    side.session.streams().finish(id);
    endpoint.finished = true;
  }

  void reset(Side& side, StreamId id) {
    Endpoint& endpoint = side.streams.at(id);
    if (side.over(endpoint)) return;
    const auto code = static_cast<ResetCode>(pick(12));  // all but kSessionLost
    side.session.streams().reset(id, code);
    endpoint.reset = code;
  }

  void read(Side& side, StreamId id, std::uint64_t most) {
    Endpoint& endpoint = side.streams.at(id);
    if (!endpoint.opened || endpoint.reset || endpoint.ended) return;
    std::array<ByteView, 8> pieces;
    const std::size_t count = side.session.streams().peek(id, pieces);
    std::uint64_t got = 0;
    for (std::size_t i = 0; i < count && got < most; ++i) {
      for (std::size_t j = 0; j < pieces[i].size() && got < most; ++j, ++got) {
        if (pieces[i][j] != reference_byte(id, !side.client, endpoint.read + got)) {
          FAIL() << "stream " << id << " offset " << endpoint.read + got;
        }
      }
    }
    side.session.streams().consume(id, got, now_);
    endpoint.read += got;
    const Endpoint& peer = other(side).streams.at(id);
    ASSERT_LE(endpoint.read, peer.written);
    if (side.session.streams().at_end(id)) {
      ASSERT_TRUE(peer.finished);
      ASSERT_EQ(endpoint.read, peer.written);
      side.session.streams().consume_end(id);
      endpoint.ended = true;
    }
  }

  // ---- flows

  FlowId any_flow(const Side& side) {
    return *std::next(side.flows.begin(), static_cast<std::ptrdiff_t>(pick(side.flows.size())));
  }

  void change_flows(Side& side) {
    if (side.client && pick(2) == 0) {
      const auto id = side.session.flows().open();
      if (id) side.flows.insert(*id);
      return;
    }
    if (side.flows.empty() || pick(3) != 0) return;
    const FlowId id = any_flow(side);
    side.session.flows().close(id);
    if (!is_of_listener(id)) side.flows.erase(id);
  }

  bool send_datagram(Side& side, FlowId flow, std::size_t most) {
    Bytes bytes(8 + pick(most));
    fill_pattern(bytes, ++datagram_number_);
    Destination address;
    address.kind = Destination::Kind::kIpv4;
    address.port = 53;
    if (!side.session.flows().send(flow, address, bytes, now_)) return false;
    side.datagrams.emplace(datagram_number_, std::pair(flow, std::move(bytes)));
    return true;
  }
  static void fill_pattern(Bytes& bytes, std::uint64_t number) {
    store_be(number, bytes.data());
    for (std::size_t i = 8; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(number * 31 + i);
  }

  void on(Side& side, const DatagramEvent& event) {
    ASSERT_TRUE(side.flows.contains(event.flow));
    ASSERT_GE(event.bytes.size(), 8U);
    const auto sent = other(side).datagrams.extract(load_be<std::uint64_t>(event.bytes.data()));
    ASSERT_TRUE(sent) << "a datagram that was never sent, or came twice";
    EXPECT_EQ(sent.mapped().first, event.flow);
    EXPECT_EQ(sent.mapped().second, event.bytes);
  }

  // ---- requests

  bool ask() {
    Bytes bytes(8 + pick(3'000));
    fill_pattern(bytes, ++datagram_number_);
    const bool ping = pick(2) == 0;
    const auto id = ping ? client_.session.requests().echo(some_address(), 64, bytes, now_)
                         : client_.session.requests().resolve(bytes, now_);
    if (!id) return false;
    EXPECT_TRUE(asked_.emplace(*id, std::move(bytes)).second) << "an id that was used before";
    return true;
  }

  template <class Request>
  void on_request(Side& side, const Request& event) {
    ASSERT_FALSE(side.client);
    const auto asked = asked_.find(event.request);
    ASSERT_TRUE(asked != asked_.end() && seen_.insert(event.request).second) << "a request that came twice";
    ASSERT_EQ(asked->second, event.bytes);
  }
  void on(Side& side, const ResolveEvent& event) {
    on_request(side, event);
    (void)side.session.requests().resolved(event.request, event.bytes, now_);
  }
  void on(Side& side, const EchoEvent& event) {
    on_request(side, event);
    (void)side.session.requests().echo_reply({event.request, event.address, {0, 0}, 60, event.bytes}, now_);
  }

  template <class Answer>
  void on_answer(const Answer& event) {
    const auto asked = asked_.extract(event.request);
    ASSERT_TRUE(asked) << "an answer that came twice, or to nothing";
    ASSERT_EQ(asked.mapped(), event.bytes);
  }
  void on(Side&, const ResolvedEvent& event) { on_answer(event); }
  void on(Side&, const EchoReplyEvent& event) { on_answer(event); }

  // Nothing moves any more, so nothing that is sent now may be lost.
  void check_requests() {
    asked_.clear();
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(ask());
    for (int i = 0; i < 8; ++i) {
      for (Side* side : {&client_, &exit_}) {
        const std::set<LaneNumber> lanes = side->lanes;
        for (const LaneNumber number : lanes) {
          while (fill(*side, number, 64 * 1024)) {
          }
        }
        while (deliver(other(*side))) {
        }
        take_events(client_);
        take_events(exit_);
      }
    }
    EXPECT_TRUE(asked_.empty()) << "a request without an answer";
  }

  // Nothing moves any more, so nothing that is sent now may be lost.
  void check_flows() {
    for (const FlowId flow : client_.flows) {
      ASSERT_TRUE(exit_.flows.contains(flow)) << "flow " << flow << " did not heal";
      for (Side* side : {&client_, &exit_}) {
        side->datagrams.clear();
        ASSERT_TRUE(send_datagram(*side, flow, 2'000));
        const std::set<LaneNumber> lanes = side->lanes;
        for (const LaneNumber number : lanes) {
          while (fill(*side, number, 64 * 1024)) {
          }
        }
        while (deliver(other(*side))) {
        }
        take_events(client_);
        take_events(exit_);
        EXPECT_TRUE(side->datagrams.empty()) << "flow " << flow << " carries nothing";
      }
    }
  }

  bool fill(Side& side, std::size_t size) {
    if (side.lanes.empty()) return false;
    return fill(side, any_lane(side), size);
  }
  bool fill(Side& side, LaneNumber number, std::size_t size) {
    Bytes buffer(size);
    const std::size_t used = side.session.fill(number, buffer, now_);
    if (used == 0) return false;
    buffer.resize(used);
    other(side).inbox[number].push_back(std::move(buffer));
    return true;
  }

  // Gives the side one record, of any lane that has one: the fence is that it looks only at those alive for
  // it.
  bool deliver(Side& side) {
    std::erase_if(side.inbox, [](const auto& lane) { return lane.second.empty(); });
    if (side.inbox.empty()) return false;
    auto from = side.inbox.begin();
    std::advance(from, pick(side.inbox.size()));
    const LaneNumber number = from->first;
    const Bytes record = std::move(from->second.front());
    from->second.pop_front();
    if (!side.client && number > side.newest) {
      if (number > side.session.newest_lane()) {
        exit_attaches(number, record);
      } else {
        refused_.push_back(number);
      }
    }
    if (!side.lanes.contains(number)) return true;
    const auto taken = side.session.receive(number, record, record.size() + kOverhead, now_);
    EXPECT_TRUE(taken) << (taken ? "" : taken.error().text);
    return true;
  }

  void take_events(Side& side) {
    for (const Event& event : side.session.take_events()) {
      std::visit([&](const auto& e) { on(side, e); }, event);
    }
  }
  void on(Side& side, const OpenEvent& event) {
    Endpoint& endpoint = side.streams[event.stream];
    endpoint = {};  // an exit that was restarted may be asked again
    if (pick(10) == 0) {
      side.session.streams().reset(event.stream, ResetCode::kConnectionRefused);
      endpoint.reset = ResetCode::kConnectionRefused;
      return;
    }
    side.session.streams().accept(event.stream, some_address());
    endpoint.opened = true;
  }
  void on(Side& side, const OpenedEvent& event) { side.streams.at(event.stream).opened = true; }
  void on(Side& side, const ResetEvent& event) {
    Endpoint& endpoint = side.streams.at(event.stream);
    if (event.code == ResetCode::kSessionLost) {
      ASSERT_TRUE(side.client);  // only an exit forgets
      endpoint.reset = event.code;
      return;
    }
    // The code is the one the other side gave, unless both reset at once, or its session did: its table was
    // full, or the listener given up.
    const bool by_session = event.code == ResetCode::kLimit || (is_of_exit(event.stream) && !side.client &&
                                                                event.code == ResetCode::kConnectionRefused);
    if (!by_session) {
      EXPECT_EQ(event.code, other(side).streams.at(event.stream).reset);
    }
    endpoint.reset = event.code;
  }
  void on(Side&, const ReadableEvent&) {}
  void on(Side&, const RoomEvent&) {}
  void on(Side&, const GoawayEvent&) {}
  void on(Side& side, const FlowOpenEvent& event) {
    ASSERT_FALSE(side.client);
    ASSERT_TRUE(side.flows.insert(event.flow).second);
    ASSERT_LE(side.flows.size(), kMaxFlows + kMaxListeners);
  }
  void on(Side& side, const FlowClosedEvent& event) { ASSERT_EQ(side.flows.erase(event.flow), 1U); }
  void on(Side&, const FlowErrorEvent&) {}
  void on(Side&, const WelcomeEvent& event) {
    welcomed_ = true;
    welcomed_lanes_.insert(event.lane);
    if (event.mode != HelloMode::kNew) return;
    client_.listeners.clear();
    listen();
  }
  void on(Side& side, const ListenEvent& event) {
    ASSERT_FALSE(side.client);
    if (pick(6) == 0) {
      side.session.unlisten(event.listener, ResetCode::kNotAllowed);
      return;
    }
    side.session.listening(event.listener, some_address());
    side.listeners.insert(event.listener);
    if (event.kind == ListenKind::kUdp) side.flows.insert(flow_of(event.listener));
  }
  void on(Side& side, const ListeningEvent& event) {
    if (udp_listeners_.contains(event.listener)) side.flows.insert(flow_of(event.listener));
  }
  void on(Side& side, const UnlistenEvent& event) { side.listeners.erase(event.listener); }
  void on(Side& side, const LaneDownEvent& event) { drop(side, event.lane); }

  // Finishes every stream and moves everything until nothing moves, on one last lane or on those that there
  // are: what one end has lost ends for the other one too, as connections do.
  void drain() {
    if (cuts_ && pick(2) == 0) {
      attach(client_, client_.newest + 1, resume_mode());
    } else {
      const std::set<LaneNumber> at_client = client_.lanes;
      const std::set<LaneNumber> at_exit = exit_.lanes;
      for (const LaneNumber number : at_client) {
        const bool joining = exit_.inbox.contains(number) && number > exit_.newest;
        if (!at_exit.contains(number) && !joining) lose(client_, number);
      }
      for (const LaneNumber number : at_exit) {
        if (!at_client.contains(number)) lose(exit_, number);
      }
    }
    // The schedule may have left PINGs so late that time must not pass before they are answered.
    constexpr int kAnswersFirst = 2;
    for (int quiet = 0, round = 0; quiet < 3; ++round) {
      if (round >= kAnswersFirst) now_ += 150ms;
      bool moved = !refused_.empty();
      lose_refused();
      if (client_.lanes.empty()) attach(client_, client_.newest + 1, resume_mode());
      for (Side* side : {&client_, &exit_}) {
        const std::set<LaneNumber> lanes = side->lanes;
        for (const LaneNumber number : lanes) {
          ASSERT_TRUE(round < kAnswersFirst || side->session.tick(number, now_, 1)) << "lane " << number;
        }
        for (auto& [id, endpoint] : side->streams) {
          if (!endpoint.reset && endpoint.opened && !endpoint.finished) finish(*side, id);
          read(*side, id, 1 << 20);
          if (::testing::Test::HasFatalFailure()) return;
        }
        for (const LaneNumber number : lanes) {
          while (fill(*side, number, 64 * 1024)) moved = true;
        }
        while (deliver(other(*side))) moved = true;
        take_events(client_);
        take_events(exit_);
      }
      quiet = moved ? 0 : quiet + 1;
    }
    for (const auto& [id, endpoint] : client_.streams) {
      EXPECT_TRUE(client_.over(endpoint))
          << "stream " << id << " hangs at the client: opened " << endpoint.opened << " finished "
          << endpoint.finished << " ended " << endpoint.ended;
    }
    for (const auto& [id, endpoint] : exit_.streams) {
      EXPECT_TRUE(exit_.over(endpoint)) << "stream " << id << " hangs at the exit: opened " << endpoint.opened
                                        << " finished " << endpoint.finished << " ended " << endpoint.ended;
    }
    EXPECT_EQ(client_.listeners, exit_.listeners);
    for (Side* side : {&client_, &exit_}) {
      EXPECT_EQ(side->session.listeners().size(), side->listeners.size());
      EXPECT_EQ(side->session.streams().size(), 0U);
      EXPECT_EQ(side->session.streams().buffered_to_send(), 0U);
      EXPECT_EQ(side->session.streams().spare_credit(), kReceiveMemory - kMaxStreams * kMinWindow);
    }
    check_requests();
    check_flows();
  }

  std::mt19937_64 random_;
  std::map<RequestId, Bytes> asked_;  // of the client's, without an answer
  std::set<RequestId> seen_;          // by an exit
  std::uint64_t datagram_number_ = 0;
  TimePoint now_{1h};
  std::uint64_t window_;
  bool cuts_;
  std::size_t max_lanes_;
  std::vector<LaneNumber> refused_;
  bool welcomed_ = false;
  std::set<LaneNumber> welcomed_lanes_;
  std::set<ListenerId> udp_listeners_;  // all there ever were
  bool forgotten_ = true;               // the exit has no session that a lane could resume
  Side client_;
  Side exit_;
};

class SessionFlow : public testing::TestWithParam<int> {};

TEST_P(SessionFlow, EveryByteArrivesOnceAndAllMemoryComesBack) {
  const std::uint64_t one = test::from_environment("ZKS_FLOW_SEED", 0);
  const std::uint64_t first = one == 0 ? static_cast<std::uint64_t>(GetParam()) + 1 : one;
  const std::uint64_t last = one == 0 ? test::from_environment("ZKS_FLOW_SEEDS", 400) : one;
  for (std::uint64_t seed = first; seed <= last; seed += kShards) {
    SCOPED_TRACE("replay with ZKS_FLOW_SEED=" + std::to_string(seed));
    World(seed).run();
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SessionFlow, testing::Range(0, kShards));

}  // namespace
}  // namespace zks::session
