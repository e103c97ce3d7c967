// SPDX-License-Identifier: MIT
#include "base/memory_reserve.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <new>

#include <sys/eventfd.h>
#include <sys/mman.h>

namespace zks {
namespace {

std::array<std::atomic<void*>, MemoryReserve::kPieces> held;
std::atomic<int> event_of_lack = -1;

void* reserve(std::size_t bytes) {
  void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

bool give_back_one() noexcept {
  for (auto& piece : held) {
    void* const at = piece.exchange(nullptr);
    if (at == nullptr) continue;
    ::munmap(at, MemoryReserve::kPieceBytes);
    return true;
  }
  return false;
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
  for (auto& piece : held) {
    if (piece != nullptr) continue;
    void* const probe = reserve(2 * kPieceBytes);
    if (probe == nullptr) return false;
    ::munmap(static_cast<std::byte*>(probe) + kPieceBytes, kPieceBytes);
    piece = probe;
  }
  return true;
}

bool MemoryReserve::give() noexcept {
  const bool given = give_back_one();
  if (const int event = event_of_lack; event >= 0) (void)::eventfd_write(event, 1);
  return given;
}

}  // namespace zks
