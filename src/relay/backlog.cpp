// SPDX-License-Identifier: MIT
#include "relay/backlog.hpp"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include <malloc.h>
#include <unistd.h>

#include "base/log.hpp"

namespace zks::relay {

std::size_t Backlog::default_bytes() {
  constexpr std::size_t kMost = std::size_t{512} << 20;
  constexpr std::size_t kLeast = std::size_t{64} << 20;
  const auto pages = ::sysconf(_SC_PHYS_PAGES);
  const auto page_bytes = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return kLeast;
  return std::clamp(static_cast<std::size_t>(pages) / 4 * static_cast<std::size_t>(page_bytes), kLeast,
                    kMost);
}

void Backlog::add(Pair* pair) {
  if (pairs_.empty()) wait();
  pairs_.insert(pair);
}

void Backlog::remove(Pair* pair) {
  pairs_.erase(pair);
  if (pairs_.empty()) next_look_.cancel();
}

void Backlog::wait() {
  next_look_.expires_after(kLookEvery);
  next_look_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || self->pairs_.empty()) return;
    self->wait();
    self->look();
  });
}

void Backlog::look() {
  std::size_t held = 0;
  for (const Pair* pair : pairs_) held += pair->held_bytes();
  if (held <= budget_bytes_) return;
  std::vector<std::pair<std::size_t, Pair*>> heaviest;
  for (Pair* pair : pairs_) heaviest.emplace_back(pair->held_bytes(), pair);
  std::ranges::sort(heaviest, std::greater());
  for (const auto& [bytes, pair] : heaviest) {
    if (held <= budget_bytes_) break;
    held -= bytes;
    ++over_budget_.count;
    pair->give_way();
  }
  if (!over_budget_.notice.is_due(std::chrono::steady_clock::now())) return;
  log::warn(
      "messages that wait take more memory than --max-held allows: {} pairs were ended, the heaviest first",
      std::exchange(over_budget_.count, 0));
}

void Backlog::relieve() {
  const auto heaviest = std::ranges::max_element(pairs_, {}, &Pair::held_bytes);
  if (heaviest == pairs_.end() || (*heaviest)->held_bytes() < kWorthEnding) return;
  ++without_memory_.count;
  (*heaviest)->give_way();
  ::malloc_trim(0);  // for what is larger than the pieces that became free
  if (!without_memory_.notice.is_due(std::chrono::steady_clock::now())) return;
  log::error("out of memory: {} pairs that held most of it were ended; give this relay more",
             std::exchange(without_memory_.count, 0));
}

}  // namespace zks::relay
