// SPDX-License-Identifier: MIT
//
// The lanes of a session that are alive, and how many streams and flows are bound to each: what is new goes
// to the one with the fewest. What a lane's state means is in lane_state.hpp; when one is dead, in
// session_lanes.cpp.
#pragma once

#include <map>
#include <memory>

#include "session/lane_state.hpp"

namespace zks::session {

class LaneTable {
 public:
  using Lanes = std::map<LaneNumber, std::unique_ptr<LaneState>>;

  LaneState& add(LaneOptions options);
  void erase(LaneNumber number) { lanes_.erase(number); }
  void clear() { lanes_.clear(); }

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
  std::map<LaneNumber, std::size_t> loads_;  // those that are not 0
};

}  // namespace zks::session
