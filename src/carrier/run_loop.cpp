// SPDX-License-Identifier: MIT
#include "carrier/run_loop.hpp"

#include <new>

#include "base/log.hpp"

namespace zks::carrier {
namespace {

void log_lack_of_memory() noexcept {
  try {
    log::error("out of memory: a connection was given up");
  } catch (...) {  // there is none to say it with
  }
}

}  // namespace

void run_loop(boost::asio::io_context& loop) {
  for (;;) {
    try {
      loop.run();
      return;
    } catch (const std::bad_alloc&) {
      log_lack_of_memory();
    }
  }
}

}  // namespace zks::carrier
