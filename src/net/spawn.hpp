// SPDX-License-Identifier: MIT
//
// The completion handler for co_spawn where the coroutine reports its outcome in other ways: an exception
// (lack of memory, a broken invariant) goes on to whoever runs the executor instead of being swallowed.
#pragma once

#include <exception>

namespace zks::net {

struct RethrowFailure {
  void operator()(std::exception_ptr failure) const {
    if (failure) std::rethrow_exception(failure);
  }
};

}  // namespace zks::net
