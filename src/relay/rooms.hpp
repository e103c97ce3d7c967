// SPDX-License-Identifier: MIT
//
// The registry: which exits are reachable in which room, which clients wait for one, and how many pairs there
// are. Touched when a connection comes or goes; forwarding never comes here, so one mutex serves all loops.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/names.hpp"
#include "base/result.hpp"

namespace zks::relay {

class Half;

// An exit's control socket as the registry sees it. Both calls may come from any thread and return at once.
class RegisteredExit {
 public:
  virtual ~RegisteredExit() = default;
  virtual void knock(const PairId& pair) = 0;
  virtual void replaced() = 0;  // a newer socket of the same instance took over
};

class Rooms;

// The right to one pair, counted against the room's and the relay's bound until it dies.
class PairSlot {
 public:
  PairSlot(PairSlot&& other) noexcept : rooms_(std::exchange(other.rooms_, nullptr)), room_(other.room_) {}
  PairSlot& operator=(PairSlot&&) = delete;
  ~PairSlot();

 private:
  friend class Rooms;
  PairSlot(Rooms* rooms, const RoomId& room) : rooms_(rooms), room_(room) {}
  Rooms* rooms_;  // outlives every slot: both belong to the Relay
  RoomId room_;
};

// Thread-safe.
class Rooms {
 public:
  static constexpr std::size_t kMaxInstances = 8;

  // `max_pairs` bounds the pairs, and the registered exits, of the whole relay.
  Rooms(std::size_t max_pairs, std::size_t max_pairs_per_room)
      : max_pairs_(max_pairs), max_pairs_per_room_(max_pairs_per_room) {}

  // Registers; returns the socket of the same instance that was there, or null. kLimit: the room has its
  // instances.
  Result<std::shared_ptr<RegisteredExit>> add_exit(const RoomId& room, const InstanceId& instance,
                                                   const std::shared_ptr<RegisteredExit>& exit);
  // Does nothing when `exit` was replaced meanwhile.
  void remove_exit(const RoomId& room, const InstanceId& instance, const RegisteredExit* exit);
  // The room's exits, or the one named, in the order to knock; each call begins with the next one.
  std::vector<std::weak_ptr<RegisteredExit>> exits(const RoomId& room,
                                                   const std::optional<InstanceId>& instance);
  bool exits_full() const;

  // kLimit with the HTTP status as detail: 429 when the room is full, 503 when the relay is.
  Result<PairSlot> reserve_pair(const RoomId& room);
  // A client waits for its other half; the id is random and works once.
  PairId wait(const RoomId& room, const std::shared_ptr<Half>& client);
  // The client that waits under `pair`; null when there is none.
  std::shared_ptr<Half> waiting(const RoomId& room, const PairId& pair) const;
  // The same, and it is taken off the list.
  std::shared_ptr<Half> claim(const RoomId& room, const PairId& pair);
  // The client gives up; false when it was claimed already.
  bool withdraw(const PairId& pair);

  std::size_t pairs() const;
  std::size_t rooms() const;
  std::size_t registered_exits() const;

 private:
  friend class PairSlot;
  struct Instance {
    InstanceId id;
    std::weak_ptr<RegisteredExit> exit;
    const RegisteredExit* identity;
  };
  struct Room {
    std::vector<Instance> instances;
    std::size_t next = 0;  // whose turn it is
    std::size_t pairs = 0;
  };
  struct Waiting {
    RoomId room;
    std::weak_ptr<Half> client;
  };

  void release_pair(const RoomId& room);
  void erase_if_empty(std::map<RoomId, Room>::iterator room);

  const std::size_t max_pairs_;
  const std::size_t max_pairs_per_room_;
  mutable std::mutex mutex_;
  std::map<RoomId, Room> rooms_;       // rooms with an exit or a pair
  std::map<PairId, Waiting> waiting_;  // at most one for each reserved pair
  std::size_t pairs_ = 0;
  std::size_t exits_ = 0;
};

}  // namespace zks::relay
