// SPDX-License-Identifier: MIT
#include "tunnel/tunnel.hpp"

#include "base/log.hpp"
#include "base/raised.hpp"

namespace zks::tunnel {

Tunnel::Tunnel(asio::any_io_executor executor, session::Options options, Handlers handlers)
    : executor_(std::move(executor)),
      handlers_(std::move(handlers)),
      session_(options),
      client_(options.role == session::Role::kClient),
      requests_(executor_),
      timer_(executor_),
      orphan_timer_(executor_) {}

Tunnel::~Tunnel() {
  drop_lanes();
}

// The fence: nothing more of the lane is looked at.
void Tunnel::drop_lane(session::LaneNumber number) {
  const auto held = lanes_.extract(number);
  if (!held) return;
  held.mapped().lane->detach();
  held.mapped().lane->abort();
}

void Tunnel::drop_lanes() {
  while (!lanes_.empty()) drop_lane(lanes_.begin()->first);
}

void Tunnel::attach(carrier::CarrierPtr carrier, LaneKeys keys, session::LaneNumber number,
                    session::HelloMode mode) {
  if (mode != session::HelloMode::kJoin) drop_lanes();
  orphan_timer_.cancel();
  session::LaneOptions options;
  options.number = number;
  options.mode = mode;
  options.relay_window_bytes = keys.relay_window_bytes;
  options.record_overhead = crypto::kRecordOverhead;
  session_.attach_lane(options, now());
  const auto lane = std::make_shared<Lane>(number, std::move(carrier), std::move(keys), *this);
  lanes_[number].lane = lane;
  lane->start();
  changed();
}

void Tunnel::attach(carrier::CarrierPtr carrier, LaneKeys keys, session::LaneNumber number,
                    session::HelloMode mode, ByteView first_frames, std::size_t record_bytes) {
  attach(std::move(carrier), std::move(keys), number, mode);
  on_record(number, first_frames, record_bytes);
}

Result<SessionFlowPtr> Tunnel::open_flow() {
  if (ended_) return make_error(ErrorKind::kClosed, "the session is over");
  const auto id = session_.flows().open();
  if (!id) return id.error();
  auto flow = std::make_shared<SessionFlow>(shared_from_this(), *id);
  changed();
  return flow;
}

SessionFlowPtr Tunnel::flow_of(session::ListenerId id) {
  return std::make_shared<SessionFlow>(shared_from_this(), session::flow_of(id));
}

asio::awaitable<Result<Bytes>> Tunnel::resolve(Bytes query) {
  const auto self = shared_from_this();
  if (requests_.full()) co_return make_error(ErrorKind::kLimit, "too many DNS queries wait for answers");
  const auto id = session_.requests().resolve(query, now());
  if (!id) co_return id.error();
  changed();
  co_return co_await requests_.await_answer(*id);
}

Result<> Tunnel::echo(const EchoRequest& request, EchoHandler handler) {
  const auto id = session_.requests().echo(request.address, request.hop_limit, request.data, now());
  if (!id) return id.error();
  requests_.await_echo(*id, std::move(handler));
  changed();
  return {};
}

void Tunnel::resolved(session::RequestId request, ByteView answer) {
  session_.requests().resolved(request, answer, now());
  changed();
}

void Tunnel::echo_reply(const session::EchoReplyFrame& reply) {
  session_.requests().echo_reply(reply, now());
  changed();
}

Result<session::ListenerId> Tunnel::listen(session::ListenKind kind, session::Destination bind) {
  auto id = session_.listen(kind, std::move(bind));
  changed();
  return id;
}

void Tunnel::listening(session::ListenerId id, session::Destination bound) {
  session_.listening(id, std::move(bound));
  changed();
}

void Tunnel::unlisten(session::ListenerId id, session::ResetCode code) {
  session_.unlisten(id, code);
  changed();
}

void Tunnel::leave(session::GoawayCode code, const std::string& text) {
  if (ended_) return;
  leaving_ = true;
  session_.go_away(code, text);
  if (lanes_.empty()) return end(make_error(ErrorKind::kClosed, "stopped while no lane was there"));
  changed();
}

void Tunnel::dismiss(session::GoawayCode code, const std::string& text) {
  if (ended_ || broken_) return;
  broken_ = true;
  session_.go_away(code, text);
  if (lanes_.empty()) return end(make_error(ErrorKind::kClosed, "dismissed while no lane was there"));
  for (const auto& [number, held] : lanes_) held.lane->close(carrier::close_code::kNormal);
}

void Tunnel::end(const Error& why) {
  if (ended_) return;
  ended_ = true;
  const auto self = shared_from_this();
  timer_.cancel();
  orphan_timer_.cancel();
  drop_lanes();
  session_.end();
  requests_.close();
  deliver_events();
  slot_waiters_.wake();
  if (handlers_.on_end) std::exchange(handlers_.on_end, nullptr)(why);
}

// Memory lacked in the middle of something: what is half done can't go on, and a lane that resumed it would
// only fail again. All that the session holds is free afterwards.
void Tunnel::break_off() noexcept {
  broken_ = failed_ = true;
  try {
    asio::post(executor_, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->end(make_error(ErrorKind::kLimit, "no memory left"));
    });
  } catch (const std::bad_alloc&) {  // then with its lane, or as an orphan
  }
}

Result<> Tunnel::receive(session::LaneNumber lane, ByteView frames, std::size_t record_bytes) {
  try {
    return session_.receive(lane, frames, record_bytes, now());
  } catch (const std::bad_alloc&) {
    break_off();
    throw;
  }
}

std::size_t Tunnel::fill(session::LaneNumber lane, MutableBytes out) {
  if (failed_) return 0;
  try {
    return session_.fill(lane, out, now());
  } catch (const std::bad_alloc&) {
    break_off();
    throw;
  }
}

