// SPDX-License-Identifier: MIT
#include "relay/mark_ledger.hpp"

#include <algorithm>

#include "base/bytes.hpp"

namespace zks::relay {

std::optional<std::string> MarkLedger::sent(std::uint64_t bytes) {
  sent_ += bytes;
  if (sent_ < next_mark_) return std::nullopt;
  next_mark_ = sent_ + kMarkEveryBytes;
  // Random, so that an echo proves that the mark was read.
  marks_.push_back({to_base64url(random_array<9>()), sent_});
  return marks_.back().id;
}

bool MarkLedger::echoed(std::string_view id) {
  const auto found =
      std::find_if(marks_.begin(), marks_.end(), [id](const OpenMark& mark) { return mark.id == id; });
  if (found == marks_.end()) return false;
  marks_.erase(found);
  return true;
}

bool MarkLedger::behind() const {
  return !marks_.empty() && sent_ - marks_.front().position > window_bytes_;
}

}  // namespace zks::relay
