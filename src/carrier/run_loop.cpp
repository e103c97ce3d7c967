// SPDX-License-Identifier: MIT
#include "carrier/run_loop.hpp"

#include <exception>
#include <new>

#include <boost/asio/multiple_exceptions.hpp>

#include "base/log.hpp"

namespace zks::carrier {
namespace {

void log_lack_of_memory() noexcept {
  try {
    log::error("out of memory: a connection was given up");
  } catch (...) {  // there is none to say it with
  }
}

bool is_lack_of_memory(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

// What several coroutines threw within one handler, Asio throws as one exception.
void run_loop(boost::asio::io_context& loop) {
  for (;;) {
    try {
      loop.run();
      return;
    } catch (const std::bad_alloc&) {
      log_lack_of_memory();
    } catch (const boost::asio::multiple_exceptions& several) {
      if (!is_lack_of_memory(several.first_exception())) throw;
      log_lack_of_memory();
    }
  }
}

}  // namespace zks::carrier
