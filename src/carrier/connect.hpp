// SPDX-License-Identifier: MIT
//
// The first step of a dial: a host name becomes a connected TCP socket. IPv6 and IPv4 addresses are tried in
// turn, each a little after the one before (RFC 8305), and the first that answers wins. reach.hpp goes on
// from there.
#pragma once

#include <chrono>
#include <string>

#include <boost/asio/ip/tcp.hpp>

#include "carrier/carrier.hpp"
#include "carrier/outside.hpp"

namespace zks::carrier {

// kNetwork: the lookup failed, or every address did (detail: the first errno); kTimeout: not done at
// `deadline`.
Task<asio::ip::tcp::socket> connect(asio::any_io_executor executor, std::string host, std::uint16_t port,
                                    Way way, std::chrono::steady_clock::time_point deadline);

}  // namespace zks::carrier
