// SPDX-License-Identifier: MIT
//
// Places for lanes from their knock to the first authentic record, and who gives way when all are taken: no
// relay, no stranger and no invite keeps the others out. Sans-IO; door.hpp has the lanes.
//
//   knocks   kKnocksASecond of each relay; more are not answered
//   slots   kMaxLanes. When they are taken, the relay that has most gives one up: a lane of an invite that
//            has more than kOfAnInvite of them, else one that has named no invite, else any; the oldest of
//            these. A knock of that very relay ends no dial for it, since knocks that come all at once would
//            end each other's; without another lane to end it is not answered.
//
// So each of n relays has kMaxLanes / n slots whatever the others do; within one relay each invite has
// kOfAnInvite, and one lane more than that is on its way at the cost of strangers only.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/names.hpp"
#include "base/token_bucket.hpp"
#include "exit/shares.hpp"

namespace zks::exit {

// Executor: one. Lifetime: outlives its slots.
class HalfOpen {
 public:
  using TimePoint = TokenBucket::TimePoint;

  static constexpr std::size_t kMaxLanes = 64;
  static constexpr std::size_t kOfAnInvite = 4;
  static constexpr double kKnocksASecond = 200;
  static constexpr double kKnocksAtOnce = 400;

  // One lane's slot, until it dies or its lane had to give way or was proven.
  class Slot {
   public:
    Slot(HalfOpen& owner, std::string relay);
    ~Slot();
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

    // How the lane is ended, at most once, and not after leave(). It may be ended before this is called.
    void on_drop(std::function<void()> drop) { drop_ = std::move(drop); }
    void dialled() { dialling_ = false; }
    void named(const InviteId& invite) { invite_ = invite; }  // by a message 1 that opened
    bool dropped() const { return dropped_; }
    // The slot is free again: the lane is proven or gone.
    void leave();

   private:
    friend class HalfOpen;
    void drop();

    HalfOpen& owner_;
    std::string relay_;
    std::optional<InviteId> invite_;
    bool dialling_ = true;
    bool dropped_ = false;
    std::function<void()> drop_;
    std::optional<std::list<Slot*>::iterator> at_;  // none: it has left
  };

  // Null when a knock that came through `relay` is not to be answered.
  std::shared_ptr<Slot> admit(const std::string& relay, TimePoint now);

  std::size_t size() const { return slots_.size(); }
  std::uint64_t dropped() const { return dropped_; }

 private:
  bool knocks_too_often(const std::string& relay, TimePoint now);
  Slot* who_gives_way(const std::string& newcomer) const;

  std::list<Slot*> slots_;  // the oldest first
  Shares<std::string> of_relay_;
  std::map<std::string, TokenBucket> knocks_;  // by relay, of which there are as many as options name
  std::uint64_t dropped_ = 0;
};

}  // namespace zks::exit
