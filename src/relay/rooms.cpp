// SPDX-License-Identifier: MIT
#include "relay/rooms.hpp"

#include <algorithm>

namespace zks::relay {

PairSlot::~PairSlot() {
  if (rooms_ != nullptr) rooms_->release_pair(room_);
}

Result<std::shared_ptr<RegisteredExit>> Rooms::add_exit(const RoomId& room, const InstanceId& instance,
                                                        const std::shared_ptr<RegisteredExit>& exit) {
  const std::lock_guard lock(mutex_);
  auto& instances = rooms_[room].instances;
  const auto same = std::find_if(instances.begin(), instances.end(),
                                 [&instance](const Instance& entry) { return entry.id == instance; });
  if (same != instances.end()) {
    std::shared_ptr<RegisteredExit> old = same->exit.lock();
    same->exit = exit;
    same->identity = exit.get();
    return old;
  }
  if (instances.size() >= kMaxInstances) {
    return make_error(ErrorKind::kLimit, "the room has its " + std::to_string(kMaxInstances) + " instances");
  }
  instances.push_back({instance, exit, exit.get()});
  ++exits_;
  return std::shared_ptr<RegisteredExit>();
}

void Rooms::remove_exit(const RoomId& room, const InstanceId& instance, const RegisteredExit* exit) {
  const std::lock_guard lock(mutex_);
  const auto found = rooms_.find(room);
  if (found == rooms_.end()) return;
  exits_ -= std::erase_if(found->second.instances, [&instance, exit](const Instance& entry) {
    return entry.id == instance && entry.identity == exit;
  });
  erase_if_empty(found);
}

std::vector<std::weak_ptr<RegisteredExit>> Rooms::exits(const RoomId& room,
                                                        const std::optional<InstanceId>& instance) {
  const std::lock_guard lock(mutex_);
  std::vector<std::weak_ptr<RegisteredExit>> out;
  const auto found = rooms_.find(room);
  if (found == rooms_.end()) return out;
  auto& [instances, next, pairs] = found->second;
  for (std::size_t i = 0; i < instances.size(); ++i) {
    const Instance& entry = instances[(next + i) % instances.size()];
    if (!instance || entry.id == *instance) out.push_back(entry.exit);
  }
  if (!instance && !instances.empty()) next = (next + 1) % instances.size();
  return out;
}

bool Rooms::exits_full() const {
  const std::lock_guard lock(mutex_);
  return exits_ >= max_pairs_;
}

Result<PairSlot> Rooms::reserve_pair(const RoomId& room) {
  const std::lock_guard lock(mutex_);
  if (pairs_ >= max_pairs_) return make_error(ErrorKind::kLimit, "the relay has its pairs", 503);
  const auto found = rooms_.find(room);
  if (found != rooms_.end() && found->second.pairs >= max_pairs_per_room_) {
    return make_error(ErrorKind::kLimit, "the room has its pairs", 429);
  }
  ++rooms_[room].pairs;
  ++pairs_;
  return PairSlot(this, room);
}

void Rooms::release_pair(const RoomId& room) {
  const std::lock_guard lock(mutex_);
  --pairs_;
  const auto found = rooms_.find(room);
  --found->second.pairs;
  erase_if_empty(found);
}

void Rooms::erase_if_empty(std::map<RoomId, Room>::iterator room) {
  if (room->second.instances.empty() && room->second.pairs == 0) rooms_.erase(room);
}

PairId Rooms::wait(const RoomId& room, const std::shared_ptr<Half>& client) {
  const auto pair = random_array<16>();
  const std::lock_guard lock(mutex_);
  waiting_.emplace(pair, Waiting{room, client});
  return pair;
}

std::shared_ptr<Half> Rooms::waiting(const RoomId& room, const PairId& pair) const {
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find(pair);
  return found == waiting_.end() || found->second.room != room ? nullptr : found->second.client.lock();
}

std::shared_ptr<Half> Rooms::claim(const RoomId& room, const PairId& pair) {
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find(pair);
  if (found == waiting_.end() || found->second.room != room) return nullptr;
  std::shared_ptr<Half> client = found->second.client.lock();
  waiting_.erase(found);
  return client;
}

bool Rooms::withdraw(const PairId& pair) {
  const std::lock_guard lock(mutex_);
  return waiting_.erase(pair) != 0;
}

std::size_t Rooms::pairs() const {
  const std::lock_guard lock(mutex_);
  return pairs_;
}

std::size_t Rooms::rooms() const {
  const std::lock_guard lock(mutex_);
  return rooms_.size();
}

std::size_t Rooms::registered_exits() const {
  const std::lock_guard lock(mutex_);
  return exits_;
}

}  // namespace zks::relay
