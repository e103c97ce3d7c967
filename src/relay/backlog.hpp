// SPDX-License-Identifier: MIT
//
// Backlog: what the pairs of one loop hold in this process's memory (messages that a receiver has not taken,
// and unfinished ones), against the loop's part of --max-held. Each pair has bounds of its own, but ten
// thousand of them are more than a machine has. Looked at while there are pairs; beyond the budget the
// heaviest pair gives way, then the next: whoever makes the relay hold much loses it first, and a pair of our
// ends holds a sixteenth of what one may.
//
// Executor: the loop's.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <unordered_set>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/repeat_notice.hpp"

namespace zks::relay {

class Backlog : public std::enable_shared_from_this<Backlog> {
 public:
  // Of the machine's memory: a quarter, at most 512 MiB, which is a quarter of what the systemd unit allows.
  static std::size_t default_bytes();

  class Pair {
   public:
    virtual ~Pair() = default;
    virtual std::size_t held_bytes() const = 0;
    virtual void give_way() = 0;  // ends, and frees what it holds, within a second
  };

  Backlog(const boost::asio::any_io_executor& executor, std::size_t budget_bytes)
      : budget_bytes_(budget_bytes), next_look_(executor) {}

  // `pair` is removed before it dies.
  void add(Pair* pair);
  void remove(Pair* pair);

  // The process lacked memory: the heaviest pair gives way, where that is worth it.
  void relieve();

 private:
  static constexpr std::chrono::milliseconds kLookEvery{250};
  static constexpr std::chrono::seconds kTellEvery{10};
  static constexpr std::size_t kWorthEnding = 64 * 1024;

  // Pairs that gave way since it was told last.
  struct Ended {
    RepeatNotice notice{kTellEvery};
    std::size_t count = 0;
  };

  void wait();
  void look();

  const std::size_t budget_bytes_;
  std::unordered_set<Pair*> pairs_;
  boost::asio::steady_timer next_look_;
  Ended over_budget_;
  Ended without_memory_;
};

}  // namespace zks::relay
