// SPDX-License-Identifier: MIT
//
// Those connections of the proxy of which the server may have only so many, in the order in which they came.
//
// Executor: the server's. Lifetime: longer than that of its places.
#pragma once

#include <list>
#include <memory>
#include <utility>

#include "frontdoor/connection.hpp"

namespace zks::frontdoor {

class Crowd {
 public:
  explicit Crowd(std::size_t bound) : bound_(bound) {}

  // A connection is in the crowd as long as it has a place.
  class Place {
   public:
    Place(Crowd& crowd, std::shared_ptr<Connection> connection)
        : crowd_(crowd), at_(crowd.members_.insert(crowd.members_.end(), std::move(connection))) {}
    ~Place() { crowd_.members_.erase(at_); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    Crowd& crowd_;
    std::list<std::shared_ptr<Connection>>::iterator at_;
  };

  std::unique_ptr<Place> enter(std::shared_ptr<Connection> connection) {
    return std::make_unique<Place>(*this, std::move(connection));
  }
  // The same; at the bound the oldest member is ended for it.
  std::unique_ptr<Place> enter_for_oldest(std::shared_ptr<Connection> connection) {
    if (full() && !empty()) {
      const auto oldest = members_.front();
      members_.splice(members_.end(), members_, members_.begin());  // it leaves when its coroutine ends
      oldest->abort();
    }
    return enter(std::move(connection));
  }

  std::size_t size() const { return members_.size(); }
  bool empty() const { return members_.empty(); }
  bool full() const { return size() >= bound_; }
  void abort_all() {
    for (const auto& member : members_) member->abort();
  }

 private:
  std::size_t bound_;
  std::list<std::shared_ptr<Connection>> members_;
};

}  // namespace zks::frontdoor
