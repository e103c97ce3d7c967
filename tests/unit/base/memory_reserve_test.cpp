// SPDX-License-Identifier: MIT
#include "base/memory_reserve.hpp"

#include <fstream>
#include <memory>
#include <new>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

namespace zks {
namespace {

bool readable(int event) {
  pollfd asked{event, POLLIN, 0};
  return ::poll(&asked, 1, 0) == 1;
}

TEST(MemoryReserve, TellsWhenMemoryLackedUntilItWasHeard) {
  MemoryReserve reserve;
  EXPECT_FALSE(readable(reserve.event()));
  for (std::size_t i = 0; i < MemoryReserve::kPieces; ++i) EXPECT_TRUE(MemoryReserve::give());
  EXPECT_FALSE(MemoryReserve::give());
  EXPECT_TRUE(readable(reserve.event()));
  EXPECT_TRUE(MemoryReserve::is_lacking());
  reserve.heard();
  EXPECT_FALSE(MemoryReserve::is_lacking());
  EXPECT_FALSE(readable(reserve.event()));
  EXPECT_TRUE(reserve.fill());
  EXPECT_FALSE(readable(reserve.event()));
}

TEST(MemoryReserve, WhereThereIsNoneNothingIsGiven) {
  EXPECT_FALSE(MemoryReserve::give());
  EXPECT_FALSE(MemoryReserve::is_lacking()) << "nobody would hear of it";
}

#ifndef ZKS_SANITIZED  // its allocator has neither a new-handler nor a limit of address space

constexpr std::size_t kPiece = 1024 * 1024;

std::size_t address_space() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// In a process of its own. The status names the first thing that was wrong.
[[noreturn]] void lack_memory() {
  MemoryReserve reserve;
  std::vector<std::unique_ptr<char[]>> pieces;
  pieces.reserve(1000);
  const rlimit tight{address_space() + 4 * kPiece, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_AS, &tight) != 0) ::_exit(1);
  while (!readable(reserve.event()) && pieces.size() < 900) pieces.emplace_back(new char[kPiece]);
  if (!readable(reserve.event())) ::_exit(2);
  if (pieces.size() > 10) ::_exit(3);  // that one came out of the reserve, and was not refused
  pieces.emplace_back(new char[kPiece]);
  if (reserve.fill()) ::_exit(4);  // there is no room for it
  reserve.heard();
  for (int i = 0; i < 4 && !readable(reserve.event()); ++i) pieces.emplace_back(new char[kPiece]);
  if (!readable(reserve.event())) ::_exit(8);  // the next piece, told again
  bool refused = false;
  try {
    while (pieces.size() < 900) pieces.emplace_back(new char[kPiece]);
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  if (!refused) ::_exit(5);
  pieces.clear();
  const rlimit enough{RLIM_INFINITY, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_AS, &enough) != 0) ::_exit(6);
  reserve.heard();
  if (!reserve.fill() || readable(reserve.event())) ::_exit(7);
  ::_exit(0);
}

// What is freed in the middle of the heap is no address space for others, and memory all the same; also where
// something lives on between, every `between` blocks.
[[noreturn]] void free_within_the_heap(std::size_t between) {
  MemoryReserve reserve;
  constexpr std::size_t kBlock = 64 * 1024;  // of the heap, not mapped alone
  std::vector<std::unique_ptr<char[]>> blocks;
  blocks.reserve(1024);
  std::vector<std::unique_ptr<char>> living;
  living.reserve(1025);
  while (blocks.size() < 1024) {
    blocks.emplace_back(new char[kBlock]);
    if (blocks.size() % between == 0) living.emplace_back(new char);
  }
  living.emplace_back(new char);  // or the heap would get smaller
  while (MemoryReserve::give()) continue;
  const rlimit tight{address_space(), RLIM_INFINITY};
  if (::setrlimit(RLIMIT_AS, &tight) != 0) ::_exit(1);
  if (reserve.fill()) ::_exit(2);
  blocks.clear();
  if (!reserve.fill()) ::_exit(3);
  if (!MemoryReserve::give() || !reserve.fill()) ::_exit(4);
  ::_exit(0);
}

TEST(MemoryReserveDeathTest, IsFilledFromWhatWasFreed) {
  EXPECT_EXIT(free_within_the_heap(1024), testing::ExitedWithCode(0), "");
}

TEST(MemoryReserveDeathTest, IsFilledFromBetweenWhatLives) {
  EXPECT_EXIT(free_within_the_heap(8), testing::ExitedWithCode(0), "");
}

TEST(MemoryReserveDeathTest, IsThereWhenNothingElseIs) {
  EXPECT_EXIT(lack_memory(), testing::ExitedWithCode(0), "");
}

#endif

}  // namespace
}  // namespace zks
