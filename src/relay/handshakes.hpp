// SPDX-License-Identifier: MIT
//
// The slots of connections that have no place in a room yet, counted for each source. A newcomer always gets
// one. Where that is one too many, another gives way: of the newcomer's source when it has its share, else of
// the source that has the most; of these the oldest that has not sent a byte, else the oldest. So whoever
// opens many connections closes its own. Listener takes the slots; pending_connection.hpp holds them.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "relay/source.hpp"

namespace zks::relay {

// Thread-safe.
class Handshakes {
 public:
  class Slot;

  // `of_source`: the share of one source.
  Handshakes(std::size_t most, std::size_t of_source) : most_(most), of_source_(of_source) {}

  // `shared`: a proxy's address, behind which are many sources that its requests name: no share bounds it.
  Slot take(const Source& source, bool shared);
  std::size_t size() const;
  std::uint64_t evicted() const;

 private:
  struct Entry {
    Source source;
    bool shared;
    std::uint64_t serial = 0;
    bool silent = true;
    bool evicted = false;  // and so in no list
    std::function<void()> evict;
  };
  using EntryPtr = std::shared_ptr<Entry>;
  using Entries = std::list<EntryPtr>;  // the oldest first
  using Sources = std::unordered_map<Source, Entries, Source::Hash>;

  void add(const EntryPtr& entry);
  void remove(const EntryPtr& entry);
  void make_room(const EntryPtr& newcomer);
  void evict_one_of(const Entries& entries, const EntryPtr& newcomer);

  const std::size_t most_;
  const std::size_t of_source_;
  mutable std::mutex mutex_;
  Sources sources_;  // those with an entry
  std::size_t size_ = 0;
  std::uint64_t evicted_ = 0;
  std::uint64_t next_serial_ = 0;
};

// Given back when it dies.
class Handshakes::Slot {
 public:
  Slot(Slot&&) = default;
  Slot& operator=(Slot&&) = delete;
  ~Slot();

  // What ends the connection; called once at most, from any thread, and under the table's lock: it may only
  // post. False when the slot was taken away already.
  bool on_evict(std::function<void()> evict);
  void spoke();
  // The source became known: behind a proxy it stands in the request's header.
  void belongs_to(const Source& source);

 private:
  friend class Handshakes;
  Slot(Handshakes* table, EntryPtr entry) : table_(table), entry_(std::move(entry)) {}
  Handshakes* table_;  // outlives every slot: both belong to the Relay
  EntryPtr entry_;     // null: moved from
};

}  // namespace zks::relay
