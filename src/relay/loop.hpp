// SPDX-License-Identifier: MIT
//
// One event loop of the relay: an executor that runs on one thread, and the sockets that live on it. The loop
// owns them until they are done; a relay that stops asks each loop to end its own.
#pragma once

#include <memory>
#include <unordered_set>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/log_failure.hpp"
#include "relay/backlog.hpp"
#include "relay/counters.hpp"

namespace zks::relay {

namespace asio = boost::asio;

// Both calls are made on the loop's thread.
class LiveSocket {
 public:
  virtual ~LiveSocket() = default;
  virtual void shut_down() = 0;  // ends in an orderly way, within seconds
  virtual void abort() = 0;      // ends now
};

class Loop : public std::enable_shared_from_this<Loop> {
 public:
  // What shut_down() may take before abort(): the relay has 5 s to stop.
  static constexpr std::chrono::milliseconds kStopGrace{4'000};
  // What sockets held stays with the allocator for the relay's life, unless it is asked; a while after one
  // left.
  static constexpr std::chrono::seconds kTrimAfter{5};

  // `budget_bytes`: what its pairs may hold (backlog.hpp).
  Loop(asio::any_io_executor executor, std::size_t budget_bytes)
      : executor_(std::move(executor)),
        stop_timer_(executor_),
        trim_timer_(executor_),
        backlog_(std::make_shared<Backlog>(executor_, budget_bytes)) {}

  const asio::any_io_executor& executor() const { return executor_; }

  // On the loop's thread.
  void add(const std::shared_ptr<LiveSocket>& socket);
  void remove(const std::shared_ptr<LiveSocket>& socket);

  Backlog& backlog() { return *backlog_; }

  // What its sockets count; written on the loop's thread.
  Counters& counters() { return counters_; }
  const Counters& counters() const { return counters_; }

  // From any thread, both. What is added after stop() is ended at once.
  void relieve_memory();
  void stop();

 private:
  void begin_stop();
  void abort_all();
  void trim_later();

  asio::any_io_executor executor_;
  asio::steady_timer stop_timer_;
  asio::steady_timer trim_timer_;
  bool trims_ = false;
  std::shared_ptr<Backlog> backlog_;
  std::unordered_set<std::shared_ptr<LiveSocket>> live_;
  bool stopping_ = false;
  Counters counters_;
};

}  // namespace zks::relay
