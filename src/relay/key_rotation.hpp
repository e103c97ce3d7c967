// SPDX-License-Identifier: MIT
//
// When a pair gets a new Key_remote (PROTOCOL.md, "Key epochs"): after so many bytes or so long, looked at
// when a message passes and never by a timer, so that an idle pair costs nothing. The exit's half has it and
// announces what it says (half.cpp). Sans-IO.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace zks::relay {

class KeyRotation {
 public:
  using Clock = std::chrono::steady_clock;

  struct Limits {
    std::uint64_t bytes;  // of both directions together
    Clock::duration age;
  };

  // The pair is in epoch 0 since `now`.
  KeyRotation(Limits limits, Clock::time_point now) : limits_(limits), since_(now) {}

  // A message of `bytes` is about to be forwarded. Returns the epoch whose key has to go to both halves
  // before it, when it is time for one and both halves have answered the last: until then records of the
  // epoch before may be on their way, and a receiver keeps the keys of two.
  std::optional<std::uint64_t> pass(std::size_t bytes, Clock::time_point now) {
    bytes_ += bytes;
    if (unanswered_ > 0 || (bytes_ < limits_.bytes && now - since_ < limits_.age)) return std::nullopt;
    bytes_ = 0;
    since_ = now;
    unanswered_ = kHalves;
    return ++epoch_;
  }

  // A half answered the present epoch's key. Each half is let through once an epoch, by itself.
  void answered() { --unanswered_; }

 private:
  static constexpr int kHalves = 2;

  const Limits limits_;
  Clock::time_point since_;
  std::uint64_t bytes_ = 0;
  std::uint64_t epoch_ = 0;
  int unanswered_ = 0;
};

}  // namespace zks::relay
