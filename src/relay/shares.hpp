// SPDX-License-Identifier: MIT
//
// Places that are kept for long (pairs, registered exits; of the whole relay, of one room), and whose they
// are. A newcomer beyond its source's share is refused. When all places are taken, the newest one of the
// source that has most gives way, if that leaves it no poorer than the newcomer's: so nobody can use all of
// them up, and whoever tries closes his own. Where nobody has more than the newcomer, it is refused. Rooms
// has several of these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/names.hpp"
#include "relay/source.hpp"

namespace zks::relay {

// The close code of what gave way: "try again later" of IANA's registry. The next attempt finds out who has
// more.
inline constexpr std::uint16_t kGaveWay = 1013;

// Guarded by whoever owns it.
class Shares {
 public:
  struct Slot {
    Source source;
    RoomId room;
    std::function<void()> give_way = {};  // called once at most, under the owner's lock: it may only post
    bool gave_way = false;                // and so is in no table
  };
  using SlotPtr = std::shared_ptr<Slot>;

  Shares(std::size_t most, std::size_t of_source) : most_(most), of_source_(of_source) {}

  bool share_is_used(const Source& source) const { return count(source) >= of_source_; }
  bool is_full() const { return size_ >= most_; }
  // Who would give way to one more of `source`; null: nobody has more.
  SlotPtr giving_way_to(const Source& source) const;

  void add(const SlotPtr& slot);
  void remove(const SlotPtr& slot);
  std::size_t size() const { return size_; }

 private:
  std::size_t count(const Source& source) const;

  std::size_t most_;
  std::size_t of_source_;
  std::map<Source, std::vector<SlotPtr>> sources_;  // those with a slot; the oldest first
  std::size_t size_ = 0;
};

}  // namespace zks::relay
