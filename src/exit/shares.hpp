// SPDX-License-Identifier: MIT
//
// How much of something that all share each of its owners holds, such as relays places for lanes, and invites
// sessions; guest_shares.hpp has what is shared by invite and device. A bound that is shared by everybody is
// one that somebody can use up, so each of them asks here whose turn it is to give way. Sans-IO.
#pragma once

#include <cstddef>
#include <map>

namespace zks::exit {

template <class Owner>
class Shares {
 public:
  void add(const Owner& owner) { ++held_[owner], ++total_; }
  void remove(const Owner& owner) {
    const auto at = held_.find(owner);
    if (--at->second == 0) held_.erase(at);
    --total_;
  }

  std::size_t of(const Owner& owner) const {
    const auto at = held_.find(owner);
    return at == held_.end() ? 0 : at->second;
  }
  std::size_t total() const { return total_; }
  std::size_t owners() const { return held_.size(); }

  // Who would hold most if `newcomer` got one more; `newcomer` itself where it is not fewer than another's.
  // So who is told to give way holds more than `newcomer` will.
  const Owner& heaviest(const Owner& newcomer) const {
    const Owner* out = &newcomer;
    std::size_t most = of(newcomer) + 1;
    for (const auto& [owner, count] : held_) {
      if (count > most) out = &owner, most = count;
    }
    return *out;
  }

 private:
  std::map<Owner, std::size_t> held_;  // none that holds nothing
  std::size_t total_ = 0;
};

}  // namespace zks::exit
