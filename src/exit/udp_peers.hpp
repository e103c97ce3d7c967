// SPDX-License-Identifier: MIT
//
// Whom one flow may talk to (udp_flow.hpp): what the policy said of the addresses that it talked to lately,
// so that it is not asked for each datagram. A verdict holds until the policy changes. Sans-IO.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "exit/policy.hpp"

namespace zks::exit {

class UdpPeers {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  static constexpr std::size_t kMaxPeers = 256;                // the least recently used one makes room
  static constexpr auto kToldEvery = std::chrono::seconds(2);  // that somebody is refused

  explicit UdpPeers(std::shared_ptr<const Policy> policy) : policy_(std::move(policy)) {}

  struct Answer {
    bool allowed = false;
    bool judged = false;  // now, and not from memory
    std::string reason;   // when judged
  };

  // A datagram to an address; `name` is what the client asked for, empty when it asked for the address.
  Answer outbound(const std::string& name, const IpAddress& address, std::uint16_t port, TimePoint now) {
    Peer& peer = find(address, port, now);
    if (peer.name == name && is_fresh(peer, now)) return {peer.allowed, false, {}};
    peer.name = name;
    return judge(peer, address, port, now);
  }

  // A datagram from an address. It is judged like one to it, by the name that the flow knows it under: who
  // may not be asked may not answer either.
  Answer inbound(const IpAddress& address, std::uint16_t port, TimePoint now) {
    const auto at = peers_.find(where(address, port));
    if (at == peers_.end()) {  // a stranger, who shall not push others out of the table
      const Verdict verdict = policy_->judge("", address, port);
      return {verdict.allowed, true, verdict.reason};
    }
    Peer& peer = at->second;
    if (is_fresh(peer, now)) return {peer.allowed, false, {}};
    return judge(peer, address, port, now);
  }

  std::size_t size() const { return peers_.size(); }

 private:
  struct Peer {
    std::string name;
    bool allowed = false;
    std::optional<std::uint64_t> judged_by;  // the policy's generation
    TimePoint judged_at{};
    TimePoint used_at{};
  };
  using Where = std::pair<std::array<std::uint8_t, 16>, std::uint32_t>;  // port and family

  bool is_fresh(const Peer& peer, TimePoint now) const {
    if (peer.judged_by != policy_->generation()) return false;
    return peer.allowed || now - peer.judged_at < kToldEvery;
  }

  Answer judge(Peer& peer, const IpAddress& address, std::uint16_t port, TimePoint now) {
    const Verdict verdict = policy_->judge(peer.name, address, port);
    peer.allowed = verdict.allowed;
    peer.judged_by = policy_->generation();
    peer.judged_at = now;
    return {verdict.allowed, true, verdict.reason};
  }

  static Where where(const IpAddress& address, std::uint16_t port) {
    return {address.bytes, (address.is_ipv4() ? 0x10000U : 0U) + port};
  }

  Peer& find(const IpAddress& address, std::uint16_t port, TimePoint now) {
    const auto at = peers_.find(where(address, port));
    if (at == peers_.end() && peers_.size() >= kMaxPeers) {
      const auto older = [](const auto& a, const auto& b) { return a.second.used_at < b.second.used_at; };
      peers_.erase(std::min_element(peers_.begin(), peers_.end(), older));
    }
    Peer& peer = at == peers_.end() ? peers_[where(address, port)] : at->second;
    peer.used_at = now;
    return peer;
  }

  std::shared_ptr<const Policy> policy_;
  std::map<Where, Peer> peers_;
};

}  // namespace zks::exit
