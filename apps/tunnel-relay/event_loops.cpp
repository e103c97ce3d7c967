// SPDX-License-Identifier: MIT
#include "event_loops.hpp"

#include <csignal>

namespace zks::app {

EventLoops::EventLoops(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    loops_.push_back(std::make_unique<boost::asio::io_context>(/*concurrency_hint=*/1));
    guards_.emplace_back(loops_.back()->get_executor());
  }
}

EventLoops::~EventLoops() {
  release();
  for (std::thread& thread : threads_) thread.join();
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
      loop.run();
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

}  // namespace zks::app
