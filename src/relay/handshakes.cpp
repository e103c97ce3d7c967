// SPDX-License-Identifier: MIT
#include "relay/handshakes.hpp"

#include <algorithm>

namespace zks::relay {

Handshakes::Slot Handshakes::take(const Source& source, bool shared) {
  auto entry = std::make_shared<Entry>(Entry{.source = source, .shared = shared, .evict = {}});
  const std::lock_guard lock(mutex_);
  entry->serial = next_serial_++;
  add(entry);
  make_room(entry);
  return Slot(this, std::move(entry));
}

std::size_t Handshakes::size() const {
  const std::lock_guard lock(mutex_);
  return size_;
}

std::uint64_t Handshakes::evicted() const {
  const std::lock_guard lock(mutex_);
  return evicted_;
}

void Handshakes::add(const EntryPtr& entry) {
  sources_[entry->source].push_back(entry);
  ++size_;
}

void Handshakes::remove(const EntryPtr& entry) {
  const auto source = sources_.find(entry->source);
  auto& entries = source->second;
  entries.erase(std::find(entries.begin(), entries.end(), entry));
  if (entries.empty()) sources_.erase(source);
  --size_;
}

void Handshakes::make_room(const EntryPtr& newcomer) {
  const auto own = sources_.find(newcomer->source);
  if (!newcomer->shared && own->second.size() > of_source_) {
    evict_one_of(own->second, newcomer);
  } else if (size_ > most_) {
    // Of sources with as many, the one that waits longest. The newcomer does not count: it stays.
    const auto weight = [&newcomer](const auto& source) {
      const std::size_t others = source.second.size() - (source.first == newcomer->source ? 1 : 0);
      return std::pair(others, ~source.second.front()->serial);
    };
    const auto heaviest = std::max_element(
        sources_.begin(), sources_.end(),
        [&weight](const auto& left, const auto& right) { return weight(left) < weight(right); });
    evict_one_of(heaviest->second, newcomer);
  }
}

void Handshakes::evict_one_of(const Entries& entries, const EntryPtr& newcomer) {
  const auto other = [&newcomer](const EntryPtr& entry) { return entry != newcomer; };
  auto victim = std::find_if(entries.begin(), entries.end(),
                             [&other](const EntryPtr& entry) { return other(entry) && entry->silent; });
  if (victim == entries.end()) victim = std::find_if(entries.begin(), entries.end(), other);
  if (victim == entries.end()) return;
  const EntryPtr entry = *victim;
  remove(entry);
  ++evicted_;
  entry->evicted = true;
  if (entry->evict) entry->evict();
}

// ---- a slot

Handshakes::Slot::~Slot() {
  if (!entry_) return;
  const std::lock_guard lock(table_->mutex_);
  if (!entry_->evicted) table_->remove(entry_);
  entry_->evict = nullptr;
}

bool Handshakes::Slot::on_evict(std::function<void()> evict) {
  const std::lock_guard lock(table_->mutex_);
  if (entry_->evicted) return false;
  entry_->evict = std::move(evict);
  return true;
}

void Handshakes::Slot::spoke() {
  const std::lock_guard lock(table_->mutex_);
  entry_->silent = false;
}

void Handshakes::Slot::belongs_to(const Source& source) {
  const std::lock_guard lock(table_->mutex_);
  if (entry_->evicted) return;
  const bool same = entry_->source == source;
  entry_->shared = false;
  if (same) return;
  table_->remove(entry_);
  entry_->source = source;
  table_->add(entry_);
  table_->make_room(entry_);
}

}  // namespace zks::relay
