// SPDX-License-Identifier: MIT
//
// What may take long at a disk, apart from the event loop: fsync() of a slow disk, a lock that another
// process holds. InviteStore and the program hand their writes over; one thread does them in order.
//
// Bounds: kMaxJobs that wait; at the bound one more is refused.
//
// Executor: the one given, for outcomes. Lifetime: the caller's, on that executor's thread; no outcome is
// told after destruction, which does not wait for a write that hangs.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/any_io_executor.hpp>

namespace zks::exit {

class StateWriter {
 public:
  static constexpr std::size_t kMaxJobs = 128;

  explicit StateWriter(boost::asio::any_io_executor executor);
  ~StateWriter();
  StateWriter(const StateWriter&) = delete;
  StateWriter& operator=(const StateWriter&) = delete;

  // Runs `work` on the thread and then `done` with what it returned. `work` has nothing of the event loop in
  // it. False: it is refused, and neither runs.
  template <class Outcome>
  bool run(std::function<Outcome()> work, std::function<void(Outcome)> done) {
    const auto outcome = std::make_shared<std::optional<Outcome>>();
    return add({[work = std::move(work), outcome] { outcome->emplace(work()); },
                [done = std::move(done), outcome] { done(std::move(**outcome)); }});
  }

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  struct Shared;

  bool add(Job job);
  static void serve(const std::shared_ptr<Shared>& shared);

  std::shared_ptr<Shared> shared_;
};

}  // namespace zks::exit
