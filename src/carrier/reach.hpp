// SPDX-License-Identifier: MIT
//
// A byte stream to a relay: straight to it (connect.hpp), or to the upstream proxy and through that by
// CONNECT. Next step: TLS and the upgrade, in dial.cpp, which do not know the difference.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include "carrier/dial.hpp"

namespace zks::carrier {

// Errors of connect(); and for a proxy kRefused (detail is its HTTP status), kProtocol, kNetwork, kTimeout.
Task<asio::ip::tcp::socket> reach(asio::any_io_executor executor, RelayUrl url, DialOptions options,
                                  std::chrono::steady_clock::time_point deadline);

// The proxy that reach() would go through, null for none. Lives as long as options.proxies.
const UpstreamProxy* proxy_for(const RelayUrl& url, const DialOptions& options);

}  // namespace zks::carrier
