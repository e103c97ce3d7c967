// SPDX-License-Identifier: MIT
#include "relay/event_loops.hpp"

#include <csignal>

#include "net/run_loop.hpp"

namespace zks::relay {

EventLoops::EventLoops(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    loops_.push_back(std::make_unique<boost::asio::io_context>(/*concurrency_hint=*/1));
    guards_.emplace_back(loops_.back()->get_executor());
  }
}

void EventLoops::finish() {
  release();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  while (run_leftovers()) {
  }
}

// False when there was nothing to run. An exception is reported as one from a running loop.
bool EventLoops::run_leftovers() {
  std::size_t handlers = 0;
  for (const auto& loop : loops_) {
    try {
      loop->restart();
      handlers += loop->poll();
    } catch (...) {
      ++handlers;
      if (failed_) failed_(std::current_exception());
    }
  }
  return handlers > 0;
}

std::vector<boost::asio::any_io_executor> EventLoops::executors() {
  std::vector<boost::asio::any_io_executor> out;
  for (const auto& loop : loops_) out.push_back(loop->get_executor());
  return out;
}

void EventLoops::run(std::function<void(std::exception_ptr)> failed, std::function<void()> finished) {
  failed_ = std::move(failed);
  finished_ = std::move(finished);
  running_ = loops_.size();
  for (const auto& loop : loops_) threads_.emplace_back([this, &loop = *loop] { run_one(loop); });
}

void EventLoops::run_one(boost::asio::io_context& loop) {
  // Signals are the main thread's.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (true) {
    try {
      net::run_loop(loop);
      break;
    } catch (...) {
      failed_(std::current_exception());
    }
  }
  if (--running_ == 0) finished_();
}

void EventLoops::release() {
  guards_.clear();
}

void EventLoops::cut() {
  for (const auto& loop : loops_) loop->stop();
}

}  // namespace zks::relay
