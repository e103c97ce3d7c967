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
  class Place {
   public:
    explicit Place(net::Wakeup& wakeup) : wakeup_(wakeup) {}
    ~Place() {
      if (line_ != nullptr) line_->leave(*this);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    // The queue that a place stands in.
    class Line {
     public:
      virtual void leave(Place& place) = 0;

     protected:
      ~Line() = default;
    };

    bool waits() const { return line_ != nullptr; }
    void stand(Line& line, std::list<Place*>::iterator at) {
      line_ = &line;
      at_ = at;
    }
    std::list<Place*>::iterator step_out() {
      line_ = nullptr;
      return at_;
    }
    void wake() { wakeup_.notify(); }

   private:
    net::Wakeup& wakeup_;
    Line* line_ = nullptr;
    std::list<Place*>::iterator at_;
  };

  virtual ~Meter() = default;

  // How many bytes may pass now. 0: the place's wakeup is notified when its turn has come.
  virtual std::uint64_t ask(Direction direction, Place& place) = 0;
  // What did pass then; 0 ends the turn as well.
  virtual void passed(Direction direction, Place& place, std::uint64_t bytes) = 0;
};

}  // namespace zks::tunnel
