// SPDX-License-Identifier: MIT
#include "session/lane_table.hpp"

namespace zks::session {

LaneState& LaneTable::add(LaneOptions options) {
  LaneState& lane = *lanes_.emplace(options.number, std::make_unique<LaneState>()).first->second;
  lane.options = options;
  newest_ = options.number;
  return lane;
}

void LaneTable::lose(LaneNumber number) {
  const auto at = lanes_.find(number);
  if (at == lanes_.end()) return;
  const auto& declared = at->second->declared;
  dead_.insert(declared.begin(), declared.end());  // the exit may not have heard of it
  dead_.insert(number);
  lanes_.erase(at);
}

void LaneTable::clear() {
  lanes_.clear();
  dead_.clear();
}

std::size_t LaneTable::count() const {
  std::size_t count = lanes_.size() + dead_.size();
  for (const auto& [number, lane] : lanes_) count += lane->declared.size();
  return count;
}

LaneState* LaneTable::find(LaneNumber number) {
  const auto at = lanes_.find(number);
  return at == lanes_.end() ? nullptr : at->second.get();
}

const LaneState* LaneTable::find(LaneNumber number) const {
  const auto at = lanes_.find(number);
  return at == lanes_.end() ? nullptr : at->second.get();
}

void LaneTable::bind(LaneNumber& bound, LaneNumber to) {
  if (const auto at = loads_.find(bound); at != loads_.end() && --at->second == 0) loads_.erase(at);
  if (to != 0) ++loads_[to];
  bound = to;
}

std::size_t LaneTable::load(LaneNumber number) const {
  const auto at = loads_.find(number);
  return at == loads_.end() ? 0 : at->second;
}

LaneState* LaneTable::choose(bool for_exchange) {
  LaneState* best = nullptr;
  for (const auto& [number, lane] : lanes_) {
    if (!lane->usable() || (for_exchange && lane->exchanging())) continue;
    if (best == nullptr || load(number) <= load(best->options.number)) best = lane.get();
  }
  return best;
}

}  // namespace zks::session
