// SPDX-License-Identifier: MIT
#include "base/memory_reserve.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#include <sys/eventfd.h>
#include <sys/mman.h>

namespace zks {
namespace {

// Each piece is in one of these, or given away.
using Pieces = std::array<std::atomic<void*>, MemoryReserve::kPieces>;
Pieces held;       // address space, never touched
Pieces heap_held;  // what was freed, and malloc keeps: each the first of its blocks
std::atomic<int> event_of_lack = -1;
std::atomic<bool> lacking = false;

// The heap's free memory lies between what still lives: a piece in one would seldom be found there. As large
// as what a program asks for at once: a record and its overhead.
struct HeapBlock {
  HeapBlock* next;
};
constexpr std::size_t kHeapBlockBytes = 128 * 1024;

void free_blocks(HeapBlock* first) noexcept {
  while (first != nullptr) std::free(std::exchange(first, first->next));
}

// Null where there is less than a piece.
HeapBlock* allocate_blocks() noexcept {
  HeapBlock* first = nullptr;
  for (std::size_t bytes = 0; bytes < MemoryReserve::kPieceBytes; bytes += kHeapBlockBytes) {
    auto* const block = static_cast<HeapBlock*>(std::malloc(kHeapBlockBytes));
    if (block == nullptr) {
      free_blocks(first);
      return nullptr;
    }
    block->next = first;
    first = block;
  }
  return first;
}

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
  free_blocks(static_cast<HeapBlock*>(heap));
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
  HeapBlock* const blocks = allocate_blocks();
  HeapBlock* const beside = allocate_blocks();
  free_blocks(beside);
  if (beside != nullptr) return blocks;
  free_blocks(blocks);
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
  lacking = false;
  while (give_back_one()) continue;
}

void MemoryReserve::heard() const {
  lacking = false;
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
  if (const int event = event_of_lack; event >= 0) {
    lacking = true;
    (void)::eventfd_write(event, 1);
  }
  return given;
}

bool MemoryReserve::is_lacking() noexcept {
  return lacking;
}

}  // namespace zks
