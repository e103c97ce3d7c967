// SPDX-License-Identifier: MIT
#include "relay/rooms.hpp"

#include <algorithm>

#include "carrier/carrier.hpp"

namespace zks::relay {

namespace {

void give_way(Shares::Slot& slot) {
  slot.gave_way = true;
  if (slot.give_way) slot.give_way();
}

}  // namespace

// ---- a pair's slot

PairSlot::~PairSlot() {
  if (slot_) rooms_->release_pair(slot_);
}

bool PairSlot::on_give_way(std::function<void()> give_way) {
  const std::lock_guard lock(rooms_->mutex_);
  if (slot_->gave_way) return false;
  slot_->give_way = std::move(give_way);
  return true;
}

// ---- exits

unsigned Rooms::may_register(const RoomId& room, const InstanceId& instance, const Source& source) {
  const std::lock_guard lock(mutex_);
  const auto found = rooms_.find(room);
  if (found != rooms_.end() && found->second.find(instance) != nullptr) return 101;  // takes its own slot
  if (exits_.share_is_used(source)) return 429;
  return exits_.is_full() && !exits_.giving_way_to(source) ? 503 : 101;
}

Result<std::shared_ptr<RegisteredExit>> Rooms::add_exit(const RoomId& room, const InstanceId& instance,
                                                        const Source& source,
                                                        const std::shared_ptr<RegisteredExit>& exit) {
  const std::lock_guard lock(mutex_);
  const auto found = rooms_.try_emplace(room, limits_.pairs_of_room).first;
  auto& instances = found->second.instances;
  Instance* same = found->second.find(instance);
  if (same == nullptr && instances.size() >= kMaxInstances) {
    return make_error(ErrorKind::kLimit, "the room has its " + std::to_string(kMaxInstances) + " instances",
                      carrier::close_code::kForbidden);
  }
  const auto give_way = [weak = std::weak_ptr(exit)] {
    if (const auto newest = weak.lock()) newest->give_way();
  };
  const auto slot = std::make_shared<Shares::Slot>(Shares::Slot{source, room, give_way});
  if (same != nullptr) exits_.remove(same->slot);  // for the new one
  if (!take_slot(exits_, slot)) {
    if (same != nullptr && !same->slot->gave_way) exits_.add(same->slot);
    erase_if_empty(found);
    return make_error(ErrorKind::kLimit, "no place for the exit", kGaveWay);
  }
  std::shared_ptr<RegisteredExit> old = same != nullptr ? same->exit.lock() : nullptr;
  if (same == nullptr) same = &instances.emplace_back();
  *same = {instance, exit, exit.get(), slot};
  return old;
}

bool Rooms::take_slot(Shares& exits, const Shares::SlotPtr& slot) {
  if (exits.share_is_used(slot->source)) return false;
  if (exits.is_full()) {
    const Shares::SlotPtr victim = exits.giving_way_to(slot->source);
    if (!victim) return false;
    exits.remove(victim);
    give_way(*victim);
  }
  exits.add(slot);
  return true;
}

void Rooms::remove_exit(const RoomId& room, const InstanceId& instance, const RegisteredExit* exit) {
  const std::lock_guard lock(mutex_);
  const auto found = rooms_.find(room);
  if (found == rooms_.end()) return;
  const Instance* entry = found->second.find(instance);
  if (entry == nullptr || entry->identity != exit) return;
  exits_.remove(entry->slot);
  std::erase_if(found->second.instances, [&instance](const Instance& other) { return other.id == instance; });
  erase_if_empty(found);
}

Rooms::Instance* Rooms::Room::find(const InstanceId& instance) {
  const auto found = std::find_if(instances.begin(), instances.end(),
                                  [&instance](const Instance& entry) { return entry.id == instance; });
  return found == instances.end() ? nullptr : &*found;
}

std::vector<InstanceId> Rooms::exits(const RoomId& room, const std::optional<InstanceId>& instance) {
  const std::lock_guard lock(mutex_);
  std::vector<InstanceId> out;
  const auto found = rooms_.find(room);
  if (found == rooms_.end()) return out;
  auto& [instances, next, pairs] = found->second;
  for (std::size_t i = 0; i < instances.size(); ++i) {
    const Instance& entry = instances[(next + i) % instances.size()];
    if (!instance || entry.id == *instance) out.push_back(entry.id);
  }
  if (!instance && !instances.empty()) next = (next + 1) % instances.size();
  return out;
}

std::shared_ptr<RegisteredExit> Rooms::exit(const RoomId& room, const InstanceId& instance) {
  const std::lock_guard lock(mutex_);
  const auto found = rooms_.find(room);
  if (found == rooms_.end()) return nullptr;
  const Instance* entry = found->second.find(instance);
  return entry == nullptr ? nullptr : entry->exit.lock();
}

// ---- pairs

Result<PairSlot> Rooms::reserve_pair(const RoomId& room, const Source& source) {
  const std::lock_guard lock(mutex_);
  if (pairs_.share_is_used(source)) return make_error(ErrorKind::kLimit, "the source has its pairs", 429);
  const auto found = rooms_.find(room);
  const bool room_is_full = found != rooms_.end() && found->second.pairs.is_full();
  if (room_is_full || pairs_.is_full()) {
    const auto victim = (room_is_full ? found->second.pairs : pairs_).giving_way_to(source);
    if (!victim && room_is_full) return make_error(ErrorKind::kLimit, "the room has its pairs", 429);
    if (!victim) return make_error(ErrorKind::kLimit, "the relay has its pairs", 503);
    remove_pair(victim);
    give_way(*victim);
  }
  auto slot = std::make_shared<Shares::Slot>(Shares::Slot{source, room});
  rooms_.try_emplace(room, limits_.pairs_of_room).first->second.pairs.add(slot);
  pairs_.add(slot);
  return PairSlot(this, std::move(slot));
}

void Rooms::release_pair(const Shares::SlotPtr& slot) {
  const std::lock_guard lock(mutex_);
  if (!slot->gave_way) remove_pair(slot);
  slot->give_way = nullptr;
}

void Rooms::remove_pair(const Shares::SlotPtr& slot) {
  pairs_.remove(slot);
  const auto room = rooms_.find(slot->room);
  room->second.pairs.remove(slot);
  erase_if_empty(room);
}

void Rooms::erase_if_empty(std::map<RoomId, Room>::iterator room) {
  if (room->second.instances.empty() && room->second.pairs.size() == 0) rooms_.erase(room);
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
  return pairs_.size();
}

std::size_t Rooms::rooms() const {
  const std::lock_guard lock(mutex_);
  return rooms_.size();
}

std::size_t Rooms::registered_exits() const {
  const std::lock_guard lock(mutex_);
  return exits_.size();
}

}  // namespace zks::relay
