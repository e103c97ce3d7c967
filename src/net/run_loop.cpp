// SPDX-License-Identifier: MIT
#include "net/run_loop.hpp"

#include <chrono>
#include <exception>
#include <new>

#include <boost/asio/multiple_exceptions.hpp>

#include "base/log.hpp"
#include "base/memory_reserve.hpp"
#include "base/repeat_notice.hpp"

namespace zks::net {
namespace {

constexpr std::chrono::seconds kTellAgainAfter{10};

// Where one lacks it, many do.
class Notice {
 public:
  void tell() noexcept {
    ++count_;
    if (!notice_.is_due(std::chrono::steady_clock::now())) return;
    try {
      log::error("out of memory: connections were given up, {} since the last such line", count_);
    } catch (...) {  // there is none to say it with
    }
    count_ = 0;
  }

 private:
  RepeatNotice notice_{kTellAgainAfter};
  std::size_t count_ = 0;
};

bool is_lack_of_memory(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (...) {
    return false;
  }
}

void lacked_memory(Notice& notice) noexcept {
  (void)MemoryReserve::give();
  notice.tell();
}

}  // namespace

// What several coroutines threw within one handler, Asio throws as one exception.
void run_loop(boost::asio::io_context& loop) {
  Notice notice;
  for (;;) {
    try {
      loop.run();
      return;
    } catch (const std::bad_alloc&) {
      lacked_memory(notice);
    } catch (const boost::asio::multiple_exceptions& several) {
      if (!is_lack_of_memory(several.first_exception())) throw;
      lacked_memory(notice);
    }
  }
}

}  // namespace zks::net
