// SPDX-License-Identifier: MIT
#include "relay/shares.hpp"

#include <algorithm>

namespace zks::relay {

std::size_t Shares::count(const Source& source) const {
  const auto found = sources_.find(source);
  return found == sources_.end() ? 0 : found->second.size();
}

Shares::SlotPtr Shares::giving_way_to(const Source& source) const {
  const auto heaviest = std::max_element(
      sources_.begin(), sources_.end(),
      [](const auto& left, const auto& right) { return left.second.size() < right.second.size(); });
  if (heaviest == sources_.end() || heaviest->second.size() < count(source) + 2) return nullptr;
  return heaviest->second.back();
}

void Shares::add(const SlotPtr& slot) {
  sources_[slot->source].push_back(slot);
  ++size_;
}

void Shares::remove(const SlotPtr& slot) {
  const auto source = sources_.find(slot->source);
  if (source == sources_.end() || std::erase(source->second, slot) == 0) return;
  if (source->second.empty()) sources_.erase(source);
  --size_;
}

}  // namespace zks::relay
