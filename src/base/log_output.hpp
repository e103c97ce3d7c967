// SPDX-License-Identifier: MIT
//
// The way of the log's lines to stderr (log.hpp makes them): a bounded queue and a thread that writes, so
// that a pipe that nobody reads, or a slow disk, stops nobody who logs. At the bound new lines are dropped
// and counted, and the log says how many when it goes on.
//
// Thread-safe. After a fork the child has an empty queue and no thread, until go_on() or flush(): a child
// that gives up rights must not have a thread that keeps them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace zks::log {

inline constexpr std::size_t kMaxQueuedBytes = 256 * 1024;

// What a program waits for its last lines to be read.
inline constexpr std::chrono::milliseconds kLastLinesWithin{1000};

// One line, with its end, for stderr. It is written when this returns, unless somebody who does not read, or
// a disk, holds it up: that costs a moment once, and nothing until it goes on.
void write_line(std::string line);

// How to say, as a line, that so many lines were dropped; without it nothing is said.
void set_notice(std::function<std::string(std::uint64_t dropped)> notice);

// Waits until all lines are written, or for `patience`.
void flush(std::chrono::milliseconds patience);

// In a child of fork: its lines are written from now on.
void go_on();

}  // namespace zks::log
