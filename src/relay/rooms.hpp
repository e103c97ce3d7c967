// SPDX-License-Identifier: MIT
//
// The registry: which exits are reachable in which room, which clients wait for one, and whose the pairs are
// (shares.hpp says who gives way when there are too many). Touched when a connection comes or goes;
// forwarding never comes here, so one mutex serves all loops.
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
#include "relay/shares.hpp"

namespace zks::relay {

class Half;

// An exit's control socket as the registry sees it. All calls may come from any thread and return at once.
class RegisteredExit {
 public:
  virtual ~RegisteredExit() = default;
  virtual void knock(const PairId& pair) = 0;
  // A newer socket of the same instance took over: knocks that still come here are for that one.
  virtual void replaced(const std::shared_ptr<RegisteredExit>& by) = 0;
  virtual void give_way() = 0;  // its slot went to another source's exit
};

class Rooms;

// The right to one pair, counted against the source's, the room's and the relay's bound until it dies.
class PairSlot {
 public:
  PairSlot(PairSlot&& other) noexcept : rooms_(other.rooms_), slot_(std::move(other.slot_)) {}
  PairSlot& operator=(PairSlot&&) = delete;
  ~PairSlot();

  // What ends the pair when it has to give way; called from any thread, and it may only post. False when that
  // is so already.
  bool on_give_way(std::function<void()> give_way);

 private:
  friend class Rooms;
  PairSlot(Rooms* rooms, Shares::SlotPtr slot) : rooms_(rooms), slot_(std::move(slot)) {}
  Rooms* rooms_;          // outlives every slot: both belong to the Relay
  Shares::SlotPtr slot_;  // null: moved from
};

// Thread-safe.
class Rooms {
 public:
  static constexpr std::size_t kMaxInstances = 8;

  // Each bounds pairs and, by itself, registered exits: of all sources, of one source. A room's pairs are of
  // all.
  struct Limits {
    std::size_t pairs;
    std::size_t pairs_of_source;
    std::size_t pairs_of_room;
  };

  explicit Rooms(const Limits& limits)
      : limits_(limits),
        pairs_(limits.pairs, limits.pairs_of_source),
        exits_(limits.pairs, limits.pairs_of_source) {}

  // What stands against a registration before anything is proven, as an HTTP status: 429 when the source has
  // its share, 503 when the relay is full; 101 when nothing does.
  unsigned may_register(const RoomId& room, const InstanceId& instance, const Source& source);
  // Registers; returns the socket of the same instance that was there, or null. kLimit with the close code as
  // detail: 4403 when the room has its instances, kGaveWay when there is no slot.
  Result<std::shared_ptr<RegisteredExit>> add_exit(const RoomId& room, const InstanceId& instance,
                                                   const Source& source,
                                                   const std::shared_ptr<RegisteredExit>& exit);
  // Does nothing when `exit` was replaced meanwhile.
  void remove_exit(const RoomId& room, const InstanceId& instance, const RegisteredExit* exit);
  // The room's exits, or the one named, in the order to knock; each call begins with the next one.
  std::vector<InstanceId> exits(const RoomId& room, const std::optional<InstanceId>& instance);
  // The socket that the instance has now; null when there is none.
  std::shared_ptr<RegisteredExit> exit(const RoomId& room, const InstanceId& instance);

  // kLimit with the HTTP status as detail: 429 when source or room is full, 503 when the relay is.
  Result<PairSlot> reserve_pair(const RoomId& room, const Source& source);
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
    Shares::SlotPtr slot;
  };
  struct Room {
    explicit Room(std::size_t max_pairs) : pairs(max_pairs, max_pairs) {}
    Instance* find(const InstanceId& instance);
    std::vector<Instance> instances;
    std::size_t next = 0;  // whose turn it is
    Shares pairs;
  };
  struct Waiting {
    RoomId room;
    std::weak_ptr<Half> client;
  };

  static bool take_slot(Shares& exits, const Shares::SlotPtr& slot);
  void release_pair(const Shares::SlotPtr& slot);
  void remove_pair(const Shares::SlotPtr& slot);
  void erase_if_empty(std::map<RoomId, Room>::iterator room);

  const Limits limits_;
  mutable std::mutex mutex_;
  std::map<RoomId, Room> rooms_;       // rooms with an exit or a pair
  std::map<PairId, Waiting> waiting_;  // at most one for each reserved pair
  Shares pairs_;
  Shares exits_;
};

}  // namespace zks::relay
