// SPDX-License-Identifier: MIT
//
// What a coroutine that may fail is: its outcome is a Result, and no exception.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "base/result.hpp"

namespace zks::net {

namespace asio = boost::asio;

template <class T = void>
using Task = asio::awaitable<Result<T>>;

}  // namespace zks::net
