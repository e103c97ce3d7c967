// SPDX-License-Identifier: MIT
#include "vpn/tcp_gate.hpp"

#include <array>

#include <boost/asio/co_spawn.hpp>

#include "base/log.hpp"
#include "net/spawn.hpp"
#include "tunnel/endpoints.hpp"
#include "vpn/addresses.hpp"

namespace zks::vpn {

using session::ResetCode;

// One SYN, and what became of it. Its packet is kept as it came, to be passed on or answered.
struct TcpGate::Held {
  Held(const asio::any_io_executor& executor, ByteView f)
      : frame(f.begin(), f.end()), connection(std::make_shared<net::Wakeup>(executor)) {}

  Bytes frame;
  tunnel::StreamPtr stream;  // once the exit has connected; taken by the connection
  bool gone = false;         // the program gave up
  std::shared_ptr<net::Wakeup> connection;
};

TcpGate::TcpGate(std::shared_ptr<tunnel::StreamOpener> opener, Options options, Ways ways)
    : opener_(std::move(opener)),
      options_(options),
      ways_(std::move(ways)),
      connections_(options.max_connections),
      ended_(opener_->executor()) {}

void TcpGate::take(ByteView frame, const packet::Packet& packet, const packet::Tcp& segment) {
  const Pair pair{{packet.source, segment.source_port}, {packet.target, segment.target_port}};
  const auto known = held_.find(pair);
  const bool unanswered = known != held_.end() && !known->second->stream;
  if (segment.rst && unanswered) return forget(pair, known->second);
  if (segment.opens() && unanswered) return;  // it asks again
  if (segment.opens() && known == held_.end()) return hold(frame, pair);
  if (knows(pair) || ways_.is_served(pair.target)) return ways_.to_kernel(frame);
  on_stray(pair, packet, segment);
}

// Nothing is said in the destination's name, with one exception: whoever sends the same data again has a
// connection from before the tunnel, and would go on for a quarter of an hour.
void TcpGate::on_stray(const Pair& pair, const packet::Packet& packet, const packet::Tcp& segment) {
  ++counters_.strays;
  if (segment.data.empty() || segment.syn || segment.rst || !segment.ack) return;
  if (!known_.came_before(pair, segment.sequence)) return;
  std::array<std::uint8_t, packet::kIpv6Header + packet::kTcpHeader> out;
  const std::size_t size = packet::build_reset(packet, segment, out);
  if (size > 0) ways_.to_host(ByteView(out).first(size));
}

void TcpGate::hold(ByteView frame, const Pair& pair) {
  if (ways_.is_served(pair.target)) return ways_.to_kernel(frame);
  if (closed_ || frame.size() > kMaxSynBytes || !has_room()) {
    ++counters_.dropped;  // asked again by the program's kernel
    return;
  }
  const auto held = std::make_shared<Held>(opener_->executor(), frame);
  held_[pair] = held;
  asio::co_spawn(opener_->executor(), open(shared_from_this(), pair, held), net::RethrowFailure{});
}

bool TcpGate::has_room() {
  if (limit_notice_.is_due(connections(), options_.max_connections)) {
    log::warn(
        "all {} connections of this machine are in use: those that are half-closed and silent longest make "
        "room, "
        "and without such programs wait",
        options_.max_connections);
  }
  return connections() < options_.max_connections || connections_.end_longest_half_closed();
}

void TcpGate::forget(const Pair& pair, const HeldPtr& held) {
  held->gone = true;
  const auto at = held_.find(pair);
  if (at != held_.end() && at->second == held) held_.erase(at);
}

asio::awaitable<void> TcpGate::open(std::shared_ptr<TcpGate> self, Pair pair, HeldPtr held) {
  auto outcome = co_await self->opener_->open(to_destination(pair.target));
  if (held->gone) {
    if (outcome.stream) tunnel::cancel(outcome.stream, ResetCode::kCancelled);
    co_return;
  }
  if (!outcome.stream) {
    self->forget(pair, held);
    self->refuse(*held, outcome.code);
    co_return;
  }
  ++self->counters_.opened;
  held->stream = std::move(outcome.stream);
  self->known_.begin(pair);
  self->ways_.to_kernel(held->frame);
  held->frame = {};
  const auto deadline = std::chrono::steady_clock::now() + self->options_.accept_timeout;
  while (held->stream && !held->stream->reset_code() && std::chrono::steady_clock::now() < deadline) {
    co_await held->connection->wait_until(deadline);
  }
  self->forget(pair, held);
  if (!held->stream) co_return;  // accepted
  tunnel::cancel(held->stream, ResetCode::kCancelled);
  self->known_.end(pair, std::chrono::steady_clock::now());
}

// Only what the destination said is said in its name: RST for a refusal. What the exit, the tunnel or their
// limits are the cause of comes as from a router on the way. Silence is what a time-out looks like, and a
// machine that is full: the program's kernel asks again, and finds room perhaps.
void TcpGate::refuse(const Held& held, ResetCode code) {
  ++counters_.refused;
  if (code == ResetCode::kTimedOut || code == ResetCode::kLimit) return;
  const auto packet = packet::parse(ByteView(held.frame).subspan(packet::kVirtioHeader));
  if (!packet) return;
  const auto segment = packet::parse_tcp(*packet);
  if (!segment) return;
  if (const auto what = unreachable_for(code)) {
    return ways_.answer(*packet, packet::unreachable(packet->is_ipv4(), *what));
  }
  std::array<std::uint8_t, packet::kMinMtuV6> out;
  const std::size_t size = packet::build_reset(*packet, *segment, out);
  if (size > 0) ways_.to_host(ByteView(out).first(size));
}

void TcpGate::admit(tunnel::Socket socket) {
  auto connection = std::make_shared<tunnel::Connection>(std::move(socket));
  const Pair pair{to_endpoint(connection->remote_endpoint()), to_endpoint(connection->local_endpoint())};
  if (ways_.is_served(pair.target)) return ways_.serve(std::move(connection), pair.target);
  const auto at = held_.find(pair);
  if (at == held_.end() || !at->second->stream) return connection->reset();
  tunnel::StreamPtr stream = std::move(at->second->stream);
  at->second->stream = nullptr;
  at->second->connection->notify();
  held_.erase(at);
  auto membership = connections_.enter(connection);
  asio::co_spawn(opener_->executor(), tunnel::Connection::splice(connection, std::move(stream)),
                 [self = shared_from_this(), pair,
                  membership = std::move(membership)](std::exception_ptr failure) mutable {
                   membership.reset();
                   self->known_.end(pair, std::chrono::steady_clock::now());
                   self->ended_.notify();
                   net::RethrowFailure{}(failure);
                 });
}

asio::awaitable<void> TcpGate::stop(std::chrono::steady_clock::time_point deadline) {
  const auto self = shared_from_this();
  closed_ = true;
  while (!connections_.empty() && std::chrono::steady_clock::now() < deadline) {
    co_await ended_.wait_until(deadline);
  }
  connections_.abort_all();
  while (!connections_.empty()) co_await ended_.wait();
}

}  // namespace zks::vpn
