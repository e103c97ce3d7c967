// SPDX-License-Identifier: MIT
//
// Turn: one turn of the event loop at a connection. A message takes several reads and writes of TLS, most of
// which are over at once, since what they move is here already. Asio lets no operation complete within the
// call that began it, and post() puts its completion behind every other connection that is ready: with a
// hundred busy ones a message is out of the core's cache by then. Within a turn such a completion runs as
// soon as the handler that led to it has returned, so the stack does not grow.
//
// Executor: that of the loop whose thread it is. kMostSteps bounds how long other connections wait.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include <boost/asio/post.hpp>

namespace zks::net {

class Turn {
 public:
  // About four messages.
  static constexpr std::size_t kMostSteps = 8;

  // Calls `handler`, and then what after() was given meanwhile, in its order. Within a turn: only calls it.
  template <class Handler>
  static void run(Handler&& handler) {
    if (current() != nullptr) {
      std::forward<Handler>(handler)();
      return;
    }
    Turn turn;
    std::forward<Handler>(handler)();
    while (turn.next_ < turn.end_) std::exchange(turn.steps_[turn.next_++], nullptr)->run();
  }

  // Calls `handler` later in this turn. If there is none, or it had its steps: posts it to `executor`.
  template <class Executor, class Handler>
  static void after(const Executor& executor, Handler handler) {
    Turn* turn = current();
    if (turn == nullptr || turn->end_ == kMostSteps) {
      boost::asio::post(executor, std::move(handler));
    } else {
      turn->steps_[turn->end_] = std::make_unique<StepOf<Executor, Handler>>(executor, std::move(handler));
      ++turn->end_;
    }
  }

  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  struct Step {
    virtual ~Step() = default;
    virtual void run() = 0;
    virtual void post() = 0;
  };
  template <class Executor, class Handler>
  struct StepOf final : Step {
    StepOf(const Executor& on, Handler what) : executor(on), handler(std::move(what)) {}
    void run() override { handler(); }
    void post() override { boost::asio::post(executor, std::move(handler)); }
    Executor executor;
    Handler handler;
  };

  Turn() { current() = this; }
  ~Turn() {  // steps are left only where a handler threw
    current() = nullptr;
    for (; next_ < end_; ++next_) steps_[next_]->post();
  }

  static Turn*& current() {
    thread_local Turn* turn = nullptr;
    return turn;
  }

  std::array<std::unique_ptr<Step>, kMostSteps> steps_;
  std::size_t next_ = 0;
  std::size_t end_ = 0;
};

}  // namespace zks::net
