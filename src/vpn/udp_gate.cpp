// SPDX-License-Identifier: MIT
#include "vpn/udp_gate.hpp"

#include <array>

#include "base/bytes.hpp"
#include "base/port.hpp"
#include "vpn/addresses.hpp"

namespace zks::vpn {
namespace {

constexpr std::chrono::seconds kSweepEvery{1};

}  // namespace

UdpGate::UdpGate(std::shared_ptr<tunnel::StreamOpener> opener, Options options, Answers answers)
    : opener_(std::move(opener)),
      options_(options),
      answers_(std::move(answers)),
      timer_(opener_->executor()) {}

bool UdpGate::take(const packet::Endpoint& source, const packet::Endpoint& target, ByteView datagram) {
  Entry* entry = enter(source);
  if (entry == nullptr) return false;
  touch(*entry);
  entry->only_dns = entry->only_dns && target.port == kDnsPort;
  ++(entry->flow->send(to_destination(target), datagram) ? counters_.sent : counters_.dropped);
  return true;
}

UdpGate::Entry* UdpGate::enter(const packet::Endpoint& source) {
  if (const auto known = flows_.find(source); known != flows_.end()) return &known->second;
  if (flows_.size() >= options_.max_flows) end_oldest();
  auto flow = open(source);
  if (!flow && flow.error().kind == ErrorKind::kLimit && !flows_.empty()) {  // the exit takes fewer
    end_oldest();
    flow = open(source);
  }
  if (!flow) return nullptr;
  Entry& entry = flows_[source];
  entry.flow = std::move(*flow);
  entry.turn = order_.insert(order_.end(), source);
  touch(entry);
  if (flows_.size() == 1) sweep();
  return &entry;
}

Result<tunnel::FlowPtr> UdpGate::open(const packet::Endpoint& source) {
  tunnel::FlowHandlers handlers;
  handlers.on_datagram = [this, source](const session::Destination& from, ByteView bytes) {
    if (const auto sender = to_endpoint(from)) deliver(*sender, source, bytes);
  };
  handlers.on_error = [this, source](const session::Destination& about, session::IcmpError error) {
    if (const auto target = to_endpoint(about)) report(*target, source, error);
  };
  return opener_->open_flow(std::move(handlers));
}

void UdpGate::touch(Entry& entry) {
  entry.last_used = std::chrono::steady_clock::now();
  order_.splice(order_.end(), order_, entry.turn);
}

void UdpGate::end_oldest() {
  flows_.erase(order_.front());
  order_.pop_front();
}

// Flows that only asked a name server end early wherever they stand; the others from the front.
void UdpGate::sweep() {
  const TimePoint now = std::chrono::steady_clock::now();
  for (auto at = order_.begin(); at != order_.end();) {
    const Entry& entry = flows_.at(*at);
    const auto silence = now - entry.last_used;
    if (silence < options_.idle_dns) break;
    if (silence < options_.idle && !entry.only_dns) {
      ++at;
      continue;
    }
    flows_.erase(*at);
    at = order_.erase(at);
  }
  if (flows_.empty()) return;
  timer_.expires_after(kSweepEvery);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& ec) {
    if (!ec && alive.lock()) sweep();
  });
}

void UdpGate::deliver(const packet::Endpoint& from, const packet::Endpoint& to, ByteView datagram) {
  const auto message = packet::udp_message(from, to, datagram);
  const auto entry = flows_.find(to);
  if (!message || entry == flows_.end()) return;
  touch(entry->second);
  ++counters_.received;
  answers_.send(*message);
}

// About a datagram that is not at hand any more. Who said it is not known, unless only a host says so of
// itself.
void UdpGate::report(const packet::Endpoint& about, const packet::Endpoint& source,
                     session::IcmpError error) {
  if (is_too_big(about.address, error)) return;
  const auto message = packet::udp_message(source, about, {});
  if (!message) return;
  std::array<std::uint8_t, packet::kIpv6Header + packet::kUdpHeader> datagram;
  const std::size_t size = packet::build(*message, datagram);
  const auto packet = packet::parse(ByteView(datagram).first(size));
  if (!packet) return;
  std::optional<IpAddress> from;
  if (is_of_a_host(about.address, error)) from = about.address;
  answers_.say(*packet, {error.type, error.code, 0}, from);
}

}  // namespace zks::vpn
