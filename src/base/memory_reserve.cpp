// SPDX-License-Identifier: MIT
#include "base/memory_reserve.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#include <sys/eventfd.h>
#include <sys/mman.h>

namespace zks {
namespace {

// Each piece is in one of these, or given away.
using Pieces = std::array<std::atomic<void*>, MemoryReserve::kPieces>;
Pieces held;       // address space, never touched
Pieces heap_held;  // what was freed, and malloc keeps
std::atomic<int> event_of_lack = -1;

void* take_one(Pieces& pieces) noexcept {
  for (auto& piece : pieces) {
    if (void* const at = piece.exchange(nullptr)) return at;
  }
  return nullptr;
}

bool give_back_one() noexcept {
  if (void* const addresses = take_one(held)) {
    ::munmap(addresses, MemoryReserve::kPieceBytes);
    return true;
  }
  void* const heap = take_one(heap_held);
  std::free(heap);
  return heap != nullptr;
}

// These two take a piece only where as much is left beside it.
void* reserve_addresses() {
  void* const at = ::mmap(nullptr, 2 * MemoryReserve::kPieceBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  ::munmap(static_cast<std::byte*>(at) + MemoryReserve::kPieceBytes, MemoryReserve::kPieceBytes);
  return at;
}

void* reserve_heap() {
  void* const at = std::malloc(MemoryReserve::kPieceBytes);
  void* const beside = std::malloc(MemoryReserve::kPieceBytes);
  std::free(beside);
  if (beside != nullptr) return at;
  std::free(at);
  return nullptr;
}

// [new.handler]: returns when there may be more now.
void on_lack() {
  if (!MemoryReserve::give()) throw std::bad_alloc();
}

}  // namespace

MemoryReserve::MemoryReserve() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  event_of_lack = event_.get();
  fill();
  std::set_new_handler(on_lack);
}

MemoryReserve::~MemoryReserve() {
  std::set_new_handler(nullptr);
  event_of_lack = -1;
  while (give_back_one()) continue;
}

void MemoryReserve::heard() const {
  eventfd_t count = 0;
  (void)::eventfd_read(event_.get(), &count);
}

bool MemoryReserve::fill() {
  for (std::size_t i = 0; i < kPieces; ++i) {
    if (held[i] != nullptr || heap_held[i] != nullptr) continue;
    // The heap does not get smaller by what is freed within it: there may be much memory, and no addresses.
    if (void* const addresses = reserve_addresses()) {
      held[i] = addresses;
    } else if (void* const heap = reserve_heap()) {
      heap_held[i] = heap;
    } else {
      return false;
    }
  }
  return true;
}

bool MemoryReserve::give() noexcept {
  const bool given = give_back_one();
  if (const int event = event_of_lack; event >= 0) (void)::eventfd_write(event, 1);
  return given;
}

}  // namespace zks
