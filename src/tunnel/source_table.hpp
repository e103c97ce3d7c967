// SPDX-License-Identifier: MIT
//
// Who wrote to a UDP socket lately, each with what is kept for it: a forward's flows and sockets, and at the
// exit whom a listener may answer. Sans-IO.
//
// Bound: `most`; who wrote longest ago makes room.
#pragma once

#include <chrono>
#include <list>
#include <map>
#include <utility>

#include <boost/asio/ip/udp.hpp>

#include "base/port.hpp"

namespace zks::tunnel {

// RFC 4787, section 4.3; a question to a DNS server is answered soon or not at all.
inline constexpr std::chrono::milliseconds kSourceIdle{120'000};
inline constexpr std::chrono::milliseconds kDnsSourceIdle{10'000};

inline std::chrono::milliseconds source_idle(std::uint16_t target_port) {
  return target_port == kDnsPort ? kDnsSourceIdle : kSourceIdle;
}

template <class Kept>
class SourceTable {
 public:
  using Source = boost::asio::ip::udp::endpoint;
  using TimePoint = std::chrono::steady_clock::time_point;

  SourceTable(std::size_t most, std::chrono::milliseconds idle) : most_(most), idle_(idle) {}

  // It writes now. Null: it did not lately.
  Kept* touch(const Source& source, TimePoint now) {
    expire(now);
    const auto at = index_.find(source);
    if (at == index_.end()) return nullptr;
    at->second->wrote_at = now;
    order_.splice(order_.end(), order_, at->second);
    return &at->second->kept;
  }

  // It writes for the first time.
  Kept& add(const Source& source, Kept kept, TimePoint now) {
    remove(source);
    if (order_.size() >= most_) remove(Source(order_.front().source));
    order_.push_back({source, std::move(kept), now});
    index_[source] = std::prev(order_.end());
    return order_.back().kept;
  }

  bool wrote_lately(const Source& source, TimePoint now) const {
    const auto at = index_.find(source);
    return at != index_.end() && now - at->second->wrote_at < idle_;
  }

  void remove(const Source& source) {
    const auto at = index_.find(source);
    if (at == index_.end()) return;
    const auto entry = at->second;
    index_.erase(at);
    std::list<Entry> gone;  // what it kept may look here when it ends
    gone.splice(gone.end(), order_, entry);
  }

  void expire(TimePoint now) {
    while (now >= next_expiry()) remove(Source(order_.front().source));
  }
  TimePoint next_expiry() const {
    return order_.empty() ? TimePoint::max() : order_.front().wrote_at + idle_;
  }

  void clear() {
    while (!order_.empty()) remove(Source(order_.front().source));
  }
  std::size_t size() const { return order_.size(); }

 private:
  struct Entry {
    Source source;
    Kept kept;
    TimePoint wrote_at;
  };

  std::size_t most_;
  std::chrono::milliseconds idle_;
  std::list<Entry> order_;  // who wrote longest ago stands first
  std::map<Source, typename std::list<Entry>::iterator> index_;
};

}  // namespace zks::tunnel