void Tunnel::on_record(session::LaneNumber lane, ByteView frames, std::size_t record_bytes) {
  if (ended_ || broken_) return;
  count_record(lane_traffic_.lane_received_records, lane_traffic_.lane_received_bytes, record_bytes);
  const auto taken = receive(lane, frames, record_bytes);
  if (!taken) {
    log::warn("the peer broke the protocol: {}", taken.error().text);
    dismiss(session::GoawayCode::kProtocolError, taken.error().text);
    return;
  }
  count_bytes(lane);
  changed();
}

std::size_t Tunnel::compose(session::LaneNumber lane, MutableBytes out) {
  const std::size_t size = fill(lane, out);
  if (size > 0) {
    count_record(lane_traffic_.lane_sent_records, lane_traffic_.lane_sent_bytes,
                 size + crypto::kRecordOverhead);
  }
  count_bytes(lane);
  arm_timer();  // bulk may wait for its pace
  deliver_events();
  return size;
}

void Tunnel::on_lane_end(session::LaneNumber lane, const Error& why) {
  lose_lane(lane, why);
}

void Tunnel::network_changed() {
  session_.probe(now());
  changed();
}

void Tunnel::watch_lanes(std::uint64_t bytes, std::function<void(session::LaneNumber)> used_up) {
  lane_limit_bytes_ = bytes;
  lane_used_up_ = std::move(used_up);
}

void Tunnel::count_bytes(session::LaneNumber number) {
  if (session_.lane_bytes(number) < lane_limit_bytes_) return;
  const auto at = lanes_.find(number);
  if (at == lanes_.end() || std::exchange(at->second.used_up, true)) return;
  lane_used_up_(number);
}

void Tunnel::count_record(std::uint64_t& records, std::uint64_t& bytes, std::size_t record_bytes) {
  ++records;
  bytes += record_bytes;
}

Traffic Tunnel::traffic() const {
  Traffic out = lane_traffic_;
  const session::StreamCounters& streams = session_.streams().counters();
  out.streams = streams.opened;
  out.stream_sent_bytes = streams.written_bytes;
  out.stream_received_bytes = streams.read_bytes;
  out.datagrams = session_.flows().counters();
  return out;
}

TunnelStatus Tunnel::status() const {
  TunnelStatus out;
  out.age = now() - began_;
  out.orphaned = orphaned();
  out.open_streams = session_.streams().open_count();
  out.known_streams = session_.streams().size();
  out.open_flows = session_.flows().size();
  out.memory_bytes = session_.streams().memory_bytes();
  out.traffic = traffic();
  for (const auto& [number, held] : lanes_) {
    LaneStatus lane = held.lane->status();
    const session::LaneCounters counters = session_.lane_counters(number);
    lane.sent_bytes = counters.sent_bytes;
    lane.received_bytes = counters.received_bytes;
    lane.round_trip = counters.round_trip;
    out.lanes.push_back(std::move(lane));
  }
  return out;
}

void Tunnel::retire(session::LaneNumber number) {
  if (ended_ || !has_lane(number)) return;
  drop_lane(number);
  session_.lose_lane(number);
  changed();
}

// Before its first WELCOME a client has no session that could be resumed; one that says goodbye needs none.
bool Tunnel::may_resume() const {
  return !leaving_ && !broken_ && !session_.leaving() && (up_ || !client_);
}

void Tunnel::lose_lane(session::LaneNumber number, const Error& why) {
  if (ended_) return;
  const auto self = shared_from_this();
  drop_lane(number);
  if (lanes_.empty() && !may_resume()) return end(why);
  session_.lose_lane(number);
  if (lanes_.empty()) await_orphan_timeout();
  if (handlers_.on_lane_lost) handlers_.on_lane_lost(number, why);
  changed();
}

void Tunnel::await_orphan_timeout() {
  orphan_timer_.expires_after(session_.orphan_time());
  orphan_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || !self->lanes_.empty()) return;
    self->end(make_error(ErrorKind::kTimeout, "no lane could be made in time"));
  });
}

void Tunnel::changed() {
  deliver_events();
  if (!slot_waiters_.empty() && session_.streams().size() < session_.streams().limit()) slot_waiters_.wake();
  if (ended_ || lanes_.empty()) return;
  const bool done = leaving_ && session_.streams().open_count() == 0;
  for (const auto& [number, held] : lanes_) {
    if (done) held.lane->close(carrier::close_code::kNormal);
    held.lane->wake();
  }
  arm_timer();
}

// Bytes of streams: nothing else is to be sent for them, and only where they wait.
void Tunnel::committed() {
  for (const auto& [number, held] : lanes_) {
    if (session_.streams().wait_on(number)) held.lane->wake();
  }
}

// The timer is only ever moved closer; when it fires too early it is set anew.
void Tunnel::arm_timer() {
  const auto due = session_.next_deadline();
  if (due >= timer_at_) return;
  timer_at_ = due;
  timer_.expires_at(due);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    if (const auto self = weak.lock(); self && !ec) self->on_timer();
  });
}

void Tunnel::on_timer() {
  timer_at_ = session::TimePoint::max();
  if (ended_) return;
  bool silence = false;
  std::vector<session::LaneNumber> dead;
  for (const auto& [number, held] : lanes_) {
    if (!session_.tick(number, now(), held.lane->undrained_bytes(), held.lane->arriving()))
      dead.push_back(number);
    silence = silence || is_silent(number);
  }
  for (const session::LaneNumber number : dead) {
    lose_lane(number, make_error(ErrorKind::kTimeout, "the other end stopped answering"));
  }
  if (silence && handlers_.on_silence) handlers_.on_silence();
  changed();
}

}  // namespace zks::tunnel
