// SPDX-License-Identifier: MIT
//
// The receiving half of a stream: bytes that arrived and that the application has not yet consumed, within
// the memory reserved for them. Bytes may come at any offset below the limit, twice, and with gaps.
//
//   consumed <= contiguous <= limit = consumed at the last credit + window
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <optional>

#include "base/result.hpp"
#include "session/byte_store.hpp"

namespace zks::session {

using TimePoint = std::chrono::steady_clock::time_point;

inline constexpr std::size_t kMaxGaps = 64;

class ReceiveSide {
 public:
  // Reserves `window` bytes. Called once, when the stream is made.
  void reserve(std::uint64_t window, TimePoint now) {
    window_ = limit_ = window;
    measured_at_ = now;
  }

  // --- the peer. kProtocol: beyond the limit or the final offset, more than kMaxGaps gaps, a final offset
  // that changes or lies below what was received.
  Result<> data(std::uint64_t offset, ByteView bytes);
  Result<> fin(std::uint64_t final_offset);

  // --- the application
  std::uint64_t readable() const { return contiguous_ - consumed_; }
  // What can be read, in up to eight pieces; returns how many.
  std::size_t peek(std::array<ByteView, 8>& pieces) const;
  void consume(std::uint64_t count);
  // All bytes and the FIN were received, and the bytes are consumed.
  bool at_end() const { return final_ && consumed_ == *final_; }
  void consume_end() { end_consumed_ = true; }
  bool ended() const { return end_consumed_; }

  // --- credit
  std::uint64_t window() const { return window_; }
  std::uint64_t limit() const { return limit_; }
  // Without a gap, as TABLE says it: one more than the bytes once the FIN came as well.
  std::uint64_t received() const { return contiguous_ + (final_ && contiguous_ == *final_ ? 1 : 0); }
  std::uint64_t consumed() const { return end_consumed_ ? *final_ + 1 : consumed_; }  // as CREDIT says it
  bool credit_due() const { return consumed() != credited_ || repeat_credit_; }
  void repeat_credit() { repeat_credit_ = true; }  // the last one may be lost
  bool credit_urgent() const { return end_consumed_ || consumed_ - credited_ >= window_ / 4; }
  // The values of a CREDIT frame that is being sent.
  void credit_sent();

  // Whether the window is what holds the sender back: half of it was consumed within two round trips and the
  // reader keeps up. Starts a new measurement when half of it was consumed.
  bool wants_larger_window(TimePoint now, std::chrono::nanoseconds round_trip);
  void set_window(std::uint64_t window) { window_ = window; }
  std::uint64_t give_back_window() { return std::exchange(window_, 0); }  // this direction is over

  void drop();
  std::size_t memory_bytes() const { return store_.memory_bytes(); }

 private:
  Result<> note_range(std::uint64_t from, std::uint64_t to);

  ByteStore store_;
  std::map<std::uint64_t, std::uint64_t> islands_;  // received ranges beyond contiguous_: start to end
  std::uint64_t consumed_ = 0;
  std::uint64_t contiguous_ = 0;
  std::uint64_t limit_ = 0;
  std::uint64_t window_ = 0;
  std::uint64_t credited_ = 0;  // `consumed` of the last CREDIT
  bool repeat_credit_ = false;
  std::optional<std::uint64_t> final_;
  bool end_consumed_ = false;
  std::uint64_t measured_from_ = 0;  // consumed_ when the present window measurement began
  TimePoint measured_at_{};
};

}  // namespace zks::session
