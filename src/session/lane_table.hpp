// SPDX-License-Identifier: MIT
//
// The lanes of a session that are alive, and how many streams and flows are bound to each: what is new goes
// to the one with the fewest. Also those that are dead, as long as both ends have not agreed on it. What a
// lane's state means is in lane_state.hpp; what its death means, in session_lanes.cpp.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "session/lane_state.hpp"

namespace zks::session {

class LaneTable {
 public:
  using Lanes = std::map<LaneNumber, std::unique_ptr<LaneState>>;

  LaneState& add(LaneOptions options);
  void lose(LaneNumber number);  // it is dead, and so stay those that were declared dead on it
  void clear();

  // Client: not yet declared to the exit; exit: not yet by the client.
  const std::set<LaneNumber>& dead() const { return dead_; }
  void forget_dead() { dead_.clear(); }
  void forget_dead(LaneNumber number) { dead_.erase(number); }
  // Live ones, and dead ones whose streams the exit may not have moved yet.
  std::size_t count() const;

  LaneNumber newest() const { return newest_; }  // the highest number that was ever heard of
  void heard_of(LaneNumber number) { newest_ = std::max(newest_, number); }

  // Null when it is not alive.
  LaneState* find(LaneNumber number);
  const LaneState* find(LaneNumber number) const;
  bool empty() const { return lanes_.empty(); }
  std::size_t size() const { return lanes_.size(); }
  Lanes::const_iterator begin() const { return lanes_.begin(); }
  Lanes::const_iterator end() const { return lanes_.end(); }

  // Binds a stream or a flow, whose lane is `bound`, to another one: 0 for none. What is forgotten goes to 0,
  // what was bound to a lane that died stays so, and counts there, until it moves.
  void bind(LaneNumber& bound, LaneNumber to);
  std::size_t load(LaneNumber number) const;
  // The usable lane with the fewest streams and flows; of those with as few, the newest. Null for none.
  LaneState* least_loaded() { return choose(/*for_exchange=*/false); }
  // That is not in the middle of an exchange of tables.
  LaneState* least_loaded_for_exchange() { return choose(/*for_exchange=*/true); }

 private:
  LaneState* choose(bool for_exchange);

  Lanes lanes_;
  std::set<LaneNumber> dead_;
  LaneNumber newest_ = 0;
  std::map<LaneNumber, std::size_t> loads_;  // those that are not 0
};

}  // namespace zks::session
