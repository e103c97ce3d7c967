// SPDX-License-Identifier: MIT
//
// Connections of which a front door, or a gate of vpn, may have only so many, in the order in which they
// came.
//
// Executor: the server's. Lifetime: longer than that of its memberships.
#pragma once

#include <list>
#include <memory>
#include <utility>

#include "base/limit_notice.hpp"
#include "tunnel/connection.hpp"

namespace zks::tunnel {

class ConnectionSet {
 public:
  explicit ConnectionSet(std::size_t bound) : bound_(bound) {}

  // A connection is in the set as long as it has a membership.
  class Membership {
   public:
    Membership(ConnectionSet& set, std::shared_ptr<Connection> connection)
        : set_(set), at_(set.members_.insert(set.members_.end(), std::move(connection))) {}
    ~Membership() { set_.members_.erase(at_); }
    Membership(const Membership&) = delete;
    Membership& operator=(const Membership&) = delete;

   private:
    ConnectionSet& set_;
    std::list<std::shared_ptr<Connection>>::iterator at_;
  };

  std::unique_ptr<Membership> enter(std::shared_ptr<Connection> connection) {
    return std::make_unique<Membership>(*this, std::move(connection));
  }
  // The same; at the bound the oldest member is ended for it.
  std::unique_ptr<Membership> enter_for_oldest(std::shared_ptr<Connection> connection) {
    if (full() && !empty()) {
      const auto oldest = members_.front();
      members_.splice(members_.end(), members_, members_.begin());  // it leaves when its coroutine ends
      oldest->abort();
    }
    return enter(std::move(connection));
  }

  // Whether one more may enter. At the bound a member is ended for it.
  bool has_room() { return !full() || end_longest_half_closed(); }
  // The member whose program has half-closed its stream, and that is silent longest; it leaves when its
  // coroutine ends, soon after. False when there is none.
  bool end_longest_half_closed() {
    std::shared_ptr<Connection> longest;
    std::optional<session::TimePoint> since;
    for (const auto& member : members_) {
      const auto silent = member->half_closed_since();
      if (!silent || (since && *since <= *silent)) continue;
      since = silent;
      longest = member;
    }
    if (longest) longest->abort();
    return longest != nullptr;
  }
  // For each newcomer: whether the bound is worth a line in the log.
  bool is_limit_due() { return notice_.is_due(size(), bound_); }

  std::size_t size() const { return members_.size(); }
  bool empty() const { return members_.empty(); }
  bool full() const { return size() >= bound_; }
  void abort_all() {
    for (const auto& member : members_) member->abort();
  }

 private:
  std::size_t bound_;
  LimitNotice notice_;
  std::list<std::shared_ptr<Connection>> members_;
};

}  // namespace zks::tunnel
