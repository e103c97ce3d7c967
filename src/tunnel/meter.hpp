// SPDX-License-Identifier: MIT
//
// What splice.cpp asks before it moves bytes of a stream, where somebody pays for them: the exit's per-invite
// limits (exit/allowance.hpp). It is flow control and drops nothing: bytes that may not pass yet stay with
// their sender, since neither credit is given for them nor their socket is read.
#pragma once

#include <cstdint>
#include <list>
#include <memory>

#include "net/wakeup.hpp"

namespace zks::tunnel {

class Meter {
 public:
  enum class Direction : std::uint8_t { kUp, kDown };  // from the client to the destination, and back

  // One direction of one stream, while it waits for its turn. Lifetime: dies before its meter.
  class Waiter {
   public:
    explicit Waiter(net::Wakeup& wakeup) : wakeup_(wakeup) {}
    ~Waiter() {
      if (line_ != nullptr) line_->leave(*this);
    }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    // The queue that a waiter stands in.
    class Queue {
     public:
      virtual void leave(Waiter& waiter) = 0;

     protected:
      ~Queue() = default;
    };

    bool waits() const { return line_ != nullptr; }
    void stand(Queue& line, std::list<Waiter*>::iterator at) {
      line_ = &line;
      at_ = at;
    }
    std::list<Waiter*>::iterator step_out() {
      line_ = nullptr;
      return at_;
    }
    void wake() { wakeup_.notify(); }

   private:
    net::Wakeup& wakeup_;
    Queue* line_ = nullptr;
    std::list<Waiter*>::iterator at_;
  };

  virtual ~Meter() = default;

  // How many bytes may pass now. 0: the waiter's wakeup is notified when its turn has come.
  virtual std::uint64_t ask(Direction direction, Waiter& waiter) = 0;
  // What did pass then; 0 ends the turn as well.
  virtual void passed(Direction direction, Waiter& waiter, std::uint64_t bytes) = 0;
};

}  // namespace zks::tunnel
