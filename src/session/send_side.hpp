// SPDX-License-Identifier: MIT
//
// The sending half of a stream: what the application wrote and the peer has not yet consumed. Bytes stay here
// after they were sent, so that a later lane can send them again; CREDIT is what frees them.
//
//   consumed <= next <= sent <= end <= limit        end - consumed <= kMaxWindow        end - next <=
//   kMaxUnsent
#pragma once

#include <algorithm>
#include <array>
#include <optional>

#include "base/result.hpp"
#include "session/byte_store.hpp"

namespace zks::session {

inline constexpr std::uint64_t kMaxWindow = 12 * 1024 * 1024;  // most that one stream keeps in one direction
inline constexpr std::uint64_t kMaxUnsent = 256 * 1024;        // most of it that waits for the lane

class SendSide {
 public:
  // --- the application
  // How many bytes it may append now: what the peer has reserved memory for, and never more than kMaxUnsent
  // ahead of the lane, so that a slow lane holds the application back instead of filling memory.
  std::uint64_t room() const {
    const std::uint64_t ceiling = std::min({limit_, consumed_ + kMaxWindow, next_ + kMaxUnsent});
    return finished_ || ceiling <= end_ ? 0 : ceiling - end_;
  }
  // Worth telling an application that waits: it can write, and half of what may wait for the lane is gone.
  bool low() const { return room() > 0 && end_ - next_ <= kMaxUnsent / 2; }
  // Free space for at most `max_bytes` and at most room(), in up to four pieces; returns how many.
  std::size_t prepare(std::uint64_t max_bytes, std::array<MutableBytes, 4>& pieces);
  // The first `count` bytes of what prepare() gave are now written.
  void commit(std::size_t count);
  void finish() { finished_ = true; }
  bool finished() const { return finished_; }

  // --- the lane
  std::uint64_t sendable() const { return std::min(limit_, end_) - std::min(next_, std::min(limit_, end_)); }
  bool fin_due() const { return finished_ && !fin_sent_ && next_ == end_; }
  std::uint64_t next() const { return next_; }
  std::uint64_t end() const { return end_; }
  // Copies the next bytes to send into `out`, which is at most sendable() long.
  void take(MutableBytes out);
  void fin_sent() { fin_sent_ = fin_ever_sent_ = true; }
  // A new lane: the peer has `received` bytes without a gap, and one more if it has the FIN. Everything after
  // is sent again. kProtocol for what was never sent, or was consumed before.
  Result<> rewind(std::uint64_t received);

  // --- the peer
  // CREDIT, or the limit of OPEN and OPENED. Old values are ignored; kProtocol for bytes that were never
  // sent.
  Result<> credit(std::uint64_t consumed, std::uint64_t limit);
  bool acknowledged() const { return fin_acknowledged_; }  // FIN and all before it
  bool owed() const { return next_ > consumed_ || (fin_sent_ && !fin_acknowledged_); }

  std::uint64_t buffered() const { return end_ - consumed_; }
  std::size_t memory_bytes() const { return store_.memory_bytes(); }
  void drop();  // the stream was reset: nothing will be sent any more

 private:
  ByteStore store_;
  std::uint64_t consumed_ = 0;  // by the peer; below this everything is forgotten
  std::uint64_t next_ = 0;      // first byte not sent on the present lane
  std::uint64_t sent_ = 0;      // first byte never sent on any lane
  std::uint64_t end_ = 0;       // first byte not yet written by the application
  std::uint64_t limit_ = 0;     // the peer has reserved memory up to here
  bool finished_ = false;
  bool fin_sent_ = false;  // on the present lane
  bool fin_ever_sent_ = false;
  bool fin_acknowledged_ = false;
};

}  // namespace zks::session
