// SPDX-License-Identifier: MIT
//
// Runs an event loop. Lack of memory ends what lacked it (net/on_end.hpp tells its owner), not the
// program: what that held is what others need. Any other exception is the caller's.
#pragma once

#include <boost/asio/io_context.hpp>

namespace zks::net {

void run_loop(boost::asio::io_context& loop);

}  // namespace zks::net
