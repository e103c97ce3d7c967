// SPDX-License-Identifier: MIT
//
// Address space in reserve, in pieces, for the moment in which there is no memory left. `new` that fails
// gives one back and tries again, and tells by an event whoever can make something give way; until that is
// done everybody else goes on. Nothing of it is ever touched, so that it costs no memory, and a limit of
// resident memory (MemoryMax=) does not know of it. Where there are no addresses any more, pieces are made of
// what was freed in the heap, block by block, wherever it lies.
//
// The process's: of several, as in `demo`, the newest hears. Only give() and is_lacking() may be called from
// any thread.
#pragma once

#include <cstddef>

#include "base/fd.hpp"

namespace zks {

class MemoryReserve {
 public:
  static constexpr std::size_t kPieces = 4;
  static constexpr std::size_t kPieceBytes = 4 * 1024 * 1024;

  MemoryReserve();
  ~MemoryReserve();
  MemoryReserve(const MemoryReserve&) = delete;
  MemoryReserve& operator=(const MemoryReserve&) = delete;

  // Readable (eventfd) once memory lacked.
  int event() const { return event_.get(); }
  // Makes event() unreadable until the next time.
  void heard() const;
  // True when all of it is there, again or still. A piece is taken only where as much is left beside it, or
  // it would be what makes the next one fail.
  bool fill();

  // Memory lacked where `new` did not see it, as in C libraries. True when there may be more now.
  static bool give() noexcept;
  // From the moment that memory lacked until whoever can make something give way has heard of it. What many
  // do in turns, each for more memory, is put off as long: all of them together want more than the reserve.
  static bool is_lacking() noexcept;

 private:
  Fd event_;
};

}  // namespace zks
